"""Runs one command in a process group of its own, hands its output on, and ends the whole group."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from types import FrameType
from typing import Any, Callable, Mapping

GRACE_SECONDS = 10
_IDLE_SECONDS = 0.2
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Run:
  """One command from start to end. Signals that would end this process end the command first."""

  def __init__(self, grace_seconds: int = GRACE_SECONDS):
    self.stopped_by = 0
    self._grace_seconds = grace_seconds
    self._child: subprocess.Popen[bytes] | None = None

  def __call__(
    self,
    command: list[str],
    environment: Mapping[str, str],
    write: Callable[[bytes], Any],
    cores: list[int] | None = None,
  ) -> int:
    """Returns the exit status; 128 + n where signal n ended the command or came to this process."""
    before = {number: signal.getsignal(number) for number in (*_PASSED_ON, signal.SIGALRM)}
    for number in _PASSED_ON:
      # nohup and `&` in a script have some ignored, for good reason.
      if before[number] != signal.SIG_IGN:
        signal.signal(number, self._pass_on)
    signal.signal(signal.SIGALRM, self._kill)
    try:
      self._child = _start(command, environment, cores)
      if self.stopped_by:
        self._send(self.stopped_by)
      self._hand_on(write)
      status = self._child.wait()
    finally:
      self._end()
      for number, handler in before.items():
        signal.signal(number, handler)
    if self.stopped_by:
      return 128 + self.stopped_by
    return status if status >= 0 else 128 - status

  def _end(self) -> None:
    """Leaves nothing of the group, whatever happened."""
    self._kill()
    signal.alarm(0)
    if self._child and self._child.stdout:
      self._child.wait()
      self._child.stdout.close()

  def _hand_on(self, write: Callable[[bytes], Any]) -> None:
    """Reads until the end of the output, or until the command has ended and nothing more comes."""
    assert self._child and self._child.stdout
    pipe = self._child.stdout.fileno()
    while True:
      is_over = self._child.poll() is not None
      if is_over:
        # Workers it left behind may hold the pipe open for ever.
        self._kill()
      if not select.select([pipe], [], [], _IDLE_SECONDS)[0]:
        if is_over:
          return
        continue
      piece = os.read(pipe, 1 << 16)
      if not piece:
        return
      write(piece)

  def _pass_on(self, number: int, frame: FrameType | None) -> None:
    """The first signal goes to the group; a second one, or the end of the grace time, kills it."""
    if self.stopped_by:
      self._kill()
      return
    self.stopped_by = number
    self._send(number)
    signal.alarm(self._grace_seconds)

  def _kill(self, *unused: Any) -> None:
    self._send(signal.SIGKILL)

  def _send(self, number: int) -> None:
    if self._child is None:
      return
    try:
      os.killpg(self._child.pid, number)
    except (ProcessLookupError, PermissionError):
      # Nobody is left in the group; macOS says it of dead processes with EPERM.
      return


def _start(
  command: list[str], environment: Mapping[str, str], cores: list[int] | None
) -> subprocess.Popen[bytes]:
  return subprocess.Popen(
    command,
    env=dict(environment),
    stdin=subprocess.DEVNULL,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    start_new_session=True,
    # This process has one thread, so that the call between fork and exec is safe.
    preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if cores else None,
  )
