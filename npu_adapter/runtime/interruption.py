"""SIGTERM and Ctrl-C during a training: it ends after the step it is in, with a checkpoint."""

from __future__ import annotations

import signal
import threading
from typing import Any

import tensorflow.compat.v1 as tf

# What the program does with a signal it has said nothing about.
_DEFAULTS = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}


# The watches over the trainings of this process that have not ended.
_watches: list[Watch] = []


def is_pending() -> bool:
  """Whether a signal has come to a training that has not ended: what can wait should not begin."""
  return any(watch.is_interrupted() for watch in _watches)


class Terminated(SystemExit):
  """A signal has ended the training, and its checkpoint is written; the status is 128 + signal."""


class Interrupted(KeyboardInterrupt, SystemExit):
  """The same by Ctrl-C: a program may catch it as one, and an exit it is where nobody does."""

  def __init__(self, status: int):
    super().__init__(status)
    # Of its two bases SystemExit alone would have set it.
    self.code = status


class Watch:
  """Takes note of the first signal while the block runs; a second one acts as if there were none.

  Signals that the program handles or ignores itself are left to it, and so are all of them outside
  of the main thread, where Python allows no handlers.
  """

  def __init__(self) -> None:
    self._signal: Any = None
    self._replaced: dict[int, Any] = {}

  def __enter__(self) -> Watch:
    _watches.append(self)
    if threading.current_thread() is threading.main_thread():
      for number, default in _DEFAULTS.items():
        if signal.getsignal(number) is default:
          self._replaced[number] = signal.signal(number, self._note)
    return self

  def __exit__(self, *exception: Any) -> None:
    _watches.remove(self)
    self._put_back()

  def is_interrupted(self) -> bool:
    """Whether a signal has come."""
    return self._signal is not None

  def raise_if_interrupted(self, checkpoint: str | None) -> None:
    """Ends the program as the signal would have; `checkpoint` is what it can go on from."""
    if self._signal is None:
      return
    tf.logging.warning(
      '%s: training has ended after the step it was in. The newest checkpoint is %s; start it '
      'again to go on.', self._signal.name, checkpoint,
    )  # fmt: skip
    kind = Interrupted if self._signal == signal.SIGINT else Terminated
    raise kind(128 + self._signal)

  def _note(self, number: int, frame: Any) -> None:
    self._signal = signal.Signals(number)
    self._put_back()

  def _put_back(self) -> None:
    while self._replaced:
      signal.signal(*self._replaced.popitem())
