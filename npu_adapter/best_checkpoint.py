"""Validation while training: evaluates what was saved, and keeps the best of it beside the last."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from typing import Any, Callable, Sequence

import tensorflow.compat.v1 as tf

from npu_adapter import errors, whole_file
from npu_adapter.runtime import checkpoint_health, interruption
from npu_adapter.training_log import TrainingLog

_DESCRIPTION = 'checkpoint'
_PARTIAL = '.partial'
# What the name of a checkpoint is followed by in the names of its files.
_ENDING = re.compile(r'\.(index|meta|data-\d+-of-\d+)')


class Validation(tf.train.CheckpointSaverListener):
  """Evaluates a model when it is saved, at most every `every_steps` steps, and at the end.

  evaluate(split) returns the metrics of the checkpoint saved last. The one with the largest
  `metric` on the first of `splits` is kept in folder_of(model_dir), named after the metric; of
  equals the later; with is_best_kept=False none is. The splits of `untrained_splits` are evaluated
  once before the first step: what the network scores by chance. A resumed run goes on from the
  evaluations in its log. The clock of the log stands still while a checkpoint is written and
  evaluated.
  """

  def __init__(
    self,
    log: TrainingLog,
    evaluate: Callable[[str], dict[str, Any]],
    model_dir: str,
    prefix: str,
    every_steps: int,
    splits: Sequence[str] = ('validation',),
    untrained_splits: Sequence[str] = (),
    metric: str = 'accuracy',
    is_best_kept: bool = True,
  ):
    self._log, self._evaluate, self._model_dir = log, evaluate, model_dir
    self._prefix, self._every, self._metric = prefix, every_steps, metric
    self._splits, self._untrained_splits = splits, untrained_splits
    self._is_best_kept = is_best_kept
    evaluated = [step for split in splits for step in log.evaluations(split)]
    self._last_step: int | None = max(evaluated, default=None)
    self._saving = contextlib.ExitStack()

  def before_save(self, session: Any, global_step_value: int) -> None:
    self._saving.enter_context(self._log.paused())

  def after_save(self, session: Any, global_step_value: int) -> None:
    step = int(global_step_value)
    with self._saving:
      # Who sends a signal may not wait for an evaluation: the run that goes on begins with it.
      if self._is_due(step) and not interruption.is_pending():
        self._validate(step)

  def end(self, session: Any, global_step_value: int) -> None:
    if self._last_step != int(global_step_value) and not interruption.is_pending():
      with self._log.paused():
        self._validate(int(global_step_value))

  def catch_up(self, step: int, is_over: bool = True) -> None:
    """Does what a kill after the last checkpoint of a training left undone.

    Where training goes on, that is done when it begins; a caller that asks first whether it is to
    go on calls this before, with is_over=False.
    """
    if is_over or self._is_due(step):
      self._validate(step)

  def _is_due(self, step: int) -> bool:
    # A step of the log too: the run before may have been killed before the best was kept.
    return self._last_step is None or not 0 < step - self._last_step < self._every

  def _validate(self, step: int) -> None:
    # Where TensorFlow finds none, an estimator evaluates the network as it is initialised.
    checkpoint = _findable(_described(self._model_dir) or self._model_dir)
    self._last_step = step
    for split in [*self._splits, *([] if step else self._untrained_splits)]:
      if step not in self._log.evaluations(split):
        metrics = self._evaluate(split)
        self._log.write('evaluate', step, split=split, seconds=self._log.seconds, **metrics)
    if self._splits and self._is_best_kept:
      self._keep_if_best(step, checkpoint)

  def _keep_if_best(self, step: int, checkpoint: str) -> None:
    events = self._log.evaluations(self._splits[0])
    if self._metric not in events[step]:
      raise ValueError(
        f'evaluate() must return {self._metric!r}, by which the best checkpoint is told; got '
        f'{sorted(events[step])}.'
      )
    # None in the log was NaN or infinite, which is never the best.
    scores = {at: event[self._metric] for at, event in events.items()}
    found = [score for score in scores.values() if score is not None]
    if scores[step] is not None and scores[step] >= max(found):
      name = f'{self._prefix}_{scores[step] * 10000:.0f}.ckpt-{step}'
      keep(checkpoint, folder_of(self._model_dir), name)


def folder_of(model_dir: str) -> str:
  """Where the best checkpoint of a model folder is."""
  return os.path.join(model_dir, 'best')


def last(model_dir: str) -> str | None:
  """The checkpoint training goes on from: the newest that can be read; None where there is none."""
  try:
    return checkpoint_health.newest_whole(model_dir)
  except checkpoint_health.NoWholeCheckpoint as error:
    raise errors.InputError(str(error)) from error


def find(path: str) -> str:
  """Returns the checkpoint that `path` means: itself, the best of a model folder, or its last."""
  for candidate in (path, _described(folder_of(path)), _described(path)):
    if candidate and os.path.exists(f'{candidate}.index'):
      return _findable(candidate)
  raise errors.OptionError(
    'a checkpoint must be the path before .index and .data, or a folder with one in it; none is at '
    f'{path!r}.'
  )


def _described(folder: str) -> str | None:
  """The checkpoint that stands in a folder's description, whether it is there or not."""
  try:
    state = tf.train.get_checkpoint_state(folder)
  except ValueError as error:
    # An empty description; of one that is damaged otherwise TensorFlow says so, and returns None.
    tf.logging.warning('%s', error)
    return None
  return state.model_checkpoint_path if state else None


def _findable(checkpoint: str) -> str:
  """Returns `checkpoint`, an OptionError where TensorFlow would say that there is none."""
  if not tf.gfile.Glob(f'{checkpoint}.index'):
    raise errors.OptionError(
      'a checkpoint must have a path by which TensorFlow finds it; got '
      f'{checkpoint!r}: TensorFlow takes [ and \\ for parts of a pattern. Rename the folder.'
    )
  return checkpoint


def keep(checkpoint: str, folder: str, name: str) -> None:
  """Copies a checkpoint into `folder` as its only one; the one before goes when it is whole."""
  copy(checkpoint, os.path.join(folder, name))
  _describe(folder, name)
  # And goes first.
  for file in sorted(os.listdir(folder), key=lambda file: not file.endswith('.index')):
    if _is_part_of_checkpoint(file) and not file.startswith(name + '.'):
      os.remove(os.path.join(folder, file))


def copy(checkpoint: str, target: str) -> None:
  """Copies a checkpoint to another path; until it is whole it counts as none."""
  endings = _endings(checkpoint)
  if '.index' not in endings:
    raise FileNotFoundError(f'no checkpoint to keep: {checkpoint!r} has no .index')
  os.makedirs(os.path.dirname(os.path.abspath(target)), exist_ok=True)
  for ending in endings:
    shutil.copyfile(checkpoint + ending, target + ending + _PARTIAL)
  # With its index a checkpoint counts as one: that comes last.
  for ending in sorted(endings, key=lambda ending: ending == '.index'):
    os.replace(target + ending + _PARTIAL, target + ending)


def _endings(checkpoint: str) -> list[str]:
  folder, name = os.path.split(checkpoint)
  found = [file[len(name) :] for file in os.listdir(folder or '.') if file.startswith(name)]
  return [ending for ending in found if _ENDING.fullmatch(ending)]


def _is_part_of_checkpoint(file: str) -> bool:
  """Whether a file is one of a checkpoint, or of one that was not copied to its end."""
  whole = file[: -len(_PARTIAL)] if file.endswith(_PARTIAL) else file
  return any(found.end() == len(whole) for found in _ENDING.finditer(whole))


def _describe(folder: str, name: str) -> None:
  """Writes what tf.train.latest_checkpoint reads, so that the folder can be moved."""
  # With a relative folder TensorFlow would take `name` for a path from the working directory.
  state = tf.train.generate_checkpoint_state_proto(os.path.abspath(folder), name)
  whole_file.write_text(os.path.join(folder, _DESCRIPTION), str(state))
