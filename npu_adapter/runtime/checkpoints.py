"""The checkpoints of a model folder: finding them, and the one place that writes them."""

from __future__ import annotations

import os
import re
import shutil
import time
from typing import Any, Iterable, Sequence

import tensorflow.compat.v1 as tf

from npu_adapter.runtime import checkpoint_health
from npu_adapter.runtime.schedule import NEVER, Moment, ScheduledHook

# The name tf.estimator gives them; tools that list a model folder look for it.
PREFIX = 'model.ckpt'
# What TensorFlow writes first, and renames or removes when it is whole.
_UNFINISHED = re.compile(
  r'model\.ckpt-\d+_temp(_[0-9a-f]{32})?|'
  r'(checkpoint|graph\.pbtxt|model\.ckpt-\d+\.meta)\.tmp[0-9a-f]{32}'
)
# The session is made anew after these.
_LOST_SESSION = (tf.errors.AbortedError, tf.errors.UnavailableError)


class CheckpointNotWritten(OSError):
  """A checkpoint could not be written; the ones before it are as they were."""

  exit_status = 1


def latest(model_dir: str) -> str | None:
  """The newest checkpoint of `model_dir`, or None."""
  return tf.train.latest_checkpoint(model_dir)


def require(model_dir: str) -> str:
  """The newest checkpoint of `model_dir`; ValueError where there is none."""
  path = latest(model_dir)
  if path is None:
    raise ValueError(f'Could not find trained model in model_dir: {model_dir}.')
  return path


def latest_or_warn(model_dir: str, checkpoint_path: Any, doing: str) -> str | None:
  """The checkpoint that was asked for, else the newest; where there is none, says what happens."""
  if checkpoint_path:
    return os.fsdecode(checkpoint_path)
  path = checkpoint_health.newest_whole(model_dir)
  if path is None:
    tf.logging.info(
      'Could not find trained model in model_dir: %s, running initialization to %s.',
      model_dir, doing,
    )  # fmt: skip
  return path


def last_step(model_dir: str) -> int:
  """The global step of the newest checkpoint; 0 where there is none."""
  path = latest(model_dir)
  return checkpoint_health.step_of(path) if path else 0


def add_saver(scaffold: Any, config: Any) -> None:
  """Gives the graph the saver that writes as `config` says, unless the model brought its own."""
  if scaffold.saver or tf.get_collection(tf.GraphKeys.SAVERS):
    return
  saver = tf.train.Saver(
    sharded=True,
    max_to_keep=config.keep_checkpoint_max,
    keep_checkpoint_every_n_hours=config.keep_checkpoint_every_n_hours,
    defer_build=True,
    save_relative_paths=True,
  )
  tf.add_to_collection(tf.GraphKeys.SAVERS, saver)


def saver_hooks(
  scaffold: Any, config: Any, hooks: Iterable[Any], listeners: Sequence[Any]
) -> list[Any]:
  """Returns the hook that writes checkpoints, none if `hooks` bring one or the config wants none.

  The listeners are told of what the first such hook writes.
  """
  given = [hook for hook in hooks if isinstance(hook, tf.train.CheckpointSaverHook)]
  made: list[Any] = []
  if not given and (config.save_checkpoints_secs or config.save_checkpoints_steps):
    made = [CheckpointHook(scaffold, config)]
  if listeners and not (given or made):
    raise ValueError(
      'There should be a CheckpointSaverHook to use saving_listeners. Please set one of the '
      'RunConfig.save_checkpoints_steps or RunConfig.save_checkpoints_secs. (With exact_resume '
      'there always is one.)'
    )
  if listeners:
    told = (given or made)[0]._listeners
    told.extend(listener for listener in listeners if listener not in told)
  return made


class CheckpointHook(ScheduledHook, tf.train.CheckpointSaverHook):
  """Writes a checkpoint at the start, every so often, and at the end; the graph once.

  TensorFlow's own hook reads the global step back after every single step from 2.x on, and cannot
  leave the graph out on 1.15. That base class remains so that hooks can be told apart by type.
  """

  def __init__(self, scaffold: Any, config: Any):
    seconds, steps = config.save_checkpoints_secs, config.save_checkpoints_steps
    # 0 is none for the vendor, while a timer takes it for every step.
    super().__init__(config.model_dir, seconds or None, steps or None, scaffold=scaffold)
    self._folder = config.model_dir
    self._path = os.path.join(config.model_dir, PREFIX)
    self._own_scaffold = scaffold
    self._with_graph = config.checkpoint_save_graph_def
    self._every_s, self._every_steps = seconds or NEVER, steps or NEVER
    self._step_tensor: Any = None
    self._writer: Any = None
    self._last_saved_step = -1

  def begin(self) -> None:
    self._writer = tf.summary.FileWriterCache.get(self._folder)
    _remove_unfinished(self._folder)
    self._step_tensor = global_step_read()
    for listener in self._listeners:
      listener.begin()

  def after_create_session(self, session: Any, coord: Any) -> None:
    step = session.run(self._step_tensor)
    self._write_graph()
    self._write(session, step, is_start=True)

  def after_step(self, moment: Moment) -> None:
    if self._write(moment.session, moment.step):
      moment.context.request_stop()

  def end(self, session: Any) -> None:
    step = session.run(self._step_tensor)
    if step != self._last_saved_step:
      self._write(session, step)
    for listener in self._listeners:
      listener.end(session, step)
    # Without it a reader finds a truncated record until the process ends.
    self._writer.flush()

  def _write_graph(self) -> None:
    graph = tf.get_default_graph()
    graph_def = graph.as_graph_def(add_shapes=True)
    if self._with_graph:
      tf.io.write_graph(graph_def, self._folder, 'graph.pbtxt')
    self._writer.add_graph(graph)
    saver_def = self._own_scaffold.saver.saver_def
    self._writer.add_meta_graph(
      tf.train.export_meta_graph(graph_def=graph_def, saver_def=saver_def, collection_list=[])
    )

  def _write(self, session: Any, step: int, is_start: bool = False) -> bool:
    """Writes one checkpoint; returns whether a listener asks for the training to stop."""
    self._last_saved_step = step
    self.due_step, self.due_time_s = step + self._every_steps, time.time() + self._every_s
    for listener in self._listeners:
      listener.before_save(session, step)
    self._save(session, step, is_start)
    log = tf.SessionLog(status=tf.SessionLog.CHECKPOINT, checkpoint_path=self._path)
    self._writer.add_session_log(log, step)
    asking = [listener for listener in self._listeners if listener.after_save(session, step)]
    for listener in asking:
      tf.logging.info(
        'A CheckpointSaverListener requested that training be stopped. listener: %s', listener
      )
    return bool(asking)

  def _save(self, session: Any, step: int, is_start: bool) -> None:
    try:
      if is_start and latest(self._folder) == f'{self._path}-{step}':
        self._renew_graph(step)
      else:
        tf.logging.info('Saving checkpoints for %d into %s.', step, self._path)
        self._own_scaffold.saver.save(
          session, self._path, global_step=step, write_meta_graph=self._with_graph
        )
    except _LOST_SESSION:
      raise
    except (tf.errors.OpError, OSError, ValueError) as error:
      # Not as it is: a file that grew too large is an OutOfRangeError, which ends a training as the
      # end of its data does, without a word.
      raise CheckpointNotWritten(
        f'the checkpoint of step {step} could not be written into {self._folder!r}: '
        f'{_reason(error)}. Make room, or the folder writable, and start '
        f'again: training goes on from {latest(self._folder)}.'
      ) from error

  def _renew_graph(self, step: int) -> None:
    """Leaves the values of the checkpoint that training goes on from as they are.

    TensorFlow would write over its index in place. A kill right then leaves none that can be read,
    and where it is the only one, nothing to go on from.
    """
    if self._with_graph:
      self._own_scaffold.saver.export_meta_graph(f'{self._path}-{step}.meta')


def _reason(error: Exception) -> str:
  """What went wrong, in a line. TensorFlow 2.15 puts a stack trace and the node before it."""
  lines = [line.strip() for line in str(error).strip().splitlines()]
  nodes = [number for number, line in enumerate(lines) if line.startswith('Node: ')]
  return lines[nodes[-1] + 1 if nodes and nodes[-1] + 1 < len(lines) else 0].rstrip('.')


def _remove_unfinished(model_dir: str) -> None:
  """Deletes what a write that was killed has left: as much as a checkpoint takes, each time."""
  if '://' in model_dir:
    # No claim keeps another training out of it, which may be writing right now.
    return
  for name in filter(_UNFINISHED.fullmatch, os.listdir(model_dir)):
    path = os.path.join(model_dir, name)
    if os.path.isdir(path):
      shutil.rmtree(path)
    else:
      os.remove(path)


def global_step_read() -> Any:
  """The tensor TensorFlow's hooks share for reading the global step; makes it if need be."""
  # Only hooks make it through a public name. It belongs to the graph, not to the hook.
  hook = tf.train.StopAtStepHook(num_steps=1)
  hook.begin()
  return hook.before_run(None).fetches
