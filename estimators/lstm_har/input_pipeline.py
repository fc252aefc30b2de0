"""Windows as tf.data: in an order that the seed and the position in training decide alone."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Sequence

import numpy as np
import tensorflow.compat.v1 as tf

from estimators.lstm_har.dataset import har_data
from npu_adapter import errors

_EVALUATION_BATCH = 500
# No Python branch or loop below depends on a tensor; looking for them takes TensorFlow a second.
_as_written = tf.autograph.experimental.do_not_convert


class Order(NamedTuple):
  """What decides which windows a training step gets, beside its number."""

  batch_size: int
  seed: int


def steps_per_epoch(data: har_data.HarData, batch_size: int) -> int:
  """How many full batches the windows to train on make."""
  count = len(data.splits['training'].rows)
  if count < batch_size:
    raise errors.InputError(
      f'batch_size must be at most the number of windows to train on, {count}; got {batch_size}.'
    )
  return count // batch_size


def train_input_fn(
  data: har_data.HarData, order: Order, first_step: int = 0, is_numbered: bool = False
) -> Callable[[], Any]:
  """Returns an input_fn of endless batches, the first of them that of training step `first_step`.

  An epoch gives every window at most once, in an order of its own; what makes no full batch is
  left out of it.
  features: 'window' float32 [batch, steps, channels]; with `is_numbered` also 'batch', int32: its
  number in the epoch. labels: int32 [batch].
  """
  split = data.splits['training']
  batches = steps_per_epoch(data, order.batch_size)

  def input_fn() -> Any:
    load = _loader(data, split, order.batch_size)
    first_epoch, passed = divmod(first_step, batches)
    epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
    numbers = tf.data.Dataset.range(batches).repeat()
    places = epochs.flat_map(
      _as_written(lambda number: _slices(_epoch(number, len(split.rows), batches, order)))
    )

    @_as_written
    def parse(number: Any, chosen: Any) -> Any:
      features, labels = load(chosen)
      return ({**features, 'batch': tf.cast(number, tf.int32)} if is_numbered else features), labels

    return tf.data.Dataset.zip((numbers, places)).skip(passed).map(parse).prefetch(2)

  return input_fn


def replay_input_fn(
  data: har_data.HarData, order: Order, epoch: int, numbers: Sequence[int]
) -> Callable[[], Any]:
  """Returns an input_fn of some batches of an epoch once more, by their numbers in it.

  features and labels as in training, 'batch' one above the last number: it is no batch of its own.
  """
  split = data.splits['training']
  batches = steps_per_epoch(data, order.batch_size)

  def input_fn() -> Any:
    load = _loader(data, split, order.batch_size)

    @_as_written
    def parse(number: Any) -> Any:
      places = _epoch(tf.constant(epoch, tf.int64), len(split.rows), batches, order)
      features, labels = load(places[number])
      return {**features, 'batch': tf.constant(batches, tf.int32)}, labels

    return tf.data.Dataset.from_tensor_slices(np.array(numbers)).map(parse)

  return input_fn


def _slices(values: Any) -> Any:
  return tf.data.Dataset.from_tensor_slices(values)


def _epoch(number: Any, count: int, batches: int, order: Order) -> Any:
  """Places in the split, int32 [batches, batch], by the number of the epoch."""
  key = tf.stack([tf.constant(order.seed, tf.int64), number])
  places = tf.argsort(tf.random.stateless_uniform([count], key))
  return tf.reshape(places[: batches * order.batch_size], [batches, order.batch_size])


def evaluation_input_fn(data: har_data.HarData, name: str) -> Callable[[], Any]:
  """Returns an input_fn that gives each window of a split once.

  Batches are of one size on every device: the last is filled up with windows of weight 0.
  features: 'window' as in training, 'weight' float32 [batch].
  """
  split = data.splits[name]
  count = len(split.rows)
  size = min(_EVALUATION_BATCH, max(1, count))
  places = np.arange(-(-count // size) * size).reshape(-1, size)

  def input_fn() -> Any:
    load = _loader(data, split, size)

    @_as_written
    def parse(place: Any) -> Any:
      features, labels = load(tf.minimum(place, count - 1))
      return {**features, 'weight': tf.cast(place < count, tf.float32)}, labels

    return tf.data.Dataset.from_tensor_slices(places).map(parse).prefetch(2)

  return input_fn


def _loader(data: har_data.HarData, split: har_data.Split, batch_size: int) -> Callable[[Any], Any]:
  """From places in a split [batch] to its windows and labels."""
  stored = np.load(data.windows_path, mmap_mode='r')
  # As strings and not as a constant of the graph, which would be in every checkpoint's.
  windows = _strings(data.windows_path, stored)
  rows = split.rows.astype(np.int64)

  @_as_written
  def load(places: Any) -> Any:
    chosen = tf.gather(windows, tf.gather(rows, places))
    window = tf.reshape(tf.decode_raw(chosen, tf.float32), [batch_size, *stored.shape[1:]])
    return {'window': window}, tf.gather(split.labels, places)

  return load


def _strings(path: str, stored: np.memmap) -> Any:
  """The windows of an .npy file as a string tensor, read when the iterator is initialized."""
  records = tf.data.FixedLengthRecordDataset(path, stored[0].nbytes, header_bytes=stored.offset)
  records = records.batch(len(stored))
  if hasattr(records, 'get_single_element'):
    return records.get_single_element()
  # TF 1.15 has it here only; later versions warn of it.
  return tf.data.experimental.get_single_element(records)
