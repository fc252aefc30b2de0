"""The labels of a frozen graph: a text file of one a line, and where it is. No TensorFlow."""

from __future__ import annotations

import os
from typing import Sequence

from npu_adapter import errors, tool_command


def beside_pb(path: str) -> str:
  """`model.pb` -> `model.labels.txt`."""
  return f'{os.path.splitext(path)[0]}.labels.txt'


def in_saved_model(folder: str) -> str:
  """Where TensorFlow leaves room for what its loaders do not read."""
  return os.path.join(folder, 'assets.extra', 'labels.txt')


def write(path: str, labels: Sequence[str]) -> None:
  """Writes the labels in the order of the network's outputs."""
  tool_command.write_whole(path, ('\n'.join(labels) + '\n').encode())


def read(path: str) -> list[str]:
  """Returns the labels of a file."""
  try:
    with open(path, encoding='utf-8') as file:
      labels = file.read().split()
  except (OSError, UnicodeDecodeError) as error:
    raise errors.InputError(
      f'labels must be a text file with a label a line; {path!r} cannot be read: {error}. Name one '
      'with --labels.'
    ) from None
  if not labels:
    raise errors.InputError(f'labels must be a text file with a label a line; {path!r} is empty.')
  return labels
