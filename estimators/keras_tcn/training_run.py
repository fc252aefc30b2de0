"""One training from data to report: trains, validates, keeps the best, tests, tells."""

from __future__ import annotations

import os
from typing import Any, Callable, NamedTuple

import npu_adapter
from estimators.keras_tcn import digit_images, input_pipeline, model, report, scoring
from estimators.keras_tcn import settings as model_settings
from npu_adapter import (
  best_checkpoint,
  figures,
  run_settings,
  run_start,
  training_hook,
  training_log,
)

# Names of the log, and of the tensors in the graph of model_fn.
_LOGGED = {'learning_rate': 'learning_rate:0', 'loss': 'loss:0'}
# What another run in the same folder may do differently.
_MAY_CHANGE = (
  'steps', 'learning_rate', 'schedule', 'clip_norm', 'last_step_form', 'data_path',
  'validation_data_n', 'test_data_n', 'kept_activations_mb',
)  # fmt: skip


class Plan(NamedTuple):
  """What is no property of the model: how often to look at it, and where it starts from."""

  evaluation_steps: int
  log_steps: int
  loss_scale: Any = 'none'
  start_checkpoint: str | None = None
  summaries_dir: str | None = None


def run(
  settings: model_settings.Settings,
  images: digit_images.Images | None,
  config: npu_adapter.NPURunConfig,
  plan: Plan,
  show: Callable[[str], None] = print,
) -> dict[str, Any]:
  """Trains up to the last step, or on from the last checkpoint; returns what result.json holds."""
  figures.require()
  folder = config.model_dir
  first_step = run_start.first_step(
    folder, settings.steps, lambda last: _check_same(last, folder, settings), show
  )
  estimator = npu_adapter.NPUEstimator(
    model.model_fn,
    config=config,
    params=settings.params(plan.loss_scale),
    warm_start_from=run_start.weights_of(plan.start_checkpoint, model.SCOPES),
    # The training hook says it, with the loss that counts.
    progress=False,
  )
  os.makedirs(folder, exist_ok=True)
  model_settings.write(settings, folder)
  log_path = os.path.join(folder, training_log.FILE_NAME)
  log = training_log.TrainingLog(
    log_path, settings.batch_size, first_step, model='keras_tcn', task=settings.task.name
  )
  scorer = scoring.Scorer(estimator, settings, images, show)
  validation = best_checkpoint.Validation(
    log, scorer.logged, folder, settings.task.name, plan.evaluation_steps,
    ['validation'], ['test'], settings.task.score,
  )  # fmt: skip
  if first_step < settings.steps:
    _train(scorer, plan, log, validation, first_step)
  else:
    validation.catch_up(first_step)
  found = scorer.evaluate('test', best_checkpoint.find(folder))
  log.write('evaluate', settings.steps, split='test', of_step=found.step, **scorer.named(found))
  log.close()
  return report.write(scorer, found, training_log.read(log_path))


def _check_same(last: str, folder: str, settings: model_settings.Settings) -> None:
  """A folder whose last checkpoint is of a run of another kind is an error."""
  before = model_settings.read(last)
  run_settings.check_same(folder, before._asdict(), settings._asdict(), _MAY_CHANGE)


def _train(
  scorer: scoring.Scorer,
  plan: Plan,
  log: training_log.TrainingLog,
  validation: best_checkpoint.Validation,
  first_step: int,
) -> None:
  settings, estimator = scorer.settings, scorer.estimator
  form = 'the last step' if settings.uses_last_step_form else 'every step'
  scorer.show(
    f'training on {settings.task.name}, {settings.task.steps} steps long, for {settings.steps} '
    f'steps of {settings.batch_size} sequences; the network sees '
    f'{settings.architecture.receptive_field} steps back, and is computed for {form}'
  )
  hook = training_hook.TrainingHook(
    log, _LOGGED, plan.log_steps, settings.steps, plan.summaries_dir, scorer.show,
    estimator.config.iterations_per_loop,
  )  # fmt: skip
  input_fn = input_pipeline.train_input_fn(
    settings.task, settings.seed, settings.batch_size, first_step, scorer.images
  )
  estimator.train(input_fn, [hook], max_steps=settings.steps, saving_listeners=[validation])
