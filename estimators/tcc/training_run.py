"""One training from clips to report: trains, or goes on; evaluates all tasks; tells."""

from __future__ import annotations

import os
from typing import Any, Callable, Mapping, NamedTuple

import tensorflow.compat.v1 as tf

import npu_adapter
from estimators.tcc import (
  cached_input,
  config_file,
  config_tree,
  data_source,
  feature_cache,
  input_pipeline,
  model,
  report,
  scoring,
  settings,
)
from estimators.tcc.networks import keras_weights
from npu_adapter import best_checkpoint, errors, figures, run_start, training_hook, training_log
from npu_adapter.runtime import interruption

# Names of the log, and of the tensors in the graph of model_fn.
_LOGGED = {
  'learning_rate': 'learning_rate:0',
  'loss': 'loss:0',
  'algorithm_loss': 'algorithm_loss:0',
}
# Of the log: the evaluation before the first iteration.
_UNTRAINED = 'untrained'
# What another run in the same folder may do differently.
_MAY_CHANGE = ('TRAIN.MAX_ITERS', 'PATH_TO_TFRECORDS', 'MODEL.RESNET_PRETRAINED_WEIGHTS', 'EVAL.',
               'LOGGING.', 'CHECKPOINT.')  # fmt: skip


class Plan(NamedTuple):
  """What is no part of the configuration."""

  seed: int = 1
  loss_scale: Any = 'none'
  start_checkpoint: str | None = None
  num_parallel_calls: int | None = None
  is_forced: bool = False  # to go on with another configuration
  is_drawn: bool = True  # pictures at the end
  has_cached_features: bool = False
  cache_path: str | None = None


def run(
  tree: Mapping[str, Any],
  data: data_source.Data,
  config: npu_adapter.NPURunConfig,
  plan: Plan,
  show: Callable[[str], None] = print,
) -> dict[str, Any]:
  """Trains up to the last iteration, or on from the last checkpoint; returns what is reported."""
  figures.require()
  folder, last_step = config.model_dir, tree['TRAIN']['MAX_ITERS']
  first_step = run_start.first_step(
    folder, last_step, lambda last: _check_same(folder, tree, plan, show), show
  )
  start = _first_weights(tree, folder, plan, show)
  estimator = make_estimator(tree, data, config, plan, start)
  os.makedirs(folder, exist_ok=True)
  config_file.write(tree, folder)
  log_path = os.path.join(folder, training_log.FILE_NAME)
  log = training_log.TrainingLog(
    log_path, tree['TRAIN']['BATCH_SIZE'], first_step, model='tcc', algorithm=tree['TRAINING_ALGO']
  )
  scorer = scoring.Scorer(estimator, tree, data, plan.num_parallel_calls, show)
  if first_step < last_step:
    _train(scorer, log, _input_fn(scorer, plan, start, first_step))
  found = evaluate(scorer, best_checkpoint.last(folder))
  untrained = _of_untrained(log)
  log.close()
  return report.write(scorer, found, untrained, training_log.read(log_path), plan.is_drawn)


def show_tensorflow() -> None:
  """Shows what TensorFlow says of its work."""
  tf.logging.set_verbosity(tf.logging.DEBUG)


def make_estimator(
  tree: Mapping[str, Any], data: data_source.Data, config: Any, plan: Plan, start: Any = None
) -> npu_adapter.NPUEstimator:
  """The estimator of a configuration."""
  return npu_adapter.NPUEstimator(
    model.model_fn,
    config=config,
    params=settings.params(tree, data.phases or 1, plan.seed, plan.loss_scale),
    warm_start_from=start,
    # The training hook says it.
    progress=False,
  )


def evaluate(scorer: scoring.Scorer, checkpoint: str | None) -> report.Found:
  """All that the configuration asks for, of one checkpoint."""
  losses = {}
  if settings.ALGORITHM_LOSS in scorer.tree['EVAL']['TASKS']:
    losses = scorer.losses(checkpoint)
  clips = scorer.clips(checkpoint)
  return report.Found(checkpoint, losses, scorer.tasks(clips), scorer.of_pixels(clips), clips)


def _check_same(
  folder: str, tree: Mapping[str, Any], plan: Plan, show: Callable[[str], Any]
) -> None:
  """A folder of a run with another configuration is an error, or with is_forced said."""
  before = config_file.stored(folder)
  if before is None:
    raise errors.InputError(
      f'output_path must be new, or hold a run of train.py; {folder!r} has a checkpoint but no '
      f'{config_file.FILE_NAME}. Name another --output_path.'
    )
  changed = [
    line for line in config_tree.differences(before, tree) if not line.startswith(_MAY_CHANGE)
  ]
  if changed and not plan.is_forced:
    raise errors.InputError(
      'output_path must be new, or hold a run of the same configuration to go on with; in '
      f'{folder!r} {"; ".join(changed)}. Name another --output_path, or go on with the new values '
      'by --force_train.'
    )
  for line in changed:
    show(f'going on although {line}')


def _first_weights(
  tree: Mapping[str, Any], folder: str, plan: Plan, show: Callable[[str], Any]
) -> Any:
  """Where the first weights are from; None for a network that starts from nothing."""
  if plan.start_checkpoint:
    return run_start.weights_of(plan.start_checkpoint, model.SCOPES)
  path = tree['MODEL']['RESNET_PRETRAINED_WEIGHTS']
  if tree['MODEL']['BASE_MODEL']['NETWORK'] != 'Resnet50_pretrained':
    return None
  if path is None:
    show(
      'the base network starts from random weights: RESNET_PRETRAINED_WEIGHTS names no file. What '
      'is published was trained from those of ImageNet.'
    )
    return None
  written = keras_weights.write_checkpoint(path, os.path.join(folder, 'base'))
  return keras_weights.warm_start(written)


class _Untrained(tf.train.CheckpointSaverListener):
  """Evaluates the network before its first iteration: with the weights that it starts from."""

  def __init__(self, scorer: scoring.Scorer, log: training_log.TrainingLog):
    self._scorer, self._log = scorer, log

  def after_save(self, session: Any, global_step_value: int) -> None:
    if global_step_value or interruption.is_pending() or _of_untrained(self._log):
      return
    with self._log.paused():
      tasks = self._scorer.tasks(self._scorer.clips())
    self._scorer.show(f'before training: {scoring.headline(tasks)}')
    self._log.write('evaluate', 0, split=_UNTRAINED, tasks=tasks)


def _of_untrained(log: training_log.TrainingLog) -> Mapping[str, Any] | None:
  found = log.evaluations(_UNTRAINED).get(0)
  return found and found['tasks']


def _input_fn(scorer: scoring.Scorer, plan: Plan, start: Any, first_step: int) -> Callable[[], Any]:
  tree, data = scorer.tree, scorer.data
  frames = settings.frames_of(tree, num_parallel_calls=plan.num_parallel_calls)
  order = settings.order_of(tree, plan.seed)
  if not plan.has_cached_features:
    augmentation = settings.augmentation_of(tree)
    return input_pipeline.train_input_fn(
      data.sets['train'], frames, order, augmentation, first_step
    )
  # Of a run that goes on, its own: they are the same.
  last = best_checkpoint.last(scorer.estimator.model_dir)
  checkpoint = last or (start and start.ckpt_to_initialize_from)
  cached = feature_cache.open_cache(tree, data, checkpoint, plan.cache_path, scorer.show)
  return cached_input.train_input_fn(data, cached, frames, order, first_step)


def _train(
  scorer: scoring.Scorer, log: training_log.TrainingLog, input_fn: Callable[[], Any]
) -> None:
  tree = scorer.tree
  hook = training_hook.TrainingHook(
    log, _LOGGED, tree['LOGGING']['REPORT_INTERVAL'], tree['TRAIN']['MAX_ITERS'],
    show=scorer.show, steps_per_run=scorer.estimator.config.iterations_per_loop,
  )  # fmt: skip
  scorer.show(
    f'training {tree["TRAINING_ALGO"]} for {tree["TRAIN"]["MAX_ITERS"]} iterations of '
    f'{tree["TRAIN"]["BATCH_SIZE"]} clips on {scorer.data.source}'
  )
  listeners = [_Untrained(scorer, log)]
  scorer.estimator.train(
    input_fn, [hook], max_steps=tree['TRAIN']['MAX_ITERS'], saving_listeners=listeners
  )
