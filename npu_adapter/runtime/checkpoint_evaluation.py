"""Evaluates and exports a model whenever there is a new checkpoint of it."""

from __future__ import annotations

import collections
import os
import time
from typing import Any

import tensorflow.compat.v1 as tf

from npu_adapter.runtime import interruption

_GLOBAL_STEP = tf.GraphKeys.GLOBAL_STEP
_SECONDS_BETWEEN_WARNINGS = 600

_ResultFields = collections.namedtuple('_ResultFields', 'status metrics checkpoint_path')


class EvalStatus:
  """What came of an attempt to evaluate."""

  EVALUATED = 'evaluated'
  MISSING_CHECKPOINT = 'missing checkpoint'
  NO_NEW_CHECKPOINT = 'no new checkpoint'


class EvalResult(_ResultFields):
  """The status, and if it is EVALUATED, the metrics and the checkpoint they are of."""

  def __new__(cls, status: str, metrics: Any = None, checkpoint_path: Any = None) -> Any:
    if status == EvalStatus.EVALUATED:
      _check_evaluated(metrics, checkpoint_path)
    else:
      _check_not_evaluated(status, metrics, checkpoint_path)
    return super().__new__(cls, status, metrics, checkpoint_path)


def _check_evaluated(metrics: Any, checkpoint_path: Any) -> None:
  if not metrics:
    raise ValueError('Internal error: `Estimator.evaluate` should never return empty metrics.')
  if not isinstance(metrics, dict):
    raise TypeError(f'`Estimator.evaluate` should return dict. Given {type(metrics)}.')
  if _GLOBAL_STEP not in metrics:
    raise ValueError(
      'Internal error: `Estimator.evaluate` result should have `global_step` in result. '
      f'Given {metrics}'
    )
  if not checkpoint_path:
    raise ValueError('Internal error: `checkpoint_path` should never be empty.')


def _check_not_evaluated(status: str, metrics: Any, checkpoint_path: Any) -> None:
  if metrics:
    raise ValueError(
      f'metrics must be `None` if status is not {EvalStatus.EVALUATED}; got status {status}, '
      f'metrics {metrics}'
    )
  if checkpoint_path:
    raise ValueError(
      f'checkpoint must be `None` if status is not {EvalStatus.EVALUATED}; got status {status}, '
      f'checkpoint_path {checkpoint_path}'
    )


class ContinuousEvalListener:
  """Is asked before and told after every evaluation; returning False ends the evaluations."""

  def before_eval(self) -> bool:
    """Returns whether to evaluate; False ends all."""
    return True

  def after_eval(self, eval_result: EvalResult) -> bool:
    """Returns whether to go on."""
    return True


class Evaluator:
  """Evaluates the latest checkpoint if it is a new one, and hands it to the exporters."""

  def __init__(self, estimator: Any, eval_spec: Any, max_training_steps: int | None):
    self._estimator = estimator
    self._eval_spec = eval_spec
    self._max_training_steps = max_training_steps
    self._previous_path: Any = None
    self._warned_at = 0.0

  def evaluate_and_export(self) -> tuple[EvalResult, list[Any]]:
    """Returns the result, and what each exporter returned."""
    path = self._estimator.latest_checkpoint()
    if not path:
      self._warn(
        'Estimator is not trained yet. Will start an evaluation when a checkpoint is ready.'
      )
      return EvalResult(EvalStatus.MISSING_CHECKPOINT), []
    if path == self._previous_path:
      self._warn(
        'No new checkpoint ready for evaluation. Skip the current evaluation pass as evaluation '
        'results are expected to be same for the same checkpoint.'
      )
      return EvalResult(EvalStatus.NO_NEW_CHECKPOINT), []
    result = EvalResult(EvalStatus.EVALUATED, self._metrics_of(path), path)
    exports = self._export(result)
    self._warned_at = 0.0
    self._previous_path = path
    return result, exports

  def _metrics_of(self, checkpoint_path: Any) -> Any:
    spec = self._eval_spec
    return self._estimator.evaluate(
      input_fn=spec.input_fn,
      steps=spec.steps,
      name=spec.name,
      checkpoint_path=checkpoint_path,
      hooks=spec.hooks,
    )

  def _export(self, result: EvalResult) -> list[Any]:
    last = self._max_training_steps
    is_final = bool(last) and result.metrics[_GLOBAL_STEP] >= last
    if is_final:
      tf.logging.debug('Calling exporter with the `is_the_final_export=True`.')
    base = os.path.join(tf.compat.as_str_any(self._estimator.model_dir), 'export')
    return [
      exporter.export(
        estimator=self._estimator,
        export_path=os.path.join(base, exporter.name),
        checkpoint_path=result.checkpoint_path,
        eval_result=result.metrics,
        is_the_final_export=is_final,
      )
      for exporter in self._eval_spec.exporters
    ]

  def _warn(self, message: str) -> None:
    """Logs it, but not at every look for a checkpoint."""
    now = time.time()
    if now - self._warned_at > _SECONDS_BETWEEN_WARNINGS:
      tf.logging.warning(message)
      self._warned_at = now


class NewCheckpointListener(tf.train.CheckpointSaverListener):
  """Evaluates during training, whenever a checkpoint has been written, and at its end.

  `eval_result` and `export_results` are those of the last evaluation, None before the first.
  """

  def __init__(self, evaluator: Any, eval_throttle_secs: Any, continuous_eval_listener: Any):
    self._evaluator = evaluator
    self._eval_throttle_secs = eval_throttle_secs
    self._continuous_eval_listener = continuous_eval_listener
    self._timer: Any = None
    self._is_first_save = True
    self.eval_result: Any = None
    self.export_results: Any = None

  def begin(self) -> None:
    self._timer = tf.train.SecondOrStepTimer(every_secs=self._eval_throttle_secs)
    self._is_first_save = True

  def after_save(self, session: Any, global_step_value: Any) -> bool:
    """Returns whether training is to stop."""
    if self._is_first_save:
      # Written before the first step: there is nothing new to evaluate.
      self._is_first_save = False
      return False
    if interruption.is_pending():
      tf.logging.info('Not evaluating step %d: a signal has come.', global_step_value)
      return False
    if not self._continuous_eval_listener.before_eval():
      tf.logging.info(
        'Exiting training and evaluation loop, as requested by _ContinuousEvalListener.before_eval.'
      )
      return True
    if not self._timer.should_trigger_for_step(global_step_value):
      tf.logging.info(
        'Skip the current checkpoint eval due to throttle secs (%s secs).', self._eval_throttle_secs
      )
      return False
    if not self._evaluate(global_step_value):
      tf.logging.info('Exiting evaluation, as requested by _ContinuousEvalListener.after_eval.')
      return True
    return False

  def end(self, session: Any, global_step_value: Any) -> None:
    is_evaluated = global_step_value == self._timer.last_triggered_step()
    if (
      not (is_evaluated or interruption.is_pending())
      and self._continuous_eval_listener.before_eval()
    ):
      self._evaluate(global_step_value)

  def _evaluate(self, global_step_value: Any) -> bool:
    """Returns whether the listener wants to go on."""
    self._timer.update_last_triggered_step(global_step_value)
    self.eval_result, self.export_results = self._evaluator.evaluate_and_export()
    if self.eval_result.status != EvalStatus.EVALUATED:
      raise RuntimeError(
        f'There was no new checkpoint after the training. Eval status: {self.eval_result.status}'
      )
    return self._continuous_eval_listener.after_eval(self.eval_result)
