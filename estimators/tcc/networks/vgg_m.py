"""VGG-M, a base network that starts from nothing: seven convolutions, a map of a 16th the size."""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as tf

from estimators.tcc.networks import layers

SCOPE = 'base'
SMALLEST_IMAGE = 32
# Filters of the two convolutions of a stage; the map is halved in front of all but the first.
_STAGES = (128, 256, 512)


def base(
  images: Any,
  is_training: bool,
  train_base: str,
  use_batch_norm: bool = True,
  l2_weight: float = 1e-5,
) -> Any:
  """Maps float32 [n, height, width, 3] in [-1, 1] to [n, height / 16, width / 16, 512]."""
  mode = layers.base_mode(is_training, train_base)
  layers.check_image_size(images, SMALLEST_IMAGE, 'vgg_m')

  def conv_relu(x: Any, name: str, how: layers.Convolution) -> Any:
    x = layers.conv(x, f'{name}_conv', how._replace(l2_weight=l2_weight), mode)
    return tf.nn.relu(layers.batch_norm(x, f'{name}_bn', mode) if use_batch_norm else x)

  with tf.variable_scope(SCOPE):
    x = tf.pad(images, [[0, 0], [3, 3], [3, 3], [0, 0]])
    x = conv_relu(x, 'conv1', layers.Convolution(64, 7, 2, 'VALID'))
    # After a ReLU the largest is the same with zeros around the map.
    x = tf.nn.max_pool(
      tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), [1, 3, 3, 1], [1, 2, 2, 1], 'VALID'
    )
    for number, filters in enumerate(_STAGES, 2):
      if number > 2:
        x = tf.nn.max_pool(x, [1, 2, 2, 1], [1, 2, 2, 1], 'VALID')
      for part in (1, 2):
        x = conv_relu(x, f'conv{number}_{part}', layers.Convolution(filters, 3))
    return x
