"""A small base network that starts from nothing, for images of 64 to 96 pixels and for CPUs."""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as tf

from estimators.tcc.networks import layers

SCOPE = 'base'
SMALLEST_IMAGE = 16
# (filters, size of the kernel, stride)
_LAYERS = ((32, 5, 2), (64, 3, 2), (128, 3, 2), (128, 3, 1))


def base(images: Any, is_training: bool, train_base: str) -> Any:
  """Maps float32 [n, height, width, 3] in [-1, 1] to [n, height / 8, width / 8, 128]."""
  mode = layers.base_mode(is_training, train_base)
  layers.check_image_size(images, SMALLEST_IMAGE, 'small_base')
  x = images
  with tf.variable_scope(SCOPE):
    for number, (filters, size, stride) in enumerate(_LAYERS, 1):
      # No bias: beta is one.
      how = layers.Convolution(filters, size, stride, has_bias=False)
      x = layers.conv(x, f'conv{number}_conv', how, mode)
      x = tf.nn.relu(layers.batch_norm(x, f'conv{number}_bn', mode))
  return x
