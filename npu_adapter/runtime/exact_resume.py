"""What a training needs so that, stopped and started again, it ends with the same bits."""

from __future__ import annotations

import os
from typing import Any

import tensorflow.compat.v1 as tf

from npu_adapter.runtime import checkpoints, input_file, input_state, unsavable

# What Estimator(exact_resume=...) may be, and how the position in the data is then kept.
_POSITIONS = {True: input_state.InputState, 'replay': input_state.ReplayedInput}


def check_choice(exact_resume: Any) -> None:
  """Raises ValueError for a value that is none."""
  if exact_resume is not False and exact_resume not in _POSITIONS:
    raise ValueError(f"exact_resume must be False, True or 'replay'; got {exact_resume!r}.")


class ExactResume:
  """Brings the data to where they were, and writes down where they are beside each checkpoint.

  Made when the training graph is complete and not finalized. To be used: `train_op` in place of the
  model's; `hook` behind those that start the data and before the one that writes checkpoints;
  `listener` before all others of checkpoints.
  """

  def __init__(self, choice: Any, train_op: Any, loss: Any, model_dir: str):
    if '://' in model_dir:
      raise ValueError(
        'model_dir must be a folder of this machine with exact_resume, which keeps files of its '
        f'own there; got {model_dir!r}. Copy it here, or train without exact_resume.'
      )
    fetches = [train_op, loss]
    for finding in unsavable.check(fetches, replay=choice == 'replay'):
      tf.logging.warning(
        'exact_resume: it is not known whether %s (%s) is fed the same after a restart: %s.',
        finding.node, finding.op_type, finding.remedy,
      )  # fmt: skip
    position = _POSITIONS[choice](fetches)
    self.train_op = position.counting(train_op)
    self.hook = _Restore(position, model_dir)
    self.listener = _Save(position, model_dir)


class _Restore(tf.train.SessionRunHook):
  """At the start, and whenever a lost session is made anew."""

  def __init__(self, position: Any, model_dir: str):
    self._position = position
    self._model_dir = model_dir

  def after_create_session(self, session: Any, coord: Any) -> None:
    self._position.restore(session, checkpoints.latest(self._model_dir))


class _Save(tf.train.CheckpointSaverListener):
  """Writes the side file first: a checkpoint is the newest only once it has its own."""

  def __init__(self, position: Any, model_dir: str):
    self._position = position
    self._model_dir = model_dir

  def before_save(self, session: Any, global_step_value: Any) -> None:
    prefix = os.path.join(self._model_dir, f'{checkpoints.PREFIX}-{global_step_value}')
    # The checkpoint that training goes on from keeps its file. On TF 1.15 a position before the
    # first element is another one when it was restored and saved a few times.
    if prefix != checkpoints.latest(self._model_dir):
      self._position.save(session, prefix)

  def after_save(self, session: Any, global_step_value: Any) -> None:
    input_file.remove_orphans(self._model_dir)
