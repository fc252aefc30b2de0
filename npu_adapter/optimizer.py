"""wrap_optimizer: what a model_fn puts around its optimizer so that it trains on any device."""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as tf

from npu_adapter import backends, errors
from npu_adapter.backends import base
from npu_adapter.loss_scale import (
  ExponentialUpdateLossScaleManager,
  FixedLossScaleManager,
  LossScaleManager,
)
from npu_adapter.runtime import tf1


def wrap_optimizer(
  optimizer: Any, loss_scale: Any = None, is_tailing_optimization: bool = False
) -> Any:
  """Returns `optimizer` with gradient exchange between ranks and loss scaling as asked.

  `loss_scale` is None or 'none', a number of at least 1, 'dynamic', or one of the loss-scale
  managers: the value of --loss_scale can be handed in as it is.
  """
  tf1.enable()
  manager = _manager(loss_scale)
  if not isinstance(optimizer, tf.train.Optimizer):
    raise errors.OptionTypeError(
      f'wrap_optimizer takes a tf.train.Optimizer; got {optimizer!r}. A Keras optimizer goes to '
      'keras_optimizer.'
    )
  request = base.OptimizerRequest(optimizer, manager, is_tailing_optimization)
  return backends.choose().wrap_optimizer(request)


def _manager(loss_scale: Any) -> LossScaleManager | None:
  if loss_scale is None or loss_scale == 'none':
    return None
  if isinstance(loss_scale, LossScaleManager):
    return loss_scale
  if loss_scale == 'dynamic':
    # TensorFlow's own start and pace for a dynamic scale, halved where the vendor would take 0.8.
    return ExponentialUpdateLossScaleManager(2.0**15, 2000, decr_ratio=0.5)
  try:
    # A truth value is no number here, although Python can make one of it.
    scale = None if isinstance(loss_scale, bool) else float(loss_scale)
  except (TypeError, ValueError):
    scale = None
  if scale is None:
    raise errors.OptionError(
      "loss_scale must be 'none', 'dynamic', a number of at least 1 or a loss-scale manager; got "
      f'{loss_scale!r}.{errors.nearest(loss_scale, ("none", "dynamic"))}'
    )
  return FixedLossScaleManager(scale)
