"""What a training leaves for people and programs: result.json, a picture, tcn.h5, last lines."""

from __future__ import annotations

import os
from typing import Any

from estimators.keras_tcn import keras_model, model, scoring
from npu_adapter import best_checkpoint, figures, run_report, training_log

# What the original printed for itself. Its validation sequences were among those it trained on.
_ORIGINAL = (
  ('', '"paper"', 'GPU', 'NPU'),
  ('loss', '6.9630e-04', '2.2935e-04', '4.7023e-04'),
  ('val_loss', '3.7180e-04', '2.1177e-04', '5.4636e-04'),
)
_REMARK = (
  'The original trained on 391 sequences instead of 200,000, and its val_loss is of sequences '
  'among them: on 50 fresh ones its own test gave 0.1777 (GPU) and 0.2702 (NPU), no better than '
  'always answering 1. Ours are sequences that were never trained on.'
)


def write(
  scorer: scoring.Scorer, test: scoring.Outcome, events: list[dict[str, Any]]
) -> dict[str, Any]:
  """Writes everything into the model folder, says the end result, returns result.json's values."""
  folder, settings = scorer.estimator.model_dir, scorer.settings
  best = best_checkpoint.find(folder)
  last = scorer.evaluate('test')
  values = {
    'model': 'keras_tcn',
    'task': settings.task._asdict(),
    'architecture': settings.architecture._asdict(),
    'receptive_field': settings.architecture.receptive_field,
    'trainable_parameters': run_report.trainable_parameters(best, model.SCOPES),
    'seed': settings.seed,
    'batch_size': settings.batch_size,
    'steps': settings.steps,
    'sequences_seen': settings.steps * settings.batch_size,
    'learning_rate': settings.learning_rate,
    'schedule': settings.schedule,
    'clip_norm': settings.clip_norm,
    'last_step_form': settings.uses_last_step_form,
    'test': {**scorer.named(test), 'sequences': scorer.count('test'), 'of_step': test.step},
    'test_of_last_checkpoint': scorer.named(last),
    'test_of_untrained_network': _untrained(scorer, events),
    'trivial': {**_trivial(scorer), 'how': scorer.trivial.how},
    'validation': _best_validation(scorer, events),
    'best_checkpoint': os.path.relpath(best, folder),
    **run_report.speed_of(events),
    **run_report.environment_of(scorer.estimator),
  }
  # A share of right answers where there is one; the accuracy of numbers is 0 to 1 as well.
  values['accuracy'] = {'test': test.score}
  curve = os.path.join(folder, 'learning_curve.png')
  figures.learning_curve(
    events, curve, settings.task.loss, f'keras_tcn, {settings.task.name}', log_scale=True
  )
  keras_model.save(settings, best, os.path.join(folder, keras_model.FILE_NAME))
  path = run_report.write(folder, values)
  _show(scorer, test, events)
  scorer.show(f'{path} has the numbers; beside it are learning_curve.png and tcn.h5')
  return values


def _trivial(scorer: scoring.Scorer) -> dict[str, float]:
  return scorer.named(scoring.Outcome(scorer.trivial.loss, scorer.trivial.score, 0))


def _untrained(scorer: scoring.Scorer, events: list[dict[str, Any]]) -> Any:
  found = training_log.evaluations(events, 'test').get(0)
  return found and {name: found[name] for name in _trivial(scorer)}


def _best_validation(scorer: scoring.Scorer, events: list[dict[str, Any]]) -> Any:
  found = training_log.evaluations(events, 'validation').values()
  losses = [event[scorer.settings.task.loss] for event in found]
  return {scorer.settings.task.loss: min((x for x in losses if x is not None), default=None)}


def _show(scorer: scoring.Scorer, test: scoring.Outcome, events: list[dict[str, Any]]) -> None:
  if scorer.settings.task.name == 'adding':
    trained = [event['loss'] for event in events if event['event'] == 'train']
    ours = (
      f'{trained[-1]:.4e}' if trained and trained[-1] is not None else '-',
      f'{test.loss:.4e}',
    )
    for row, own in zip(_ORIGINAL, ('this run', *ours)):
      scorer.show(''.join(cell.ljust(13) for cell in (*row, own)).rstrip())
    scorer.show(_REMARK)
  scorer.show(f'Final {scorer.sentence("test", test)}, by the checkpoint of step {test.step}')
