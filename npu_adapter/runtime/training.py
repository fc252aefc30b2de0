"""Builds a training graph and its hooks, and runs the loop over it."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, NamedTuple, Sequence

import tensorflow.compat.v1 as tf

from npu_adapter.runtime import checkpoints, loop, training_reports, warm_start
from npu_adapter.runtime.exact_resume import ExactResume
from npu_adapter.runtime.model import Model, new_graph
from npu_adapter.runtime.model_fn import ModeKeys
from npu_adapter.runtime.progress_line import ProgressLine
from npu_adapter.runtime.schedule import NEVER, LastStep


class Plan(NamedTuple):
  """How a training is to go; see Estimator for what the fields mean."""

  hooks: Sequence[Any]
  saving_listeners: Sequence[Any] = ()
  warm_start_settings: Any = None
  steps_per_loop: int = 1
  exact_resume: bool | str = False
  is_interrupted: Callable[[], bool] = lambda: False
  shows_progress: bool = False


def train(model: Model, input_fn: Callable[..., Any], plan: Plan) -> Any:
  """Trains until a hook or the end of the data stops it; returns the last loss, None if no step."""
  config = model.config
  with new_graph(config, config.device_fn):
    # Made before the model: the seeds of its random ops follow from the number of ops before them,
    # and these are as many as tf.estimator's.
    checkpoints.global_step_read()
    inputs = model.inputs(input_fn, ModeKeys.TRAIN)
    spec = model.spec(inputs.features, inputs.labels, ModeKeys.TRAIN)
    if checkpoints.latest(config.model_dir) is None:
      warm_start.apply(plan.warm_start_settings)
    _add_loss_summary(spec.loss)
    train_op, starting_hooks, listeners = spec.train_op, inputs.hooks, plan.saving_listeners
    if plan.exact_resume:
      resume = ExactResume(plan.exact_resume, train_op, spec.loss, config.model_dir)
      train_op, starting_hooks = resume.train_op, [*inputs.hooks, resume.hook]
      listeners = [resume.listener, *listeners]
    step = _step_after(train_op)
    worker_hooks = _worker_hooks(spec, plan.hooks, config)
    checkpoints.add_saver(spec.scaffold, config)
    chief_hooks = _chief_hooks(spec, config, worker_hooks, listeners)
    # The data begin before the checkpoint of the start is written, which may tell where they are.
    (chief_hooks if config.is_chief else worker_hooks)[:0] = starting_hooks
    lines = [_progress_line(inputs.features, plan)] if plan.shows_progress else []
    worker_hooks += lines
    all_hooks = [*(chief_hooks if config.is_chief else ()), *worker_hooks]
    steps = loop.Loop(
      train_op, spec.loss, step, all_hooks, plan.steps_per_loop, plan.is_interrupted
    )
    worker_hooks.append(steps.starter)
    with contextlib.ExitStack() as at_end:
      for line in lines:
        at_end.callback(line.close)
      loss = steps.run(_session(config, spec.scaffold, worker_hooks, chief_hooks))
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


def _step_after(train_op: Any) -> Any:
  """The global step as a run of `train_op` leaves it; fetched beside it, it may be one less."""
  with tf.control_dependencies([train_op]):
    return tf.identity(tf.train.get_global_step().read_value())


def _progress_line(features: Any, plan: Plan) -> ProgressLine:
  ends = [hook for hook in plan.hooks if isinstance(hook, LastStep)]
  return ProgressLine(features, lambda: min((hook.last_step for hook in ends), default=NEVER))


def _worker_hooks(spec: Any, hooks: Sequence[Any], config: Any) -> list[Any]:
  every = config.log_step_count_steps
  log = [training_reports.LossLog(every)] if every else []
  return [*hooks, *log, *spec.training_hooks]


def _chief_hooks(
  spec: Any, config: Any, worker_hooks: Sequence[Any], listeners: Sequence[Any]
) -> list[Any]:
  """Hooks of the process that writes checkpoints and event files."""
  own = list(spec.training_chief_hooks)
  found = checkpoints.saver_hooks(spec.scaffold, config, [*worker_hooks, *own], listeners) + own
  if config.log_step_count_steps:
    found.append(training_reports.SpeedLog(config.log_step_count_steps, config.model_dir))
  if config.save_summary_steps:
    found.append(
      training_reports.Summaries(config.save_summary_steps, config.model_dir, spec.scaffold)
    )
  return found


def _session(config: Any, scaffold: Any, hooks: list[Any], chief_hooks: list[Any]) -> Any:
  """A session that restores the latest checkpoint."""
  return tf.train.MonitoredTrainingSession(
    master=config.master,
    is_chief=config.is_chief,
    checkpoint_dir=config.model_dir,
    scaffold=scaffold,
    hooks=hooks,
    chief_only_hooks=chief_hooks,
    save_checkpoint_secs=0,
    save_summaries_steps=0,
    save_summaries_secs=None,
    config=config.session_config,
    max_wait_secs=config.session_creation_timeout_secs,
    log_step_count_steps=None,
  )
