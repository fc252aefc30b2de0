"""The recordings of a watch in UCI HAR's channels and labels, and how they are written down."""

from __future__ import annotations

import os
from typing import Iterator

import numpy as np

from estimators.lstm_har.dataset import uci_har, uci_text, watch
from npu_adapter import whole_file

_RATE_HZ = 50
_GRAVITY_HZ = 0.3


def write(out: str, left_out: str, most: int | None = None) -> dict[str, int]:
  """Writes a whole folder; returns how many windows `train` and `test` have."""
  path = watch.data_file()
  names = [name for name in watch.exercises(path) if name != left_out]
  found = list(_windows(path, names, most))
  _write_file(
    os.path.join(out, uci_har.LABELS_FILE),
    ''.join(f'{number} {name}\n' for number, name in enumerate(names, start=1)).encode(),
  )
  counts = {}
  for half in ('train', 'test'):
    chosen = [part for part in found if (part[2] in watch.TEST_PEOPLE) == (half == 'test')]
    counts[half] = _write_half(out, half, chosen)
  return counts


def in_channels(series: np.ndarray) -> np.ndarray:
  """From acceleration and rotation [samples, 6] to the nine channels [samples, 9]."""
  acceleration, rotation = series[:, :3], series[:, 3:]
  return np.concatenate([acceleration - _gravity(acceleration), rotation, acceleration], axis=1)


def _gravity(acceleration: np.ndarray) -> np.ndarray:
  """What of it is slower than 0.3 Hz: by a Fourier transform of the series and its mirror image.

  The mirror image behind it, the series ends where it begins, and no step stands in between.
  """
  closed = np.concatenate([acceleration, acceleration[::-1]])
  spectrum = np.fft.rfft(closed, axis=0)
  spectrum[np.fft.rfftfreq(len(closed), 1 / _RATE_HZ) > _GRAVITY_HZ] = 0
  return np.fft.irfft(spectrum, len(closed), axis=0)[: len(acceleration)]


def _windows(
  path: str, names: list[str], most: int | None
) -> Iterator[tuple[np.ndarray, int, int]]:
  """(windows [n, 128, 9], label from 1, person) a series; at most `most` a person and label."""
  found = watch.load(path)
  given: dict[tuple[int, int], int] = {}
  for series, exercise, person in zip(found['X'], found['y'], found['subject']):
    name = found['y_labels'][exercise]
    if name in names:
      label = names.index(name) + 1
      parts = watch.cut(in_channels(series))
      if most is not None:
        parts = parts[: most - given.get((label, person), 0)]
      given[label, person] = given.get((label, person), 0) + len(parts)
      yield parts, label, int(person)


def _write_half(out: str, half: str, found: list[tuple[np.ndarray, int, int]]) -> int:
  # As float32: what is read back has the same text again.
  windows = np.concatenate([part for part, _, _ in found]).astype(np.float32)
  counts = [len(part) for part, _, _ in found]
  labels, people = (np.repeat([part[at] for part in found], counts) for at in (1, 2))
  *signals, labels_path, people_path = uci_har.files_of(out, half)
  for channel, path in enumerate(signals):
    _write_file(path, uci_text.windows_text(windows[:, :, channel]))
  _write_file(labels_path, uci_text.numbers_text(labels))
  _write_file(people_path, uci_text.numbers_text(people))
  return len(windows)


def _write_file(path: str, content: bytes) -> None:
  os.makedirs(os.path.dirname(path), exist_ok=True)
  with whole_file.replacing(path) as partial, open(partial, 'wb') as file:
    file.write(content)
