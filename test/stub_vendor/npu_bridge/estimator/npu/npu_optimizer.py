"""STUB of the vendor's distributed optimizers; collectives as in the stub's hccl_ops."""

import os

import tensorflow.compat.v1 as tf

from npu_bridge.estimator.npu import util
from npu_bridge.estimator.npu.npu_loss_scale_optimizer import (
  WrappedOptimizer,
  apply_unless,
  overflow_verdict,
  scaled_gradients,
)
from npu_bridge.hccl import hccl_ops

_WORLD = 'hccl_world_group'


def _average(gradient, fusion=1, fusion_id=-1, group=_WORLD):
  """Mean of a gradient over the ranks; sparse ones by two gathers."""
  rank_size = util.get_ranksize()
  if gradient is None or rank_size <= 1:
    return gradient
  if isinstance(gradient, tf.IndexedSlices):
    return tf.IndexedSlices(
      values=hccl_ops.allgather(gradient.values, rank_size) / rank_size,
      indices=hccl_ops.allgather(gradient.indices, rank_size),
      dense_shape=gradient.dense_shape,
    )
  return hccl_ops.allreduce(gradient, 'sum', fusion, fusion_id, group) / rank_size


def _average_pairs(grads_and_vars):
  return [(_average(g), v) for g, v in grads_and_vars]


def npu_allreduce(values, reduction='mean', fusion=1, fusion_id=-1, group=_WORLD):
  """Reduces each tensor of a list over the ranks; list in, list out."""
  if not isinstance(values, (list, tuple)):
    raise TypeError(f'npu_allreduce takes a list of tensors, got {type(values).__name__}')
  if util.get_ranksize() <= 1:
    return list(values)
  if reduction == 'mean':
    return [_average(value, fusion, fusion_id, group) for value in values]
  return [
    None if v is None else hccl_ops.allreduce(v, reduction, fusion, fusion_id, group)
    for v in values
  ]


class NPUDistributedOptimizer(WrappedOptimizer):
  """Averages gradients over the ranks; passes everything through at rank size 1."""

  def __init__(self, optimizer, is_weight_update_sharding=False, name=None):
    super().__init__(optimizer, name or f'Distributed{type(optimizer).__name__}')
    self._is_weight_update_sharding = is_weight_update_sharding

  def compute_gradients(self, *args, **kwargs):
    """The inner optimizer's gradients, averaged."""
    pairs = self._opt.compute_gradients(*args, **kwargs)
    if util.get_ranksize() > 1 and self._is_weight_update_sharding:
      _check_sharding(pairs)
    return _average_pairs(pairs)


def _check_sharding(grads_and_vars):
  device_id, rank_size = os.environ.get('DEVICE_ID', ''), util.get_ranksize()
  if not device_id.isdigit():
    raise ValueError(f'weight update sharding needs DEVICE_ID of at least 0, got {device_id!r}')
  if len(grads_and_vars) < rank_size:
    raise ValueError(
      f'weight update sharding needs as many gradients as ranks, got {len(grads_and_vars)} '
      f'gradients for {rank_size} ranks'
    )


class NPUOptimizer(WrappedOptimizer):
  """Distribution and loss scale in one optimizer."""

  def __init__(
    self,
    opt,
    loss_scale_manager=None,
    is_distributed=False,
    is_loss_scale=False,
    is_tailing_optimization=False,
    name=None,
  ):
    if is_loss_scale and loss_scale_manager is None:
      raise ValueError('is_loss_scale=True needs a loss_scale_manager, got None')
    super().__init__(opt, name or f'NPUOptimizer{type(opt).__name__}')
    self._loss_scale_manager = loss_scale_manager
    self._is_distributed = is_distributed
    self._is_loss_scale = is_loss_scale
    self._is_tailing = is_tailing_optimization

  def compute_gradients(self, loss, var_list=None, **kwargs):
    """Gradients, averaged here unless the tailing form averages them later."""
    if self._is_loss_scale:
      manager = self._loss_scale_manager
      pairs = scaled_gradients(self._opt, loss, manager, var_list=var_list, **kwargs)
    else:
      pairs = self._opt.compute_gradients(loss, var_list=var_list, **kwargs)
    return _average_pairs(pairs) if self._is_distributed and not self._averages_late() else pairs

  def apply_gradients(self, grads_and_vars, global_step=None, name=None):
    """Update, left out on overflow when there is a loss scale."""
    pairs = list(grads_and_vars)
    if not self._is_loss_scale or not self._loss_scale_manager.get_enable_overflow_check():
      return self._opt.apply_gradients(pairs, global_step, name)
    overflow = overflow_verdict([g for g, _ in pairs], self._is_distributed)
    if self._averages_late():
      pairs = _average_pairs(pairs[:-1]) + _average_last(pairs[-1:], overflow)

    def apply():
      return self._opt.apply_gradients(pairs, global_step, name)

    return apply_unless(overflow, apply, self._loss_scale_manager)

  def _averages_late(self):
    return (
      self._is_distributed
      and self._is_tailing
      and self._is_loss_scale
      and self._loss_scale_manager.get_enable_overflow_check()
    )


def _average_last(pairs, overflow):
  """The last gradient's all-reduce waits for the overflow verdict."""
  with tf.control_dependencies([overflow]):
    return _average_pairs(pairs)


def npu_distributed_optimizer_wrapper(optimizer):
  """Changes the optimizer (or the Keras one of that name) so that its gradients are averaged."""
  if isinstance(optimizer, str):
    optimizer = tf.keras.optimizers.get(optimizer)
  if util.get_ranksize() <= 1:
    return optimizer
  for name, average in (
    ('compute_gradients', _average_pairs),
    ('_compute_gradients', _average_pairs),
    ('get_gradients', npu_allreduce),
  ):
    if hasattr(optimizer, name):
      setattr(optimizer, name, _averaged(getattr(optimizer, name), average))
  return optimizer


def _averaged(method, average):
  def averaged_method(*args, **kwargs):
    return average(method(*args, **kwargs))

  return averaged_method


class KerasDistributeOptimizer(tf.keras.optimizers.Optimizer):
  """Keras optimizer around another one, gradients averaged."""

  def __init__(self, optimizer, name='NpuKerasOptimizer', **kwargs):
    super().__init__(name, **kwargs)
    self._optimizer = optimizer

  def get_gradients(self, loss, params):
    """The inner optimizer's gradients, averaged."""
    return npu_allreduce(self._optimizer.get_gradients(loss, params))

  def apply_gradients(self, grads_and_vars, name=None):
    """The inner optimizer's update."""
    return self._optimizer.apply_gradients(grads_and_vars, name=name)

  def get_config(self):
    """The inner optimizer's configuration."""
    return self._optimizer.get_config()

  @property
  def weights(self):
    """The inner optimizer's variables."""
    return self._optimizer.weights
