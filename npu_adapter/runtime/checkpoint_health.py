"""Which checkpoints of a model folder can be read in full, and what happens where one cannot."""

from __future__ import annotations

import os
from typing import Any

import tensorflow.compat.v1 as tf

_STATE_FILE = 'checkpoint'
# What reading a damaged checkpoint raises, by the version of TensorFlow and the kind of damage.
_DAMAGE = (tf.errors.OpError, IndexError, RuntimeError, ValueError)


class NoWholeCheckpoint(ValueError):
  """All checkpoints of a folder are damaged."""

  exit_status = 1


def problem(path: str) -> str | None:
  """What is wrong with the checkpoint `path`; None if every value in it can be read."""
  if not tf.io.gfile.exists(path + '.index'):
    return f'there is no {path}.index'
  try:
    # Not load_checkpoint: in a memory file system it takes any path for a folder.
    reader = tf.train.NewCheckpointReader(path)
    for name in reader.get_variable_to_shape_map():
      # TensorFlow compares a checksum.
      reader.get_tensor(name)
  except _DAMAGE as error:
    return str(error).strip().split('\n')[0]
  return None


def step_of(path: str) -> int:
  """The global step in the checkpoint `path`; 0 if it has none."""
  reader = tf.train.NewCheckpointReader(path)
  if not reader.has_tensor(tf.GraphKeys.GLOBAL_STEP):
    return 0
  return int(reader.get_tensor(tf.GraphKeys.GLOBAL_STEP))


def has_reached(path: str, step: int) -> bool:
  """Whether the checkpoint is of that global step, or a later, and can be read in full."""
  try:
    return step <= step_of(path) and problem(path) is None
  except _DAMAGE:
    return False


def newest_whole(model_dir: str) -> str | None:
  """The newest checkpoint that can be read, None where none was ever written; says what it leaves.

  Raises NoWholeCheckpoint if there are some, and none of them can.
  """
  kept = _whole_ones(model_dir, _paths(tf.train.get_checkpoint_state(model_dir)))
  return kept[-1] if kept else None


def forget_broken(model_dir: str) -> None:
  """Takes damaged checkpoints that are newer than the newest whole one off the folder's list.

  Their files stay: training will write over them when it comes to that step again.
  """
  state = tf.train.get_checkpoint_state(model_dir)
  paths = _paths(state)
  kept = _whole_ones(model_dir, paths)
  if len(kept) == len(paths):
    return
  times = list(state.all_model_checkpoint_timestamps)[: len(kept)]
  names = [os.path.relpath(path, model_dir) for path in kept]
  state.Clear()
  state.model_checkpoint_path = names[-1]
  state.all_model_checkpoint_paths.extend(names)
  state.all_model_checkpoint_timestamps.extend(times)
  _write_state(model_dir, str(state))


def _paths(state: Any) -> list[str]:
  """The listed checkpoints, the newest last."""
  if state is None or not state.model_checkpoint_path:
    return []
  newest = state.model_checkpoint_path
  return [*(path for path in state.all_model_checkpoint_paths if path != newest), newest]


def _whole_ones(model_dir: str, paths: list[str]) -> list[str]:
  """Those up to the newest whole one; older ones were whole once and are not looked at."""
  for count in range(len(paths), 0, -1):
    wrong = problem(paths[count - 1])
    if wrong is None:
      return paths[:count]
    before = paths[count - 2] if count > 1 else 'none'
    tf.logging.error(
      'The checkpoint %s is damaged: %s. The one before it, which is tried next: %s.',
      paths[count - 1], wrong, before,
    )  # fmt: skip
  if paths:
    raise NoWholeCheckpoint(
      f'model_dir must have a checkpoint that can be read; got {len(paths)} in {model_dir!r} that '
      'are all damaged, see the lines above. Copy one there from where it is whole, or train in '
      'another model_dir.'
    )
  return []


def _write_state(model_dir: str, text: str) -> None:
  path = os.path.join(model_dir, _STATE_FILE)
  with tf.io.gfile.GFile(path + '.partial', 'w') as file:
    file.write(text)
  tf.io.gfile.rename(path + '.partial', path, overwrite=True)
