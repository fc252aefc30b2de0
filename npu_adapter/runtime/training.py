"""Builds a training graph and its hooks, and runs the loop over it."""

from __future__ import annotations

from typing import Any, Callable, Sequence

import tensorflow.compat.v1 as tf

from npu_adapter.runtime import checkpoints, loop, warm_start
from npu_adapter.runtime.model import Model, new_graph
from npu_adapter.runtime.model_fn import ModeKeys


def train(
  model: Model,
  input_fn: Callable[..., Any],
  hooks: Sequence[Any],
  saving_listeners: Sequence[Any] = (),
  warm_start_settings: Any = None,
  steps_per_loop: int = 1,
) -> Any:
  """Trains until a hook or the end of the data stops it; returns the last loss, None if no step."""
  config = model.config
  with new_graph(config, config.device_fn):
    # Made before the model: the seeds of its random ops follow from the number of ops before them,
    # and these are as many as tf.estimator's.
    checkpoints.global_step_read()
    inputs = model.inputs(input_fn, ModeKeys.TRAIN)
    spec = model.spec(inputs.features, inputs.labels, ModeKeys.TRAIN)
    if checkpoints.latest(config.model_dir) is None:
      warm_start.apply(warm_start_settings)
    _add_loss_summary(spec.loss)
    worker_hooks = _worker_hooks(spec, [*inputs.hooks, *hooks], config)
    checkpoints.add_saver(spec.scaffold, config)
    chief_hooks = list(spec.training_chief_hooks)
    savers = checkpoints.saver_hooks(
      spec.scaffold, config, [*worker_hooks, *chief_hooks], saving_listeners
    )
    session = _session(config, spec.scaffold, worker_hooks, savers + chief_hooks)
    loss = loop.run(session, spec.train_op, spec.loss, steps_per_loop)
  if loss is None:
    tf.logging.warning(
      'Training with estimator made no steps. Perhaps input is empty or misspecified.'
    )
  return loss


def _add_loss_summary(loss: Any) -> None:
  """Puts the loss where TensorBoard and tf.losses users look for it."""
  summaries = tf.get_collection(tf.GraphKeys.SUMMARIES)
  if not any(summary.op.name == 'loss' for summary in summaries):
    tf.summary.scalar('loss', loss)
  tf.add_to_collection(tf.GraphKeys.LOSSES, loss)


def _worker_hooks(spec: Any, hooks: Sequence[Any], config: Any) -> list[Any]:
  found = [*hooks, tf.train.NanTensorHook(spec.loss)]
  if config.log_step_count_steps:
    tensors = {'loss': spec.loss, 'step': tf.train.get_global_step()}
    found.append(tf.train.LoggingTensorHook(tensors, every_n_iter=config.log_step_count_steps))
  return [*found, *spec.training_hooks]


class _SpeedHook(tf.train.StepCounterHook):
  """TensorFlow's counter, which takes one read that races with the step for a step that failed.

  Two runs may well read the same global step; so many in a row mean that nothing increases it.
  """

  _RUNS_THAT_TELL = 10
  _step_seen: Any = None
  _runs_seen = 0

  def after_run(self, run_context: Any, run_values: Any) -> None:
    is_same = run_values.results == self._step_seen
    self._runs_seen = self._runs_seen + 1 if is_same else 1
    self._step_seen = run_values.results
    if self._runs_seen < self._RUNS_THAT_TELL:
      # What the base class compares with before it warns.
      self._last_global_step = None
    super().after_run(run_context, run_values)


def _session(config: Any, scaffold: Any, hooks: list[Any], chief_hooks: list[Any]) -> Any:
  """A session that restores the latest checkpoint, counts steps and writes summaries."""
  every = config.log_step_count_steps
  if every:
    chief_hooks = [*chief_hooks, _SpeedHook(every_n_steps=every, output_dir=config.model_dir)]
  return tf.train.MonitoredTrainingSession(
    master=config.master,
    is_chief=config.is_chief,
    checkpoint_dir=config.model_dir,
    scaffold=scaffold,
    hooks=hooks,
    chief_only_hooks=chief_hooks,
    save_checkpoint_secs=0,
    save_summaries_steps=config.save_summary_steps,
    config=config.session_config,
    max_wait_secs=config.session_creation_timeout_secs,
    log_step_count_steps=None,
  )
