"""One training from data to report: trains, averages, tests the last weights beside the average."""

from __future__ import annotations

import os
from typing import Any, Callable, NamedTuple

import npu_adapter
from estimators.swa import input_pipeline, model, report, scoring
from estimators.swa import settings as model_settings
from estimators.swa.dataset import examples
from npu_adapter import (
  averaged_checkpoint,
  best_checkpoint,
  figures,
  run_settings,
  run_start,
  training_hook,
  training_log,
)

# Names of the log, and of the tensors in the graph of model_fn.
_LOGGED = {
  'learning_rate': 'learning_rate:0',
  'loss': 'loss:0',
  'accuracy': 'train_accuracy:0',
}
# What another run in the same folder may do differently.
_MAY_CHANGE = ('data_path',)


class Plan(NamedTuple):
  """What is no property of the model: how often to look at it, and where it starts from."""

  evaluation_steps: int
  log_steps: int
  loss_scale: Any = 'none'
  start_checkpoint: str | None = None


def run(
  settings: model_settings.Settings,
  data: examples.Examples,
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
    warm_start_from=run_start.weights_of(plan.start_checkpoint, [model.SCOPE]),
    # The training hook says it, with the accuracy.
    progress=False,
  )
  os.makedirs(folder, exist_ok=True)
  model_settings.write(settings, folder)
  log_path = os.path.join(folder, training_log.FILE_NAME)
  log = training_log.TrainingLog(log_path, settings.batch_size, first_step, model=settings.title)
  scorer = scoring.Scorer(estimator, data, show)
  _train(scorer, settings, plan, log, first_step)
  last = scorer.evaluate('test', best_checkpoint.last(folder))
  average = _average(scorer, settings)
  log.close()
  return report.write(scorer, settings, last, average, training_log.read(log_path))


def order_of(settings: model_settings.Settings) -> input_pipeline.Order:
  """Which examples its steps get."""
  # Photographs may be moved and mirrored; digits and points may not.
  return input_pipeline.Order(
    settings.batch_size, settings.seed, is_moved=settings.data_path is not None
  )


def _check_same(last: str, folder: str, settings: model_settings.Settings) -> None:
  """A folder whose last checkpoint is of a run of another kind is an error."""
  before = model_settings.read(last)
  run_settings.check_same(folder, before._asdict(), settings._asdict(), _MAY_CHANGE)


def _train(
  scorer: scoring.Scorer,
  settings: model_settings.Settings,
  plan: Plan,
  log: training_log.TrainingLog,
  first_step: int,
) -> None:
  # No checkpoint is chosen by what the test says: it is only told.
  tests = best_checkpoint.Validation(
    log, scorer.logged, scorer.estimator.model_dir, model.SCOPE, plan.evaluation_steps,
    splits=['test'], is_best_kept=False,
  )  # fmt: skip
  if first_step >= settings.steps:
    tests.catch_up(first_step)
    return
  scorer.show(
    f'training {settings.title} for {settings.steps} steps of {settings.batch_size} examples'
  )
  hook = training_hook.TrainingHook(
    log, _LOGGED, plan.log_steps, settings.steps, show=scorer.show,
    steps_per_run=scorer.estimator.config.iterations_per_loop,
  )  # fmt: skip
  input_fn = input_pipeline.train_input_fn(scorer.data, order_of(settings), first_step)
  scorer.estimator.train(input_fn, [hook], max_steps=settings.steps, saving_listeners=[tests])


def _average(scorer: scoring.Scorer, settings: model_settings.Settings) -> report.Average | None:
  """Writes the averaged network and tests it; None for a run that averages nothing."""
  if settings.averaging is None:
    return None
  path = averaged_checkpoint.write_averaged_checkpoint(
    scorer.estimator,
    input_pipeline.train_input_fn(scorer.data, order_of(settings)),
    settings.steps_per_epoch,
  )
  samples = averaged_checkpoint.samples_of(path)
  return report.Average(path, samples, scorer.evaluate('test', path))
