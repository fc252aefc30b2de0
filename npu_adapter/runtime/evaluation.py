"""Builds an evaluation graph, runs it over the data, and writes the metrics down."""

from __future__ import annotations

import time
from typing import Any, Callable, Mapping, NamedTuple, Sequence

import numpy as np
import tensorflow.compat.v1 as tf

from npu_adapter.runtime import warm_start
from npu_adapter.runtime.model import Model, new_graph
from npu_adapter.runtime.model_fn import ModeKeys

_GLOBAL_STEP = tf.GraphKeys.GLOBAL_STEP
_LOSS = 'loss'


class Evaluation(NamedTuple):
  """The parts of an evaluation graph; its `scaffold` is the model's."""

  scaffold: Any
  update_op: Any
  values: dict[str, Any]
  hooks: list[Any]


def evaluate(
  model: Model,
  input_fn: Callable[..., Any],
  steps: int | None,
  hooks: Sequence[Any],
  checkpoint_path: str | None,
  warm_start_settings: Any = None,
) -> dict[str, Any]:
  """Returns the metrics over `steps` batches, or over all, with loss and global_step."""
  settings = warm_start_settings if checkpoint_path is None else None
  with new_graph(model.config):
    return run(build(model, input_fn, steps, hooks, settings), model.config, checkpoint_path)


def build(
  model: Model,
  input_fn: Callable[..., Any],
  steps: int | None,
  hooks: Sequence[Any],
  warm_start_settings: Any = None,
) -> Evaluation:
  """Builds it in the default graph."""
  inputs = model.inputs(input_fn, ModeKeys.EVAL)
  spec = model.spec(inputs.features, inputs.labels, ModeKeys.EVAL)
  values, updates = _metrics(spec)
  warm_start.apply(warm_start_settings)
  # Before the scaffold is completed: the counter is one of the variables it initialises.
  counter = _eval_step()
  update_op, batches = _counted(updates, counter)
  all_hooks = [*inputs.hooks, *hooks, *_stop_hooks(steps, batches), *spec.evaluation_hooks]
  _offer_counter(all_hooks, batches)
  return Evaluation(_scaffold(spec.scaffold), update_op, values, all_hooks)


def run(evaluation: Evaluation, config: Any, checkpoint_path: str | None = None) -> dict[str, Any]:
  """Runs it in a session of its own, in the graph it was built in; may be called again."""
  final = tf.train.FinalOpsHook(evaluation.values)
  creator = tf.train.ChiefSessionCreator(
    scaffold=evaluation.scaffold,
    checkpoint_filename_with_path=checkpoint_path,
    master=config.evaluation_master,
    config=config.session_config,
  )
  _run(creator, [*evaluation.hooks, final], evaluation.update_op)
  return final.final_ops_values


def _metrics(spec: Any) -> tuple[dict[str, Any], list[Any]]:
  """Returns ({name: value}, updates), in the order of the names: always the same graph."""
  for name in (_LOSS, _GLOBAL_STEP):
    if name in spec.eval_metric_ops:
      raise ValueError(
        f'Metric with name `{name}` is not allowed, because Estimator already defines a default '
        'metric with the same name.'
      )
  pairs = sorted({**spec.eval_metric_ops, _LOSS: tf.metrics.mean(spec.loss)}.items())
  values = {name: value for name, (value, _) in pairs}
  values[_GLOBAL_STEP] = tf.train.get_global_step()
  return values, [update for _, (_, update) in pairs]


def _eval_step() -> Any:
  """The counter of batches, where hooks of TF1 days look for it."""
  found = tf.get_collection(tf.GraphKeys.EVAL_STEP)
  if found:
    return found[0]
  return tf.get_variable(
    'eval_step',
    shape=[],
    dtype=tf.int64,
    initializer=tf.zeros_initializer(),
    trainable=False,
    collections=[tf.GraphKeys.LOCAL_VARIABLES, tf.GraphKeys.EVAL_STEP],
  )


def _counted(updates: list[Any], counter: Any) -> tuple[Any, Any]:
  """Returns (operation that makes all updates, the number of batches after it)."""
  group = tf.group(*updates, tf.assign_add(counter, 1, use_locking=True))
  with tf.control_dependencies([group]):
    return group, tf.identity(counter.read_value())


def _stop_hooks(steps: int | None, batches: Any) -> list[Any]:
  return [] if steps is None else [_StopAfter(steps, batches)]


def _offer_counter(hooks: Sequence[Any], batches: Any) -> None:
  """tf.contrib.training.StopAfterNEvalsHook and its like wait to be told what to count by."""
  for hook in hooks:
    # Asked of the class: a mock answers for any attribute.
    take = getattr(type(hook), '_set_evals_completed_tensor', None)
    if take is not None:
      take(hook, batches)


def _scaffold(scaffold: Any) -> Any:
  """Adds the metrics' variables to what the model's own local_init_op initialises."""
  if scaffold.local_init_op is None:
    return scaffold
  everything = tf.group(scaffold.local_init_op, tf.train.Scaffold.default_local_init_op())
  return tf.train.Scaffold(local_init_op=everything, copy_from_scaffold=scaffold)


def _run(creator: Any, hooks: list[Any], update_op: Any) -> None:
  tf.logging.info('Starting evaluation at %s', time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()))
  started = time.time()
  with tf.train.MonitoredSession(session_creator=creator, hooks=hooks) as session:
    while not session.should_stop():
      session.run(update_op)
  tf.logging.info('Inference Time : %.5fs', time.time() - started)
  tf.logging.info('Finished evaluation at %s', time.strftime('%Y-%m-%d-%H:%M:%S', time.gmtime()))


class _StopAfter(tf.train.SessionRunHook):
  """Stops after so many batches; logs each, or one in ten of many."""

  def __init__(self, steps: int, batches: Any):
    self._steps = steps
    self._batches = batches
    self._log_every = 1 if steps < 20 else steps // 10

  def before_run(self, run_context: Any) -> Any:
    return tf.train.SessionRunArgs(self._batches)

  def after_run(self, run_context: Any, run_values: Any) -> None:
    done = run_values.results
    if done % self._log_every == 0 or done == self._steps:
      tf.logging.info('Evaluation [%d/%d]', done, self._steps)
    if done >= self._steps:
      run_context.request_stop()


def write_summaries(folder: str, results: Mapping[str, Any], checkpoint_path: str | None) -> None:
  """Writes the metrics into an event file in `folder`, and which checkpoint they are of."""
  step = int(results[_GLOBAL_STEP])
  line = ', '.join(
    f'{name} = {value}' for name, value in sorted(results.items()) if not isinstance(value, bytes)
  )
  tf.logging.info('Saving dict for global step %d: %s', step, line)
  summary = tf.Summary()
  for name, value in results.items():
    if value is not None and name != _GLOBAL_STEP:
      _add_value(summary, name, value)
  writer = tf.summary.FileWriterCache.get(folder)
  writer.add_summary(summary, step)
  if checkpoint_path:
    tf.logging.info(
      "Saving 'checkpoint_path' summary for global step %d: %s", step, checkpoint_path
    )
    tensor = tf.make_tensor_proto(checkpoint_path, dtype=tf.string)
    writer.add_summary(
      tf.Summary(value=[tf.Summary.Value(tag='checkpoint_path', tensor=tensor)]), step
    )
  writer.flush()


def _add_value(summary: Any, name: str, value: Any) -> None:
  if isinstance(value, (float, int, np.floating, np.integer)):
    summary.value.add(tag=name, simple_value=float(value))
  elif isinstance(value, bytes):
    _add_serialized(summary, name, value)
  elif isinstance(value, np.ndarray):
    summary.value.add(tag=name, node_name=name, tensor=tf.make_tensor_proto(value))
    tf.logging.info(
      'Summary for np.ndarray is not visible in Tensorboard by default. Consider using a '
      'Tensorboard plugin for visualization.'
    )
  else:
    tf.logging.warning(
      'Skipping summary for %s, must be a float, np.float32, np.int64, np.int32 or int or '
      'np.ndarray or a serialized string of Summary.', name,
    )  # fmt: skip


def _add_serialized(summary: Any, name: str, value: bytes) -> None:
  try:
    parsed = tf.Summary.FromString(value)
  except Exception as error:  # protobuf's DecodeError, whose place differs between its versions
    tf.logging.warning('Skipping summary for %s, cannot parse string to Summary. (%s)', name, error)
    return
  for number, part in enumerate(parsed.value):
    part.tag = f'{name}/{number}'
  summary.value.extend(parsed.value)
