"""STUB of the vendor's loss-scale optimizer: an overflow skips the update and the global step."""

import numpy as np
import tensorflow.compat.v1 as tf

from npu_bridge import stub_control
from npu_bridge.estimator.npu import npu_plugin, util
from npu_bridge.hccl import hccl_ops

_STATUS_LENGTH = 8


def _float_status(gradients):
  """int32[8] of the device's overflow flag, read after the gradients exist."""

  def read():
    return np.full(_STATUS_LENGTH, stub_control.read_float_status(), np.int32)

  with tf.control_dependencies(gradients):
    status = tf.py_func(read, [], tf.int32, stateful=True, name='NpuGetFloatStatusV2')
  status.set_shape([_STATUS_LENGTH])
  return status


def overflow_verdict(gradients, is_distributed):
  """Scalar bool: whether this step's gradients overflowed, on any rank when distributed."""
  dense = [g.values if isinstance(g, tf.IndexedSlices) else g for g in gradients if g is not None]
  finite = tf.reduce_all([tf.reduce_all(tf.is_finite(g)) for g in dense])
  if npu_plugin.is_inf_nan_enabled():
    return tf.logical_not(finite)
  status = _float_status(dense) + tf.cast(tf.logical_not(finite), tf.int32)
  if is_distributed and util.get_ranksize() > 1:
    status = hccl_ops.allreduce(status, 'max')
  return tf.reduce_any(tf.not_equal(status, 0))


def apply_unless(overflow, apply, manager):
  """Op that applies the gradients or skips them, and tells the manager which it was."""
  update = tf.cond(overflow, tf.no_op, apply)
  return tf.group(update, manager.update_loss_scale(tf.logical_not(overflow)))


def scaled_gradients(optimizer, loss, manager, **arguments):
  """Gradients of the scaled loss, divided by the scale again."""
  scale = manager.get_loss_scale()
  value = loss() if callable(loss) else loss
  scaled_loss = value * tf.cast(scale, value.dtype.base_dtype)
  pairs = optimizer.compute_gradients(scaled_loss, **arguments)
  return [(_multiply(g, 1.0 / scale), v) for g, v in pairs]


def _multiply(gradient, factor):
  if gradient is None:
    return None
  factor = tf.cast(factor, gradient.dtype)
  if isinstance(gradient, tf.IndexedSlices):
    return tf.IndexedSlices(gradient.values * factor, gradient.indices, gradient.dense_shape)
  return gradient * factor


class WrappedOptimizer(tf.train.Optimizer):
  """Optimizer around another one that keeps the inner one's slots and attributes."""

  def __init__(self, opt, name):
    self._opt = opt
    super().__init__(use_locking=False, name=name)

  def __getattr__(self, name):
    if name == '_opt':
      raise AttributeError(name)
    return getattr(self._opt, name)

  def compute_gradients(self, loss, *args, **kwargs):
    """The inner optimizer's gradients."""
    return self._opt.compute_gradients(loss, *args, **kwargs)

  def apply_gradients(self, grads_and_vars, global_step=None, name=None):
    """The inner optimizer's update."""
    return self._opt.apply_gradients(grads_and_vars, global_step, name)

  def get_slot(self, var, name):
    """The inner optimizer's slot."""
    return self._opt.get_slot(var, name)

  def get_slot_names(self):
    """The inner optimizer's slot names."""
    return self._opt.get_slot_names()

  def variables(self):
    """The inner optimizer's variables."""
    return self._opt.variables()


class NPULossScaleOptimizer(WrappedOptimizer):
  """Scales the loss and skips steps that overflow."""

  def __init__(self, opt, loss_scale_manager, is_distributed=False):
    if not isinstance(opt, tf.train.Optimizer):
      raise ValueError(f'opt must be an Optimizer, got {type(opt).__name__}')
    super().__init__(opt, 'NPULossScaleOptimizer')
    self._loss_scale_manager = loss_scale_manager
    self._is_distributed = is_distributed

  def compute_gradients(self, loss, var_list=None, **kwargs):
    """Gradients of the unscaled loss, computed through the scaled one."""
    return scaled_gradients(self._opt, loss, self._loss_scale_manager, var_list=var_list, **kwargs)

  def apply_gradients(self, grads_and_vars, global_step=None, name=None):
    """Update of variables and global step, left out on overflow."""
    pairs = list(grads_and_vars)

    def apply():
      return self._opt.apply_gradients(pairs, global_step, name)

    if not self._loss_scale_manager.get_enable_overflow_check():
      return apply()
    overflow = overflow_verdict([g for g, _ in pairs], self._is_distributed)
    return apply_unless(overflow, apply, self._loss_scale_manager)
