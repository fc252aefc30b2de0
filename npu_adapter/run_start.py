"""Where a run begins: at the last checkpoint of its folder, or with the weights of another run."""

from __future__ import annotations

from typing import Any, Callable, Sequence

import tensorflow.compat.v1 as tf

from npu_adapter import best_checkpoint
from npu_adapter.runtime.warm_start import WarmStartSettings

# Of the optimizers that the models have: the last part of their variables' names.
_SLOTS = 'Adam(_1)?|Momentum'


def first_step(
  folder: str, last_step: int, check: Callable[[str], None], show: Callable[[str], None]
) -> int:
  """The step training goes on from, 0 in a new folder.

  check(checkpoint) raises where the run in the folder was of another kind.
  """
  last = best_checkpoint.last(folder)
  if last is None:
    return 0
  check(last)
  step = int(tf.train.load_variable(last, 'global_step'))
  show(f'going on from step {step} of {last_step} in {folder}')
  return step


def weights_of(checkpoint: str | None, scopes: Sequence[str]) -> Any:
  """Weights and moving averages below `scopes`; not the step, nor the optimizer's slots."""
  if checkpoint is None:
    return None
  # It is matched with names of tensors.
  weights = f'^({"|".join(scopes)})/(?!.*/({_SLOTS})(:0)?$)'
  return WarmStartSettings(best_checkpoint.find(checkpoint), [weights])
