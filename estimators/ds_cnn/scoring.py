"""How good a checkpoint is on the clips of a split."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

import npu_adapter
from estimators.ds_cnn import input_pipeline
from estimators.ds_cnn.dataset import clip_store, speech_split


class Outcome(NamedTuple):
  """How a checkpoint did on a split."""

  accuracy: float
  cross_entropy: float
  confusion_matrix: Any  # int [classes, classes]: rows were said, columns answered
  step: int


class Scorer:
  """Evaluates checkpoints of one estimator on the splits of one store."""

  def __init__(
    self, estimator: npu_adapter.NPUEstimator, store: clip_store.ClipStore,
    show: Callable[[str], None],
  ):  # fmt: skip
    self.estimator, self.store, self.show = estimator, store, show

  def has(self, split: str) -> bool:
    """Whether there is anything to evaluate on."""
    return len(self.store.splits[split].rows) > 0

  def evaluate(self, split: str, checkpoint: str | None = None) -> Outcome:
    """Evaluates a checkpoint, the last one by default, on 'validation', 'testing' or 'training'."""
    input_fn = input_pipeline.evaluation_input_fn(self.store, split)
    found = self.estimator.evaluate(input_fn, checkpoint_path=checkpoint, name=split)
    return Outcome(
      float(found['accuracy']),
      float(found['cross_entropy']),
      found['confusion_matrix'],
      int(found['global_step']),
    )

  def logged(self, split: str) -> dict[str, float]:
    """The same of the last checkpoint, as the training log has it; said in a line."""
    found = self.evaluate(speech_split.SAID[split])
    count = int(found.confusion_matrix.sum())
    name = f'{split} accuracy' if found.step else f'{split} accuracy of the untrained network'
    self.show(f'step {found.step}: {name} = {100 * found.accuracy:.2f}% (N={count})')
    return {'accuracy': found.accuracy, 'cross_entropy': found.cross_entropy}
