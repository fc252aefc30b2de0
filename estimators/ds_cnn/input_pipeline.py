"""The clips of a store as tf.data: augmented for training, cached fingerprints for evaluation.

Every random number is a function of the seed and of the position in training, so a run that was
stopped and started again at its step sees what it would have seen.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any, Callable, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from estimators.ds_cnn import clip_shape, features
from estimators.ds_cnn.dataset import claim, clip_store
from npu_adapter import cores, errors

_BYTES = 2  # of a sample in the store
_EVALUATION_BATCH = 250
# So many training clips are loaded at a time: their samples, and all that is made of them, stay in
# a core's own cache. A batch of 100 at once takes half as long again.
_GROUP = 10
# No Python branch or loop below depends on a tensor; looking for them takes TensorFlow a second.
_as_written = tf.autograph.experimental.do_not_convert
# Separate streams of random numbers of one seed.
_ORDER, _SHIFT, _NOISE = 1, 2, 3


class Augmentation(NamedTuple):
  """What a training clip goes through."""

  background_volume: float = 0.1
  background_frequency: float = 0.8
  time_shift_ms: float = 100
  seed: int = 0


def train_input_fn(
  store: clip_store.ClipStore, augmentation: Augmentation, batch_size: int, first_step: int = 0
) -> Callable[[], Any]:
  """Returns an input_fn of endless batches, the first of them that of training step `first_step`.

  features: {'fingerprint': float32 [batch, frames * coefficients]}; labels: int32 [batch].
  """

  def input_fn() -> Any:
    first_group, passed = divmod(first_step * batch_size, _GROUP)
    examples = _training_order(store.splits['training'], augmentation.seed, first_group * _GROUP)
    load = _Loader(store, augmentation)

    @_as_written
    def group(number: Any, chosen: tuple[Any, Any]) -> tuple[dict[str, Any], Any]:
      rows, labels = chosen
      fingerprint = features.fingerprints(load(number, rows, labels), store.shape)
      fingerprint.set_shape([_GROUP, store.shape.fingerprint_size])
      return {'fingerprint': fingerprint}, labels

    numbers = tf.data.Dataset.range(first_group, np.iinfo(np.int64).max)
    groups = tf.data.Dataset.zip((numbers, examples.batch(_GROUP, drop_remainder=True)))
    loaders = _loaders()
    clips = groups.map(group, num_parallel_calls=loaders).unbatch().skip(passed)
    batches = clips.batch(batch_size, drop_remainder=True)
    return batches.prefetch(2).with_options(_threads(loaders))

  return input_fn


def _loaders() -> int:
  """How many groups are loaded at a time: one for each two cores this process may use, at least 2.

  An NPU or GPU takes clips faster than one core loads them; on two cores that train as well, a
  second loader neither helps nor disturbs.
  """
  return max(2, cores.usable() // 2)


def _threads(count: int) -> Any:
  """Threads of the pipeline's own, each for one group from its clips to its fingerprints."""
  options = tf.data.Options()
  threading = options.threading if hasattr(options, 'threading') else options.experimental_threading
  threading.max_intra_op_parallelism = 1
  threading.private_threadpool_size = count
  return options


def evaluation_input_fn(
  store: clip_store.ClipStore, split: str, batch_size: int = _EVALUATION_BATCH
) -> Callable[[], Any]:
  """Returns an input_fn that gives each clip of a split once, from its cached fingerprint.

  Batches are of one size on every device: the last is filled up with examples of weight 0.
  features: 'fingerprint' as in training, 'weight' float32 [batch].
  """
  path = fingerprint_file(store, split)
  labels = store.splits[split].labels
  padding = -len(labels) % batch_size

  def input_fn() -> Any:
    record_bytes = store.shape.fingerprint_size * np.dtype(np.float32).itemsize
    records = tf.data.FixedLengthRecordDataset(path, record_bytes)
    blank = tf.data.Dataset.from_tensors(bytes(record_bytes)).repeat(padding)
    columns = (
      records.concatenate(blank),
      tf.data.Dataset.from_tensor_slices(np.pad(labels, (0, padding), 'constant')),
      tf.data.Dataset.from_tensor_slices(np.arange(len(labels) + padding) < len(labels)),
    )
    batches = tf.data.Dataset.zip(columns).batch(batch_size, drop_remainder=True)
    return batches.map(_parsed(store.shape)).prefetch(2)

  return input_fn


def _parsed(shape: clip_shape.ClipShape) -> Callable[..., Any]:
  @_as_written
  def parse(record: Any, label: Any, counts: Any) -> tuple[dict[str, Any], Any]:
    fingerprint = tf.reshape(tf.decode_raw(record, tf.float32), [-1, shape.fingerprint_size])
    fingerprint.set_shape([record.shape[0], shape.fingerprint_size])
    return {'fingerprint': fingerprint, 'weight': tf.cast(counts, tf.float32)}, label

  return parse


def fingerprint_file(store: clip_store.ClipStore, split: str) -> str:
  """Returns the file of a split's fingerprints, float32; computes it when it is not there."""
  chosen = store.splits[split]
  what = repr((tuple(store.shape), features.FORMAT)).encode() + chosen.rows.tobytes()
  name = f'{split}-{hashlib.sha256(what).hexdigest()[:16]}.float32'
  path = os.path.join(store.folder, name)
  size = len(chosen.rows) * store.shape.fingerprint_size * np.dtype(np.float32).itemsize
  if _has_size(path, size):
    return path
  try:
    with claim.claimed(path) as partial:
      # Another process may have written it while this one waited.
      if not _has_size(path, size):
        _write_fingerprints(store, chosen.rows, partial)
        os.replace(partial, path)
  except OSError as error:
    raise errors.InputError(
      'cache_path must be a folder this user can write, with room for the fingerprints; got '
      f'{store.folder!r}: {error}. Name another with --cache_path.'
    ) from None
  return path


def _has_size(path: str, size: int) -> bool:
  return os.path.exists(path) and os.path.getsize(path) == size


def _write_fingerprints(store: clip_store.ClipStore, rows: np.ndarray, path: str) -> None:
  with tf.Graph().as_default(), tf.Session() as session, open(path, 'wb') as file:
    clips = tf.data.Dataset.from_tensor_slices(rows).map(_unchanged(store), num_parallel_calls=2)
    iterator = tf.data.make_initializable_iterator(clips.batch(_EVALUATION_BATCH))
    batch = iterator.get_next()
    session.run(iterator.initializer)
    for _ in range(0, len(rows), _EVALUATION_BATCH):
      file.write(session.run(batch).tobytes())


def _unchanged(store: clip_store.ClipStore) -> Callable[[Any], Any]:
  """A clip as it is, through TensorFlow's own audio ops."""
  clips = _strings(store.samples_path, store.shape.samples * _BYTES, store.row_count)

  @_as_written
  def fingerprint(row: Any) -> Any:
    samples = tf.cast(tf.decode_raw(clips[row], tf.int16), tf.float32) / 32768.0
    return features.audio_op_fingerprint(samples[:, tf.newaxis], store.shape)[0]

  return fingerprint


def _training_order(chosen: clip_store.Rows, seed: int, first_clip: int) -> Any:
  """Endless (row, label), every example once an epoch, from the given clip of training on."""
  count = len(chosen.rows)
  first_epoch, passed = divmod(first_clip, count)

  @_as_written
  def epoch(number: Any) -> Any:
    order = tf.argsort(tf.random.stateless_uniform([count], _key(seed, _ORDER, number)))
    return tf.data.Dataset.from_tensor_slices(
      (tf.gather(chosen.rows, order), tf.gather(chosen.labels, order))
    )

  epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
  return epochs.flat_map(epoch).skip(passed)


class _Loader:
  """Cuts clips and noise out of the stored rows, and mixes them.

  The rows are held as strings: tf.strings.substr takes a different piece of each, and there is no
  other operation that does.
  """

  def __init__(self, store: clip_store.ClipStore, augmentation: Augmentation):
    self._shape, self._augmentation = store.shape, augmentation
    self._margin = store.shape.in_samples(augmentation.time_shift_ms)
    self._clips = _strings(store.samples_path, store.shape.samples * _BYTES, store.row_count)
    self._noise_count = store.noise_count
    if self._noise_count:
      self._noises = _strings(
        store.noises_path, 2 * store.shape.samples * _BYTES, store.noise_count
      )

  def __call__(self, group: Any, rows: Any, labels: Any) -> Any:
    """Returns the samples float32 [clips, samples] of a group of training clips."""
    count = rows.shape.as_list()
    shift = tf.random.stateless_uniform(count, _key(self._augmentation.seed, _SHIFT, group))
    start = tf.cast(shift * max(1, 2 * self._margin), tf.int32)
    scale = tf.cast(tf.not_equal(labels, 0), tf.float32) / 32768.0  # silence is label 0
    blank = tf.constant(bytes(self._margin * _BYTES))
    clips = tf.strings.join([blank, tf.gather(self._clips, rows), blank])
    samples = self._cut(clips, start) * scale[:, tf.newaxis]
    if self._noise_count:
      samples += self._noise(group, count)
    return tf.clip_by_value(samples, -1.0, 1.0)

  def _noise(self, group: Any, count: list[int]) -> Any:
    key = _key(self._augmentation.seed, _NOISE, group)
    piece, offset, volume, present = tf.unstack(tf.random.stateless_uniform([4, *count], key))
    chosen = tf.cast(piece * self._noise_count, tf.int32)
    start = tf.cast(offset * self._shape.samples, tf.int32)
    heard = tf.cast(present < self._augmentation.background_frequency, tf.float32)
    scale = volume * heard * (self._augmentation.background_volume / 32768.0)
    return self._cut(tf.gather(self._noises, chosen), start) * scale[:, tf.newaxis]

  def _cut(self, strings: Any, start: Any) -> Any:
    length = tf.fill(tf.shape(start), self._shape.samples * _BYTES)
    pieces = tf.strings.substr(strings, start * _BYTES, length)
    samples = tf.cast(tf.decode_raw(pieces, tf.int16), tf.float32)
    return tf.reshape(samples, [-1, self._shape.samples])


def _key(seed: int, stream: int, position: Any) -> Any:
  return tf.stack([tf.constant(seed * 4 + stream, tf.int64), position])


def _strings(path: str, row_bytes: int, count: int) -> Any:
  """The rows of a file as a string tensor [rows], read when the iterator is initialized."""
  records = tf.data.FixedLengthRecordDataset(path, row_bytes).batch(count)
  if hasattr(records, 'get_single_element'):
    return records.get_single_element()
  # TF 1.15 has it here only; later versions warn of it.
  return tf.data.experimental.get_single_element(records)
