"""The models that can be launched: the folders with a launch.json, read and checked."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

from npu_adapter import errors
from npu_adapter.launch import parameters
from npu_adapter.launch.cases import CASES

FILE = 'launch.json'
_SECTIONS = ('parameters', 'cases')
# A case has a batch size and with it a name, even where training writes none down.
_NEEDED = ('batch_size',)


class Model(NamedTuple):
  """What launch.json says. A value is a text, a number, a bool, or None: train.py's own default."""

  name: str
  folder: str
  parameters: dict[str, Any]
  cases: dict[str, dict[str, Any]]

  def values(self, settings: str) -> dict[str, Any]:
    """The flags of `full` or `performance`, before the user has a say."""
    return {**self.parameters, **self.cases[settings]}


class ModelError(errors.AdapterError):
  """A launch.json is wrong: a defect of the model folder, not of the command line."""


def names(estimators: str) -> list[str]:
  """The folders in `estimators` that can be launched, sorted."""
  if not os.path.isdir(estimators):
    return []
  found = os.listdir(estimators)
  return sorted(name for name in found if os.path.isfile(os.path.join(estimators, name, FILE)))


def read(estimators: str, name: str) -> Model:
  """Reads one model folder; raises ModelError with file and place for what cannot be right."""
  folder = os.path.join(estimators, name)
  path = os.path.join(folder, FILE)
  try:
    with open(path, encoding='utf-8') as file:
      facts = json.load(file, object_pairs_hook=_without_repeats)
    _check_keys(facts, _SECTIONS, 'the file', required=_SECTIONS)
    _check_keys(facts['parameters'], parameters.OF_MODEL, 'parameters', required=_NEEDED)
    settings = sorted({case.settings for case in CASES.values()})
    _check_keys(facts['cases'], settings, 'cases', required=settings)
    for place in (facts['parameters'], *facts['cases'].values()):
      _check_values(place, facts['parameters'])
  except ValueError as error:
    raise ModelError(f'{path}: {error}') from None
  return Model(name, folder, facts['parameters'], facts['cases'])


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  found = dict(pairs)
  if len(found) < len(pairs):
    keys = [key for key, _ in pairs]
    twice = next(key for key in keys if keys.count(key) > 1)
    raise ValueError(f'{twice!r} must be there once; it is there twice')
  return found


def _check_keys(found: Any, known: Any, place: str, required: Any) -> None:
  if not isinstance(found, dict):
    raise ValueError(f'{place} must be an object of {", ".join(known)}; got {found!r}')
  for name in found:
    if name not in known:
      hint = errors.nearest(name, known) or f' It takes {", ".join(known)}.'
      raise ValueError(f'{place} has no {name!r}.{hint}')
  for name in required:
    if found.get(name) is None:
      raise ValueError(f'{place} must have {name!r}; it is missing or null')


def _check_values(place: Any, own: dict[str, Any]) -> None:
  if not isinstance(place, dict):
    raise ValueError(f'a case must be an object of flags and their values; got {place!r}')
  for name, value in place.items():
    row = parameters.BY_NAME.get(name)
    if value is not None and not isinstance(value, (str, int, float)):
      raise ValueError(f'{name!r} must be a text, a number, true, false or null; got {value!r}')
    if row and name not in own:
      raise ValueError(f'{name!r} is set for a case but missing under parameters')
    if row and row.kind is parameters.PATH and value is not None:
      raise ValueError(f"{name!r} must be null: a path is the user's; got {value!r}")
    if row and value is not None:
      parameters.check(row, str(value))
