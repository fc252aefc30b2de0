"""Writing a file so that it is there in full, or is what it was before. No TensorFlow."""

from __future__ import annotations

import contextlib
import os
from typing import Iterator


@contextlib.contextmanager
def replacing(path: str) -> Iterator[str]:
  """Gives a path to write to; when the block has ended well, that file takes the place of `path`.

  It stands beside `path`, so that the one step from the old content to the new stays in one file
  system. An error or a kill in between leaves it there; the next write begins it anew.
  """
  partial = f'{path}.partial'
  yield partial
  os.replace(partial, path)


def write_text(path: str, text: str) -> None:
  """Writes text as UTF-8."""
  with replacing(path) as partial, open(partial, 'w', encoding='utf-8') as file:
    file.write(text)
