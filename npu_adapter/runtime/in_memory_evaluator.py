"""InMemoryEvaluatorHook: evaluates during training, with the weights of the training session."""

from __future__ import annotations

from typing import Any, Callable, Iterable

import tensorflow.compat.v1 as tf

from npu_adapter.runtime import evaluation
from npu_adapter.runtime.estimator import Estimator
from npu_adapter.runtime.model import new_graph


class InMemoryEvaluatorHook(tf.train.SessionRunHook):
  """Evaluates before the first step, every `every_n_iter` steps and after the last one.

  It needs no checkpoint: one evaluation graph is built when the training begins, and each time the
  variables it has in common with the training, by their names, are copied over. The metrics go into
  estimator.eval_dir(name). The other arguments are those of Estimator.evaluate.

  For one process, and for models without a saver, init_fn or saveables of their own.
  """

  def __init__(
    self,
    estimator: Any,
    input_fn: Callable[..., Any],
    steps: int | None = None,
    hooks: Iterable[Any] | None = None,
    name: str | None = None,
    every_n_iter: int = 100,
  ):
    if every_n_iter is None or every_n_iter <= 0:
      raise ValueError(f'invalid every_n_iter={every_n_iter}.')
    self._estimator = _runtime_estimator(estimator)
    config = self._estimator.config
    if config.num_ps_replicas > 0 or config.num_worker_replicas > 1:
      raise ValueError('InMemoryEvaluator supports only single machine (aka Local) setting.')
    if steps is not None and steps <= 0:
      raise ValueError(f'Must specify steps > 0, given: {steps}')
    self._input_fn = input_fn
    self._steps = steps
    self._hooks = _checked_hooks(hooks)
    self._eval_dir = self._estimator.eval_dir(name)
    self._timer = tf.train.SecondOrStepTimer(every_steps=every_n_iter)
    self._iterations = 0
    self._graph: Any = None
    self._parts: Any = None
    # By name: (placeholder, operation that assigns it), in the evaluation graph.
    self._setters: dict[str, Any] = {}
    self._shared: dict[str, Any] = {}

  def begin(self) -> None:
    self._iterations = 0
    with new_graph(self._estimator.config) as graph:
      self._graph = graph
      self._parts = evaluation.build(
        self._estimator._model,
        self._input_fn,
        self._steps,
        self._hooks,
        self._estimator._warm_start_settings,
      )
      _check_scaffold(self._parts.scaffold)
      # Now, because the first session closes the graph to new operations.
      self._setters = {variable.name: _setter(variable) for variable in tf.global_variables()}

  def after_create_session(self, session: Any, coord: Any) -> None:
    if tf.get_collection(tf.GraphKeys.SAVEABLE_OBJECTS):
      raise ValueError('InMemoryEvaluator does not support saveables other than global variables.')
    trained = tf.global_variables()
    self._shared = {v.name: v for v in trained if v.name in self._setters}
    self._evaluate(session)

  def after_run(self, run_context: Any, run_values: Any) -> None:
    self._iterations += 1
    if self._timer.should_trigger_for_step(self._iterations):
      self._evaluate(run_context.session)

  def end(self, session: Any) -> None:
    self._evaluate(session)

  def _evaluate(self, training_session: Any) -> None:
    values = training_session.run(self._shared)

    def set_variables(scaffold: Any, session: Any) -> None:
      placed = {self._setters[name][0]: value for name, value in values.items()}
      session.run([self._setters[name][1] for name in values], placed)

    scaffold = tf.train.Scaffold(init_fn=set_variables, copy_from_scaffold=self._parts.scaffold)
    with self._graph.as_default():
      results = evaluation.run(self._parts._replace(scaffold=scaffold), self._estimator.config)
    evaluation.write_summaries(self._eval_dir, results, None)
    self._timer.update_last_triggered_step(self._iterations)


def _runtime_estimator(estimator: Any) -> Estimator:
  """The estimator itself, or the one behind an NPUEstimator on a host."""
  found = getattr(estimator, 'native', estimator)
  if not isinstance(found, Estimator):
    raise TypeError(
      '`estimator` must be an Estimator of npu_adapter, or an NPUEstimator on a host; got '
      f'{type(found)}. For an estimator of tf.estimator take '
      'tf.estimator.experimental.InMemoryEvaluatorHook.'
    )
  return found


def _checked_hooks(hooks: Iterable[Any] | None) -> list[Any]:
  found = list(hooks or [])
  for hook in found:
    if not isinstance(hook, tf.train.SessionRunHook):
      raise TypeError(f'Hooks must be a SessionRunHook, given: {hook}')
  return found


def _check_scaffold(scaffold: Any) -> None:
  """Refuses what would restore or initialise the model in the place of the copied variables."""
  if scaffold.saver is not None:
    raise ValueError('InMemoryEvaluator does not support custom saver')
  if scaffold.init_fn is not None:
    raise ValueError('InMemoryEvaluator does not support custom init_fn')


def _setter(variable: Any) -> tuple[Any, Any]:
  placeholder = tf.placeholder(variable.dtype.base_dtype, variable.shape)
  return placeholder, tf.assign(variable, placeholder)
