"""The mean of the weights a training passes through, and the file it is kept in. NumPy only."""

from __future__ import annotations

import os
import zipfile
from typing import Any, Sequence

import numpy as np

from npu_adapter import errors, whole_file

_BEFORE = '.before'
_FLOATING = 'fV'  # bfloat16 is of a kind of its own


class AveragedSamples:
  """Samples of a list of weights: their mean, in double precision, and how many there are.

  `count`, `last_epoch` (from 0, of the newest sample) and `mean` may be read, and nothing else.
  """

  def __init__(self, decay: float | None = None) -> None:
    self.count, self.last_epoch = 0, -1
    self.mean: list[Any] = []
    self._decay = decay

  def add(self, weights: Sequence[Any], epoch: int) -> None:
    """Takes the weights at the end of an epoch as a sample."""
    weights = [np.asarray(weight) for weight in weights]
    self.count += 1
    self.last_epoch = epoch
    share = 1 / self.count
    if self._decay is not None:
      share = max(share, 1 - self._decay)
    before = self.mean or weights
    self.mean = [_moved(old, new, share) for old, new in zip(before, weights)]

  def like(self, weights: Sequence[Any]) -> list[Any]:
    """The mean, in the types of these weights."""
    return [value.astype(np.asarray(weight).dtype) for value, weight in zip(self.mean, weights)]

  def fits(self, weights: Sequence[Any]) -> bool:
    """Whether the samples may be of the network that has these weights."""
    shapes = [np.shape(weight) for weight in weights]
    return not self.count or [value.shape for value in self.mean] == shapes


def _moved(old: Any, new: Any, share: float) -> Any:
  """Whole numbers and the like have no mean: the newest counts."""
  if new.dtype.kind not in _FLOATING:
    return new
  old = np.asarray(old, np.float64)
  return old + (np.asarray(new, np.float64) - old) * share


def write(path: str, samples: AveragedSamples, facts: dict[str, float]) -> None:
  """Writes the samples and some numbers; what was in the file before is kept beside it.

  A training may be killed between this file and its checkpoint: it then goes on from the file of
  one sample before.
  """
  with whole_file.replacing(path) as partial:
    with open(partial, 'wb') as file:
      values: dict[str, Any] = {'count': samples.count, 'last_epoch': samples.last_epoch, **facts}
      values.update((f'mean_{number}', value) for number, value in enumerate(samples.mean))
      np.savez(file, **values)
    if os.path.exists(path):
      os.replace(path, path + _BEFORE)


def read(
  path: str, decay: float | None, names: Sequence[str]
) -> list[tuple[AveragedSamples, dict[str, float]]]:
  """The newest samples in the file of that name, and those of one sample before, where there are.

  names: of the numbers that were written with them.
  """
  paths = [each for each in (path, path + _BEFORE) if os.path.exists(each)]
  return [_read(each, decay, names) for each in paths]


def _read(
  path: str, decay: float | None, names: Sequence[str]
) -> tuple[AveragedSamples, dict[str, float]]:
  samples = AveragedSamples(decay)
  try:
    with np.load(path, allow_pickle=False) as file:
      samples.count, samples.last_epoch = int(file['count']), int(file['last_epoch'])
      means = len([name for name in file.files if name.startswith('mean_')])
      samples.mean = [file[f'mean_{number}'] for number in range(means)]
      return samples, {name: float(file[name]) for name in names}
  except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
    raise errors.InputError(
      f'{path!r} must be a file that SWA wrote as its state_path; it cannot be read: {error}. '
      'Name another, or delete it.'
    ) from error
