"""How good a checkpoint is on the windows of a split."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

import npu_adapter
from estimators.lstm_har import input_pipeline, scores
from estimators.lstm_har.dataset import har_data


class Outcome(NamedTuple):
  """How a checkpoint did on a split."""

  scores: scores.Scores
  cross_entropy: float
  confusion_matrix: Any  # int [classes, classes]: rows were done, columns answered
  step: int

  @property
  def headline(self) -> str:
    """Its scores in a line."""
    count = int(self.confusion_matrix.sum())
    return (
      f'accuracy = {100 * self.scores.accuracy:.2f}%, macro F1 = {self.scores.macro_f1:.4f}, '
      f'weighted F1 = {self.scores.weighted_f1:.4f} (N={count})'
    )


class Scorer:
  """Evaluates checkpoints of one estimator on the splits of one data set."""

  def __init__(
    self, estimator: npu_adapter.NPUEstimator, data: har_data.HarData,
    show: Callable[[str], None],
  ):  # fmt: skip
    self.estimator, self.data, self.show = estimator, data, show

  def has(self, split: str) -> bool:
    """Whether there is anything to evaluate on."""
    return len(self.data.splits[split].rows) > 0

  def evaluate(self, split: str, checkpoint: str | None = None) -> Outcome:
    """Evaluates a checkpoint, the last one by default, on a split."""
    input_fn = input_pipeline.evaluation_input_fn(self.data, split)
    found = self.estimator.evaluate(input_fn, checkpoint_path=checkpoint, name=split)
    return Outcome(
      scores.of_matrix(found['confusion_matrix']),
      float(found['cross_entropy']),
      found['confusion_matrix'],
      int(found['global_step']),
    )

  def logged(self, split: str) -> dict[str, float]:
    """The same of the last checkpoint, as the training log has it; said in a line."""
    found = self.evaluate(split)
    name = f'{split} of the untrained network' if not found.step else split
    self.show(f'step {found.step}: {name}: {found.headline}')
    return logged(found)


def logged(found: Outcome) -> dict[str, float]:
  """What the training log has of an evaluation."""
  return {
    'accuracy': found.scores.accuracy,
    'macro_f1': found.scores.macro_f1,
    'weighted_f1': found.scores.weighted_f1,
    'cross_entropy': found.cross_entropy,
  }
