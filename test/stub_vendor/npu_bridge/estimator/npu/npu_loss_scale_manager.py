"""STUB of the vendor's loss-scale managers; variables as in tf.contrib.mixed_precision."""

import tensorflow.compat.v1 as tf


class FixedLossScaleManager:
  """A loss scale that never changes."""

  def __init__(self, loss_scale, enable_overflow_check=True):
    if loss_scale < 1:
      raise ValueError(f'loss_scale must be at least 1, got {loss_scale}')
    self._loss_scale = tf.convert_to_tensor(loss_scale, dtype=tf.float32)
    self._enable_overflow_check = enable_overflow_check

  def get_loss_scale(self):
    """Scalar float32 tensor."""
    return self._loss_scale

  def get_enable_overflow_check(self):
    """Whether an overflow skips the update."""
    return self._enable_overflow_check

  def update_loss_scale(self, finite_grads):
    """Nothing to update."""
    return tf.no_op()


class ExponentialUpdateLossScaleManager:
  """Grows after N good steps in a row, shrinks after M overflows; no check of the arguments."""

  def __init__(
    self,
    init_loss_scale,
    incr_every_n_steps,
    decr_every_n_nan_or_inf=2,
    incr_ratio=2,
    decr_ratio=0.8,
  ):
    self._incr_every_n_steps = incr_every_n_steps
    self._decr_every_n_nan_or_inf = decr_every_n_nan_or_inf
    self._incr_ratio = incr_ratio
    self._decr_ratio = decr_ratio
    self._loss_scale = _variable('loss_scale', init_loss_scale, tf.float32)
    self._good_steps = _variable('good_steps', 0, tf.int32)
    self._bad_steps = _variable('bad_steps', 0, tf.int32)

  def get_loss_scale(self):
    """Scalar float32 variable."""
    return self._loss_scale

  def get_enable_overflow_check(self):
    """Always: without overflow verdicts there is nothing to adapt to."""
    return True

  def update_loss_scale(self, finite_grads):
    """Op that counts the step and moves the scale."""
    return tf.cond(finite_grads, self._count_good_step, self._count_bad_step)

  def _count_good_step(self):
    grown = self._loss_scale * self._incr_ratio
    return self._count(
      self._good_steps,
      self._bad_steps,
      self._incr_every_n_steps,
      tf.where(tf.is_finite(grown), grown, self._loss_scale),
      resets_other=False,
    )

  def _count_bad_step(self):
    return self._count(
      self._bad_steps,
      self._good_steps,
      self._decr_every_n_nan_or_inf,
      tf.maximum(1.0, self._loss_scale * self._decr_ratio),
      resets_other=True,
    )

  def _count(self, counter, other, limit, new_scale, resets_other):
    def move():
      return tf.group(self._loss_scale.assign(new_scale), counter.assign(0), other.assign(0))

    def count():
      return tf.group(counter.assign_add(1), other.assign(0) if resets_other else tf.no_op())

    return tf.cond(counter + 1 >= limit, move, count)


def _variable(name, initial_value, dtype):
  return tf.Variable(initial_value, name=name, dtype=dtype, trainable=False)
