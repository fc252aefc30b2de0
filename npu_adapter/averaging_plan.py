"""What weight averaging is to do: which steps it samples, at which rate. No TensorFlow."""

from __future__ import annotations

from typing import Any, NamedTuple

from npu_adapter import errors

SCHEDULES = ('manual', 'constant', 'cyclic')


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


def _require(holds: bool, rule: str, got: Any) -> None:
  if not holds:
    raise errors.OptionError(f'{rule}; got {got!r}.')
