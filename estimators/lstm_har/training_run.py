"""One training from data to report: trains, validates, keeps the best, tests, tells."""

from __future__ import annotations

import os
from typing import Any, Callable, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

import npu_adapter
from estimators.lstm_har import architecture, input_pipeline, model, report, scoring
from estimators.lstm_har import settings as model_settings
from estimators.lstm_har.dataset import har_data
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
_MAY_CHANGE = ('steps', 'learning_rate', 'learning_rate_decay', 'dropout_rate', 'data_path')
# The name under which the reference implementation leaves its weights.
FINAL_CHECKPOINT = 'mode.ckpt'


class Plan(NamedTuple):
  """What is no property of the model: how often to look at it, where it starts, when it ends."""

  evaluation_steps: int
  log_steps: int
  patience: int = 0  # evaluations without a better one; 0 is for ever
  loss_scale: Any = 'none'
  start_checkpoint: str | None = None


def run(
  settings: model_settings.Settings,
  data: har_data.HarData,
  config: npu_adapter.NPURunConfig,
  plan: Plan,
  show: Callable[[str], None] = print,
) -> dict[str, Any]:
  """Trains up to the last step, or on from the last checkpoint; returns what result.json holds."""
  figures.require()
  folder = config.model_dir
  first_step = run_start.first_step(
    folder, settings.steps, lambda last: _check_same(last, folder, settings, show), show
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
  title = architecture.title(settings.architecture)
  log = training_log.TrainingLog(log_path, settings.batch_size, first_step, model=title)
  scorer = scoring.Scorer(estimator, data, show)
  validation = _validation(scorer, plan, log)
  if first_step:
    # Before the question whether training has stopped, which the validations answer.
    validation.catch_up(first_step, is_over=first_step >= settings.steps)
  if first_step < settings.steps and not _has_stopped(log, plan):
    show(f'training {title} for {settings.steps} steps of {settings.batch_size} windows')
    _train(scorer, settings, plan, log, validation, first_step)
  _keep_final(folder)
  test = _test(scorer, settings, log)
  average = _average(scorer, settings)
  log.close()
  return report.write(scorer, settings, test, average, training_log.read(log_path))


def _check_same(
  last: str, folder: str, settings: model_settings.Settings, show: Callable[[str], None]
) -> None:
  """A folder whose last checkpoint is of a run of another kind is an error."""
  before = model_settings.read(last)
  run_settings.check_same(folder, before._asdict(), settings._asdict(), _MAY_CHANGE)
  if before.data_path != settings.data_path:
    show(
      f'data_path was {before.data_path or "the watch recordings"!r}: the run goes on with the '
      'same windows only if that has moved'
    )


def _has_stopped(log: training_log.TrainingLog, plan: Plan) -> bool:
  """Whether so many validations, the patience, have brought no better accuracy."""
  found = log.evaluations('validation')
  if not plan.patience or not found:
    return False
  steps = sorted(found)
  best = max(steps, key=lambda step: (found[step]['accuracy'], step))
  return len(steps) - 1 - steps.index(best) >= plan.patience


class _EarlyStop(tf.train.CheckpointSaverListener):
  """Ends the training when the validation says so. It must be told of a checkpoint after that."""

  def __init__(self, log: training_log.TrainingLog, plan: Plan, show: Callable[[str], None]):
    self._log, self._plan, self._show = log, plan, show

  def after_save(self, session: Any, global_step_value: int) -> bool:
    if not _has_stopped(self._log, self._plan):
      return False
    self._show(f'{self._plan.patience} validations without a better one: training ends here')
    return True


class _WithoutEnd(tf.train.CheckpointSaverListener):
  """Tells another listener of checkpoints, not of the end of a training that is to go on."""

  def __init__(self, told: best_checkpoint.Validation):
    self.before_save, self.after_save = told.before_save, told.after_save


def _validation(
  scorer: scoring.Scorer, plan: Plan, log: training_log.TrainingLog
) -> best_checkpoint.Validation:
  return best_checkpoint.Validation(
    log,
    scorer.logged,
    scorer.estimator.model_dir,
    model.SCOPE,
    plan.evaluation_steps,
    ['validation'] if scorer.has('validation') else [],
    ['test'] if scorer.has('test') else [],
  )


def _train(
  scorer: scoring.Scorer,
  settings: model_settings.Settings,
  plan: Plan,
  log: training_log.TrainingLog,
  validation: best_checkpoint.Validation,
  first_step: int,
) -> None:
  step = first_step
  while step < settings.steps:
    input_fn, end = _stretch(scorer, settings, step)
    is_last = end == settings.steps
    hook = training_hook.TrainingHook(
      log,
      _LOGGED,
      plan.log_steps,
      settings.steps,
      show=scorer.show,
      steps_per_run=scorer.estimator.config.iterations_per_loop,
    )
    listeners = [
      validation if is_last else _WithoutEnd(validation),
      _EarlyStop(log, plan, scorer.show),
    ]
    scorer.estimator.train(input_fn, [hook], max_steps=end, saving_listeners=listeners)
    reached = _step_of(scorer.estimator.model_dir)
    if reached < end:
      break
    step = reached


def _stretch(
  scorer: scoring.Scorer, settings: model_settings.Settings, step: int
) -> tuple[Callable[[], Any], int]:
  """What the training gets from a step on, and the step up to which that is known.

  Which batches are replayed is known at the end of their epoch alone, from the losses that stand
  in the checkpoint; so it is after a kill.
  """
  order = input_pipeline.Order(settings.batch_size, settings.seed)
  if not settings.replay_hardest:
    return input_pipeline.train_input_fn(scorer.data, order, step), settings.steps
  epoch, passed = divmod(step, settings.steps_per_epoch)
  batches = settings.steps_per_epoch - settings.replay_hardest
  begin = epoch * settings.steps_per_epoch
  if passed < batches:
    input_fn = input_pipeline.train_input_fn(scorer.data, order, epoch * batches + passed, True)
    return input_fn, min(settings.steps, begin + batches)
  losses = tf.train.load_variable(scorer.estimator.model_dir, model.LOSSES)[:batches]
  hardest = np.argsort(-losses, kind='stable')[: settings.replay_hardest]
  left = hardest[passed - batches :]
  scorer.show(f'step {step}: again the batches {", ".join(map(str, left))} of epoch {epoch}')
  input_fn = input_pipeline.replay_input_fn(scorer.data, order, epoch, left)
  return input_fn, min(settings.steps, begin + settings.steps_per_epoch)


def _step_of(folder: str) -> int:
  return int(tf.train.load_variable(best_checkpoint.last(folder), 'global_step'))


def _keep_final(folder: str) -> None:
  """Copies the last checkpoint to a name that does not change."""
  best_checkpoint.copy(best_checkpoint.last(folder), os.path.join(folder, FINAL_CHECKPOINT))


def _average(scorer: scoring.Scorer, settings: model_settings.Settings) -> dict[str, Any] | None:
  """Writes the averaged network and says how good it is; None for a run that averages nothing."""
  if settings.averaging is None:
    return None
  if not averaged_checkpoint.samples_of(best_checkpoint.last(scorer.estimator.model_dir)):
    scorer.show('training ended before the first sample of the weights: there is no average')
    return None
  order = input_pipeline.Order(settings.batch_size, settings.seed)
  path = npu_adapter.write_averaged_checkpoint(
    scorer.estimator,
    input_pipeline.train_input_fn(scorer.data, order, is_numbered=bool(settings.replay_hardest)),
    input_pipeline.steps_per_epoch(scorer.data, settings.batch_size),
  )
  found = {
    split: scorer.evaluate(split, path) for split in ('validation', 'test') if scorer.has(split)
  }
  return report.average_facts(scorer, path, found)


def _test(
  scorer: scoring.Scorer, settings: model_settings.Settings, log: training_log.TrainingLog
) -> scoring.Outcome | None:
  """Tests the best checkpoint, on people who neither trained nor chose it."""
  if not scorer.has('test'):
    return None
  folder = scorer.estimator.model_dir
  found = scorer.evaluate('test', best_checkpoint.find(folder))
  log.write('evaluate', _step_of(folder), split='test', of_step=found.step, **scoring.logged(found))
  return found
