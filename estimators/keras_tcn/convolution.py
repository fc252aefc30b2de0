"""Dilated convolution over time: the fastest form of each TensorFlow, all of them equal.

Each form takes x, float32 [batch, steps, channels], a kernel [taps, channels, filters] and what
positions.Convolution says, and returns [batch, outputs, filters].
"""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as tf

from estimators.keras_tcn.positions import Convolution

# Sequences whose part of a kernel's gradient is computed at a time.
_PIECE = 128


def by_native_dilation(x: Any, kernel: Any, how: Convolution) -> Any:
  """conv2d with its own dilation, time where an image has its width."""
  kernel = kernel[how.silent :] if how.silent else kernel
  if how.stride == 1:
    return _with_own_gradient(how)(x, kernel)
  strides = 1 if how.dilation > 1 else how.stride
  found = _conv2d(_padded(x, how), kernel, how.dilation, strides=strides)
  return _strided(found, how.stride // strides)


def _with_own_gradient(how: Convolution) -> Any:
  """A convolution whose gradient by x is a forward one, which skips the zeros around x.

  TensorFlow has none for a conv2d that pads by given numbers, and without one works on the zeros:
  with a dilation of 256 that takes four times as long.
  """

  @tf.custom_gradient
  def convolve(x: Any, kernel: Any) -> tuple[Any, Any]:
    def gradient(slope: Any) -> tuple[Any, Any]:
      return _by_input(slope, kernel, how), _by_kernel(slope, x, kernel, how)

    return _conv2d(x, kernel, how.dilation, how.before, how.after), gradient

  return convolve


def _by_input(slope: Any, kernel: Any, how: Convolution) -> Any:
  turned = tf.transpose(tf.reverse(kernel, [0]), [0, 2, 1])
  reach = (kernel.shape.as_list()[0] - 1) * how.dilation
  return _conv2d(slope, turned, how.dilation, reach - how.before, reach - how.after)


def _by_kernel(slope: Any, x: Any, kernel: Any, how: Convolution) -> Any:
  """Piece after piece of the batch, because TensorFlow works on copies of x and slope."""
  batch = x.shape.as_list()[0] or 1
  total, ready = 0.0, slope
  for first in range(0, batch, _PIECE):
    piece = slice(first, first + _PIECE) if batch > _PIECE else slice(None)
    # Not before its gradient is there: otherwise there would be a padded copy of every x at once.
    with tf.control_dependencies([ready]):
      padded = _padded(x[piece], how)
    ready = tf.raw_ops.Conv2DBackpropFilter(
      input=tf.expand_dims(padded, 1),
      filter_sizes=[1, *kernel.shape.as_list()],
      out_backprop=tf.expand_dims(slope[piece], 1),
      strides=[1, 1, 1, 1],
      padding='VALID',
      dilations=[1, 1, how.dilation, 1],
    )
    total = total + ready if first else ready
  return tf.squeeze(total, 0)


def _conv2d(
  x: Any, kernel: Any, dilation: int, before: int = 0, after: int = 0, strides: int = 1
) -> Any:
  padding = [[0, 0], [0, 0], [before, after], [0, 0]] if before or after else 'VALID'
  found = tf.nn.conv2d(
    tf.expand_dims(x, 1), tf.expand_dims(kernel, 0), [1, 1, strides, 1], padding,
    dilations=[1, 1, dilation, 1],
  )  # fmt: skip
  return tf.squeeze(found, 1)


def by_view(x: Any, kernel: Any, how: Convolution) -> Any:
  """conv2d without dilation over [batch, steps / dilation, dilation, channels], which is x itself.

  What is next to each other in a column there is a dilation apart in time. TF 1.15 has no gradient
  of a dilated conv2d on CPUs.
  """
  kernel = kernel[how.silent :] if how.silent else kernel
  if how.dilation == 1:
    column = tf.expand_dims(_padded(x, how), 2)
    found = tf.nn.conv2d(column, tf.expand_dims(kernel, 1), [1, how.stride, 1, 1], 'VALID')
    return tf.squeeze(found, 2)
  steps = x.shape.as_list()[1]
  steps = (tf.shape(x)[1] if steps is None else steps) + how.before + how.after
  fill = -steps % how.dilation
  x = tf.pad(x, [[0, 0], [how.before + fill, how.after], [0, 0]])
  taps, channels, filters = kernel.shape.as_list()
  rows = (steps + fill) // how.dilation
  view = tf.reshape(x, [-1, rows, how.dilation, channels])
  found = tf.nn.conv2d(view, tf.expand_dims(kernel, 1), [1, 1, 1, 1], 'VALID')
  found = tf.reshape(found, [-1, (rows - taps + 1) * how.dilation, filters])
  return _strided(found[:, fill:], how.stride)


def _padded(x: Any, how: Convolution) -> Any:
  if not how.before and not how.after:
    return x
  return tf.pad(x, [[0, 0], [how.before, how.after], [0, 0]])


def _strided(x: Any, stride: int) -> Any:
  return x[:, ::stride] if stride > 1 else x


def fastest() -> Any:
  """The form this TensorFlow is fastest with."""
  return by_view if tf.__version__.startswith('1.') else by_native_dilation
