"""Batch norm for a model_fn: moves its averages by UPDATE_OPS, and tells what they are of."""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as tf

from npu_adapter import batch_statistics


def batch_norm(
  x: Any, is_training: bool, decay: float = 0.99, epsilon: float = 1e-3, trainable: bool = True
) -> Any:
  """Normalises the channels, the last dimension of a float32 tensor, and scales and shifts them.

  In training by the batch; else by the moving averages, of which `decay` stays in each step. Its
  variables are gamma, beta, moving_mean and moving_variance of the scope that is open.
  """
  channels = x.shape.as_list()[-1]
  gamma, beta = (
    _variable(name, channels, initial, trainable) for name, initial in (('gamma', 1), ('beta', 0))
  )
  mean, variance = (
    _variable(name, channels, initial, False)
    for name, initial in (('moving_mean', 0), ('moving_variance', 1))
  )
  # The operator takes maps only.
  flat = x if x.shape.ndims == 4 else tf.reshape(x, [-1, 1, 1, channels])
  if not is_training:
    return _shaped(
      tf.nn.fused_batch_norm(flat, gamma, beta, mean, variance, epsilon, is_training=False)[0], x
    )
  flat, batch_mean, batch_variance = tf.nn.fused_batch_norm(flat, gamma, beta, epsilon=epsilon)
  for average, value in ((mean, batch_mean), (variance, batch_variance)):
    update = tf.assign_sub(average, (average - value) * (1 - decay))
    tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, update)
  # The operator divides by one less.
  count = tf.cast(tf.size(x) / channels, tf.float32)
  of_the_numbers = batch_variance * (count - 1) / count
  batch_statistics.keep_batch_statistics(mean, variance, batch_mean, of_the_numbers, count)
  return _shaped(flat, x)


def _variable(name: str, channels: int, initial: float, trainable: bool) -> Any:
  start = tf.constant_initializer(initial)
  return tf.get_variable(name, [channels], tf.float32, start, trainable=trainable)


def _shaped(flat: Any, like: Any) -> Any:
  if like.shape.ndims == 4:
    return flat
  found = tf.reshape(flat, tf.shape(like))
  found.set_shape(like.shape)
  return found
