"""Loss scaling on a host: the vendor's arithmetic; overflow is told by the gradients."""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as tf

# The vendor stops growing where one more step would leave float32.
_LARGEST_SCALE = 3.4e38


class FixedLossScale:
  """A constant scale."""

  def __init__(self, loss_scale: float, enable_overflow_check: bool):
    self._loss_scale = float(loss_scale)
    self.enable_overflow_check = enable_overflow_check

  def get_loss_scale(self) -> Any:
    return tf.constant(self._loss_scale, tf.float32, name='loss_scale')

  def update_loss_scale(self, finite_grads: Any) -> Any:
    del finite_grads
    return tf.no_op()


class ExponentialLossScale:
  """A scale that grows after good steps and shrinks after overflow; saved with the model."""

  enable_overflow_check = True

  def __init__(
    self,
    init_loss_scale: float,
    incr_every_n_steps: int,
    decr_every_n_nan_or_inf: int,
    incr_ratio: float,
    decr_ratio: float,
  ):
    self._incr_every_n_steps = incr_every_n_steps
    self._decr_every_n_nan_or_inf = decr_every_n_nan_or_inf
    self._incr_ratio = incr_ratio
    self._decr_ratio = decr_ratio
    # Names as in tf.contrib.mixed_precision, so that checkpoints go either way.
    self._loss_scale = _variable('loss_scale', float(init_loss_scale), tf.float32)
    self._good_steps = _variable('good_steps', 0, tf.int32)
    self._bad_steps = _variable('bad_steps', 0, tf.int32)

  def get_loss_scale(self) -> Any:
    return tf.identity(self._loss_scale)

  def update_loss_scale(self, finite_grads: Any) -> Any:
    return tf.cond(finite_grads, self._after_good_step, self._after_bad_step)

  def _after_good_step(self) -> Any:
    enough = self._good_steps + 1 >= self._incr_every_n_steps
    return tf.cond(enough, self._grow, lambda: tf.group(tf.assign_add(self._good_steps, 1)))

  def _after_bad_step(self) -> Any:
    enough = self._bad_steps + 1 >= self._decr_every_n_nan_or_inf
    return tf.cond(enough, self._shrink, self._count_bad_step)

  def _count_bad_step(self) -> Any:
    return tf.group(tf.assign_add(self._bad_steps, 1), tf.assign(self._good_steps, 0))

  def _grow(self) -> Any:
    scale = tf.identity(self._loss_scale)
    may_grow = scale < _LARGEST_SCALE / self._incr_ratio
    return self._restart_with(tf.where(may_grow, scale * self._incr_ratio, scale))

  def _shrink(self) -> Any:
    return self._restart_with(tf.maximum(1.0, self._loss_scale * self._decr_ratio))

  def _restart_with(self, scale: Any) -> Any:
    return tf.group(
      tf.assign(self._loss_scale, scale),
      tf.assign(self._good_steps, 0),
      tf.assign(self._bad_steps, 0),
    )


def _variable(name: str, value: Any, dtype: Any) -> Any:
  return tf.Variable(value, trainable=False, dtype=dtype, name=name)


class LossScaleOptimizer(tf.train.Optimizer):
  """Scales the loss, unscales the gradients, and skips the step when one of them is not finite."""

  def __init__(self, optimizer: Any, manager: Any):
    super().__init__(use_locking=False, name=f'LossScale{type(optimizer).__name__}')
    self._optimizer = optimizer
    self._manager = manager

  def __getattr__(self, name: str) -> Any:
    # Slots, learning rates and the like are the inner optimizer's.
    if name in ('_optimizer', '_manager'):
      raise AttributeError(name)
    return getattr(self._optimizer, name)

  def compute_gradients(self, loss: Any, var_list: Any = None, **kwargs: Any) -> Any:
    """Returns (gradient, variable) pairs of the unscaled loss."""
    scale = self._manager.get_loss_scale()
    scaled = (lambda: _times(loss(), scale)) if callable(loss) else _times(loss, scale)
    pairs = self._optimizer.compute_gradients(scaled, var_list, **kwargs)
    return [(_divided(gradient, scale), variable) for gradient, variable in pairs]

  def apply_gradients(
    self, grads_and_vars: Any, global_step: Any = None, name: str | None = None
  ) -> Any:
    """Applies the gradients and counts the step if all are finite; the scale learns either way."""
    pairs = list(grads_and_vars)
    finite = _all_finite(pairs) if self._manager.enable_overflow_check else tf.constant(True)
    update = tf.cond(
      finite,
      lambda: tf.group(self._optimizer.apply_gradients(pairs, global_step)),
      tf.no_op,
    )
    return tf.group(update, self._manager.update_loss_scale(finite), name=name)

  def variables(self) -> Any:
    return self._optimizer.variables()

  def get_slot(self, var: Any, name: str) -> Any:
    return self._optimizer.get_slot(var, name)

  def get_slot_names(self) -> Any:
    return self._optimizer.get_slot_names()


def _times(loss: Any, scale: Any) -> Any:
  return loss * tf.cast(scale, loss.dtype)


def _divided(gradient: Any, scale: Any) -> Any:
  if gradient is None:
    return None
  if isinstance(gradient, tf.IndexedSlices):
    values = gradient.values / tf.cast(scale, gradient.values.dtype)
    return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
  return gradient / tf.cast(scale, gradient.dtype)


def _all_finite(pairs: list[Any]) -> Any:
  found = [gradient for gradient, _ in pairs if gradient is not None]
  values = [g.values if isinstance(g, tf.IndexedSlices) else g for g in found]
  return tf.reduce_all([tf.reduce_all(tf.is_finite(value)) for value in values])
