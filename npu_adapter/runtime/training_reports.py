"""What every training writes down about itself: log lines, its speed, summaries."""

from __future__ import annotations

import time
from typing import Any

import tensorflow.compat.v1 as tf

from npu_adapter.runtime.schedule import NEVER, Moment, ScheduledHook


class LossLog(ScheduledHook):
  """Logs the loss and the step before the run, of the first run and then every so many."""

  due_run: float = 1

  def __init__(self, every_runs: int):
    self._every = every_runs
    self._logged_s: float | None = None

  def after_step(self, moment: Moment) -> None:
    now_s = time.time()
    line = f'loss = {moment.loss}, step = {moment.step_before}'
    if self._logged_s is not None:
      line += f' ({now_s - self._logged_s:.3f} sec)'
    tf.logging.info(line)
    self._logged_s = now_s
    self.due_run = moment.run + self._every


class SpeedLog(ScheduledHook):
  """Logs and summarises how many steps a second the last `every_steps` made."""

  due_step: float = 0
  _TAG = 'global_step/sec'

  def __init__(self, every_steps: int, folder: str):
    self._every = every_steps
    self._folder = folder
    # (step, seconds) where the interval began; None before the first run, which builds the graph.
    self._since: tuple[int, float] | None = None

  def after_create_session(self, session: Any, coord: Any) -> None:
    self._since = None
    self.due_step = 0

  def after_step(self, moment: Moment) -> None:
    now_s = time.time()
    if self._since is not None and now_s > self._since[1]:
      self._write((moment.step - self._since[0]) / (now_s - self._since[1]), moment.step)
    self._since = (moment.step, now_s)
    self.due_step = moment.step + self._every

  def _write(self, steps_per_s: float, step: int) -> None:
    summary = tf.Summary(value=[tf.Summary.Value(tag=self._TAG, simple_value=steps_per_s)])
    tf.summary.FileWriterCache.get(self._folder).add_summary(summary, step)
    tf.logging.info('%s: %g', self._TAG, steps_per_s)


class Summaries(ScheduledHook):
  """Writes the model's summaries of the first run and then every so many steps."""

  fetch_step: float = 0

  def __init__(self, every_steps: int, folder: str, scaffold: Any):
    self._every = every_steps
    self._folder = folder
    self._scaffold = scaffold
    self._is_first = True

  def after_create_session(self, session: Any, coord: Any) -> None:
    # The scaffold has merged all summaries by now.
    self.fetches = self._scaffold.summary_op
    self.fetch_step = NEVER if self.fetches is None else 0
    self._is_first = True

  def is_due(self, moment: Moment, now_s: float) -> bool:
    return moment.fetched is not None

  def after_step(self, moment: Moment) -> None:
    step = moment.step_before + 1
    writer = tf.summary.FileWriterCache.get(self._folder)
    if self._is_first:
      writer.add_session_log(tf.SessionLog(status=tf.SessionLog.START), step)
      self._is_first = False
    for summary in tf.nest.flatten(moment.fetched):
      writer.add_summary(summary, step)
    # The run that gets from here to there is the one whose summaries are wanted.
    self.fetch_step = step + self._every - 1

  def end(self, session: Any) -> None:
    tf.summary.FileWriterCache.get(self._folder).flush()
