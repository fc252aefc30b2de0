"""What a run prints: all of it into its log, and onto the terminal while somebody reads."""

from __future__ import annotations

import fcntl
import os
import sys
from typing import Any, BinaryIO

from npu_adapter import command_line, errors


class Terminal:
  """Standard output, which may end before the run does, as with `| head`."""

  def __init__(self) -> None:
    self._is_read = True

  def write(self, piece: bytes) -> None:
    """Writes through, or drops the bytes when nobody reads any more."""
    if not self._is_read:
      return
    try:
      sys.stdout.flush()
      sys.stdout.buffer.write(piece)
      sys.stdout.buffer.flush()
    except BrokenPipeError:
      self._is_read = False
      command_line.drop_output()

  def say(self, text: str) -> None:
    """Writes lines of the launcher's own."""
    self.write(os.fsencode(f'{text}\n'))


class Log:
  """The log file of a run, locked while this process lives; what it gets, the terminal gets too."""

  def __init__(self, path: str, terminal: Terminal):
    self.path = path
    self._terminal = terminal
    self._file = open(path, 'ab')  # noqa: SIM115 - open for as long as training runs
    lock(self._file)

  def __enter__(self) -> Log:
    return self

  def __exit__(self, *unused: Any) -> None:
    self._file.close()

  def write(self, piece: bytes) -> None:
    """Writes through, so that `tail -f` shows what the terminal shows."""
    self._file.write(piece)
    self._file.flush()
    self._terminal.write(piece)


def lock(file: BinaryIO) -> None:
  """Marks the folder of a log as in use; raises when another launcher has marked it."""
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    raise errors.BackendError(
      f'{os.path.dirname(file.name)!r} is the folder of a training that still runs. Choose '
      'another with ASCEND_DEVICE_ID or --output_path, or wait for its end.'
    ) from None
  except OSError:
    # Some network file systems have no locks; a run there must do without.
    return
