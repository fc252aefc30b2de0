"""The learning rate over the iterations, under the names of the published configuration."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from npu_adapter import errors


class Schedule(NamedTuple):
  """Checked by `check`; the defaults are published."""

  initial_lr: float = 1e-4
  decay_type: str = 'fixed'
  exp_decay_rate: float = 0.97
  exp_decay_steps: int = 1000
  manual_lr_step_boundaries: tuple[int, ...] = (5000, 10000)
  manual_lr_decay_rate: float = 0.1
  # Of the first iterations, in which the rate rises from nothing.
  num_warmup_steps: int = 0
  # Where poly reaches nothing: the last iteration.
  max_iters: int = 150000


def check(schedule: Schedule) -> Schedule:
  """Returns the schedule, or raises InputError for one that cannot be."""
  if schedule.decay_type not in DECAYS:
    raise errors.InputError(
      f'DECAY_TYPE must be one of {", ".join(DECAYS)}; got {schedule.decay_type!r}.'
      f'{errors.nearest(schedule.decay_type, DECAYS)}'
    )
  for name in ('initial_lr', 'exp_decay_rate', 'exp_decay_steps', 'manual_lr_decay_rate'):
    value = getattr(schedule, name)
    if not 0 < value < math.inf:
      raise errors.InputError(f'{name.upper()} must be above 0; got {value!r}.')
  bounds = schedule.manual_lr_step_boundaries
  if list(bounds) != sorted(set(bounds)) or any(bound < 1 for bound in bounds):
    raise errors.InputError(
      f'MANUAL_LR_STEP_BOUNDARIES must be iterations in rising order; got {list(bounds)}.'
    )
  if schedule.num_warmup_steps < 0:
    raise errors.InputError(
      f'NUM_WARMUP_STEPS must be 0 or above; got {schedule.num_warmup_steps}.'
    )
  return schedule


def rate(schedule: Schedule) -> Any:
  """The rate of the step to come, a float32 scalar."""
  check(schedule)
  done = tf.cast(tf.train.get_global_step(), tf.float32)
  value = schedule.initial_lr * DECAYS[schedule.decay_type](schedule, done)
  if schedule.num_warmup_steps:
    value *= tf.minimum(1.0, done / schedule.num_warmup_steps)
  return tf.convert_to_tensor(value, tf.float32)


def _fixed(schedule: Schedule, done: Any) -> Any:
  return 1.0


def _exponential(schedule: Schedule, done: Any) -> Any:
  """In stairs."""
  return tf.pow(schedule.exp_decay_rate, tf.floor(done / schedule.exp_decay_steps))


def _manual(schedule: Schedule, done: Any) -> Any:
  bounds = tf.constant(schedule.manual_lr_step_boundaries, tf.float32)
  passed = tf.reduce_sum(tf.cast(done > bounds, tf.float32))
  return tf.pow(schedule.manual_lr_decay_rate, passed)


def _poly(schedule: Schedule, done: Any) -> Any:
  """In a line."""
  return 1 - tf.minimum(1.0, done / schedule.max_iters)


DECAYS = {'fixed': _fixed, 'exp_decay': _exponential, 'manual': _manual, 'poly': _poly}
