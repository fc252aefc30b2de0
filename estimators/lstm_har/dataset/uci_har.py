"""The published folder of UCI HAR: nine channels, six activities, thirty people."""

from __future__ import annotations

import os
from typing import Callable, Sequence

import numpy as np

from estimators.lstm_har.dataset import har_data, uci_text
from npu_adapter import errors

NAME = 'UCI HAR Dataset'
SIGNALS = 'Inertial Signals'
CHANNELS = tuple(
  f'{kind}_{axis}' for kind in ('body_acc', 'body_gyro', 'total_acc') for axis in 'xyz'
)
ACTIVITIES = (
  'WALKING', 'WALKING_UPSTAIRS', 'WALKING_DOWNSTAIRS', 'SITTING', 'STANDING', 'LAYING',
)  # fmt: skip
LABELS_FILE = 'activity_labels.txt'
_HALVES = ('train', 'test')


def open_folder(
  path: str, cache: str, validation_people: Sequence[int] | None, show: Callable[[str], None]
) -> har_data.HarData:
  """Reads the folder, or the one it is in; from the cache when the files are as they were."""
  folder = find(path)
  labels = read_labels(folder)
  files = [file for half in _HALVES for file in files_of(folder, half)]
  for file in files:
    if not os.path.isfile(file):
      raise errors.InputError(
        f'data_path must be the folder of UCI HAR in full; there is no {file!r}. Unpack the '
        'archive again.'
      )

  def read() -> har_data.Recordings:
    show(f'reading {len(files)} files of {folder}')
    return _read(folder)

  place, found = har_data.cached(cache, files, read)
  people = sorted({int(person) for person in found.people[~found.is_test]})
  # Every fifth from the third on; of two people the second.
  chosen = har_data.check_people(validation_people or people[2::5] or people[1:], people)
  return har_data.split(place, found, chosen, channels=CHANNELS, labels=labels, source=folder)


def find(path: str) -> str:
  """The folder with train and test in it: `path` itself, or the published name below it."""
  for folder in (path, os.path.join(path, NAME)):
    if all(os.path.isdir(os.path.join(folder, half)) for half in _HALVES):
      return os.path.abspath(folder)
  hint = ' Unpack the archive first.' if os.path.isfile(path) else ''
  raise errors.InputError(
    f'data_path must be the folder {NAME!r}, with train and test in it, or the folder it is in; '
    f'got {path!r}.{hint}'
  )


def files_of(folder: str, half: str) -> list[str]:
  """The files of `train` or `test`: the channels, then the labels, then the people."""
  place = os.path.join(folder, half)
  names = [os.path.join(SIGNALS, f'{name}_{half}.txt') for name in CHANNELS]
  names += [f'y_{half}.txt', f'subject_{half}.txt']
  return [os.path.join(place, name) for name in names]


def read_labels(folder: str) -> tuple[str, ...]:
  """What the labels 1 to 6 are called; the published names where the folder does not say."""
  path = os.path.join(folder, LABELS_FILE)
  if not os.path.isfile(path):
    return ACTIVITIES
  with open(path, encoding='utf-8') as file:
    rows = [line.split() for line in file if line.strip()]
  if [row[0] for row in rows] != [str(number + 1) for number in range(len(ACTIVITIES))] or any(
    len(row) != 2 for row in rows
  ):
    raise errors.InputError(
      f'{path!r} must name the labels 1 to {len(ACTIVITIES)} in six lines, as `1 WALKING`; got '
      f'{[" ".join(row) for row in rows]}.'
    )
  return tuple(row[1] for row in rows)


def _read(folder: str) -> har_data.Recordings:
  halves = [_read_half(folder, half) for half in _HALVES]
  windows, labels, people = (np.concatenate(parts) for parts in zip(*halves))
  is_test = np.repeat([False, True], [len(half[1]) for half in halves])
  return har_data.Recordings(windows, labels, people, is_test)


def _read_half(folder: str, half: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  *signals, labels_path, people_path = files_of(folder, half)
  labels = uci_text.read_numbers(labels_path, 'a label', 1, len(ACTIVITIES))
  people = uci_text.read_numbers(people_path, 'the number of a person', 1)
  _check_rows(people_path, len(people), labels_path, len(labels))
  windows = np.empty([len(labels), har_data.STEPS, len(signals)], np.float32)
  for channel, path in enumerate(signals):
    rows = uci_text.read_windows(path, har_data.STEPS)
    _check_rows(path, len(rows), labels_path, len(labels))
    windows[:, :, channel] = rows
  return windows, (labels - 1).astype(np.int32), people


def _check_rows(path: str, count: int, labels_path: str, label_count: int) -> None:
  if count != label_count or not count:
    raise errors.InputError(
      f'{path!r} must have as many rows as {labels_path!r}, a window each; got {count} and '
      f'{label_count}. Take both from one archive.'
    )
