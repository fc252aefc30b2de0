"""Examples as tf.data: in an order that the seed and the position in training decide alone."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from estimators.swa.dataset import examples
from npu_adapter import errors

_EVALUATION_BATCH = 500
# Pixels a picture is moved by, at most, each way.
_MARGIN = 4
# No Python branch or loop below depends on a tensor; looking for them takes TensorFlow a second.
_as_written = tf.autograph.experimental.do_not_convert


class Order(NamedTuple):
  """What decides which examples a training step gets, beside its number."""

  batch_size: int
  seed: int
  is_moved: bool = False  # pictures are moved and mirrored by chance


def steps_per_epoch(data: examples.Examples, batch_size: int) -> int:
  """How many full batches the examples to train on make."""
  count = data.counts['training']
  if count < batch_size:
    raise errors.InputError(
      f'batch_size must be at most the number of examples to train on, {count}; got {batch_size}.'
    )
  return count // batch_size


def train_input_fn(data: examples.Examples, order: Order, first_step: int = 0) -> Callable[[], Any]:
  """Returns an input_fn of endless batches, the first of them that of training step `first_step`.

  An epoch gives every example at most once, in an order of its own; what makes no full batch is
  left out of it.
  features: {'values': float32 [batch, ...]}; labels: int32 [batch].
  """
  batches = steps_per_epoch(data, order.batch_size)

  def input_fn() -> Any:
    values, labels = data.tensors('training')
    first_epoch, passed = divmod(first_step, batches)
    epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
    numbers = tf.data.Dataset.range(first_step, np.iinfo(np.int64).max)

    @_as_written
    def in_order(epoch: Any) -> Any:
      return tf.data.Dataset.from_tensor_slices(_epoch(epoch, data, batches, order))

    @_as_written
    def batch(number: Any, rows: Any) -> Any:
      found = tf.reshape(tf.gather(values, rows), [order.batch_size, *data.shape])
      if order.is_moved:
        found = _moved(found, tf.stack([tf.constant(order.seed, tf.int64), number]))
      return {'values': tf.cast(found, tf.float32)}, tf.gather(labels, rows)

    places = epochs.flat_map(in_order).skip(passed)
    return tf.data.Dataset.zip((numbers, places)).map(batch, num_parallel_calls=2).prefetch(2)

  return input_fn


def evaluation_input_fn(data: examples.Examples, split: str) -> Callable[[], Any]:
  """Returns an input_fn that gives each example of a split once, as it is.

  Batches are of one size on every device: the last is filled up with examples of weight 0.
  features: 'values' as in training, 'weight' float32 [batch].
  """
  count = data.counts[split]
  size = min(_EVALUATION_BATCH, count)
  places = np.arange(-(-count // size) * size).reshape(-1, size)

  def input_fn() -> Any:
    values, labels = data.tensors(split)

    @_as_written
    def batch(place: Any) -> Any:
      rows = tf.minimum(place, count - 1)
      found = tf.reshape(tf.gather(values, rows), [size, *data.shape])
      weight = tf.cast(place < count, tf.float32)
      return {'values': tf.cast(found, tf.float32), 'weight': weight}, tf.gather(labels, rows)

    return tf.data.Dataset.from_tensor_slices(places).map(batch).prefetch(2)

  return input_fn


def _epoch(number: Any, data: examples.Examples, batches: int, order: Order) -> Any:
  """Rows of the training split, int32 [batches, batch], by the number of the epoch."""
  key = tf.stack([tf.constant(order.seed, tf.int64), number])
  rows = tf.argsort(tf.random.stateless_uniform([data.counts['training']], key))
  return tf.reshape(rows[: batches * order.batch_size], [batches, order.batch_size])


def _moved(pictures: Any, key: Any) -> Any:
  """Each of [batch, height, width, channels] moved, with zeros behind it, and maybe mirrored."""
  count, height, width = pictures.shape.as_list()[:3]
  drawn = tf.random.stateless_uniform([3, count], key)
  shifts = tf.cast(drawn[:2] * (2 * _MARGIN + 1), tf.int32)
  around = [_MARGIN, _MARGIN]
  padded = tf.pad(pictures, [[0, 0], around, around, [0, 0]])
  rows = shifts[0][:, None] + tf.range(height)
  columns = shifts[1][:, None] + tf.range(width)
  columns = tf.where(drawn[2] < 0.5, columns, columns[:, ::-1])
  found = tf.gather(padded, rows, axis=1, batch_dims=1)
  return tf.gather(found, columns, axis=2, batch_dims=1)
