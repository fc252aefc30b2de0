"""What a training leaves for people and programs: result.json, a picture, the last lines."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from estimators.swa import model, scoring
from estimators.swa import settings as model_settings
from npu_adapter import best_checkpoint, figures, run_report


class Average(NamedTuple):
  """The averaged network."""

  checkpoint: str
  samples: int
  test: scoring.Outcome


def write(
  scorer: scoring.Scorer,
  settings: model_settings.Settings,
  last: scoring.Outcome,
  average: Average | None,
  events: list[dict[str, Any]],
) -> dict[str, Any]:
  """Writes everything into the model folder, says the end result, returns result.json's values."""
  folder = scorer.estimator.model_dir
  checkpoint = best_checkpoint.last(folder)
  accuracy = {'test': average.test.accuracy if average else last.accuracy,
              'test_of_last_checkpoint': last.accuracy}  # fmt: skip
  values = {
    'model': settings.title,
    'trainable_parameters': run_report.trainable_parameters(checkpoint, [model.SCOPE]),
    'data': {'source': scorer.data.source, 'examples': dict(scorer.data.counts)},
    'seed': settings.seed,
    'batch_size': settings.batch_size,
    'steps': settings.steps,
    'steps_per_epoch': settings.steps_per_epoch,
    'learning_rate': settings.learning_rate,
    'schedule': settings.schedule,
    'momentum': settings.momentum,
    'weight_decay': settings.weight_decay,
    'averaging': settings.averaging and dict(settings.averaging._asdict()),
    'accuracy': accuracy,
    'last': {**scoring.named(last), 'of_step': last.step},
    'average': average and _average_facts(folder, average),
    **run_report.speed_of(events),
    **run_report.environment_of(scorer.estimator),
  }
  curve = os.path.join(folder, 'learning_curve.png')
  figures.learning_curve(events, curve, title=settings.title)
  path = run_report.write(folder, values)
  scorer.show(f'{path} has the numbers, learning_curve.png beside it the way there')
  _show(scorer, last, average)
  return values


def _average_facts(folder: str, average: Average) -> dict[str, Any]:
  return {
    'checkpoint': os.path.relpath(average.checkpoint, folder),
    'samples': average.samples,
    **scoring.named(average.test),
  }


def _show(scorer: scoring.Scorer, last: scoring.Outcome, average: Average | None) -> None:
  scorer.show(f'SGD, the last weights: {scorer.sentence("test", last)}')
  best = last
  if average:
    scorer.show(
      f'SWA, average of {average.samples} samples of the weights: '
      f'{scorer.sentence("test", average.test)}'
    )
    best = average.test
  scorer.show(f'Final {scorer.sentence("test", best)}')
