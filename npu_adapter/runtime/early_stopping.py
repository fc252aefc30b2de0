"""Hooks that end a training before its last step: by what evaluations wrote, or by a checkpoint."""

from __future__ import annotations

import collections
import operator
import os
import time
from typing import Any, Callable, Iterator, Mapping, NamedTuple

import tensorflow.compat.v1 as tf

from npu_adapter.runtime import checkpoints

_USED_OF_AN_ESTIMATOR = ('config', 'eval_dir', 'train')

# How a log line says which way is the better one: of a threshold, of a movement.
_WORDS: Mapping[Any, tuple[str, str]] = {
  operator.gt: ('greater than', 'increase'),
  operator.lt: ('less than', 'decrease'),
}


def make_early_stopping_hook(
  estimator: Any,
  should_stop_fn: Callable[[], bool],
  run_every_secs: float | None = 60,
  run_every_steps: int | None = None,
) -> Any:
  """Returns a hook that ends the training of `estimator` once should_stop_fn() is true.

  The chief asks so many seconds or steps apart (one of the two, the other None) and leaves the
  answer in a variable of the model; the other workers only look at that.
  """
  # By what it has: NPUEstimator and tf.estimator's are no relatives of ours.
  if not all(hasattr(estimator, name) for name in _USED_OF_AN_ESTIMATOR):
    raise TypeError(f'`estimator` must have type `tf.estimator.Estimator`. Got: {type(estimator)}')
  if run_every_secs is not None and run_every_steps is not None:
    raise ValueError('Only one of `run_every_secs` and `run_every_steps` must be set.')
  if estimator.config.is_chief:
    return _StopOnPredicateHook(should_stop_fn, run_every_secs, run_every_steps)
  return _CheckForStoppingHook()


def stop_if_higher_hook(
  estimator: Any,
  metric_name: str,
  threshold: float,
  eval_dir: str | None = None,
  min_steps: int = 0,
  run_every_secs: float | None = 60,
  run_every_steps: int | None = None,
) -> Any:
  """Returns a hook that stops once an evaluation from step `min_steps` on is above `threshold`.

  The metrics are read from the event files of `eval_dir`, by default of estimator.eval_dir().
  """
  history = _history(estimator, metric_name, eval_dir, min_steps)
  return make_early_stopping_hook(
    estimator,
    lambda: _has_crossed(history, threshold, operator.gt),
    run_every_secs,
    run_every_steps,
  )


def stop_if_lower_hook(
  estimator: Any,
  metric_name: str,
  threshold: float,
  eval_dir: str | None = None,
  min_steps: int = 0,
  run_every_secs: float | None = 60,
  run_every_steps: int | None = None,
) -> Any:
  """The same for below `threshold`."""
  history = _history(estimator, metric_name, eval_dir, min_steps)
  return make_early_stopping_hook(
    estimator,
    lambda: _has_crossed(history, threshold, operator.lt),
    run_every_secs,
    run_every_steps,
  )


def stop_if_no_increase_hook(
  estimator: Any,
  metric_name: str,
  max_steps_without_increase: int,
  eval_dir: str | None = None,
  min_steps: int = 0,
  run_every_secs: float | None = 60,
  run_every_steps: int | None = None,
) -> Any:
  """Returns a hook that stops once the best evaluation is so many steps before a later one.

  Evaluations before step `min_steps` do not count. They are read as stop_if_higher_hook reads them.
  """
  history = _history(estimator, metric_name, eval_dir, min_steps)
  return make_early_stopping_hook(
    estimator,
    lambda: _has_stalled(history, max_steps_without_increase, operator.gt),
    run_every_secs,
    run_every_steps,
  )


def stop_if_no_decrease_hook(
  estimator: Any,
  metric_name: str,
  max_steps_without_decrease: int,
  eval_dir: str | None = None,
  min_steps: int = 0,
  run_every_secs: float | None = 60,
  run_every_steps: int | None = None,
) -> Any:
  """The same for a metric whose lowest value is the best."""
  history = _history(estimator, metric_name, eval_dir, min_steps)
  return make_early_stopping_hook(
    estimator,
    lambda: _has_stalled(history, max_steps_without_decrease, operator.lt),
    run_every_secs,
    run_every_steps,
  )


def make_stop_at_checkpoint_step_hook(
  estimator: Any, last_step: int, wait_after_file_check_secs: float = 30
) -> Any:
  """Returns a hook that stops at `last_step`; on a worker, once a checkpoint of it is written."""
  if estimator.config.is_chief:
    return tf.train.StopAtStepHook(last_step=last_step)
  return _StopAtCheckpointStepHook(estimator.model_dir, last_step, wait_after_file_check_secs)


def read_eval_metrics(eval_dir: str) -> Any:
  """Returns {global step: {metric: value}} of the event files in `eval_dir`, by rising step."""
  found: dict[int, dict[str, float]] = {}
  for event in _events(eval_dir):
    values = {v.tag: v.simple_value for v in event.summary.value if v.HasField('simple_value')}
    if values:
      found.setdefault(event.step, {}).update(values)
  return collections.OrderedDict(sorted(found.items()))


def _events(folder: str) -> Iterator[Any]:
  # TF 1.15's glob fails in a folder that does not exist.
  if not tf.io.gfile.exists(folder):
    return
  for path in tf.io.gfile.glob(os.path.join(folder, 'events.out.tfevents.*')):
    try:
      yield from tf.train.summary_iterator(path)
    except tf.errors.DataLossError as error:
      # The last record may not be whole yet: the file is still written to.
      tf.logging.warning('%s ends in a broken record, its rest is left out: %s', path, error)


class _History(NamedTuple):
  """Where the values of one metric are found."""

  metric_name: str
  eval_dir: str
  min_steps: int

  def points(self) -> Iterator[tuple[int, float]]:
    """Yields (global step, value); KeyError where an evaluation lacks the metric."""
    for step, metrics in read_eval_metrics(self.eval_dir).items():
      if step < self.min_steps:
        continue
      if self.metric_name not in metrics:
        raise KeyError(
          f'{self.metric_name!r} must be a metric of every evaluation in {self.eval_dir}; step '
          f'{step} has {sorted(metrics)}'
        )
      yield step, metrics[self.metric_name]


def _history(estimator: Any, metric_name: str, eval_dir: str | None, min_steps: int) -> _History:
  return _History(metric_name, estimator.eval_dir() if eval_dir is None else eval_dir, min_steps)


def _has_crossed(history: _History, threshold: float, is_better: Callable[..., bool]) -> bool:
  for step, value in history.points():
    if is_better(value, threshold):
      tf.logging.info(
        'At step %s, metric "%s" has value %s which is %s the configured threshold (%s) for early '
        'stopping.', step, history.metric_name, value, _WORDS[is_better][0], threshold,
      )  # fmt: skip
      return True
  return False


def _has_stalled(history: _History, most_steps: int, is_better: Callable[..., bool]) -> bool:
  best: Any = None
  best_step = 0
  for step, value in history.points():
    if best is None or is_better(value, best):
      best, best_step = value, step
    if step - best_step >= most_steps:
      tf.logging.info(
        'No %s in metric "%s" for %s steps, which is greater than or equal to max steps (%s) '
        'configured for early stopping.',
        _WORDS[is_better][1], history.metric_name, step - best_step, most_steps,
      )  # fmt: skip
      return True
  return False


def _get_or_create_stop_var() -> Any:
  """Of this name in tf.estimator's checkpoints too; on a cluster it is what the workers share."""
  with tf.variable_scope('signal_early_stopping', reuse=tf.AUTO_REUSE):
    return tf.get_variable(
      'STOP',
      shape=[],
      dtype=tf.bool,
      initializer=tf.constant_initializer(False),
      collections=[tf.GraphKeys.GLOBAL_VARIABLES],
      trainable=False,
    )


class _StopOnPredicateHook(tf.train.SessionRunHook):
  """Asks should_stop_fn, and stops this process and, through the variable, the others."""

  def __init__(
    self,
    should_stop_fn: Callable[[], bool],
    run_every_secs: float | None = 60,
    run_every_steps: int | None = None,
  ):
    if not callable(should_stop_fn):
      raise TypeError('`should_stop_fn` must be callable.')
    self._should_stop_fn = should_stop_fn
    self._timer = tf.train.SecondOrStepTimer(every_secs=run_every_secs, every_steps=run_every_steps)
    self._global_step: Any = None
    self._stop_var: Any = None
    self._stop_op: Any = None

  def begin(self) -> None:
    self._global_step = tf.train.get_global_step()
    self._stop_var = _get_or_create_stop_var()
    self._stop_op = tf.assign(self._stop_var, True)

  def before_run(self, run_context: Any) -> Any:
    return tf.train.SessionRunArgs(self._global_step)

  def after_run(self, run_context: Any, run_values: Any) -> None:
    step = run_values.results
    if not self._timer.should_trigger_for_step(step):
      return
    self._timer.update_last_triggered_step(step)
    if self._should_stop_fn():
      tf.logging.info('Requesting early stopping at global step %d', step)
      run_context.session.run(self._stop_op)
      run_context.request_stop()


class _CheckForStoppingHook(tf.train.SessionRunHook):
  """Stops once the chief's _StopOnPredicateHook has set the variable."""

  def __init__(self) -> None:
    self._stop_var: Any = None

  def begin(self) -> None:
    self._stop_var = _get_or_create_stop_var()

  def before_run(self, run_context: Any) -> Any:
    return tf.train.SessionRunArgs(self._stop_var)

  def after_run(self, run_context: Any, run_values: Any) -> None:
    if run_values.results:
      tf.logging.info('Early stopping requested, suspending run.')
      run_context.request_stop()


class _StopAtCheckpointStepHook(tf.train.SessionRunHook):
  """Stops once the newest checkpoint is of the last step; looks for it so many seconds apart."""

  def __init__(
    self, model_dir: str | None, last_step: int | None, wait_after_file_check_secs: float = 30
  ):
    if last_step is None:
      raise ValueError('last_step must be specified.')
    if model_dir is None:
      raise ValueError('model_dir must be specified.')
    self._model_dir = model_dir
    self._last_step = last_step
    self._wait_after_file_check_secs = wait_after_file_check_secs
    self._global_step: Any = None

  def begin(self) -> None:
    if tf.train.get_global_step() is None:
      raise RuntimeError('Global step should be created to use StopAtCheckpointStepHook.')
    self._global_step = checkpoints.global_step_read()

  def before_run(self, run_context: Any) -> Any:
    return tf.train.SessionRunArgs(self._global_step)

  def after_run(self, run_context: Any, run_values: Any) -> None:
    # What was fetched may be the step before this run's.
    if run_values.results + 1 < self._last_step:
      return
    if checkpoints.last_step(self._model_dir) >= self._last_step:
      run_context.request_stop()
    else:
      # Many workers look at one file.
      time.sleep(self._wait_after_file_check_secs)
