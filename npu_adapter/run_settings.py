"""What a run was made with, written beside its checkpoints; who goes on with it must want the same.

The tools of a model read it back: they take a checkpoint and nothing else. No TensorFlow.
"""

from __future__ import annotations

import json
import os
from typing import Any, Collection, Mapping

from npu_adapter import errors, whole_file

FILE_NAME = 'settings.json'


def write(values: Mapping[str, Any], folder: str) -> None:
  """Writes plain values, and lists and mappings of such, into a model folder."""
  text = json.dumps(values, indent=2)
  whole_file.write_text(os.path.join(folder, FILE_NAME), f'{text}\n')


def path_for(checkpoint: str) -> str:
  """The settings a checkpoint was trained with: in its folder, or the one above."""
  folder = os.path.dirname(os.path.abspath(checkpoint))
  for candidate in (folder, os.path.dirname(folder)):
    path = os.path.join(candidate, FILE_NAME)
    if os.path.exists(path):
      return path
  raise errors.InputError(
    f'{FILE_NAME}, which train.py writes beside its checkpoints, must be in {folder!r} or in the '
    'folder above it; it is in neither.'
  )


def read(checkpoint: str) -> dict[str, Any]:
  """What stands in the settings of a checkpoint. Lists are what write() made of tuples."""
  path = path_for(checkpoint)
  try:
    with open(path, encoding='utf-8') as file:
      values = json.load(file)
  except (OSError, ValueError) as error:
    raise errors.InputError(f'{path!r} is not what train.py writes: {error}') from None
  if not isinstance(values, dict):
    raise errors.InputError(f'{path!r} is not what train.py writes: it holds no JSON object')
  return values


def check_same(
  folder: str, before: Mapping[str, Any], now: Mapping[str, Any], may_change: Collection[str]
) -> None:
  """Raises InputError where the run in `folder` was another than the one that is to go on."""
  differing = [
    f'{name} was {before[name]!r} and is {value!r}'
    for name, value in now.items()
    if name in before and name not in may_change and before[name] != value
  ]
  if differing:
    raise errors.InputError(
      f'output_path must be new, or hold a run of the same settings to go on with; in {folder!r} '
      f'{"; ".join(differing)}. Name another --output_path, or remove that one.'
    )
