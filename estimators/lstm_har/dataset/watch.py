"""Real recordings that need no download: shoulder exercises, by a watch, of the package seglearn.

140 series of 10 people who did 7 exercises with either arm, accelerometer (g) and gyroscope
(rad/s) at 50 Hz. Read from its file: the package itself needs pandas to be imported.
"""

from __future__ import annotations

import importlib.util
import os
from typing import Any, Callable, Sequence

import numpy as np

from estimators.lstm_har.dataset import har_data
from npu_adapter import errors

CHANNELS = ('acc_x', 'acc_y', 'acc_z', 'gyro_x', 'gyro_y', 'gyro_z')
TRAINING_PEOPLE = (1, 2, 3, 4, 5, 6)
VALIDATION_PEOPLE = (7, 8)
TEST_PEOPLE = (9, 10)
_STRIDE = har_data.STEPS // 2


def open_data(
  cache: str, validation_people: Sequence[int] | None, show: Callable[[str], None]
) -> har_data.HarData:
  """The windows of all people: some to train on, some for validation, some for the test."""
  path = data_file()
  show(f'no --data_path: windows of the watch recordings in {os.path.dirname(path)}')
  folder, found = har_data.cached(cache, [path], lambda: read(path))
  others = TRAINING_PEOPLE + VALIDATION_PEOPLE
  chosen = har_data.check_people(validation_people or VALIDATION_PEOPLE, others)
  return har_data.split(
    folder, found, chosen, channels=CHANNELS, labels=exercises(path), source='seglearn watch data'
  )


def data_file() -> str:
  """Where the recordings are; an error that says what to install where they are not."""
  spec = importlib.util.find_spec('seglearn')
  folders = list(spec.submodule_search_locations or []) if spec else []
  for folder in folders:
    path = os.path.join(folder, 'data', 'watch_dataset.npy')
    if os.path.isfile(path):
      return path
  raise errors.InputError(
    'without --data_path the package seglearn must be installed, whose recordings are the default '
    "data; it is not. Install it (pip install '.[models]'), or name the folder of UCI HAR with "
    '--data_path.'
  )


def load(path: str) -> dict[str, Any]:
  """The recordings: series `X` float [samples, channels], exercise `y`, `subject`, names."""
  return np.load(path, allow_pickle=True).item()


def exercises(path: str) -> tuple[str, ...]:
  """What the labels are called."""
  return tuple(load(path)['y_labels'])


def read(path: str) -> har_data.Recordings:
  """Cuts the series into windows of 128 steps, each half over the one before."""
  found = load(path)
  parts = [cut(series) for series in found['X']]
  counts = [len(part) for part in parts]
  people = np.repeat(found['subject'], counts)
  return har_data.Recordings(
    np.concatenate(parts).astype(np.float32),
    np.repeat(found['y'], counts).astype(np.int32),
    people,
    np.isin(people, TEST_PEOPLE),
  )


def cut(series: np.ndarray) -> np.ndarray:
  """Windows [windows, 128, channels] of a series [samples, channels]; the rest is left out."""
  starts = range(0, len(series) - har_data.STEPS + 1, _STRIDE)
  return np.stack([series[start : start + har_data.STEPS] for start in starts])
