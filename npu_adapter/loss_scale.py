"""Loss-scale managers with the vendor's arguments; the chosen backend does the work."""

from __future__ import annotations

import numbers
from typing import Any

from npu_adapter import backends, errors
from npu_adapter.runtime import tf1


class LossScaleManager:
  """What both managers have; `native` is the backend's own manager behind this one."""

  native: Any

  def get_loss_scale(self) -> Any:
    """The loss scale now, a float32 scalar tensor."""
    return self.native.get_loss_scale()

  def update_loss_scale(self, finite_grads: Any) -> Any:
    """The op that learns from one step; `finite_grads` is a bool scalar tensor."""
    return self.native.update_loss_scale(finite_grads)


class FixedLossScaleManager(LossScaleManager):
  """Always the same scale; a step that overflows is skipped unless the check is off."""

  def __init__(self, loss_scale: float, enable_overflow_check: bool = True):
    _at_least_one('loss_scale', loss_scale)
    tf1.enable()
    self.native = backends.choose().fixed_loss_scale(loss_scale, enable_overflow_check)


class ExponentialUpdateLossScaleManager(LossScaleManager):
  """Grows after `incr_every_n_steps` good steps in a row, shrinks after some that overflow.

  Its three variables, loss_scale, good_steps and bad_steps, are made at once, in the graph being
  built, and saved with the model: make it inside model_fn.
  """

  def __init__(
    self,
    init_loss_scale: float,
    incr_every_n_steps: int,
    decr_every_n_nan_or_inf: int = 2,
    incr_ratio: float = 2,
    decr_ratio: float = 0.8,
  ):
    _at_least_one('init_loss_scale', init_loss_scale)
    _at_least_one('incr_every_n_steps', incr_every_n_steps)
    _at_least_one('decr_every_n_nan_or_inf', decr_every_n_nan_or_inf)
    _at_least_one('incr_ratio', incr_ratio)
    if not 0 < decr_ratio <= 1:
      raise errors.OptionError(f'decr_ratio must lie above 0 and up to 1; got {decr_ratio!r}.')
    tf1.enable()
    self.native = backends.choose().exponential_loss_scale(
      init_loss_scale=init_loss_scale,
      incr_every_n_steps=incr_every_n_steps,
      decr_every_n_nan_or_inf=decr_every_n_nan_or_inf,
      incr_ratio=incr_ratio,
      decr_ratio=decr_ratio,
    )


def _at_least_one(name: str, value: Any) -> None:
  if isinstance(value, bool) or not isinstance(value, numbers.Real):
    raise errors.OptionTypeError(f'{name} must be a number of at least 1; got {value!r}.')
  if not 1 <= float(value) < float('inf'):
    raise errors.OptionError(f'{name} must be a number of at least 1; got {value!r}.')
