"""Sound files as the bytes of a 16-bit mono wav file, which frozen graphs take. No TensorFlow."""

from __future__ import annotations

import io
import wave

import numpy as np

from estimators.ds_cnn.dataset import sound_file


def read(path: str, sample_rate: int) -> bytes:
  """Returns a sound file as such a wav file; one that is one already, as it is."""
  return made_of(sound_file.read(path, sample_rate), sample_rate)


def made_of(samples: np.ndarray, sample_rate: int) -> bytes:
  """Returns a wav file of float samples in [-1, 1], rounded as those that training sees."""
  # 16-bit samples come out as they went in: as floats they are whole multiples of 1 / 32768.
  rounded = np.clip(np.round(samples * 32768.0), -32768, 32767).astype('<i2')
  target = io.BytesIO()
  with wave.open(target, 'wb') as file:
    file.setnchannels(1)
    file.setsampwidth(2)
    file.setframerate(sample_rate)
    file.writeframes(rounded.tobytes())
  return target.getvalue()
