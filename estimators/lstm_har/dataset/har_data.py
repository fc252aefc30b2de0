"""Windows of movement with their labels, in three splits by person; kept as .npy in a cache."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from typing import Any, Callable, NamedTuple, Sequence

import numpy as np

from npu_adapter import errors

STEPS = 128
SPLITS = ('training', 'validation', 'test')
# Raise it when other numbers are to come out of the same files.
_FORMAT = 1
_FILES = ('windows', 'labels', 'people', 'is_test')


class Recordings(NamedTuple):
  """All windows of a data set, before they are split."""

  windows: np.ndarray  # float32 [windows, steps, channels]
  labels: np.ndarray  # int32 [windows], from 0
  people: np.ndarray  # int64 [windows]: who moved
  is_test: np.ndarray  # bool [windows]: kept for the test by the makers of the data


class Split(NamedTuple):
  """The windows of some people."""

  rows: np.ndarray  # int64 [windows]: where they are in the file
  labels: np.ndarray  # int32 [windows]
  people: tuple[int, ...]


class HarData(NamedTuple):
  """A data set that is ready to train on."""

  windows_path: str  # .npy of float32 [all windows, steps, channels]
  splits: dict[str, Split]
  channels: tuple[str, ...]
  labels: tuple[str, ...]
  source: str

  def windows(self, split: str) -> np.ndarray:
    """Float32 [windows, steps, channels] of a split."""
    return np.load(self.windows_path, mmap_mode='r')[self.splits[split].rows]


def cache_folder(cache_path: str | None) -> str:
  """The folder for what can be made again."""
  root = os.environ.get('XDG_CACHE_HOME') or os.path.join(os.path.expanduser('~'), '.cache')
  default = os.environ.get('TF1_ASCEND_CACHE') or os.path.join(root, 'tf1-ascend')
  return os.path.join(cache_path or default, 'lstm_har')


def cached(
  cache: str, files: Sequence[str], read: Callable[[], Recordings]
) -> tuple[str, Recordings]:
  """Returns the folder of what `read` makes of `files`, and that, its windows not in memory.

  Files of the same names, sizes and times are the same files.
  """
  folder = os.path.join(cache, _key(files))
  if not os.path.isdir(folder):
    _write(folder, read())
  found = [
    np.load(os.path.join(folder, f'{name}.npy'), mmap_mode='r' if name == 'windows' else None)
    for name in _FILES
  ]
  return folder, Recordings(*found)


def split(
  folder: str, found: Recordings, validation_people: Sequence[int], **facts: Any
) -> HarData:
  """The three splits: who is no test person is for validation or for training."""
  is_validation = np.isin(found.people, list(validation_people)) & ~found.is_test
  chosen = {
    'training': ~found.is_test & ~is_validation, 'validation': is_validation, 'test': found.is_test
  }  # fmt: skip
  splits = {}
  for name, mask in chosen.items():
    rows = np.flatnonzero(mask)
    people = tuple(int(person) for person in np.unique(found.people[rows]))
    splits[name] = Split(rows, found.labels[rows].astype(np.int32), people)
  return HarData(os.path.join(folder, 'windows.npy'), splits, **facts)


def check_people(chosen: Sequence[int], available: Sequence[int]) -> tuple[int, ...]:
  """Returns the people for validation; raises InputError where nobody is left to train on."""
  unknown = sorted(set(chosen) - set(available))
  if unknown or not set(available) - set(chosen):
    raise errors.InputError(
      'validation_people must be some of the people who are not kept for the test, and leave some '
      f'to train on; got {", ".join(map(str, chosen))}; there are '
      f'{", ".join(map(str, sorted(available)))}.'
    )
  return tuple(sorted(chosen))


def _key(files: Sequence[str]) -> str:
  facts: list[Any] = [_FORMAT]
  for path in files:
    state = os.stat(path)
    facts.append([os.path.abspath(path), state.st_size, state.st_mtime_ns])
  return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _write(folder: str, found: Recordings) -> None:
  """Writes a folder that is there in full or not at all."""
  cache = os.path.dirname(folder)
  try:
    os.makedirs(cache, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='.partial-', dir=cache) as scratch:
      partial = os.path.join(scratch, 'data')
      os.mkdir(partial)
      for name, values in zip(_FILES, found):
        np.save(os.path.join(partial, f'{name}.npy'), values)
      _move(partial, folder)
  except OSError as error:
    raise errors.InputError(
      'cache_path must be a folder this user can write, with room for the windows; got '
      f'{cache!r}: {error}. Name another with --cache_path.'
    ) from None


def _move(partial: str, folder: str) -> None:
  try:
    os.rename(partial, folder)
  except OSError:
    # Another process may have been the first: it wrote the same.
    if not os.path.isdir(folder):
      raise
