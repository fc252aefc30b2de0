"""Weight averaging as its Keras callback is asked for it: in epochs, with rates found by itself.

No TensorFlow.
"""

from __future__ import annotations

import math
from typing import Any

from npu_adapter import errors
from npu_adapter.averaging_plan import SCHEDULES, Averaging

# Shares of the first rate, and of the way back to it.
_LOW, _HIGH = 0.1, 0.25


def rates(
  initial: float, lr_schedule: str, swa_lr: Any = 'auto', swa_lr2: Any = 'auto'
) -> tuple[float | None, float | None]:
  """The rate samples are taken at, and the one a cycle begins with; None where there is none."""
  if lr_schedule not in SCHEDULES:
    raise errors.InputError(
      f'lr_schedule must be one of {", ".join(SCHEDULES)}; got {lr_schedule!r}.'
    )
  low, high = _rate('swa_lr', swa_lr), _rate('swa_lr2', swa_lr2)
  if lr_schedule == 'manual':
    return None, None
  if low is None and high is not None:
    raise errors.InputError(
      f'swa_lr2 must be auto where swa_lr is; got {high}. Give swa_lr a number too.'
    )
  low = _LOW * initial if low is None else low
  if low > initial:
    raise errors.InputError(
      f'swa_lr must be at most the learning rate at first, {initial}; got {low}.'
    )
  if lr_schedule == 'constant':
    return low, None
  high = low + _HIGH * (initial - low) if high is None else high
  if high < low:
    raise errors.InputError(f'swa_lr2 must be swa_lr, {low}, or above; got {high}.')
  return low, high


def check(start_epoch: int, swa_freq: int, lr_schedule: str, epochs: int | None = None) -> None:
  """Raises InputError for epochs that cannot be; `epochs`: how many there are in all."""
  if start_epoch < 2:
    raise errors.InputError(f'start_epoch must be 2 or above; got {start_epoch}.')
  if epochs is not None and start_epoch >= epochs:
    raise errors.InputError(
      f'start_epoch must be below the number of epochs, {epochs}; got {start_epoch}.'
    )
  least = 2 if lr_schedule == 'cyclic' else 1
  if swa_freq < least:
    raise errors.InputError(
      f'swa_freq must be {least} or above with the schedule {lr_schedule}; got {swa_freq}.'
    )


def plan(
  start_epoch: int, swa_freq: int, lr_schedule: str, rates_found: tuple[float | None, float | None],
  steps_per_epoch: int, decay: float | None = None,
) -> Averaging:  # fmt: skip
  """The same in steps. Of the epochs, which count from 1, start_epoch begins the first cycle."""
  low, high = rates_found
  first_step = (start_epoch - 1) * steps_per_epoch
  return Averaging(first_step, swa_freq * steps_per_epoch, lr_schedule, low, high, decay)


def _rate(name: str, given: Any) -> float | None:
  """A rate above 0; None for auto."""
  if given == 'auto':
    return None
  try:
    rate = float(given)
  except (TypeError, ValueError):
    rate = math.nan
  if not 0 < rate < math.inf:
    raise errors.InputError(f"{name} must be 'auto' or a number above 0; got {given!r}.")
  return rate
