"""Reads one sound file as mono samples of a given rate, or says what is wrong with it."""

from __future__ import annotations

import importlib
import os
from typing import Any, Iterator

import numpy as np

from npu_adapter import errors

# What has another rate is no recorded speech, but a damaged header.
_RATES_HZ = (1000, 768000)
_AT_ONCE = 1 << 16
# From here on a length means "unknown": what recorders leave that write into a pipe.
_UNKNOWN_LENGTH = 0x7FFFF000


class BadSound(ValueError):
  """A sound file that cannot be used. The text goes on after the file's name: `x.wav: it ...`."""


def read(path: str, sample_rate: int) -> np.ndarray:
  """Returns float32 samples in [-1, 1], resampled and mixed to one channel where need be."""
  soundfile = _package('soundfile')
  _check_length(path)
  try:
    with soundfile.SoundFile(path) as file:
      rate, blocks = file.samplerate, list(_blocks(file))
  except (RuntimeError, OSError) as error:
    raise BadSound(f'cannot be read: {error}') from None
  if not blocks:
    raise BadSound('holds no samples')
  samples = np.concatenate(blocks)  # [time, channels]
  if not np.isfinite(samples).all():
    raise BadSound('holds samples that are no numbers')
  if not _RATES_HZ[0] <= rate <= _RATES_HZ[1]:
    raise BadSound(f'has {rate} samples a second: its header is damaged')
  samples = np.clip(samples, -1, 1)
  mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
  if rate != sample_rate:
    # The resampler librosa uses, without the rest of librosa.
    mono = _package('soxr').resample(mono, rate, sample_rate)
  return np.asarray(mono, np.float32)


def _blocks(file: Any) -> Iterator[np.ndarray]:
  """What there is, a piece at a time: a damaged header may promise more than memory holds."""
  while True:
    block = file.read(_AT_ONCE, dtype='float32', always_2d=True)
    if len(block):
      yield block
    if len(block) < _AT_ONCE:
      return


def _package(name: str) -> Any:
  try:
    return importlib.import_module(name)
  except (ImportError, OSError) as error:
    raise errors.InputError(
      f"reading sound files needs the package {name}; {error}. Install it: pip install '.[models]'"
    ) from None


def _check_length(path: str) -> None:
  """Refuses a RIFF file shorter than it says: libsndfile would give its beginning as the whole."""
  try:
    with open(path, 'rb') as file:
      head = file.read(8)
    size = os.path.getsize(path)
  except OSError as error:
    raise BadSound(f'cannot be read: {error.strerror}') from None
  if not size:
    raise BadSound('is empty')
  told = int.from_bytes(head[4:8], 'little') + 8
  # Some count a padding byte at the end that they do not write.
  if head[:4] == b'RIFF' and size + 1 < told < _UNKNOWN_LENGTH:
    raise BadSound(f'is cut short: it should have {told} bytes and has {size}')
