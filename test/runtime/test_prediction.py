"""Estimator.predict: the order and shape of what it yields, and what it does not disturb."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.runtime.model_fn import EstimatorSpec


def numbers(count=10):
  return lambda: tf.data.Dataset.range(count).batch(4)


def echo(features, labels, mode):
  return EstimatorSpec(mode, predictions=features)


def echo_dict(features, labels, mode):
  assert labels is None
  return EstimatorSpec(mode, predictions={'number': features, 'square': features**2})


def test_examples_come_one_by_one_in_the_order_of_the_data(make_estimator):
  assert list(make_estimator(echo).predict(numbers())) == list(range(10))
  rows = list(make_estimator(echo_dict).predict(numbers()))
  assert [row['number'] for row in rows] == list(range(10))
  assert rows[3] == {'number': 3, 'square': 9}


def test_whole_batches_come_as_the_model_gives_them(make_estimator):
  batches = list(make_estimator(echo_dict).predict(numbers(), yield_single_examples=False))
  assert [batch['number'].tolist() for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_trained_model_predicts_and_labels_are_ignored(make_estimator, any_model_fn, input_fn):
  estimator = make_estimator(any_model_fn).train(input_fn)
  rows = list(estimator.predict(input_fn))
  assert len(rows) == 64
  assert rows[0]['y'].shape == (1,)


def test_keys_choose_what_is_computed(make_estimator):
  estimator = make_estimator(echo_dict)
  assert list(next(estimator.predict(numbers(), predict_keys=['square']))) == ['square']
  assert list(next(estimator.predict(numbers(), predict_keys=('square', 'cube')))) == ['square']
  with pytest.raises(ValueError, match='Expected to run at least one output from'):
    next(estimator.predict(numbers(), predict_keys=['cube']))
  with pytest.raises(ValueError, match='predict_keys argument is not valid in case of non-dict'):
    next(make_estimator(echo).predict(numbers(), predict_keys=['cube']))


def test_a_checkpoint_can_be_named(make_estimator, model_fn, input_fn):
  estimator = make_estimator(model_fn, save_checkpoints_steps=4).train(input_fn)
  first = estimator.latest_checkpoint().replace('ckpt-8', 'ckpt-0')
  assert next(estimator.predict(input_fn, checkpoint_path=first))['y'] == 0
  assert next(estimator.predict(input_fn))['y'] != 0


def test_without_a_checkpoint_the_initial_model_predicts(make_estimator, log):
  estimator = make_estimator(echo)
  list(estimator.predict(numbers()))
  assert (
    f'Could not find trained model in model_dir: {estimator.model_dir}, running initialization to '
    'predict.'
  ) in log


def test_nothing_is_built_before_the_first_example_is_asked_for(make_estimator):
  called = []

  def input_fn():
    called.append(1)
    return tf.data.Dataset.range(3).batch(3)

  rows = make_estimator(echo).predict(input_fn)
  assert not called
  next(rows)
  assert called


def test_hooks_of_the_call_and_of_the_model_are_called_in_this_order(make_estimator, recorder):
  def model_fn(features, labels, mode):
    return EstimatorSpec(
      mode, predictions=features, prediction_hooks=[recorder('of the model')],
      evaluation_hooks=[recorder('of evaluation')],
    )  # fmt: skip

  estimator = make_estimator(model_fn)
  list(estimator.predict(numbers(), hooks=[recorder('of the call')]))
  for method in ('begin', 'after_create_session', 'end'):
    called = [name for name, called in recorder.calls if called == method]
    assert called == ['of the call', 'of the model']


def test_hooks_of_another_type_are_refused_at_once(make_estimator):
  with pytest.raises(TypeError, match='Hooks must be a SessionRunHook'):
    make_estimator(echo).predict(numbers(), hooks=[3])


def test_outputs_that_do_not_fit_together_are_refused(make_estimator):
  def uneven(features, labels, mode):
    return EstimatorSpec(mode, predictions={'a': features, 'b': features[1:]})

  def scalar(features, labels, mode):
    return EstimatorSpec(mode, predictions={'a': features, 'b': tf.reduce_sum(features)})

  with pytest.raises(ValueError, match='Batch length of predictions should be same. b has'):
    next(make_estimator(uneven).predict(numbers()))
  with pytest.raises(ValueError, match='b is a scalar.*yield_single_examples=False'):
    next(make_estimator(scalar).predict(numbers()))
  batch = next(make_estimator(scalar).predict(numbers(), yield_single_examples=False))
  assert batch['b'] == 6


def test_data_without_an_end_are_a_warning(make_estimator, log):
  rows = make_estimator(echo).predict(lambda: tf.constant([1.0, 2.0]))
  assert [float(next(rows)) for _ in range(5)] == [1.0, 2.0, 1.0, 2.0, 1.0]
  assert any('That means predict yields forever' in line for line in log)


def test_between_two_examples_the_caller_has_its_own_graph(make_estimator):
  with tf.Graph().as_default() as graph:
    rows = make_estimator(echo).predict(numbers())
    next(rows)
    assert tf.get_default_graph() is graph
    tf.constant(1)
    assert next(rows) == 1


def test_two_predictions_can_be_read_in_turns(make_estimator):
  estimator = make_estimator(echo)
  pairs = zip(estimator.predict(numbers(6)), estimator.predict(numbers(6)))
  assert list(pairs) == [(n, n) for n in range(6)]


def test_a_prediction_can_be_left_early(make_estimator, recorder):
  rows = make_estimator(echo).predict(numbers(), hooks=[recorder('hook')])
  next(rows)
  rows.close()
  assert ('hook', 'end') not in recorder.calls
  assert list(rows) == []


def test_a_graph_is_the_default_one_where_hooks_are_called(make_estimator):
  found = []

  class Look(tf.train.SessionRunHook):
    def after_create_session(self, session, coord):
      found.append(tf.get_default_graph() is session.graph)

    def before_run(self, run_context):
      found.append(tf.get_default_graph() is run_context.session.graph)

    def end(self, session):
      found.append(tf.get_default_graph() is session.graph)

  list(make_estimator(echo).predict(numbers(4), hooks=[Look()]))
  assert found == [True] * 4


def test_an_array_of_each_example_is_yielded(make_estimator):
  def model_fn(features, labels, mode):
    return EstimatorSpec(mode, predictions={'pair': tf.stack([features, features], 1)})

  rows = list(make_estimator(model_fn).predict(numbers(3)))
  assert [row['pair'].tolist() for row in rows] == [[0, 0], [1, 1], [2, 2]]
  assert all(isinstance(row['pair'], np.ndarray) for row in rows)
