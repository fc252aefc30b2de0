"""The configuration as a YAML file: read from the user's, written beside the checkpoints."""

from __future__ import annotations

import os
from typing import Any, Mapping

from estimators.tcc import config_tree
from npu_adapter import errors, whole_file

FILE_NAME = 'config.yml'


def read(path: str) -> dict[str, Any]:
  """What stands in a file: a tree, or a part of one. Its names are not checked here."""
  yaml = _yaml()
  try:
    with open(path, encoding='utf-8') as file:
      found = yaml.safe_load(file)
  except (OSError, UnicodeDecodeError) as error:
    raise errors.InputError(f'a configuration must be a file that can be read; {error}') from None
  except yaml.YAMLError as error:
    raise errors.InputError(f'{path!r} must be YAML; {error}') from None
  if not isinstance(found, dict):
    raise errors.InputError(
      f'{path!r} must hold names with values, as TRAIN: {{BATCH_SIZE: 2}}; it holds '
      f'{type(found).__name__}.'
    )
  return found


def value_of(text: str) -> Any:
  """A value as YAML writes it: 2, 0.5, true, [1, 2], words."""
  yaml = _yaml()
  try:
    found = yaml.safe_load(text)
  except yaml.YAMLError as error:
    raise errors.InputError(f'a value must be written as in YAML; got {text!r}: {error}') from None
  # YAML 1.1 takes 1e-4 for text: a number needs a dot there.
  if isinstance(found, str):
    try:
      return float(found)
    except ValueError:
      return found
  return found


def write(tree: Mapping[str, Any], folder: str) -> None:
  """Writes the whole tree into a model folder."""
  text = _yaml().safe_dump(dict(tree), default_flow_style=None, sort_keys=False)
  whole_file.write_text(os.path.join(folder, FILE_NAME), text)


def stored(folder: str) -> dict[str, Any] | None:
  """The tree that a model folder was trained with, None where there is none."""
  path = os.path.join(folder, FILE_NAME)
  if not os.path.exists(path):
    return None
  tree = config_tree.published()
  try:
    config_tree.merge(tree, read(path))
  except errors.InputError as error:
    raise errors.InputError(f'{path!r} is not what train.py writes: {error}') from None
  return tree


def _yaml() -> Any:
  try:
    import yaml
  except ImportError as error:
    raise errors.AdapterError(
      f"configurations need PyYAML; {error}. Install it: pip install '.[models]'"
    ) from None
  return yaml
