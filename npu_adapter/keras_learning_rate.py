"""The learning rate of a Keras training: what a schedule says, and the variable it is in."""

from __future__ import annotations

import functools
import importlib
from typing import Any, Callable, NamedTuple

import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import config_pb2

# Shares of the epochs before averaging: how long the first rate stays, and when the lowest begins.
_FALL_BEGINS, _FALL_ENDS = 0.5, 0.9


class Schedule(NamedTuple):
  """The rates of a training that averages its weights. Epochs are counted from 0."""

  first: float
  lowest: float
  highest: float  # that a cycle begins with
  start: int  # the first epoch of the first cycle
  every: int  # epochs of a cycle

  def of_epoch(self, epoch: int) -> float:
    """Outside of cycles: the first rate, then in a line to the lowest."""
    passed = epoch / self.start
    fallen = min(max((passed - _FALL_BEGINS) / (_FALL_ENDS - _FALL_BEGINS), 0.0), 1.0)
    return self.first + fallen * (self.lowest - self.first)

  def of_step(self, epoch: int, step: int, steps: int) -> float:
    """In a cycle: of this step of the epoch, counted from 1, where an epoch has so many."""
    passed = (epoch - self.start) % self.every * steps + step
    share = min(passed / (self.every * steps), 1.0)
    return (1 - share) * self.highest + share * self.lowest


class LearningRate:
  """The rate of a model's optimizer. A write is one operation, prepared before the first."""

  def __init__(self, model: Any) -> None:
    self._model = model
    optimizer = getattr(model.optimizer, 'inner_optimizer', model.optimizer)
    rate: Any = getattr(optimizer, '_learning_rate', None)
    if rate is None:
      rate = getattr(optimizer, 'learning_rate', None)
    if not callable(getattr(rate, 'value', len)):
      # Of Keras 3, around one of TensorFlow.
      rate = rate.value
    # A schedule of Keras is no variable, and some optimizers tell nothing.
    self._variable: Any = rate if hasattr(rate, 'assign') else None
    self._assign: Any = None
    self.known: float | None = None

  @property
  def is_number(self) -> bool:
    """Whether it can be read and written."""
    return self._variable is not None

  def get(self) -> float | None:
    """Reads it from where it is; None if it is no number."""
    if not self.is_number:
      self.known = None
    elif tf.executing_eagerly():
      self.known = float(self._variable.numpy())
    else:
      self.known = float(_session(self._model).run(self._variable))
    return self.known

  def set(self, rate: float) -> None:
    """Writes it, and remembers it as known."""
    if self._assign is None:
      self._assign = self._eager_assign() if tf.executing_eagerly() else self._graph_assign()
    self._assign(rate)
    self.known = rate

  def _eager_assign(self) -> Callable[[float], Any]:
    """Without the value that nobody asks for, it takes half the time."""
    return functools.partial(self._variable.assign, read_value=False)

  def _graph_assign(self) -> Callable[[float], Any]:
    """The cheapest run of a session that there is: Keras runs its steps so too."""
    with self._variable.graph.as_default():
      given = tf.placeholder(self._variable.dtype.base_dtype, [])
      assign = tf.assign(self._variable, given)
    options = config_pb2.CallableOptions(feed=[given.name], target=[assign.op.name])
    # In this thread: waking another takes longer than the assignment.
    options.run_options.inter_op_thread_pool = -1
    run = _session(self._model)._make_callable_from_options(options)
    number = given.dtype.as_numpy_dtype
    return lambda rate: run(number(rate))


def _session(model: Any) -> Any:
  """The session that Keras runs this model in: of TensorFlow's Keras, or of tf_keras."""
  modules = [each.__module__ for each in type(model).__mro__ if '.engine.' in each.__module__]
  package = modules[0].split('.engine.')[0]
  return importlib.import_module(f'{package}.backend').get_session()


def steps_at_once(model: Any) -> int:
  """How many steps Keras takes between two calls of a callback."""
  steps = getattr(model, 'steps_per_execution', None)
  if steps is None:
    return 1
  return int(steps.numpy() if hasattr(steps, 'numpy') else steps)


def steps_of_epoch(params: Any) -> int:
  """Steps of an epoch by what Keras tells a callback; 0 where it does not know."""
  if params.get('steps'):
    return int(params['steps'])
  rows, batch_size = params.get('samples'), params.get('batch_size')
  return -(-int(rows) // int(batch_size)) if rows and batch_size else 0
