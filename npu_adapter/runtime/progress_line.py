"""How far a training is, on standard error: on a terminal one line that is written over."""

from __future__ import annotations

import collections
import logging
import shutil
import sys
import time
from typing import Any, Callable

import tensorflow.compat.v1 as tf

from npu_adapter.runtime.schedule import NEVER, Moment, ScheduledHook

_ON_TERMINAL_EVERY_S = 0.5
_IN_FILE_EVERY_S = 30.0
# Long enough for a checkpoint or a summary now and then not to make the speed jump.
_SPEED_OVER_S = 10.0
_ERASE = '\r\x1b[K'


class ProgressLine(ScheduledHook):
  """Writes the step, the loss, the speed and the time that is left.

  features: what the model was given; the first dimension of its first tensor is the batch size.
  last_step: the step the training ends at, infinity where the data decide; asked once the session
    stands.
  """

  def __init__(self, features: Any, last_step: Callable[[], float]):
    # A number, a tensor to be fetched once, or None.
    self._batch_size = _batch_size(features)
    self._last_step = last_step
    # (seconds, step) of the last lines, the oldest first; the first run builds and optimises the
    # graph, so they begin after it.
    self._marks: collections.deque = collections.deque()
    self._stream = sys.stderr
    self._on_terminal = _is_terminal(self._stream)
    self._every_s = _ON_TERMINAL_EVERY_S if self._on_terminal else _IN_FILE_EVERY_S
    self._has_written = False
    self._moment: Moment | None = None
    self._eraser = _Eraser(self._stream)

  def after_create_session(self, session: Any, coord: Any) -> None:
    self._marks.clear()
    self.due_time_s = 0
    if isinstance(self._batch_size, tf.Tensor):
      self.fetches, self.fetch_step = self._batch_size, 0
    if self._on_terminal:
      logging.getLogger('tensorflow').addFilter(self._eraser)

  def is_due(self, moment: Moment, now_s: float) -> bool:
    self._moment = moment
    return super().is_due(moment, now_s)

  def after_step(self, moment: Moment) -> None:
    if moment.fetched is not None:
      self._batch_size, self.fetch_step = int(moment.fetched), NEVER
    now_s = time.time()
    self._marks.append((now_s, moment.step))
    while len(self._marks) > 2 and now_s - self._marks[1][0] >= _SPEED_OVER_S:
      self._marks.popleft()
    if self._on_terminal or len(self._marks) > 1:
      self._write(moment)
    self.due_time_s = now_s + self._every_s

  def end(self, session: Any) -> None:
    """Leaves the last state of a training that has ended well, where there was a line before."""
    last = self._moment
    if last is None or not self._has_written or last.step == self._marks[-1][1]:
      return
    # Where the data have ended, the last run that was looked at is not the last.
    if last.step == session.run(tf.train.get_global_step()):
      self._marks.append((time.time(), last.step))
      self._write(last)

  def close(self) -> None:
    """Ends the line, however the training ended: what comes next begins one of its own."""
    logging.getLogger('tensorflow').removeFilter(self._eraser)
    if self._on_terminal and self._has_written:
      self._stream.write('\n')
      self._stream.flush()
      self._has_written = False

  def _write(self, moment: Moment) -> None:
    text = self._sentence(moment)
    if self._on_terminal:
      text = _ERASE + text[: shutil.get_terminal_size().columns - 1]
    self._stream.write(text if self._on_terminal else f'{text}\n')
    self._stream.flush()
    self._has_written = True

  def _sentence(self, moment: Moment) -> str:
    last_step = self._last_step()
    of = f' of {int(last_step)}' if last_step != NEVER else ''
    parts = [f'step {moment.step}{of}: loss {float(moment.loss):.4g}']
    (begin_s, begin_step), (now_s, step) = self._marks[0], self._marks[-1]
    if step > begin_step and now_s > begin_s:
      steps_per_s = (step - begin_step) / (now_s - begin_s)
      size, unit = (self._batch_size, 'samples/s') if self._batch_size else (1, 'steps/s')
      parts.append(f'{rate_text(steps_per_s * size)} {unit}')
      if step < last_step != NEVER:
        parts.append(f'{duration_text((last_step - step) / steps_per_s)} left')
    return ', '.join(parts)


class _Eraser(logging.Filter):
  """Takes the line away before a log line is written where it stands."""

  def __init__(self, stream: Any):
    super().__init__()
    self._stream = stream

  def filter(self, record: Any) -> bool:
    self._stream.write(_ERASE)
    self._stream.flush()
    return True


def rate_text(per_second: float) -> str:
  """As 3012, 99.5 or 0.123."""
  return f'{per_second:.0f}' if per_second >= 100 else f'{per_second:.3g}'


def duration_text(seconds: float) -> str:
  """As 1 h 5 min, 5 min 12 s or 12 s."""
  # The last loop of a device may go beyond the last step.
  minutes, rest = divmod(int(max(0.0, seconds) + 0.5), 60)
  hours, minutes = divmod(minutes, 60)
  if hours:
    return f'{hours} h {minutes} min'
  return f'{minutes} min {rest} s' if minutes else f'{rest} s'


def _is_terminal(stream: Any) -> bool:
  # What takes the place of standard error, in a notebook or a test, need not have it.
  return bool(getattr(stream, 'isatty', bool)())


def _batch_size(features: Any) -> Any:
  """A number, else a scalar tensor, of the first tensor with a batch; None where there is none."""
  for value in tf.nest.flatten(features):
    if isinstance(value, tf.SparseTensor):
      return value.dense_shape[0]
    if isinstance(value, tf.Tensor) and value.shape.ndims:
      return tf.TensorShape(value.shape).as_list()[0] or tf.shape(value)[0]
  return None
