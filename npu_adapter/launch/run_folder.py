"""The folder of one run: where it is, and what becomes of the run that was there before."""

from __future__ import annotations

import glob
import os

from npu_adapter import errors
from npu_adapter.launch import run_log

CHECKPOINTS = 'ckpt'


def usual(model_folder: str, device: str) -> str:
  """The folder of a run for which the user named none."""
  return os.path.join(model_folder, 'test', 'output', device)


def log_path(folder: str, device: str) -> str:
  """The file all output of training goes to."""
  return os.path.join(folder, f'train_{device}.log')


def place_for_earlier_run(folder: str) -> str | None:
  """Where what is in `folder` must go first, or None; raises where it must stay."""
  if not os.path.lexists(folder):
    return None
  if not os.path.isdir(folder):
    raise errors.OptionError(f'--output_path must name a folder; got {folder!r}, which is none.')
  if not os.listdir(folder):
    return None
  logs = glob.glob(log_path(glob.escape(folder), '*'))
  if not logs and not os.path.isdir(os.path.join(folder, CHECKPOINTS)):
    raise errors.OptionError(
      f'--output_path must name a new folder, an empty one or that of an earlier run; {folder!r} '
      'holds other things. Name a folder inside it.'
    )
  for log in logs:
    with open(log, 'ab') as file:
      run_log.lock(file)
  number = 1
  while os.path.lexists(f'{folder}.{number}'):
    number += 1
  return f'{folder}.{number}'


def moved(path: str, folder: str, place: str | None) -> str:
  """The name of `path` once `folder` has become `place`."""
  real = os.path.realpath(path)
  real_folder = os.path.realpath(folder)
  # A checkpoint of the earlier run is a good one to start from.
  if place and os.path.commonpath([real, real_folder]) == real_folder:
    return os.path.join(place, os.path.relpath(real, real_folder))
  return path


def make(folder: str, place: str | None) -> None:
  """Moves the earlier run to `place` and makes the folders of the new one."""
  if place:
    os.rename(folder, place)
  os.makedirs(os.path.join(folder, CHECKPOINTS))
