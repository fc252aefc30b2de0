"""One training at a time in a model folder."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from typing import IO, Iterator

import tensorflow.compat.v1 as tf

_NAME = '.training'
# A file system that knows no locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class ModelDirInUse(RuntimeError):
  """Another process trains in the folder."""

  exit_status = 1


@contextlib.contextmanager
def claimed(model_dir: str) -> Iterator[None]:
  """Keeps other trainings out of the folder while the block runs; makes it where it is missing.

  The system ends the claim of a process that dies, however it does.
  """
  if '://' in model_dir:
    # Not of this machine: there is nothing to lock.
    yield
    return
  path = os.path.join(model_dir, _NAME)
  with contextlib.closing(_locked(path, model_dir)) as file:
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    try:
      yield
    finally:
      # While it is still locked: who waits for the name finds another file, or none.
      with contextlib.suppress(FileNotFoundError):
        os.remove(path)


def _locked(path: str, model_dir: str) -> IO[str]:
  while True:
    file = _opened(path, model_dir)
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
      if error.errno in _NO_LOCKS:
        tf.logging.warning('%s cannot be locked against a second training: %s', model_dir, error)
        return file
      file.seek(0)
      pid = file.read().strip() or 'unknown'
      file.close()
      raise ModelDirInUse(
        f'model_dir must be free for one training; process {pid} trains in {model_dir!r}. Two '
        'would write over each other: wait for it, end it, or name another model_dir.'
      ) from None
    if _is_still(path, file):
      return file
    # It was removed by the training that ended just now.
    file.close()


def _opened(path: str, model_dir: str) -> IO[str]:
  try:
    os.makedirs(model_dir, exist_ok=True)
    return open(path, 'a+', encoding='ascii')
  except OSError as error:
    raise type(error)(
      error.errno,
      f'model_dir must be a folder this user can write; got {model_dir!r}: {error.strerror}',
    ) from None


def _is_still(path: str, file: IO[str]) -> bool:
  try:
    return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
  except FileNotFoundError:
    return False
