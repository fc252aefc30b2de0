"""The right to make a file or a folder: one process at a time, and whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from typing import Callable, Iterator


@contextlib.contextmanager
def claimed(path: str, show: Callable[[str], None] | None = None) -> Iterator[str]:
  """Yields a free name beside `path`, where what it will be is made; then it is to be renamed.

  A second process waits until the first has renamed or given up, so it must look again whether
  `path` is there. What a killed process left is removed; so is what this one does not rename.
  """
  making = os.path.join(os.path.dirname(path), f'.{os.path.basename(path)}.making')
  place, lock_path = os.path.join(making, 'made'), os.path.join(making, 'lock')
  lock = _locked(making, lock_path, show)
  try:
    _remove(place)
    yield place
  finally:
    with contextlib.suppress(OSError):
      _remove(place)
      # Last, because from then on another process may claim and write.
      os.remove(lock_path)
      os.rmdir(making)
    os.close(lock)


def _locked(making: str, lock_path: str, show: Callable[[str], None] | None) -> int:
  """Makes the folder and returns a descriptor that locks it, until it is closed or we are dead."""
  while True:
    os.makedirs(making, exist_ok=True)
    try:
      lock = os.open(lock_path, os.O_RDWR | os.O_CREAT, 0o666)
    except FileNotFoundError:
      # Whoever held it was ready between these two lines.
      continue
    try:
      _wait(lock, making, show)
      # While this one waited the file may have been removed, and another may stand in its place.
      if os.path.samestat(os.fstat(lock), os.stat(lock_path)):
        return lock
    except FileNotFoundError:
      pass
    except BaseException:
      os.close(lock)
      raise
    os.close(lock)


def _wait(lock: int, making: str, show: Callable[[str], None] | None) -> None:
  try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    if show:
      show(f'another process is writing {making}: waiting for it')
    fcntl.flock(lock, fcntl.LOCK_EX)


def _remove(place: str) -> None:
  if os.path.isdir(place):
    shutil.rmtree(place)
  elif os.path.lexists(place):
    os.remove(place)
