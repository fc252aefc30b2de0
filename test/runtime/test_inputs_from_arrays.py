"""numpy_input_fn and pandas_input_fn: which rows come when, in which form, and what is refused."""

import importlib.util

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.runtime.inputs_from_arrays import numpy_input_fn, pandas_input_fn

A = np.arange(5) * 1.0
B = np.arange(10, 20).reshape(5, 2)
LABELS = np.arange(-5, 0)


def batches_of(input_fn, most=20):
  """What a session reads until the data end, or `most` batches of it."""
  found = []
  with tf.Graph().as_default(), tf.Session() as session:
    tensors = input_fn()
    for _ in range(most):
      try:
        found.append(session.run(tensors))
      except tf.errors.OutOfRangeError:
        break
  return found


def rows_of(input_fn, most=20):
  return [batch.tolist() for batch in batches_of(input_fn, most)]


@pytest.mark.parametrize(
  'batch_size, num_epochs, expected',
  [
    (2, 1, [[0, 1], [2, 3], [4]]),
    (5, 1, [[0, 1, 2, 3, 4]]),
    (128, 2, [[0, 1, 2, 3, 4, 0, 1, 2, 3, 4]]),
    (3, 2, [[0, 1, 2], [3, 4, 0], [1, 2, 3], [4]]),
    (2, 0, []),
  ],
)
def test_rows_come_in_order_over_the_ends_of_epochs(batch_size, num_epochs, expected):
  input_fn = numpy_input_fn(A, batch_size=batch_size, num_epochs=num_epochs, shuffle=False)
  assert rows_of(input_fn) == expected


def test_without_a_number_of_epochs_there_is_no_end_and_no_short_batch():
  input_fn = numpy_input_fn(A, batch_size=2, num_epochs=None, shuffle=False)
  assert rows_of(input_fn, most=6) == [[0, 1], [2, 3], [4, 0], [1, 2], [3, 4], [0, 1]]


def test_the_static_shapes_tell_what_is_known_of_a_batch():
  with tf.Graph().as_default():
    ends = numpy_input_fn({'b': B}, LABELS, batch_size=2, shuffle=False)()
    goes_on = numpy_input_fn({'b': B}, batch_size=2, num_epochs=None, shuffle=True)()
  assert ends[0]['b'].shape.as_list() == [None, 2]
  assert ends[1].shape.as_list() == [None]
  assert goes_on['b'].shape.as_list() == [2, 2]


@pytest.mark.parametrize('num_epochs', [1, 3])
def test_shuffling_gives_every_epoch_all_rows_in_an_order_of_its_own(num_epochs):
  input_fn = numpy_input_fn(np.arange(100), batch_size=10, num_epochs=num_epochs, shuffle=True)
  rows = np.concatenate(batches_of(input_fn, most=31)).reshape(num_epochs, 100)
  assert all(sorted(epoch) == list(range(100)) for epoch in rows)
  assert len({tuple(epoch) for epoch in rows} | {tuple(range(100))}) == num_epochs + 1


def test_shuffling_follows_the_seed_of_the_graph():
  def rows(seed):
    def input_fn():
      tf.set_random_seed(seed)
      return numpy_input_fn(np.arange(50), batch_size=50, shuffle=True)()

    return rows_of(input_fn)

  assert rows(1) == rows(1)
  assert rows(1) != rows(2)


def test_features_and_labels_stay_together_and_keep_their_types():
  x = {'b': B.astype(np.float32), 'a': A, 's': np.array(['x', 'yy', 'z', 'ä', ''])}
  input_fn = numpy_input_fn(x, LABELS, batch_size=5, shuffle=True)
  ((features, labels),) = batches_of(input_fn)
  assert list(features) == ['a', 'b', 's']
  assert [features[name].dtype for name in 'ab'] == [np.float64, np.float32]
  numbers = features['a'].astype(int)
  np.testing.assert_array_equal(features['b'], B[numbers])
  np.testing.assert_array_equal(labels, LABELS[numbers])
  assert [word.decode() for word in features['s']] == [x['s'][number] for number in numbers]


def test_arrays_stay_arrays_and_dicts_stay_dicts():
  ((features, labels),) = batches_of(numpy_input_fn(B, {'l': LABELS}, shuffle=False))
  np.testing.assert_array_equal(features, B)
  assert list(labels) == ['l']
  (features,) = batches_of(numpy_input_fn({'a': A}, shuffle=False))
  np.testing.assert_array_equal(features['a'], A)


def test_a_label_that_is_no_dict_clashes_with_no_feature():
  x = {'__target_key__': A}
  ((features, labels),) = batches_of(numpy_input_fn(x, LABELS, shuffle=False))
  np.testing.assert_array_equal(features['__target_key__'], A)
  np.testing.assert_array_equal(labels, LABELS)
  assert list(x) == ['__target_key__']


def test_the_arrays_are_no_part_of_the_graph():
  with tf.Graph().as_default() as graph:
    numpy_input_fn(np.zeros([1000, 1000]), shuffle=True)()
    assert graph.as_graph_def().ByteSize() < 100000


def test_several_threads_read_as_much_as_in_tf_estimator_and_say_so(log):
  input_fn = numpy_input_fn(A, num_epochs=2, shuffle=False, num_threads=3)
  assert rows_of(input_fn) == [list(A) * 6]
  assert any('num_threads=3 reads every row' in line for line in log)


def test_an_estimator_trains_evaluates_and_predicts_with_them(make_estimator, model_fn):
  points = np.random.RandomState(0).uniform(-1, 1, [64, 3]).astype(np.float32)
  targets = points.sum(axis=1, keepdims=True)
  estimator = make_estimator(model_fn)
  once = numpy_input_fn({'x': points}, targets, batch_size=10, shuffle=False)
  before = estimator.evaluate(once)['loss']
  estimator.train(
    numpy_input_fn({'x': points}, targets, batch_size=8, num_epochs=None, shuffle=True), steps=50
  )
  assert estimator.evaluate(once)['loss'] < before / 2
  predicted = list(estimator.predict(numpy_input_fn({'x': points}, batch_size=10, shuffle=False)))
  np.testing.assert_array_equal([row['x'] for row in predicted], points)


def test_an_input_fn_of_ones_own_may_go_on_with_the_tensors(make_estimator, model_fn):
  def input_fn():
    features, labels = numpy_input_fn(
      {'x': np.ones([4, 3], np.float64)}, np.ones([4, 1], np.float32), shuffle=True
    )()
    return {'x': tf.cast(features['x'], tf.float32)}, labels

  assert make_estimator(model_fn).train(input_fn).get_variable_value('global_step') == 1


@pytest.mark.parametrize(
  'x, y, error, message',
  [
    ([1, 2], LABELS, TypeError, 'x must be a dict or array; got list'),
    ({}, LABELS, ValueError, 'x cannot be an empty dict'),
    (np.array([[], []]), LABELS, ValueError, 'x cannot be an empty array'),
    ({'a': A}, {}, ValueError, 'y cannot be empty dict, use None instead.'),
    ({'a': A, 'b': B}, {'a': A, 'l': A, 'b': B}, ValueError, '2 duplicate keys are found in both'),
    ({'a': A, 'b': B[:2]}, None, ValueError, 'Length of tensors in x and y is mismatched.'),
    (A, LABELS[:2], ValueError, r'(?s)mismatched.*\(5,\).*\nShapes in y: \(2,\)'),
    ({'a': A}, {'l': A[:2]}, ValueError, r"(?s)\{'a': \(5,\)\}\nShapes in y: \{'l': \(2,\)\}"),
  ],
)
def test_arrays_that_do_not_fit_are_refused_when_they_are_read(graph, x, y, error, message):
  input_fn = numpy_input_fn(x, y, shuffle=False)
  with pytest.raises(error, match=message):
    input_fn()


@pytest.mark.parametrize('shuffle', [None, 1])
def test_whether_to_shuffle_must_be_said(shuffle):
  with pytest.raises(ValueError, match='shuffle must be provided and explicitly set as boolean'):
    numpy_input_fn(A, shuffle=shuffle)


def test_without_pandas_its_function_says_so(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(TypeError, match='should not be called without pandas installed'):
    pandas_input_fn(None, shuffle=False)


@pytest.fixture
def pd():
  return pytest.importorskip('pandas')


@pytest.fixture
def frame(pd):
  return pd.DataFrame({'b': [1.5, 2.5, 3.5], 'a': ['x', 'y', 'z']}, index=[7, 8, 9])


def test_the_columns_of_a_frame_become_features(pd, frame):
  labels = pd.Series([1, 2, 3], index=frame.index)
  input_fn = pandas_input_fn(frame, labels, batch_size=2, shuffle=False)
  frame['b'] = 0.0
  first, last = batches_of(input_fn)
  assert list(first[0]) == ['b', 'a']
  assert first[0]['b'].tolist() == [1.5, 2.5]
  assert first[0]['a'].tolist() == [b'x', b'y']
  assert [first[1].tolist(), last[1].tolist()] == [[1, 2], [3]]


def test_a_frame_of_labels_becomes_a_dict(pd, frame):
  labels = pd.DataFrame({'b': [1, 2, 3], 'l': [4, 5, 6]}, index=frame.index)
  ((features, targets),) = batches_of(pandas_input_fn(frame, labels, shuffle=False))
  assert features['b'].tolist() == [1.5, 2.5, 3.5]
  assert {name: rows.tolist() for name, rows in targets.items()} == {'b': [1, 2, 3], 'l': [4, 5, 6]}


def test_a_frame_without_labels_gives_features_alone(frame):
  (features,) = batches_of(pandas_input_fn(frame, shuffle=True))
  assert sorted(features['b']) == [1.5, 2.5, 3.5]


def test_frames_that_do_not_fit_are_refused_at_once(pd, frame):
  labels = pd.Series([1, 2, 3], index=frame.index)
  with pytest.raises(ValueError, match='Index for x and y are mismatched.'):
    pandas_input_fn(frame, pd.Series([1, 2, 3]), shuffle=False)
  with pytest.raises(ValueError, match='Cannot use name a for target column'):
    pandas_input_fn(frame, labels, shuffle=False, target_column='a')
  with pytest.raises(TypeError, match='target_column must be a string type'):
    pandas_input_fn(frame, labels, shuffle=False, target_column=['a'])
  with pytest.raises(ValueError, match='shuffle must be provided and explicitly set as boolean'):
    pandas_input_fn(frame, labels)
