"""The clips of TFRecords as tf.data: sampled and augmented for training, whole for embedding.

Which frames a training step gets, and what they go through, is a function of the seed and of the
number of the step, so a run that was stopped and started again sees what it would have seen.
"""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Sequence

import numpy as np
import tensorflow.compat.v1 as tf

from estimators.tcc.dataset import augmentation as augmentations
from estimators.tcc.dataset import frame_sampling, record_index
from npu_adapter import cores, errors

# No Python branch or loop below depends on a tensor; looking for them takes TensorFlow a second.
_as_written = tf.autograph.experimental.do_not_convert
# A stream of random numbers of its own, beside those of frame_sampling and augmentation.
_ORDER = 0
# The seed of what is no training; those of trainings are 0 and more.
_EVALUATION_SEED = -1
_MAX_SEED = 2**31 - 1


class Frames(NamedTuple):
  """What a clip is made into, in training and in evaluation."""

  image_size: int = 224  # height and width of what the network sees
  sampling: frame_sampling.Sampling = frame_sampling.Sampling()
  context: frame_sampling.Context = frame_sampling.Context()
  is_cropped: bool = False  # evaluation: to the largest square in the middle
  num_parallel_calls: int | None = None  # clips prepared at a time; None: one a usable core


class Order(NamedTuple):
  """What decides which clips a training step gets, beside its number."""

  batch_size: int = 2
  seed: int = 0


def check(frames: Frames, order: Order) -> None:
  """Raises InputError for batches that cannot be made."""
  frame_sampling.check(frames.sampling, frames.context)
  for name, value, least, most in (
    ('image_size', frames.image_size, 1, 4096),
    ('num_parallel_calls', frames.num_parallel_calls or 1, 1, 4096),
    ('batch_size', order.batch_size, 1, 2**20),
    ('seed', order.seed, 0, _MAX_SEED),
  ):
    if not isinstance(value, int) or not least <= value <= most:
      raise errors.InputError(
        f'{name} must be a whole number from {least} to {most}; got {value!r}.'
      )


def fraction_of(
  records: Sequence[record_index.Record], fraction: float
) -> list[record_index.Record]:
  """Returns the first clips of a data set, at least one: a training on less of it."""
  if not 0 <= fraction <= 1:
    raise errors.InputError(f'per_dataset_fraction must be from 0 to 1; got {fraction!r}.')
  return list(records[: max(1, int(fraction * len(records)))])


def train_input_fn(
  data_sets: Sequence[Sequence[record_index.Record]],
  frames: Frames,
  order: Order,
  augmentation: augmentations.Augmentation | None = None,
  first_step: int = 0,
) -> Callable[[], Any]:
  """Returns an input_fn of endless batches, the first of them that of training step `first_step`.

  Data sets take turns, a batch each; each gives all its clips, then all in another order, and so
  on. `augmentation` None leaves the pictures as they are.
  features: 'frames' float32 [batch, chosen * context, size, size, 3] in [-1, 1], of each chosen
  frame those seen with it, oldest first; 'steps' int32 [batch, chosen], the numbers of the chosen;
  'length' int32 [batch], frames of the clip; 'frame_labels' int32 [batch, chosen], -1 where there
  are none; 'name' string [batch]. labels: None.
  """
  return _sampled(data_sets, frames, order, augmentation, first_step, None)


def evaluation_input_fn(
  data_sets: Sequence[Sequence[record_index.Record]], frames: Frames, batch_size: int, batches: int
) -> Callable[[], Any]:
  """Returns an input_fn of so many batches as in training, always the same ones, not augmented."""
  return _sampled(data_sets, frames, Order(batch_size, _EVALUATION_SEED), None, 0, batches)


def every_frame_input_fn(
  records: Sequence[record_index.Record], frames: Frames, frames_per_batch: int, stride: int = 1
) -> Callable[[], Any]:
  """Returns an input_fn of every `stride`-th frame of every clip, in order, a piece at a time.

  features as in training, of a batch of one clip and `frames_per_batch` chosen frames, and
  'weight', float32 [1, chosen]: 0 for the frames that fill up the last piece of a clip, which show
  its last frame again.
  """
  for name, value in (('frames_per_batch', frames_per_batch), ('sample_all_stride', stride)):
    if not isinstance(value, int) or value < 1:
      raise errors.InputError(f'{name} must be a whole number of at least 1; got {value!r}.')
  clips, starts = _pieces(records, frames_per_batch, stride)

  def input_fn() -> Any:
    load = _Loader([records], frames)

    @_as_written
    def piece(clip: Any, start: Any) -> dict[str, Any]:
      parsed = load.parsed(tf.constant(0, tf.int64), clip)
      steps = start + tf.range(frames_per_batch) * stride
      weight = tf.cast(steps < parsed['length'], tf.float32)
      steps = tf.minimum(steps, (parsed['length'] - 1) // stride * stride)
      return {**load.features(parsed, steps), 'weight': weight}

    pieces = tf.data.Dataset.from_tensor_slices((clips, starts))
    return _batched(pieces.map(piece, num_parallel_calls=load.parallel), 1)

  return input_fn


def _pieces(
  records: Sequence[record_index.Record], size: int, stride: int
) -> tuple[np.ndarray, np.ndarray]:
  """Of each piece its clip, int64, and its first frame, int32."""
  found = [
    (clip, start)
    for clip, record in enumerate(records)
    for start in range(0, record.frames, size * stride)
  ]
  clips, starts = zip(*found)
  return np.array(clips, np.int64), np.array(starts, np.int32)


def _batched(examples: Any, batch_size: int) -> Any:
  return examples.batch(batch_size, drop_remainder=True).prefetch(2)


def _sampled(
  data_sets: Sequence[Sequence[record_index.Record]],
  frames: Frames,
  order: Order,
  augmentation: augmentations.Augmentation | None,
  first_step: int,
  batches: int | None,
) -> Callable[[], Any]:
  if not data_sets or not all(data_sets):
    raise errors.InputError('datasets must name at least one data set, and each must have clips.')

  def input_fn() -> Any:
    load = _Loader(data_sets, frames)

    @_as_written
    def example(number: Any) -> dict[str, Any]:
      data_set, place = chosen_clip(number, [len(records) for records in data_sets], order)
      parsed = load.parsed(data_set, place)
      key = key_of(order, number)
      steps = frame_sampling.choose(frames.sampling, parsed['length'], key)
      decisions = augmentation and augmentations.Decisions(augmentation, key)
      return load.features(parsed, steps, decisions)

    numbers = example_numbers(order, first_step, batches)
    examples = numbers.map(example, num_parallel_calls=load.parallel)
    return _batched(examples, order.batch_size)

  return input_fn


def example_numbers(order: Order, first_step: int = 0, last_step: int | None = None) -> Any:
  """The numbers of the training examples from a step on, int64, as a data set."""
  last_step = np.iinfo(np.int64).max // order.batch_size if last_step is None else last_step
  return tf.data.Dataset.range(first_step * order.batch_size, last_step * order.batch_size)


def key_of(order: Order, number: Any) -> Any:
  """What an example draws by, int64 [2]."""
  return tf.stack([tf.constant(order.seed, tf.int64), number])


def chosen_clip(number: Any, counts: Sequence[int], order: Order) -> tuple[Any, Any]:
  """Data set and clip of training example `number`, both int64."""
  step = number // order.batch_size
  data_set = step % len(counts)
  position = step // len(counts) * order.batch_size + number % order.batch_size
  count = tf.gather(tf.constant(counts, tf.int64), data_set)
  epoch = position // count * len(counts) + data_set
  key = tf.stack([tf.constant(order.seed * 4 + _ORDER, tf.int64), epoch])
  shuffled = tf.argsort(tf.random.stateless_uniform(tf.expand_dims(count, 0), key))
  return data_set, tf.cast(shuffled[position % count], tf.int64)


class _Loader:
  """From a clip's number to its features: reads its record, decodes the frames that are needed."""

  def __init__(self, data_sets: Sequence[Sequence[record_index.Record]], frames: Frames):
    self._data_sets, self._frames = data_sets, frames
    self.parallel = frames.num_parallel_calls or cores.usable()

  def parsed(self, data_set: Any, clip: Any) -> dict[str, Any]:
    """Returns 'frames' as JPEG, string [length]; 'labels' int32 [length]; 'length' and 'name'."""
    record = tf.numpy_function(self._read, [data_set, clip], tf.string)
    record.set_shape([])
    context, lists = tf.io.parse_single_sequence_example(
      record,
      {
        'name': tf.io.FixedLenFeature([], tf.string, ''),
        'len': tf.io.FixedLenFeature([], tf.int64),
      },
      {
        'video': tf.io.FixedLenSequenceFeature([], tf.string),
        'frame_labels': tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True),
      },
    )
    length = tf.cast(context['len'], tf.int32)
    labels = tf.cast(lists['frame_labels'], tf.int32)
    # Of a clip without labels, as many times -1.
    missing = tf.fill([length - tf.shape(labels)[0]], -1)
    return {
      'frames': lists['video'], 'labels': tf.concat([labels, missing], 0), 'length': length,
      'name': context['name'],
    }  # fmt: skip

  def _read(self, data_set: Any, clip: Any) -> bytes:
    return record_index.read(self._data_sets[int(data_set)][int(clip)])

  def features(
    self, parsed: dict[str, Any], steps: Any, decisions: augmentations.Decisions | None = None
  ) -> dict[str, Any]:
    """Returns the features of the chosen frames `steps`, int32 [chosen]."""
    shown = frame_sampling.with_context(steps, parsed['length'], self._frames.context)
    # A frame that is shown twice is decoded once.
    needed, places = tf.unique(shown)
    pictures = self._pictures(tf.gather(parsed['frames'], needed), decisions)
    pictures = tf.gather(pictures * 2.0 - 1.0, places)
    size = self._frames.image_size
    pictures.set_shape([steps.shape[0] * self._frames.context.num_steps, size, size, 3])
    return {
      'frames': pictures,
      'steps': steps,
      'length': parsed['length'],
      'frame_labels': tf.gather(parsed['labels'], steps),
      'name': parsed['name'],
    }

  def _pictures(self, jpegs: Any, decisions: augmentations.Decisions | None) -> Any:
    """Decodes to float32 [frames, size, size, 3] in [0, 1]."""
    pictures = _decoded(jpegs)
    if decisions:
      pictures = decisions.moved(pictures)
    elif self._frames.is_cropped:
      pictures = augmentations.central_square(pictures)
    pictures = _resized(pictures, self._frames.image_size) / 255.0
    return decisions.coloured(pictures) if decisions else pictures


def _decoded(jpegs: Any) -> Any:
  """Uint8 [frames, height, width, 3]. No map_fn: its arguments differ from line to line."""
  count = tf.shape(jpegs)[0]

  @_as_written
  def decode(number: Any, pictures: Any) -> tuple[Any, Any]:
    return number + 1, pictures.write(number, tf.image.decode_jpeg(jpegs[number], channels=3))

  @_as_written
  def is_left(number: Any, _: Any) -> Any:
    return number < count

  _, pictures = tf.while_loop(is_left, decode, [0, tf.TensorArray(tf.uint8, count)])
  return pictures.stack()


def _resized(pictures: Any, size: int) -> Any:
  """Float32 [frames, size, size, 3] of uint8 [frames, height, width, 3]; copied where it fits."""

  @_as_written
  def as_they_are() -> Any:
    return tf.cast(pictures, tf.float32)

  @_as_written
  def resize() -> Any:
    return tf.raw_ops.ResizeBilinear(images=pictures, size=[size, size], half_pixel_centers=True)

  fits = tf.reduce_all(tf.equal(tf.shape(pictures)[1:3], size))
  return tf.cond(fits, as_they_are, resize)
