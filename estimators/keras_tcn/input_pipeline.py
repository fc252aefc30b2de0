"""The sequences of a task as tf.data: each a function of its split's seed and its position alone.

Nothing is kept: 10 million training sequences take no more room than one batch. A training that was
stopped and started again at its step sees what it would have seen.
"""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import tensorflow.compat.v1 as tf

from estimators.keras_tcn import digit_images, tasks
from npu_adapter import cores

_EVALUATION_BATCH = 250
# Of random numbers: no training seed, which are 0 and more, gives a key of the other splits.
_KEYS = {'validation': 0, 'test': 1}
_FIRST_TRAINING_KEY = 2
# No Python branch or loop below depends on a tensor; looking for them takes TensorFlow a second.
_as_written = tf.autograph.experimental.do_not_convert


def key_of(split: str, seed: int) -> int:
  """The seed of a split's random numbers. Every run is validated and tested on the same."""
  return _KEYS.get(split, _FIRST_TRAINING_KEY + seed)


def example(task: tasks.Task, key: Any, index: Any) -> tuple[Any, Any]:
  """Sequence number `index` of a key, float32 [steps, channels], and its target."""
  make = {'adding': _adding_example, 'copy_memory': _copy_example}[task.name]
  return make(task, tf.stack([tf.cast(key, tf.int64), tf.cast(index, tf.int64)]))


def _adding_example(task: tasks.Task, pair: Any) -> tuple[Any, Any]:
  """Numbers from 0 to 1 beside two marks; the target is the sum of the marked, float32 [1]."""
  steps = task.steps
  drawn = tf.random.stateless_uniform([steps + 2], pair)
  values = drawn[:steps]
  # Any two different places: the second is drawn from what the first leaves.
  first = tf.minimum(tf.cast(drawn[steps] * steps, tf.int32), steps - 1)
  second = tf.minimum(tf.cast(drawn[steps + 1] * (steps - 1), tf.int32), steps - 2)
  second += tf.cast(second >= first, tf.int32)
  marks = tf.reduce_sum(tf.one_hot(tf.stack([first, second]), steps), axis=0)
  return tf.stack([values, marks], axis=1), tf.reduce_sum(values * marks, keepdims=True)


def _copy_example(task: tasks.Task, pair: Any) -> tuple[Any, Any]:
  """Ten symbols, blanks, and the request for them; the target, int32 [steps], ends with the ten."""
  drawn = tf.random.stateless_uniform([tasks.COPIED], pair) * tasks.KINDS
  symbols = tf.minimum(1 + tf.cast(drawn, tf.int32), tasks.KINDS)
  wait = task.steps - 2 * tasks.COPIED
  request = tf.fill([tasks.COPIED], tasks.KINDS + 1)
  sequence = tf.concat([symbols, tf.zeros([wait], tf.int32), request], 0)
  target = tf.concat([tf.zeros([task.steps - tasks.COPIED], tf.int32), symbols], 0)
  return tf.cast(sequence, tf.float32)[:, None], target


def train_input_fn(
  task: tasks.Task, seed: int, batch_size: int, first_step: int = 0,
  images: digit_images.Images | None = None,
) -> Callable[[], Any]:  # fmt: skip
  """Returns an input_fn of endless batches, the first of them that of training step `first_step`.

  features: {'sequence': float32 [batch, steps, channels]}; labels: float32 [batch, 1] for numbers,
  int32 [batch] or [batch, steps] for classes.
  """
  first = first_step * batch_size

  def input_fn() -> Any:
    key = key_of('training', seed)
    if images is not None:
      examples = _pictures(task, images, 'training', _shuffled(images, key, first))
    else:
      examples = _sequences(task, key, tf.data.Dataset.range(first, np.iinfo(np.int64).max))
    batches = examples.batch(batch_size, drop_remainder=True)
    return batches.map(_as_written(_named)).prefetch(2)

  return input_fn


def evaluation_input_fn(
  task: tasks.Task, split: str, count: int, images: digit_images.Images | None = None,
  batch_size: int = _EVALUATION_BATCH,
) -> Callable[[], Any]:  # fmt: skip
  """Returns an input_fn that gives the first `count` sequences of a split once.

  Batches are of one size on every device: the last is filled up with sequences of weight 0.
  features: as in training, and 'weight', float32 [batch].
  """
  batch_size = min(batch_size, count)

  def input_fn() -> Any:
    filled = count + -count % batch_size
    numbers = tf.data.Dataset.range(filled)
    if images is not None:
      rows = numbers.map(_as_written(lambda number: number % count))
      examples = _pictures(task, images, split, rows)
    else:
      examples = _sequences(task, key_of(split, 0), numbers)
    weights = numbers.map(_as_written(lambda number: tf.cast(number < count, tf.float32)))
    batches = tf.data.Dataset.zip((examples, weights)).batch(batch_size, drop_remainder=True)
    return batches.map(_as_written(_with_weight)).prefetch(2)

  return input_fn


def _named(sequence: Any, target: Any) -> tuple[dict[str, Any], Any]:
  return {'sequence': sequence}, target


def _with_weight(pair: tuple[Any, Any], weight: Any) -> tuple[dict[str, Any], Any]:
  sequence, target = pair
  return {'sequence': sequence, 'weight': weight}, target


def _sequences(task: tasks.Task, key: int, numbers: Any) -> Any:
  make = _as_written(lambda number: example(task, key, number))
  return numbers.map(make, num_parallel_calls=max(2, cores.usable() // 2))


def _pictures(task: tasks.Task, images: digit_images.Images, split: str, rows: Any) -> Any:
  pixels, labels = images.tensors(split)

  @_as_written
  def picture(row: Any) -> tuple[Any, Any]:
    sequence = tf.cast(tf.gather(pixels, row), tf.float32)[:, None] / images.white
    sequence.set_shape([task.steps, task.channels])
    return sequence, tf.cast(tf.gather(labels, row), tf.int32)

  return rows.map(picture, num_parallel_calls=2)


def _shuffled(images: digit_images.Images, key: int, first: int) -> Any:
  """The rows of the training split in another order every time through, from position `first`."""
  count = images.counts['training']

  @_as_written
  def once_through(epoch: Any) -> Any:
    pair = tf.stack([tf.constant(key, tf.int64), tf.cast(epoch, tf.int64)])
    order = tf.argsort(tf.random.stateless_uniform([count], pair))
    return tf.data.Dataset.from_tensor_slices(order)

  epoch, passed = divmod(first, count)
  epochs = tf.data.Dataset.range(epoch, np.iinfo(np.int64).max)
  return epochs.flat_map(once_through).skip(passed)
