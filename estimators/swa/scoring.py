"""How good a checkpoint is on the examples of a split."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

import npu_adapter
from estimators.swa import input_pipeline
from estimators.swa.dataset import examples


class Outcome(NamedTuple):
  """How a checkpoint did on a split."""

  accuracy: float  # share of right answers
  cross_entropy: float
  step: int


class Scorer:
  """Evaluates checkpoints of one estimator on the splits of one data set."""

  def __init__(
    self, estimator: npu_adapter.NPUEstimator, data: examples.Examples,
    show: Callable[[str], None],
  ):  # fmt: skip
    self.estimator, self.data, self.show = estimator, data, show

  def evaluate(self, split: str, checkpoint: str | None = None) -> Outcome:
    """Evaluates a checkpoint, the last one by default, on 'training' or 'test'."""
    input_fn = input_pipeline.evaluation_input_fn(self.data, split)
    found = self.estimator.evaluate(input_fn, checkpoint_path=checkpoint, name=split)
    return Outcome(
      float(found['accuracy']), float(found['cross_entropy']), int(found['global_step'])
    )

  def logged(self, split: str) -> dict[str, Any]:
    """The same of the last checkpoint, as the training log has it; said in a line."""
    found = self.evaluate(split)
    self.show(f'step {found.step}: {self.sentence(split, found)}')
    return named(found)

  def sentence(self, split: str, found: Outcome) -> str:
    """An outcome in words."""
    return (
      f'{split} accuracy = {100 * found.accuracy:.2f}%, cross entropy = '
      f'{found.cross_entropy:.4f} (N={self.data.counts[split]})'
    )


def named(found: Outcome) -> dict[str, float]:
  """What a log and result.json have of it."""
  return {'accuracy': found.accuracy, 'cross_entropy': found.cross_entropy}
