"""The training loop: what happens between two steps happens in here or in a hook."""

from __future__ import annotations

import time
from typing import Any, Callable, Iterable, Sequence

import tensorflow.compat.v1 as tf

from npu_adapter.runtime.hooked_run import HookedRun
from npu_adapter.runtime.schedule import NEVER, Moment, ScheduledHook

# Two runs may be without a step, as when a loss scale skips one; so many in a row mean that nothing
# increases the global step.
_RUNS_THAT_TELL = 10


class Loop:
  """Runs the training step until a hook, a signal or the end of the data stops it.

  session: a MonitoredSession that has `hooks`, in this order, and the loop's own `starter`.
  step: a tensor, the global step after train_op.
  steps_per_loop: hooks take part in the last of each such number of steps only, as on a device that
    makes them in one go.
  is_interrupted: asked after every step.

  A step in which no hook takes part goes through a callable of the session: half of the time of
  MonitoredSession.run, which asks every hook before and after.
  """

  def __init__(
    self,
    train_op: Any,
    loss: Any,
    step: Any,
    hooks: Sequence[Any],
    steps_per_loop: int = 1,
    is_interrupted: Callable[[], bool] = lambda: False,
  ):
    # The operation alone: its value, if it has one, would be copied out for nothing.
    self._fetches = [getattr(train_op, 'op', train_op), loss, step]
    self._asked_of_hooks = [train_op, loss]
    self._hooks = list(hooks)
    self._scheduled = [hook for hook in hooks if isinstance(hook, ScheduledHook)]
    self._in_every_run = [hook for hook in hooks if _takes_part_in_runs(hook)]
    self._steps_per_loop = steps_per_loop
    self._is_interrupted = is_interrupted
    self.starter = _Starter()
    self.last_loss: Any = None
    self._is_stopped = False
    self._runs = self._runs_without_step = 0
    self._step = 0

  def run(self, session: Any) -> Any:
    """Trains and closes the session; returns the last loss, or None if there was no step."""
    # Leaving the block is also what ends the loop where the data end.
    with session:
      if not session.should_stop():
        session.run_step_fn(self._until_stopped)
    return self.last_loss

  # TensorFlow asks for this very name of the argument, and calls this again where it had to make
  # the session anew.
  def _until_stopped(self, step_context: Any) -> None:
    # After a loss `step_context` still has the session that was lost.
    session, coordinator = self.starter.session, self.starter.coordinator
    self._step = int(session.run(tf.train.get_global_step()))
    self._quick = session.make_callable(self._fetches)
    self._hooked = HookedRun(session, self._fetches, self._asked_of_hooks, self._in_every_run)
    try:
      while not (self._is_stopped or coordinator.should_stop() or self._is_interrupted()):
        self._next(coordinator)
    except (tf.errors.OutOfRangeError, StopIteration, tf.errors.AbortedError,
            tf.errors.UnavailableError):  # fmt: skip
      raise
    except Exception:
      # What went wrong in a thread that fills a queue is the reason, and this its consequence.
      coordinator.raise_requested_exception()
      raise

  def _next(self, coordinator: Any) -> None:
    for _ in range(self._steps_per_loop - 1):
      _, self.last_loss, self._step = self._quick()
    fetching = [hook for hook in self._scheduled if self._step >= hook.fetch_step]
    if self._in_every_run or fetching:
      self._hooked_run(fetching)
    elif self._steps_per_loop > 1:
      _, loss, step = self._quick()
      self._end_run(loss, step, self._hooked.context(), {})
    else:
      self._quick_runs(coordinator)

  def _quick_runs(self, coordinator: Any) -> None:
    """Runs up to and with the first in which somebody takes part."""
    run, now_s, is_interrupted = self._quick, time.time, self._is_interrupted
    due_step = min((hook.due_step for hook in self._scheduled), default=NEVER)
    due_run = min((hook.due_run for hook in self._scheduled), default=NEVER) - self._runs
    due_time_s = min((hook.due_time_s for hook in self._scheduled), default=NEVER)
    fetch_step = min((hook.fetch_step for hook in self._scheduled), default=NEVER)
    step, count = self._step, 0
    while True:
      _, loss, new_step = run()
      count += 1
      # A loss unlike itself is no number.
      if (
        new_step >= due_step or count >= due_run or loss != loss or new_step == step
        or new_step >= fetch_step or now_s() >= due_time_s
        or coordinator.should_stop() or is_interrupted()
      ):  # fmt: skip
        break
      step = new_step
    self._step = step
    self._runs += count - 1
    self._end_run(loss, new_step, self._hooked.context(), {})

  def _hooked_run(self, fetching: Iterable[ScheduledHook]) -> None:
    context, values = self._hooked(fetching)
    _, loss, step = values.pop(None)
    self._end_run(loss, step, context, values)

  def _end_run(self, loss: Any, step: int, context: Any, values: dict) -> None:
    """Calls the hooks; `values` is {hook: what it asked for}."""
    self._runs += 1
    step_before, self._step, self.last_loss = self._step, int(step), loss
    is_number = loss == loss
    now_s = time.time()
    for hook in self._hooks:
      if not isinstance(hook, ScheduledHook):
        if hook in values:
          hook.after_run(context, values[hook])
        continue
      moment = Moment(
        context.session, context, loss, self._step, step_before, self._runs, values.get(hook)
      )
      # A checkpoint or summary of such a step would take the place of a good one.
      if is_number and hook.is_due(moment, now_s):
        hook.after_step(moment)
    if not is_number:
      tf.logging.error('Model diverged with loss = NaN, at global step %d.', self._step)
      raise tf.train.NanLossDuringTrainingError
    self._is_stopped = self._is_stopped or context.stop_requested
    self._watch_step(step_before)

  def _watch_step(self, step_before: int) -> None:
    self._runs_without_step = self._runs_without_step + 1 if self._step == step_before else 0
    if self._runs_without_step == _RUNS_THAT_TELL:
      tf.logging.warning(
        'It seems that global step (tf.train.get_global_step) has not been increased in %d runs: '
        'it is %d. Pass tf.train.get_global_step() to Optimizer.minimize or apply_gradients.',
        _RUNS_THAT_TELL, self._step,
      )  # fmt: skip


class _Starter(tf.train.SessionRunHook):
  """Keeps the session, whenever one is made, and the coordinator of its threads."""

  session: Any = None
  coordinator: Any = None

  def after_create_session(self, session: Any, coord: Any) -> None:
    self.session, self.coordinator = session, coord


def _takes_part_in_runs(hook: Any) -> bool:
  """Whether a hook must be asked in every run: it has a before_run or after_run of its own."""
  if isinstance(hook, ScheduledHook):
    return False
  base = tf.train.SessionRunHook
  # One may be set on the hook itself, and a mock's class has neither.
  methods = {name: getattr(hook, name, None) for name in ('before_run', 'after_run')}
  return any(
    getattr(method, '__func__', None) is not getattr(base, name) for name, method in methods.items()
  )
