"""The folder of a data set in the making: claimed by one process, whole or not there at all.

The clips are written beside the folder and renamed when all are there, so that a killed run leaves
nothing that looks complete.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from typing import Any, Callable, Iterator

from npu_adapter import errors

_LOCK = '.lock'


class Claim:
  """The right to make a folder; `path` is where to write what it will hold.

  `lock` is for workers to inherit: the claim lasts until the last of them has ended, even when the
  process that started them was killed.
  """

  def __init__(self, folder: str, path: str, lock: int):
    self.path = path
    self.lock = lock
    self.published = False
    self.folder = folder

  def publish(self) -> None:
    """Gives the folder its name: at once, and last of all."""
    with explained(self.folder):
      os.rename(self.path, self.folder)
      self.published = True
      # Only now: whoever waits for the lock must not find a fresh one in an unfinished folder.
      os.remove(os.path.join(self.folder, _LOCK))


@contextlib.contextmanager
def claimed(folder: str, show: Callable[[str], Any]) -> Iterator[Claim]:
  """Yields a Claim on an empty folder beside `folder`; a second process waits until it is over.

  Removes what a killed run left there, and what this one leaves unpublished.
  """
  making = os.path.join(os.path.dirname(folder), f'.{os.path.basename(folder)}.making')
  with explained(folder):
    if os.path.ismount(folder):
      raise OSError(f'{folder} is a mount point, which cannot be renamed; name a folder inside it')
    lock = _locked(making, show)
  claim = Claim(folder, making, lock)
  try:
    with explained(folder):
      _empty(making)
    yield claim
  finally:
    if not claim.published:
      shutil.rmtree(making, ignore_errors=True)
    os.close(lock)


@contextlib.contextmanager
def explained(folder: str) -> Iterator[None]:
  """Turns what the file system refuses into an error about the folder that was asked for."""
  try:
    yield
  except OSError as error:
    raise errors.OptionError(
      f'{folder} must be a folder that can be made and written here: {error}. Name another folder.'
    ) from error


def _locked(making: str, show: Callable[[str], Any]) -> int:
  """Makes the folder and returns a descriptor that locks it."""
  path = os.path.join(making, _LOCK)
  while True:
    os.makedirs(making, exist_ok=True)
    try:
      lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
      if _lock(lock, path, show):
        return lock
    except FileNotFoundError:
      # Whoever held it was ready or gave up between two of these lines: from the start.
      continue


def _lock(lock: int, path: str, show: Callable[[str], Any]) -> bool:
  """True when `path` is locked; closes the descriptor otherwise."""
  try:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      show(f'another process is writing {os.path.dirname(path)}: waiting for it')
      fcntl.flock(lock, fcntl.LOCK_EX)
    # While this one waited the file may have moved away with the finished folder.
    if os.path.samestat(os.fstat(lock), os.stat(path)):
      return True
  except BaseException:
    os.close(lock)
    raise
  os.close(lock)
  return False


def _empty(making: str) -> None:
  for entry in os.scandir(making):
    if entry.is_dir(follow_symlinks=False):
      shutil.rmtree(entry.path)
    elif entry.name != _LOCK:
      os.remove(entry.path)
