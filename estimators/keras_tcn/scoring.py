"""How good a checkpoint is on the sequences of a split."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

import npu_adapter
from estimators.keras_tcn import digit_images, input_pipeline, tasks
from estimators.keras_tcn import settings as model_settings


class Outcome(NamedTuple):
  """How a checkpoint did on a split."""

  loss: float  # mean squared error, or cross entropy
  # Share of the trivial predictor's error that is gone, or of the answers that are right.
  score: float
  step: int


class Scorer:
  """Evaluates checkpoints of one estimator on the splits of one task."""

  def __init__(
    self, estimator: npu_adapter.NPUEstimator, settings: model_settings.Settings,
    images: digit_images.Images | None, show: Callable[[str], None],
  ):  # fmt: skip
    self.estimator, self.settings, self.images, self.show = estimator, settings, images, show
    self.trivial = tasks.trivial(settings.task, images.class_shares if images else ())

  def count(self, split: str) -> int:
    """How many sequences a split is judged by."""
    counts = {'validation': self.settings.validation_data_n, 'test': self.settings.test_data_n}
    return counts[split]

  def evaluate(self, split: str, checkpoint: str | None = None) -> Outcome:
    """Evaluates a checkpoint, the last one by default, on 'validation' or 'test'."""
    task = self.settings.task
    input_fn = input_pipeline.evaluation_input_fn(task, split, self.count(split), self.images)
    found = self.estimator.evaluate(input_fn, checkpoint_path=checkpoint, name=split)
    loss = float(found['mean_loss'])
    score = 1 - loss / self.trivial.loss if task.is_regression else float(found['mean_score'])
    return Outcome(loss, score, int(found['global_step']))

  def logged(self, split: str) -> dict[str, float]:
    """The same of the last checkpoint, as the training log has it; said in a line."""
    found = self.evaluate(split)
    self.show(f'step {found.step}: {self.sentence(split, found)}')
    return self.named(found)

  def named(self, found: Outcome) -> dict[str, Any]:
    """An outcome under the names its task has for it."""
    task = self.settings.task
    return {task.loss: found.loss, task.score: found.score}

  def sentence(self, split: str, found: Outcome) -> str:
    """An outcome beside that of the trivial predictor."""
    task, trivial = self.settings.task, self.trivial
    words = f'{split} {task.loss.replace("_", " ")} {found.loss:.3g}'
    beside = f'{trivial.loss:.4g}'
    if not task.is_regression:
      words += f', accuracy {100 * found.score:.2f}%'
      beside += f' and {100 * trivial.score:.2f}%'
    return f'{words} (N={self.count(split)}; {trivial.how}: {beside})'
