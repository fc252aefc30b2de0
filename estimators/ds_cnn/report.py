"""What a training leaves for people and programs: result.json, two pictures, the last lines."""

from __future__ import annotations

import os
from typing import Any

from estimators.ds_cnn import scoring
from estimators.ds_cnn import settings as model_settings
from npu_adapter import averaged_checkpoint, best_checkpoint, figures, run_report, training_log


def write(
  scorer: scoring.Scorer,
  settings: model_settings.Settings,
  test: scoring.Outcome | None,
  average: dict[str, Any] | None,
  events: list[dict[str, Any]],
) -> dict[str, Any]:
  """Writes everything into the model folder, says the end result, returns result.json's values."""
  folder = scorer.estimator.model_dir
  best = best_checkpoint.find(folder)
  values = {
    'model': settings.architecture,
    'sizes': settings.sizes,
    'trainable_parameters': run_report.trainable_parameters(best, [settings.architecture]),
    'seed': settings.augmentation.seed,
    'data': _data_facts(scorer, settings),
    'batch_size': settings.batch_size,
    'steps': settings.last_step,
    'learning_rates': settings.learning_rates,
    'accuracy': _accuracies(scorer, test, events),
    'best_checkpoint': os.path.relpath(best, folder),
    **({'average': average} if average else {}),
    **run_report.speed_of(events),
    **run_report.environment_of(scorer.estimator),
  }
  figures.learning_curve(
    events, os.path.join(folder, 'learning_curve.png'), title=settings.architecture
  )
  if test is not None:
    values['confusion_matrix'] = {'labels': settings.labels, 'counts': test.confusion_matrix}
    _show_test(scorer, settings, test)
  path = run_report.write(folder, values)
  scorer.show(f'{path} has the numbers, learning_curve.png beside it the way there')
  return values


def average_facts(
  scorer: scoring.Scorer, checkpoint: str, accuracies: dict[str, float]
) -> dict[str, Any]:
  """What result.json has of the averaged network; said in a line, too."""
  samples = averaged_checkpoint.samples_of(checkpoint)
  words = [f'{split} accuracy = {100 * value:.2f}%' for split, value in accuracies.items()]
  scorer.show(f'average of {samples} samples of the weights: {", ".join(words)}')
  return {
    'checkpoint': os.path.relpath(checkpoint, scorer.estimator.model_dir),
    'samples': samples,
    'accuracy': accuracies,
  }


def _data_facts(scorer: scoring.Scorer, settings: model_settings.Settings) -> dict[str, Any]:
  store = scorer.store
  return {
    'folder': store.source,
    'clips': {split: len(rows.rows) for split, rows in store.splits.items()},
    'bad_clips': store.bad_clips,
    'labels': settings.labels,
    'features': settings.shape._asdict(),
    'shares': settings.shares._asdict(),
    'augmentation': settings.augmentation._asdict(),
  }


def _accuracies(
  scorer: scoring.Scorer, test: scoring.Outcome | None, events: list[dict[str, Any]]
) -> dict[str, Any]:
  """Shares from 0 to 1; None for what was not measured."""
  validation = training_log.evaluations(events, 'validation')
  by_step = [event['accuracy'] for _, event in sorted(validation.items())]
  untrained = training_log.evaluations(events, 'test').get(0)
  last = scorer.evaluate('testing') if test is not None else None
  return {
    'test': test and test.accuracy,
    'test_of_last_checkpoint': last and last.accuracy,
    'test_of_untrained_network': untrained and untrained['accuracy'],
    'validation': max(by_step) if by_step else None,
    'validation_of_last_checkpoint': by_step[-1] if by_step else None,
  }


def _show_test(
  scorer: scoring.Scorer, settings: model_settings.Settings, test: scoring.Outcome
) -> None:
  matrix = test.confusion_matrix.tolist()
  path = os.path.join(scorer.estimator.model_dir, 'confusion_matrix.png')
  count = int(test.confusion_matrix.sum())
  headline = f'test accuracy = {100 * test.accuracy:.2f}% (N={count})'
  figures.confusion_picture(matrix, settings.labels, path, headline)
  scorer.show('rows: what was said; columns: what was answered')
  scorer.show(figures.confusion_text(matrix, settings.labels))
  scorer.show(f'Final {headline}, by the checkpoint of step {test.step}, the best in validation')
