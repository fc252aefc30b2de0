"""The tasks that judge embeddings: one table of name -> function. No TensorFlow."""

from __future__ import annotations

from typing import Callable, Dict, Sequence

from estimators.tcc.evaluation import (
  event_completion,
  few_shot,
  kendalls_tau,
  phase_classification,
  phase_classifier,
)
from estimators.tcc.evaluation.clips import Clip
from estimators.tcc.evaluation.options import EvaluationOptions, check
from npu_adapter import errors

__all__ = ['METRICS', 'TASKS', 'EvaluationOptions', 'check', 'evaluate', 'require']

Task = Callable[[Sequence[Clip], Sequence[Clip], EvaluationOptions], Dict[str, float]]

# Each takes the clips for training, those for validation and checked options.
TASKS: dict[str, Task] = {
  'classification': phase_classification.evaluate,
  'few_shot_classification': few_shot.evaluate,
  'event_completion': event_completion.evaluate,
  'kendalls_tau': kendalls_tau.evaluate,
}
# Of what a task measures, the number it is known by; larger is better.
METRICS = {
  'classification': 'val_accuracy',
  'few_shot_classification': 'val_accuracy',
  'event_completion': 'val_r2',
  'kendalls_tau': 'val_kendalls_tau',
}


def evaluate(
  names: Sequence[str],
  training: Sequence[Clip],
  validation: Sequence[Clip],
  options: EvaluationOptions,
) -> dict[str, dict[str, float]]:
  """{task: {metric: value}} of the named tasks."""
  for name in names:
    if name not in TASKS:
      raise errors.InputError(
        f'a task must be one of {", ".join(TASKS)}; got {name!r}.{errors.nearest(name, TASKS)}'
      )
  return {name: TASKS[name](training, validation, check(options)) for name in names}


def require() -> None:
  """Raises an error when a library is missing: before a training, not after it."""
  phase_classifier.require()
