"""Dense layers that classify embeddings; the caller opens their variable scope."""

from __future__ import annotations

from typing import Any, Sequence

import tensorflow.compat.v1 as tf

import npu_adapter

_HE = tf.variance_scaling_initializer(2.0, 'fan_in', 'truncated_normal')
_GLOROT = tf.glorot_uniform_initializer()


def classify(
  x: Any, layers: Sequence[tuple[int, bool]], dropout_rate: float, is_training: bool
) -> Any:
  """Maps float32 [rows, size] to [rows, units of the last layer].

  layers: (units, whether a ReLU follows) of each. In training, dropout stands before each.
  """
  for number, (units, is_rectified) in enumerate(layers):
    if is_training:
      x = npu_adapter.dropout(x, dropout_rate)
    with tf.variable_scope(f'dense_{number}'):
      shape = [x.shape.as_list()[-1], units]
      kernel = tf.get_variable('kernel', shape, tf.float32, _HE if is_rectified else _GLOROT)
      bias = tf.get_variable('bias', [units], tf.float32, tf.zeros_initializer())
      x = tf.nn.bias_add(tf.matmul(x, kernel), bias)
      x = tf.nn.relu(x) if is_rectified else x
  return x
