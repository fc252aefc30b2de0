"""The order of the examples, where a resumed run begins in it, and how pictures are moved."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from estimators.swa import input_pipeline
from estimators.swa.dataset import examples
from npu_adapter import errors
from npu_adapter.runtime import tf1

tf1.enable()


def numbered(count=10, shape=(1,), values=None):
  """Examples that are their own number."""
  if values is None:
    values = np.arange(count, dtype=np.float32).reshape(count, *[1] * len(shape))
    values = np.broadcast_to(values, [count, *shape])
  return examples.Examples(
    'numbers', shape, count, {'training': count, 'test': count}, (0.0,), (1.0,),
    lambda split: (tf.constant(values), tf.constant(np.arange(count, dtype=np.int32))),
  )  # fmt: skip


def batches(input_fn, count=None):
  with tf.Graph().as_default(), tf.Session() as session:
    iterator = tf.data.make_initializable_iterator(input_fn())
    following = iterator.get_next()
    session.run(iterator.initializer)
    found = []
    while count is None or len(found) < count:
      try:
        found.append(session.run(following))
      except tf.errors.OutOfRangeError:
        break
    return found


def labels_of(data, order, first_step, count):
  found = batches(input_pipeline.train_input_fn(data, order, first_step), count)
  return [labels.tolist() for _, labels in found]


def test_an_epoch_has_each_example_once_in_an_order_of_its_own():
  order = input_pipeline.Order(5, seed=3)
  found = labels_of(numbered(), order, 0, 6)
  epochs = [found[number] + found[number + 1] for number in (0, 2, 4)]
  assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
  assert epochs[0] != epochs[1] != epochs[2]
  assert labels_of(numbered(), input_pipeline.Order(5, seed=4), 0, 2) != found[:2]


def test_what_makes_no_full_batch_is_left_out():
  found = labels_of(numbered(), input_pipeline.Order(4, seed=3), 0, 4)
  assert [len(labels) for labels in found] == [4, 4, 4, 4]
  assert len({*found[0], *found[1]}) == 8


@pytest.mark.parametrize('first_step', [1, 2, 3, 7])
@pytest.mark.parametrize('is_moved', [False, True])
def test_a_run_that_begins_at_a_step_gets_what_comes_then(first_step, is_moved):
  data = numbered(6, (8, 8, 3), np.random.RandomState(0).rand(6, 8, 8, 3).astype(np.float32))
  order = input_pipeline.Order(2, 3, is_moved)
  whole = batches(input_pipeline.train_input_fn(data, order), first_step + 3)[first_step:]
  later = batches(input_pipeline.train_input_fn(data, order, first_step), 3)
  for (features, labels), (expected, expected_labels) in zip(later, whole):
    np.testing.assert_array_equal(features['values'], expected['values'])
    np.testing.assert_array_equal(labels, expected_labels)


def test_values_and_labels_belong_together():
  for features, labels in batches(
    input_pipeline.train_input_fn(numbered(), input_pipeline.Order(5, 3)), 4
  ):
    np.testing.assert_array_equal(features['values'][:, 0], labels)


def test_a_picture_is_moved_by_up_to_four_pixels_with_zeros_behind_and_half_are_mirrored():
  picture = 1 + np.arange(64, dtype=np.float32).reshape(1, 8, 8, 1)
  data = numbered(1, (8, 8, 1), picture)
  order = input_pipeline.Order(1, 3, is_moved=True)
  found = batches(input_pipeline.train_input_fn(data, order), 400)
  padded = np.pad(picture[0, :, :, 0], 4)
  seen = set()
  for features, _ in found:
    shown = features['values'][0, :, :, 0]
    places = [
      (row, column, is_mirrored)
      for row in range(9) for column in range(9) for is_mirrored in (False, True)
      if (padded[row : row + 8, column : column + 8][:, :: -1 if is_mirrored else 1] == shown).all()
    ]  # fmt: skip
    assert len(places) == 1
    seen.add(places[0])
  assert {row for row, _, _ in seen} == {column for _, column, _ in seen} == set(range(9))
  mirrored = sum(is_mirrored for _, _, is_mirrored in seen) / len(seen)
  assert 0.35 < mirrored < 0.65


def test_an_evaluation_gives_each_example_once_and_fills_up_with_weight_0():
  data = numbered(1203)
  found = batches(input_pipeline.evaluation_input_fn(data, 'test'))
  labels = np.concatenate([labels for _, labels in found])
  weights = np.concatenate([features['weight'] for features, _ in found])
  assert [len(labels) for _, labels in found] == [500, 500, 500]
  assert labels[weights == 1].tolist() == list(range(1203))


def test_a_batch_larger_than_the_data_is_an_error():
  with pytest.raises(errors.InputError, match='batch_size must be at most .* 10; got 11'):
    input_pipeline.train_input_fn(numbered(), input_pipeline.Order(11, 3))
