"""Which windows a training step gets is a function of the seed and its number alone."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from estimators.lstm_har import input_pipeline
from npu_adapter import errors
from npu_adapter.runtime import tf1

SHAPE = [128, 9]
ORDER = input_pipeline.Order(batch_size=25, seed=3)


@pytest.fixture(autouse=True)
def new_graph():
  tf1.enable()
  with tf.Graph().as_default():
    yield


def batches(input_fn, count):
  iterator = tf.data.make_initializable_iterator(input_fn())
  batch = iterator.get_next()
  with tf.Session() as session:
    session.run(iterator.initializer)
    return [session.run(batch) for _ in range(count)]


def rows_of(data, split, windows):
  """Where windows are in a split."""
  known = {window.tobytes(): row for row, window in enumerate(data.windows(split))}
  return [known[window.tobytes()] for window in windows]


def trained(data, first_step, count, order=ORDER, **options):
  return batches(input_pipeline.train_input_fn(data, order, first_step, **options), count)


def test_an_epoch_has_each_window_once_with_its_label_in_an_order_of_its_own(uci_data):
  split = uci_data.splits['training']
  per_epoch = input_pipeline.steps_per_epoch(uci_data, 25)
  assert per_epoch == 108 // 25
  orders = []
  found = trained(uci_data, 0, 2 * per_epoch)
  for epoch in (found[:per_epoch], found[per_epoch:]):
    rows = rows_of(uci_data, 'training', np.concatenate([f['window'] for f, _ in epoch]))
    assert len(set(rows)) == len(rows) == 100
    labels = np.concatenate([labels for _, labels in epoch])
    np.testing.assert_array_equal(labels, split.labels[rows])
    orders.append(rows)
  assert orders[0] != orders[1]


def test_it_begins_at_any_step_as_if_it_had_begun_at_the_first(uci_data):
  straight = trained(uci_data, 0, 9)
  for first_step in (1, 4, 6):
    for (features, labels), (expected, _) in zip(
      trained(uci_data, first_step, 2), straight[first_step:]
    ):
      np.testing.assert_array_equal(features['window'], expected['window'])
      assert features['window'].shape == (25, *SHAPE)
      assert labels.dtype == np.int32


def test_another_seed_is_another_order(uci_data):
  one, other = (trained(uci_data, 0, 1, ORDER._replace(seed=seed))[0][0] for seed in (3, 4))
  assert not np.array_equal(one['window'], other['window'])


def test_shapes_are_known_before_anything_runs(uci_data):
  features, labels = tf.data.make_initializable_iterator(
    input_pipeline.train_input_fn(uci_data, ORDER)()
  ).get_next()
  assert features['window'].shape.as_list() == [25, *SHAPE]
  assert labels.shape.as_list() == [25]


def test_the_windows_are_no_constant_of_the_graph(uci_data):
  """One would stand in every checkpoint's graph."""
  tf.data.make_initializable_iterator(input_pipeline.train_input_fn(uci_data, ORDER)()).get_next()
  assert tf.get_default_graph().as_graph_def().ByteSize() < 50000


def test_batches_are_numbered_and_given_once_more_by_their_numbers(uci_data):
  epoch = 2
  straight = trained(uci_data, epoch * 4, 4, is_numbered=True)
  assert [features['batch'] for features, _ in straight] == [0, 1, 2, 3]
  again = batches(input_pipeline.replay_input_fn(uci_data, ORDER, epoch, [3, 1]), 2)
  for (features, labels), number in zip(again, [3, 1]):
    np.testing.assert_array_equal(features['window'], straight[number][0]['window'])
    np.testing.assert_array_equal(labels, straight[number][1])
    assert features['batch'] == 4


def test_evaluation_gives_every_window_once_and_fills_up_the_last_batch(uci_data, monkeypatch):
  monkeypatch.setattr(input_pipeline, '_EVALUATION_BATCH', 25)
  found = batches(input_pipeline.evaluation_input_fn(uci_data, 'test'), 2)
  weights = np.concatenate([features['weight'] for features, _ in found])
  windows = np.concatenate([features['window'] for features, _ in found])
  assert weights.tolist() == [1] * 36 + [0] * 14
  np.testing.assert_array_equal(windows[:36], uci_data.windows('test'))
  labels = np.concatenate([labels for _, labels in found])
  np.testing.assert_array_equal(labels[:36], uci_data.splits['test'].labels)


def test_a_batch_of_more_windows_than_there_are_is_told(uci_data):
  with pytest.raises(errors.InputError, match='number of windows to train on, 108; got 109'):
    input_pipeline.steps_per_epoch(uci_data, 109)
