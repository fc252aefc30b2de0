"""One training from data to report: trains, validates, keeps the best, tests, tells."""

from __future__ import annotations

import os
from typing import Any, Callable, NamedTuple

import npu_adapter
from estimators.ds_cnn import data_source, input_pipeline, model, report, scoring
from estimators.ds_cnn import settings as model_settings
from npu_adapter import (
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
_MAY_CHANGE = ('learning_rates', 'steps', 'dropout_rate', 'check_nans', 'data_path')


class Plan(NamedTuple):
  """What is no property of the model: how often to look at it, and where it starts from."""

  evaluation_steps: int
  log_steps: int
  loss_scale: Any = 'none'
  start_checkpoint: str | None = None
  summaries_dir: str | None = None


def run(
  settings: model_settings.Settings,
  data: data_source.Data,
  config: npu_adapter.NPURunConfig,
  plan: Plan,
  show: Callable[[str], None] = print,
) -> dict[str, Any]:
  """Trains up to the last step, or on from the last checkpoint; returns what result.json holds."""
  figures.require()
  folder = config.model_dir
  first_step = run_start.first_step(
    folder, settings.last_step, lambda last: _check_same(last, folder, settings, show), show
  )
  store = data_source.open_data(data, settings, show)
  if not len(store.splits['testing'].rows):
    show('testing_percentage leaves no clip for the test: the network will not be tested')
  estimator = npu_adapter.NPUEstimator(
    model.model_fn,
    config=config,
    params=settings.params(plan.loss_scale),
    warm_start_from=run_start.weights_of(plan.start_checkpoint, [settings.architecture]),
    # The training hook says it, with the accuracy.
    progress=False,
  )
  os.makedirs(folder, exist_ok=True)
  model_settings.write(settings, folder)
  with open(os.path.join(folder, 'labels.txt'), 'w', encoding='utf-8') as file:
    file.write('\n'.join(settings.labels) + '\n')
  log_path = os.path.join(folder, training_log.FILE_NAME)
  log = training_log.TrainingLog(
    log_path, settings.batch_size, first_step, model=settings.architecture
  )
  scorer = scoring.Scorer(estimator, store, show)
  listener = _validation(scorer, settings, plan, log)
  if first_step < settings.last_step:
    _train(scorer, settings, plan, log, listener, first_step)
  else:
    listener.catch_up(first_step)
  result = _test(scorer, settings, log)
  average = _average(scorer, settings)
  log.close()
  return report.write(scorer, settings, result, average, training_log.read(log_path))


def _check_same(
  last: str, folder: str, settings: model_settings.Settings, show: Callable[[str], None]
) -> None:
  """A folder whose last checkpoint is of a run of another kind is an error."""
  before = model_settings.read(last)
  run_settings.check_same(folder, before._asdict(), settings._asdict(), _MAY_CHANGE)
  if before.data_path != settings.data_path:
    show(
      f'data_path was {before.data_path or "synthesised speech"!r}: the run goes on with the same '
      'clips only if that has moved'
    )


def _validation(
  scorer: scoring.Scorer,
  settings: model_settings.Settings,
  plan: Plan,
  log: training_log.TrainingLog,
) -> best_checkpoint.Validation:
  return best_checkpoint.Validation(
    log,
    scorer.logged,
    scorer.estimator.model_dir,
    settings.architecture,
    plan.evaluation_steps,
    ['validation'] if scorer.has('validation') else [],
    ['test'] if scorer.has('testing') else [],
  )


def _train(
  scorer: scoring.Scorer,
  settings: model_settings.Settings,
  plan: Plan,
  log: training_log.TrainingLog,
  listener: best_checkpoint.Validation,
  first_step: int,
) -> None:
  scorer.show(
    f'training {settings.architecture} {" ".join(map(str, settings.sizes))}'.rstrip()
    + f' for {settings.last_step} steps of {settings.batch_size} clips'
  )
  hook = training_hook.TrainingHook(
    log,
    _LOGGED,
    plan.log_steps,
    settings.last_step,
    plan.summaries_dir,
    scorer.show,
    scorer.estimator.config.iterations_per_loop,
  )
  input_fn = input_pipeline.train_input_fn(
    scorer.store, settings.augmentation, settings.batch_size, first_step
  )
  scorer.estimator.train(
    input_fn, [hook], max_steps=settings.last_step, saving_listeners=[listener]
  )


def _average(scorer: scoring.Scorer, settings: model_settings.Settings) -> dict[str, Any] | None:
  """Writes the averaged network and says how good it is; None for a run that averages nothing."""
  if settings.averaging is None:
    return None
  clips = len(scorer.store.splits['training'].rows)
  path = npu_adapter.write_averaged_checkpoint(
    scorer.estimator,
    input_pipeline.train_input_fn(
      scorer.store, settings.augmentation, settings.batch_size, settings.last_step
    ),
    max(1, clips // settings.batch_size),
  )
  found = {
    said: scorer.evaluate(split, path).accuracy
    for said, split in (('validation', 'validation'), ('test', 'testing'))
    if scorer.has(split)
  }
  return report.average_facts(scorer, path, found)


def _test(
  scorer: scoring.Scorer, settings: model_settings.Settings, log: training_log.TrainingLog
) -> scoring.Outcome | None:
  """Tests the best checkpoint, on clips that neither trained nor chose it."""
  if not scorer.has('testing'):
    return None
  found = scorer.evaluate('testing', best_checkpoint.find(scorer.estimator.model_dir))
  log.write(
    'evaluate', settings.last_step, split='test', accuracy=found.accuracy,
    cross_entropy=found.cross_entropy, of_step=found.step,
  )  # fmt: skip
  return found
