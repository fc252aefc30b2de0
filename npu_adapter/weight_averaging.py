"""Stochastic weight averaging inside a training graph: when a sample is taken, at which rate.

The average stands in variables of its own, beside the weights and in every checkpoint, so that a
training that was stopped goes on averaging. averaged_checkpoint.py makes a network of it.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence

import tensorflow.compat.v1 as tf

from npu_adapter import errors

SCHEDULES = ('manual', 'constant', 'cyclic')
SCOPE = 'weight_average'
SAMPLES = f'{SCOPE}/samples'
_LAST_STEP = f'{SCOPE}/last_step'
# Shares of the steps before averaging: how long the first rate stays, and when the lowest begins.
_FALL_BEGINS, _FALL_ENDS = 0.5, 0.9


class Averaging(NamedTuple):
  """Which weights are averaged, and the learning rate they are found with. Checked by `check`."""

  # The first sample is taken a cycle after it.
  first_step: int
  # The length of a cycle. Of the cyclic schedule's the last step has the lowest rate.
  every_steps: int
  # manual: the model's own rate; constant: falls to `rate`; cyclic: then from `rate2` to `rate`.
  schedule: str = 'manual'
  rate: float | None = None
  rate2: float | None = None
  # Every sample weighs the same; with a decay the last 1 / (1 - decay) or so count.
  decay: float | None = None


def check(plan: Averaging) -> Averaging:
  """Returns the plan, or raises OptionError for one that cannot work."""
  _require(plan.first_step >= 0, 'first_step must be 0 or above', plan.first_step)
  _require(plan.every_steps >= 1, 'every_steps must be 1 or above', plan.every_steps)
  _require(
    plan.schedule in SCHEDULES, f'schedule must be one of {", ".join(SCHEDULES)}', plan.schedule
  )
  _require(
    plan.decay is None or 0 < plan.decay < 1, 'decay must be above 0 and below 1', plan.decay
  )
  if plan.schedule == 'manual':
    _require(
      plan.rate is None and plan.rate2 is None,
      'rate and rate2 must be left out with the manual schedule', (plan.rate, plan.rate2),
    )  # fmt: skip
    return plan
  _require(plan.rate is not None and plan.rate > 0, 'rate must be above 0', plan.rate)
  if plan.schedule == 'constant':
    _require(plan.rate2 is None, 'rate2 must be left out with the constant schedule', plan.rate2)
    return plan
  _require(plan.every_steps >= 2, 'a cycle must have 2 steps or more', plan.every_steps)
  _require(
    plan.rate2 is not None and plan.rate2 >= (plan.rate or 0),
    f'rate2 must be the rate, {plan.rate}, or above', plan.rate2,
  )  # fmt: skip
  return plan


def averaging_rate(initial: float, plan: Averaging) -> Any:
  """The rate of the step to come, a float32 tensor: `initial` first, then what the plan says."""
  check(plan)
  if plan.schedule == 'manual':
    return tf.constant(initial, tf.float32)
  step, lowest = _global_step(), float(plan.rate or 0)
  done = tf.cast(step, tf.float32) / max(plan.first_step, 1)
  fallen = tf.clip_by_value((done - _FALL_BEGINS) / (_FALL_ENDS - _FALL_BEGINS), 0.0, 1.0)
  falling = initial + fallen * (lowest - initial)
  if plan.schedule == 'constant':
    return tf.where(step < plan.first_step, falling, tf.constant(lowest, tf.float32))
  highest = float(plan.rate2 or 0)
  passed = tf.cast(tf.floormod(step - plan.first_step, plan.every_steps) + 1, tf.float32)
  cyclic = highest + passed / plan.every_steps * (lowest - highest)
  return tf.where(step < plan.first_step, falling, cyclic)


def average_weights(train_op: Any, plan: Averaging, variables: Sequence[Any] | None = None) -> Any:
  """Returns an operation that trains a step and takes a sample where one is due.

  variables: what is averaged, all that are trained by default. Call it outside of any variable
  scope, after the optimizer; the names of what it keeps are those of the variables below SCOPE.
  """
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

    return tf.cond(is_due, take, tf.no_op)


def _share(count: Any, decay: float | None) -> Any:
  """How much of the new average is of the newest sample, float32."""
  equal = 1 / tf.cast(count, tf.float32)
  return equal if decay is None else tf.maximum(equal, 1 - decay)


def _state(name: str, shape: Any, dtype: Any) -> Any:
  return tf.get_variable(
    name, shape, dtype.base_dtype, tf.zeros_initializer(), trainable=False
  )  # fmt: skip


def _global_step() -> Any:
  step = tf.train.get_global_step()
  if step is None:
    raise errors.OptionError(
      'averaging needs the global step in the graph; got a graph without one. An estimator makes '
      'it; elsewhere call tf.train.get_or_create_global_step() first.'
    )
  return step.read_value() if hasattr(step, 'read_value') else step


def _require(holds: bool, rule: str, got: Any) -> None:
  if not holds:
    raise errors.OptionError(f'{rule}; got {got!r}.')
