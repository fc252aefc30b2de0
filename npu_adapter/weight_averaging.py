"""Stochastic weight averaging inside a training graph: when a sample is taken, at which rate.

The average stands in variables of its own, beside the weights and in every checkpoint, so that a
training that was stopped goes on averaging. averaged_checkpoint.py makes a network of it.
"""

from __future__ import annotations

from typing import Any, Sequence

import tensorflow.compat.v1 as tf

from npu_adapter import backends, errors
from npu_adapter.averaging_plan import Averaging, check

SCOPE = 'weight_average'
SAMPLES = f'{SCOPE}/samples'
_LAST_STEP = f'{SCOPE}/last_step'
# Shares of the steps before averaging: how long the first rate stays, and when the lowest begins.
_FALL_BEGINS, _FALL_ENDS = 0.5, 0.9


def averaging_rate(initial: Any, plan: Averaging | None) -> Any:
  """The rate of the step to come, a float32 tensor: `initial` first, then what the plan says.

  initial: a number, or the tensor of a schedule.
  """
  initial = tf.convert_to_tensor(initial, tf.float32)
  if plan is None or check(plan).schedule == 'manual':
    return initial
  step, lowest = _global_step(), float(plan.rate or 0)
  # 0 until half of the steps before are done, 1 from nine tenths on.
  slope = 1 / ((_FALL_ENDS - _FALL_BEGINS) * max(plan.first_step, 1))
  start = _FALL_BEGINS / (_FALL_ENDS - _FALL_BEGINS)
  fallen = tf.clip_by_value(tf.cast(step, tf.float32) * slope - start, 0.0, 1.0)
  falling = initial + fallen * (lowest - initial)
  in_cycles = tf.constant(lowest, tf.float32)
  if plan.schedule == 'cyclic':
    highest = float(plan.rate2 or 0)
    passed = tf.floormod(step - plan.first_step, plan.every_steps) + 1
    in_cycles = highest - tf.cast(passed, tf.float32) * ((highest - lowest) / plan.every_steps)
  return tf.where(step < plan.first_step, falling, in_cycles)


def average_weights(
  train_op: Any, plan: Averaging | None, variables: Sequence[Any] | None = None
) -> Any:
  """Returns an operation that trains a step and takes a sample where one is due.

  variables: what is averaged, all that are trained by default. Call it outside of any variable
  scope, after the optimizer; the names of what it keeps are those of the variables below SCOPE.
  Without a plan the training is as it was.
  """
  if plan is None:
    return train_op
  check(plan)
  if tf.get_variable_scope().name:
    raise errors.OptionError(
      'average_weights must be called outside of any variable scope; got '
      f'{tf.get_variable_scope().name!r}.'
    )
  weights = list(tf.trainable_variables() if variables is None else variables)
  averages = [_state(f'{SCOPE}/{each.op.name}', each.shape, each.dtype) for each in weights]
  samples = _state(SAMPLES, [], tf.int64)
  last = _state(_LAST_STEP, [], tf.int64)
  with tf.name_scope('take_sample'), tf.control_dependencies([train_op]):
    reached = tf.cast(_global_step(), tf.int64)
    passed = reached - plan.first_step
    is_due = (passed > 0) & tf.equal(passed % plan.every_steps, 0)
    # A loss scale may skip a step: the next one ends at the same step.
    is_due &= tf.not_equal(reached, last.read_value())

    def take() -> Any:
      count = samples.read_value() + 1
      share = _share(count, plan.decay)
      moves = [
        tf.assign_add(average, (weight.read_value() - average) * tf.cast(share, average.dtype))
        for average, weight in zip(averages, weights)
      ]
      with tf.control_dependencies(moves):
        return tf.group(tf.assign(samples, count), tf.assign(last, reached))

    return backends.choose().only_when(is_due, take) or tf.cond(is_due, take, tf.no_op)


def _share(count: Any, decay: float | None) -> Any:
  """How much of the new average is of the newest sample, float32."""
  equal = 1 / tf.cast(count, tf.float32)
  return equal if decay is None else tf.maximum(equal, 1 - decay)


def _state(name: str, shape: Any, dtype: Any) -> Any:
  return tf.get_variable(name, shape, dtype.base_dtype, tf.zeros_initializer(), trainable=False)


def _global_step() -> Any:
  step = tf.train.get_global_step()
  if step is None:
    raise errors.OptionError(
      'averaging needs the global step in the graph; got a graph without one. An estimator makes '
      'it; elsewhere call tf.train.get_or_create_global_step() first.'
    )
  return step.read_value() if hasattr(step, 'read_value') else step
