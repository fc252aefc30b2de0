"""The layers that the base networks and the embedders share, each in a variable scope of its name.

Maps are float32 [images, height, width, channels].
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

import npu_adapter
from npu_adapter import errors

TRAIN_BASE = ('train_all', 'only_bn', 'frozen')
# Keras' own values of batch norm: how much of a moving average stays each step, and what is added
# to the variance.
_MOMENTUM = 0.99
_EPSILON = 1e-3


class Mode(NamedTuple):
  """What of a network learns, and what its batch norm normalises with."""

  trains_kernels: bool  # biases go with them
  trains_norms: bool
  by_batch: bool  # by the statistics of the batch, which move the averages; else by the averages


class Convolution(NamedTuple):
  """A square kernel, and how it goes over a map."""

  filters: int
  size: int
  stride: int = 1
  padding: str = 'SAME'
  has_bias: bool = True
  l2_weight: float = 0.0


def embedder_mode(is_training: bool) -> Mode:
  """All of an embedder learns."""
  return Mode(trains_kernels=True, trains_norms=True, by_batch=is_training)


def base_mode(is_training: bool, train_base: str) -> Mode:
  """What train_base says of a base network."""
  if train_base not in TRAIN_BASE:
    raise errors.InputError(
      f'train_base must be one of {", ".join(TRAIN_BASE)}; got {train_base!r}.'
      f'{errors.nearest(train_base, TRAIN_BASE)}'
    )
  trains_norms = train_base != 'frozen'
  return Mode(train_base == 'train_all', trains_norms, by_batch=is_training and trains_norms)


def check_image_size(images: Any, smallest: int, network: str) -> None:
  """Raises InputError where the map that comes out would be empty or tells nothing of a place."""
  height, width = images.shape.as_list()[1:3]
  if min(height, width) < smallest:
    raise errors.InputError(
      f'images for {network} must be at least {smallest} pixels high and wide; got {height} x '
      f'{width}. Take a larger image size, or another base network.'
    )


def variable(
  name: str, shape: list[int], initializer: Any, trainable: bool = True, l2_weight: float = 0.0
) -> Any:
  """A float32 variable; with l2_weight, and if it learns, also one of l2_terms."""
  regularizer = (lambda x: 2 * l2_weight * tf.nn.l2_loss(x)) if l2_weight else None
  return tf.get_variable(
    name, shape, tf.float32, initializer,
    trainable=trainable, regularizer=regularizer if trainable else None,
  )  # fmt: skip


def l2_terms() -> list[Any]:
  """A float32 scalar for each kernel and bias that is to be kept small."""
  return tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)


def he_normal() -> Any:
  """First values of a kernel with a ReLU behind it."""
  return tf.variance_scaling_initializer(2.0, 'fan_in', 'truncated_normal')


def conv(x: Any, name: str, how: Convolution, mode: Mode) -> Any:
  """A convolution, [images, height, width, channels] -> [images, height', width', filters]."""
  trainable = mode.trains_kernels
  with tf.variable_scope(name):
    shape = [how.size, how.size, x.shape.as_list()[-1], how.filters]
    kernel = variable('kernel', shape, he_normal(), trainable, how.l2_weight)
    x = tf.nn.conv2d(x, kernel, [1, how.stride, how.stride, 1], how.padding)
    if not how.has_bias:
      return x
    bias = variable('bias', [how.filters], tf.zeros_initializer(), trainable, how.l2_weight)
    return tf.nn.bias_add(x, bias)


def dense(x: Any, name: str, units: int, l2_weight: float = 0.0) -> Any:
  """Maps float32 [rows, size] to [rows, units]."""
  with tf.variable_scope(name):
    shape = [x.shape.as_list()[-1], units]
    kernel = variable('kernel', shape, tf.glorot_uniform_initializer(), True, l2_weight)
    bias = variable('bias', [units], tf.zeros_initializer(), True, l2_weight)
    return tf.nn.bias_add(tf.matmul(x, kernel), bias)


def batch_norm(x: Any, name: str, mode: Mode, epsilon: float = _EPSILON) -> Any:
  """Normalises every channel of a map to a mean and a deviation that are learnt."""
  with tf.variable_scope(name):
    return npu_adapter.batch_norm(x, mode.by_batch, _MOMENTUM, epsilon, mode.trains_norms)
