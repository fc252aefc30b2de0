"""What a training leaves for people and programs: result.json, two pictures, the last lines."""

from __future__ import annotations

import os
from typing import Any

from estimators.lstm_har import architecture, model, scores, scoring
from estimators.lstm_har import settings as model_settings
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
  title = architecture.title(settings.architecture)
  values = {
    'model': title,
    'architecture': dict(settings.architecture._asdict()),
    'trainable_parameters': run_report.trainable_parameters(best, [model.SCOPE]),
    'seed': settings.seed,
    'data': _data_facts(scorer, settings),
    'batch_size': settings.batch_size,
    'steps': max(event['step'] for event in events),
    'steps_per_epoch': settings.steps_per_epoch,
    'learning_rate': settings.learning_rate,
    'learning_rate_decay': settings.learning_rate_decay,
    'dropout_rate': settings.dropout_rate,
    'replay_hardest': settings.replay_hardest,
    'accuracy': _accuracies(scorer, test, events),
    'best_checkpoint': os.path.relpath(best, folder),
    **({'average': average} if average else {}),
    **run_report.speed_of(events),
    **run_report.environment_of(scorer.estimator),
  }
  figures.learning_curve(events, os.path.join(folder, 'learning_curve.png'), title=title)
  if test is not None:
    values['confusion_matrix'] = {'labels': settings.labels, 'counts': test.confusion_matrix}
    values['test'] = _test_facts(settings, test)
    _show_test(scorer, settings, test)
  path = run_report.write(folder, values)
  scorer.show(f'{path} has the numbers, learning_curve.png beside it the way there')
  return values


def average_facts(
  scorer: scoring.Scorer, checkpoint: str, outcomes: dict[str, scoring.Outcome]
) -> dict[str, Any]:
  """What result.json has of the averaged network; said in a line, too."""
  samples = averaged_checkpoint.samples_of(checkpoint)
  for split, found in outcomes.items():
    scorer.show(f'average of {samples} samples of the weights: {split} {found.headline}')
  return {
    'checkpoint': os.path.relpath(checkpoint, scorer.estimator.model_dir),
    'samples': samples,
    **{split: scoring.logged(found) for split, found in outcomes.items()},
  }


def _data_facts(scorer: scoring.Scorer, settings: model_settings.Settings) -> dict[str, Any]:
  splits = scorer.data.splits
  return {
    'source': scorer.data.source,
    'windows': {name: len(split.rows) for name, split in splits.items()},
    'people': {name: split.people for name, split in splits.items()},
    'channels': settings.channels,
    'labels': settings.labels,
    'mean': settings.mean,
    'deviation': settings.deviation,
  }


def _accuracies(
  scorer: scoring.Scorer, test: scoring.Outcome | None, events: list[dict[str, Any]]
) -> dict[str, Any]:
  """Shares from 0 to 1; None for what was not measured."""
  validation = training_log.evaluations(events, 'validation')
  by_step = [event['accuracy'] for _, event in sorted(validation.items())]
  untrained = training_log.evaluations(events, 'test').get(0)
  last = scorer.evaluate('test') if test is not None else None
  return {
    'test': test and test.scores.accuracy,
    'test_of_last_checkpoint': last and last.scores.accuracy,
    'test_of_untrained_network': untrained and untrained['accuracy'],
    'validation': max(by_step) if by_step else None,
    'validation_of_last_checkpoint': by_step[-1] if by_step else None,
  }


def _test_facts(settings: model_settings.Settings, test: scoring.Outcome) -> dict[str, Any]:
  found = test.scores
  return {
    'step': test.step,
    'accuracy': found.accuracy,
    'macro_f1': found.macro_f1,
    'weighted_f1': found.weighted_f1,
    'cross_entropy': test.cross_entropy,
    'classes': {
      label: {'precision': precision, 'recall': recall, 'f1': f1}
      for label, precision, recall, f1 in zip(
        settings.labels, found.precision, found.recall, found.f1
      )
    },
  }


def _show_test(
  scorer: scoring.Scorer, settings: model_settings.Settings, test: scoring.Outcome
) -> None:
  matrix = test.confusion_matrix.tolist()
  path = os.path.join(scorer.estimator.model_dir, 'confusion_matrix.png')
  figures.confusion_picture(
    matrix, settings.labels, path, f'test: {100 * test.scores.accuracy:.2f}% right'
  )
  scorer.show(scores.table(matrix, settings.labels))
  scorer.show('rows: what was done; columns: what was answered')
  scorer.show(figures.confusion_text(matrix, settings.labels))
  scorer.show(
    f'Final test {test.headline}, by the checkpoint of step {test.step}, the best in validation'
  )
