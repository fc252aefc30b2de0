"""Hooks that know when they are needed next, so that the steps before cost nothing."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

NEVER = float('inf')


class Moment(NamedTuple):
  """A run of the training step that has just ended."""

  session: Any
  context: Any  # SessionRunContext: its request_stop() ends the training
  loss: Any
  step: int  # the global step after the run
  step_before: int
  run: int  # counts the runs of this training from 1
  fetched: Any  # what `fetches` of the hook gave, None if this run was without them


class ScheduledHook(tf.train.SessionRunHook):
  """Takes part after a run that reaches one of three points: a step, a run, a time.

  The loop calls `after_step` and neither before_run nor after_run. A hook that needs more of a run
  than the loss names it in `fetches`: the first run that begins at `fetch_step` or later has it.
  """

  due_step: float = NEVER
  due_run: float = NEVER
  due_time_s: float = NEVER
  fetch_step: float = NEVER
  fetches: Any = None

  def is_due(self, moment: Moment, now_s: float) -> bool:
    """Whether the moment is one this hook waits for."""
    return moment.step >= self.due_step or moment.run >= self.due_run or now_s >= self.due_time_s

  def after_step(self, moment: Moment) -> None:
    """Does what the hook is for, and sets the point when it is needed next."""
    raise NotImplementedError


class LastStep(ScheduledHook):
  """Ends the training after `steps` more steps, or at the global step `max_steps`."""

  def __init__(self, steps: int | None, max_steps: int | None):
    self._steps = steps
    self._max_steps = max_steps

  def after_create_session(self, session: Any, coord: Any) -> None:
    # A session that is made anew after a lost one must not move the end.
    if self.due_step == NEVER:
      first = session.run(tf.train.get_global_step()) if self._max_steps is None else 0
      self.due_step = first + (self._steps or 0) if self._max_steps is None else self._max_steps

  @property
  def last_step(self) -> float:
    """The global step the training ends at, once its session stands."""
    return self.due_step

  def after_step(self, moment: Moment) -> None:
    moment.context.request_stop()
