"""The sizes of a clip and of its fingerprint, in milliseconds and in samples. No TensorFlow."""

from __future__ import annotations

import math
from typing import NamedTuple

from npu_adapter import errors

_MOST_COEFFICIENTS = 40


class ClipShape(NamedTuple):
  """How long a clip is and how it is cut into frames."""

  sample_rate: int = 16000
  clip_ms: float = 1000
  window_ms: float = 40
  stride_ms: float = 20
  coefficients: int = 10

  @property
  def samples(self) -> int:
    """Samples of a clip."""
    return self.in_samples(self.clip_ms)

  @property
  def window_samples(self) -> int:
    """Samples of a frame."""
    return self.in_samples(self.window_ms)

  @property
  def stride_samples(self) -> int:
    """Samples from one frame to the next."""
    return self.in_samples(self.stride_ms)

  @property
  def frames(self) -> int:
    """Frames of a clip."""
    return 1 + (self.samples - self.window_samples) // self.stride_samples

  @property
  def fingerprint_size(self) -> int:
    """Numbers of a fingerprint: frames * coefficients, one frame after the other."""
    return self.frames * self.coefficients

  def in_samples(self, duration_ms: float) -> int:
    """A duration in samples."""
    return int(self.sample_rate * duration_ms / 1000)


def check(shape: ClipShape) -> ClipShape:
  """Returns `shape`, or raises InputError for one that no fingerprint can be made of."""
  durations = (
    ('clip_duration_ms', shape.clip_ms),
    ('window_size_ms', shape.window_ms),
    ('window_stride_ms', shape.stride_ms),
  )
  for name, value in durations:
    if not math.isfinite(value):
      raise errors.InputError(f'{name} must be a number of milliseconds; got {value}.')
  # The mel bands reach up to 4000 Hz, which must be below half of the sample rate.
  if shape.sample_rate < 8000:
    raise errors.InputError(f'sample_rate must be at least 8000 Hz; got {shape.sample_rate}.')
  if shape.stride_samples < 1:
    raise errors.InputError(
      f'window_stride_ms must be at least one sample; got {shape.stride_ms} ms.'
    )
  if not 2 <= shape.window_samples <= shape.samples:
    raise errors.InputError(
      f'window_size_ms must be at least two samples and at most clip_duration_ms '
      f'({shape.clip_ms} ms); got {shape.window_ms} ms.'
    )
  if shape.window_samples % 2:
    raise errors.InputError(
      f'window_size_ms must be an even number of samples; {shape.window_ms} ms at '
      f'{shape.sample_rate} Hz are {shape.window_samples}.'
    )
  if not 1 <= shape.coefficients <= _MOST_COEFFICIENTS:
    raise errors.InputError(
      f'dct_coefficient_count must be from 1 to {_MOST_COEFFICIENTS}; got {shape.coefficients}.'
    )
  return shape
