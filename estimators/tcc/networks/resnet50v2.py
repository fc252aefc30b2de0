"""ResNet50V2 as far as conv4_block3_out, in the variables of Keras Applications.

A block normalises before it convolves (He et al., Identity Mappings in Deep Residual Networks), and
it is the last block of a stage that halves the map.
"""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as tf

from estimators.tcc.networks import layers

SCOPE = 'base'
SMALLEST_IMAGE = 32
_EPSILON = 1.001e-5
# (name, filters, blocks, stride of the last one). conv4 goes on for three more, which are not here.
_STAGES = (('conv2', 64, 3, 2), ('conv3', 128, 4, 2), ('conv4', 256, 3, 1))


def base(images: Any, is_training: bool, train_base: str) -> Any:
  """Maps float32 [n, height, width, 3] in [-1, 1] to [n, height / 16, width / 16, 1024]."""
  mode = layers.base_mode(is_training, train_base)
  layers.check_image_size(images, SMALLEST_IMAGE, 'resnet50v2')
  with tf.variable_scope(SCOPE):
    x = layers.conv(_framed(images, 3), 'conv1_conv', layers.Convolution(64, 7, 2, 'VALID'), mode)
    # Zeros around it, which count: no ReLU was before.
    x = tf.nn.max_pool(_framed(x, 1), [1, 3, 3, 1], [1, 2, 2, 1], 'VALID')
    for stage, filters, blocks, last_stride in _STAGES:
      for number in range(1, blocks + 1):
        stride = last_stride if number == blocks else 1
        x = _block(x, f'{stage}_block{number}', filters, stride, mode)
    return x


def _block(x: Any, name: str, filters: int, stride: int, mode: layers.Mode) -> Any:
  """Three convolutions, and the way around them."""
  width = 4 * filters
  seen = _norm_relu(x, f'{name}_preact_bn', mode)
  inner = layers.Convolution(filters, 1, has_bias=False)
  y = _norm_relu(layers.conv(seen, f'{name}_1_conv', inner, mode), f'{name}_1_bn', mode)
  inner = layers.Convolution(filters, 3, has_bias=False)
  if stride > 1:
    # Keras puts a zero on each side; SAME would put one at the end alone.
    y, inner = _framed(y, 1), inner._replace(stride=stride, padding='VALID')
  y = _norm_relu(layers.conv(y, f'{name}_2_conv', inner, mode), f'{name}_2_bn', mode)
  if x.shape.as_list()[-1] != width:
    around = layers.conv(seen, f'{name}_0_conv', layers.Convolution(width, 1, stride), mode)
  else:
    # Every second number: many times faster than a slice with a stride.
    around = tf.nn.avg_pool(x, [1] * 4, [1, stride, stride, 1], 'VALID') if stride > 1 else x
  return around + layers.conv(y, f'{name}_3_conv', layers.Convolution(width, 1), mode)


def _norm_relu(x: Any, name: str, mode: layers.Mode) -> Any:
  return tf.nn.relu(layers.batch_norm(x, name, mode, _EPSILON))


def _framed(x: Any, zeros: int) -> Any:
  """So many zeros on each side of a map."""
  return tf.pad(x, [[0, 0], [zeros, zeros], [zeros, zeros], [0, 0]])
