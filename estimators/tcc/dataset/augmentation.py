"""Changes to the pictures of a training clip: one decision for all of its frames.

TensorFlow ops without state: what a clip goes through is a function of a key.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from npu_adapter import errors

# A stream of random numbers of its own, beside those of frame_sampling.
_STREAM = 3
_as_written = tf.autograph.experimental.do_not_convert


class Augmentation(NamedTuple):
  """What a training clip goes through; the published values."""

  random_flip: bool = True  # left and right, of every second clip
  random_crop: bool = False
  crop_min_scale: float = 0.8  # side of a square, of the shorter side of the picture
  brightness: bool = True
  brightness_max_delta: float = 32.0 / 255
  contrast: bool = True
  contrast_lower: float = 0.5
  contrast_upper: float = 1.5
  hue: bool = False
  hue_max_delta: float = 0.2
  saturation: bool = False
  saturation_lower: float = 0.5
  saturation_upper: float = 1.5


NONE = Augmentation(random_flip=False, brightness=False, contrast=False)


def check(options: Augmentation) -> Augmentation:
  """Returns `options`, or raises InputError for what cannot be done to a picture."""
  limits = (
    ('crop_min_scale', 0.01, 1.0),
    ('brightness_max_delta', 0.0, 1.0),
    ('hue_max_delta', 0.0, 0.5),
    ('contrast_lower', 0.0, options.contrast_upper),
    ('saturation_lower', 0.0, options.saturation_upper),
  )
  for name, least, most in limits:
    value = getattr(options, name)
    if not least <= value <= most:
      raise errors.InputError(f'{name} must be from {least:g} to {most:g}; got {value!r}.')
  return options


class Decisions:
  """What is drawn for one clip; `key` is int64 [2]."""

  def __init__(self, options: Augmentation, key: Any):
    self._options = options
    stream = tf.stack([key[0] * 4 + _STREAM, key[1]])
    # All are always drawn: switching one on does not change the others.
    self._drawn = tf.unstack(tf.random.stateless_uniform([8], stream))

  def moved(self, frames: Any) -> Any:
    """Flips all of uint8 [frames, height, width, 3], and cuts one square out of them.

    Before they are resized: bytes are moved in a quarter of the time of numbers.
    """
    if self._options.random_flip:
      frames = self._flipped(frames)
    return self._cropped(frames) if self._options.random_crop else frames

  def _flipped(self, frames: Any) -> Any:
    mirrored = _as_written(lambda: tf.reverse(frames, [2]))
    return tf.cond(self._drawn[3] < 0.5, mirrored, _as_written(lambda: tf.identity(frames)))

  def _cropped(self, frames: Any) -> Any:
    shape = tf.shape(frames)[1:3]
    least = self._options.crop_min_scale
    scale = least + (1 - least) * self._drawn[0]
    side = tf.cast(tf.round(tf.cast(tf.reduce_min(shape), tf.float32) * scale), tf.int32)
    room = tf.cast(shape - side, tf.float32)
    return _square(frames, tf.cast(room * tf.stack(self._drawn[1:3]) + 0.5, tf.int32), side)

  def coloured(self, frames: Any) -> Any:
    """Changes the colours of float32 [frames, height, width, 3] in [0, 1], and keeps them there."""
    options = self._options
    if options.brightness:
      frames += self._between(4, -options.brightness_max_delta, options.brightness_max_delta)
    if options.contrast:
      factor = self._between(5, options.contrast_lower, options.contrast_upper)
      frames = tf.image.adjust_contrast(frames, factor)
    if options.hue:
      delta = self._between(6, -options.hue_max_delta, options.hue_max_delta)
      frames = tf.image.adjust_hue(frames, delta)
    if options.saturation:
      factor = self._between(7, options.saturation_lower, options.saturation_upper)
      frames = tf.image.adjust_saturation(frames, factor)
    return tf.clip_by_value(frames, 0.0, 1.0)

  def _between(self, number: int, least: float, most: float) -> Any:
    return least + (most - least) * self._drawn[number]


def central_square(frames: Any) -> Any:
  """Cuts the largest square out of the middle of [frames, height, width, 3]."""
  shape = tf.shape(frames)[1:3]
  side = tf.reduce_min(shape)
  return _square(frames, (shape - side) // 2, side)


def _square(frames: Any, start: Any, side: Any) -> Any:
  top, left = start[0], start[1]
  return frames[:, top : top + side, left : left + side]
