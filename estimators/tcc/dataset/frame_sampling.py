"""Which frames of a clip a training step sees: a function of the clip's length and a key.

TensorFlow ops without state: a resumed run draws what it would have drawn.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from npu_adapter import errors

STRATEGIES = ('offset_uniform', 'stride')
# Separate streams of random numbers of one key.
_FRAMES, _POSITIVES = 1, 2


class Sampling(NamedTuple):
  """How frames are chosen, as published."""

  strategy: str = 'offset_uniform'
  num_frames: int = 20
  random_offset: int = 1  # offset_uniform: the first frame that may be chosen
  stride: int = 16  # stride: from one chosen frame to the next
  positive_window: int = 0  # a positive of each frame comes from so many before it; 0: none

  @property
  def chosen(self) -> int:
    """Frames of a clip, with their positives."""
    return self.num_frames * (2 if self.positive_window else 1)


class Context(NamedTuple):
  """The frames that are seen together with a chosen one, which is the last of them."""

  num_steps: int = 2
  frame_stride: int = 15


def check(sampling: Sampling, context: Context) -> None:
  """Raises InputError for what cannot be drawn."""
  if sampling.strategy not in STRATEGIES:
    raise errors.InputError(
      f'sampling_strategy must be one of {", ".join(STRATEGIES)}; got {sampling.strategy!r}.'
      f'{errors.nearest(sampling.strategy, STRATEGIES)}'
    )
  least = {'random_offset': 0, 'positive_window': 0}
  for name, value in (*list(sampling._asdict().items())[1:], *context._asdict().items()):
    bound = least.get(name, 1)
    if not isinstance(value, int) or value < bound:
      raise errors.InputError(f'{name} must be a whole number of at least {bound}; got {value!r}.')


def choose(sampling: Sampling, length: Any, key: Any) -> Any:
  """Returns the numbers of the chosen frames, int32 [chosen], of a clip `length` frames long.

  `key` is int64 [2], of a seed and a position in training. With positives: positive, frame,
  positive, frame, ...
  """
  length = tf.cast(length, tf.int32)
  draw = {'offset_uniform': _offset_uniform, 'stride': _stride}[sampling.strategy]
  # A clip too short for so many shows its last frame again: numbers name what is seen.
  frames = tf.minimum(draw(sampling, length, _stream(key, _FRAMES)), length - 1)
  if sampling.positive_window:
    frames = _with_positives(frames, sampling, _stream(key, _POSITIVES))
  frames.set_shape([sampling.chosen])
  return frames


def with_context(frames: Any, length: Any, context: Context) -> Any:
  """Returns int32 [frames * num_steps]: each frame after those seen with it, oldest first."""
  back = tf.range(context.num_steps - 1, -1, -1) * context.frame_stride
  steps = frames[:, tf.newaxis] - back[tf.newaxis, :]
  return tf.reshape(tf.clip_by_value(steps, 0, tf.cast(length, tf.int32) - 1), [-1])


def _stream(key: Any, number: int) -> Any:
  return tf.stack([key[0] * 4 + number, key[1]])


def _offset_uniform(sampling: Sampling, length: Any, key: Any) -> Any:
  """Different frames in order, any as likely; the first ones of a clip that has too few."""
  count, offset = sampling.num_frames, sampling.random_offset
  candidates = tf.maximum(length - offset, count)
  drawn = tf.argsort(tf.random.stateless_uniform([candidates], key))[:count] + offset
  is_enough = length - offset >= count
  return tf.where_v2(is_enough, tf.sort(drawn), tf.range(count))


def _stride(sampling: Sampling, length: Any, key: Any) -> Any:
  last_start = tf.maximum(1, length - sampling.stride * sampling.num_frames)
  drawn = tf.random.stateless_uniform([], key) * tf.cast(last_start, tf.float32)
  start = tf.minimum(tf.cast(drawn, tf.int32), last_start - 1)
  return start + tf.range(sampling.num_frames) * sampling.stride


def _with_positives(frames: Any, sampling: Sampling, key: Any) -> Any:
  drawn = tf.random.stateless_uniform([sampling.num_frames], key) * sampling.positive_window
  back = tf.minimum(tf.cast(drawn, tf.int32), sampling.positive_window - 1) + 1
  positives = tf.maximum(frames - back, 0)
  return tf.reshape(tf.stack([positives, frames], axis=1), [-1])
