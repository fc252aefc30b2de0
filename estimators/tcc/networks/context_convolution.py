"""A 3 x 3 x 3 convolution over a few frames side by side: two forms of it, which are equal.

Each takes x, float32 [frames, context, height, width, channels], and a kernel [3, 3, 3, channels,
filters], puts a zero around x in every direction and returns [frames, context, height, width,
filters].
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from npu_adapter import backends

TAPS = 3
# Outputs of a tile, in each direction, and where the polynomials are evaluated for it, infinity
# aside. Of the points tried these round the least, to a few 1e-6 of the largest output.
_TILE = 4
_POINTS = (0, 0.75, -0.75, 1.5, -1.5)
# Products of a convolution in time, for the most usual contexts: what each takes of the three taps,
# what of the frames, and where it goes. The first frame of two is k1 x0 + k2 x1, the second
# k0 x0 + k1 x1; both have k1 (x0 + x1) in them.
_IN_TIME = {
  1: ([[0, 1, 0]], [[1]], [[1]]),
  2: (
    [[0, 1, 0], [0, -1, 1], [1, -1, 0]],
    [[1, 1], [0, 1], [1, 0]],
    [[1, 1, 0], [1, 0, 1]],
  ),
}


def by_conv3d(x: Any, kernel: Any) -> Any:
  """One operator; it multiplies the zeros too, which for two frames are a third of the work."""
  return tf.nn.conv3d(x, kernel, [1] * 5, 'SAME')


def by_tiles(x: Any, kernel: Any) -> Any:
  """Products of matrices, with a sixth of conv3d's multiplications for two frames of 14 x 14.

  Map and kernel are evaluated as polynomials at a few points, tile by tile; a product of the two at
  a point stands for many of a convolution (Lavin and Gray, arXiv 1509.09308). What turns them there
  and back are small matrices of constants, so the gradients are such products as well.
  """
  _, context, height, width, channels = x.shape.as_list()
  filters = kernel.shape.as_list()[-1]
  taps_in_time, frames_in_time, back_in_time = _in_time(context)
  of_taps = _powers(TAPS)
  points = len(of_taps)
  rows, back_rows = _tiled(height)
  columns, back_columns = _tiled(width)
  down, across = rows.shape[1], columns.shape[1]  # tiles
  products = len(taps_in_time)

  to_kernel = np.einsum('da,hb,wc->dhwabc', taps_in_time, of_taps, of_taps)
  weights = _times(to_kernel, TAPS**3, tf.reshape(kernel, [TAPS**3, channels * filters]))
  weights = tf.reshape(weights, [products * points**2, channels, filters])

  to_rows = np.einsum('da,pth->dptah', frames_in_time, rows)
  x = _times(to_rows, context * height, tf.reshape(x, [-1, context * height, width * channels]))
  x = tf.reshape(x, [-1, products * points * down, width, channels])
  x = tf.reshape(_times(columns, width, x), [-1, products, points, down, points, across, channels])
  x = tf.transpose(x, [1, 2, 4, 0, 3, 5, 6])

  y = tf.matmul(tf.reshape(x, [products * points**2, -1, channels]), weights)

  y = tf.reshape(y, [products, points, points, -1, down, across, filters])
  y = tf.transpose(y, [3, 0, 1, 4, 2, 5, 6])
  y = tf.reshape(y, [-1, products * points * down, points * across, filters])
  y = _times(back_columns, points * across, y)
  y = tf.reshape(y, [-1, products * points * down, width * filters])
  from_rows = np.einsum('ad,hpt->ahdpt', back_in_time, back_rows)
  y = _times(from_rows, products * points * down, y)
  return tf.reshape(y, [-1, context, height, width, filters])


def fastest() -> Any:
  """The form that the device is fastest with."""
  return by_conv3d if backends.choose().is_made_for_convolutions else by_tiles


def _times(matrix: Any, columns: int, x: Any) -> Any:
  """A constant, its last axes taken as `columns`, times x [..., columns, numbers]."""
  return tf.matmul(tf.constant(matrix.reshape([-1, columns]), tf.float32), x)


def _in_time(context: int) -> Any:
  """(taps [products, 3], frames [products, context], back [context, products])."""
  if context in _IN_TIME:
    return tuple(np.array(matrix, float) for matrix in _IN_TIME[context])
  frames, back = _tiled(context)
  points, tiles = frames.shape[:2]
  taps = np.repeat(_powers(TAPS), tiles, axis=0)
  return taps, frames.reshape([-1, context]), back.reshape([context, points * tiles])


def _tiled(size: int) -> Any:
  """Matrices for a row of so many numbers with a zero before and after it.

  Returns (evaluation [points, tiles, size], interpolation [size, points, tiles]).
  """
  of_products = _powers(_TILE).T
  points = of_products.shape[1]
  of_inputs = np.linalg.inv(_powers(points)).T
  tiles = -(-size // _TILE)
  reach = tiles * _TILE + TAPS - 1
  evaluation = np.zeros([points, tiles, reach])
  interpolation = np.zeros([reach, points, tiles])
  for tile in range(tiles):
    first = tile * _TILE
    evaluation[:, tile, first : first + points] = of_inputs
    interpolation[first : first + _TILE, :, tile] = of_products
  # Without the zeros in front, behind, and beyond the end.
  return evaluation[:, :, 1 : size + 1], interpolation[:size]


def _powers(count: int) -> Any:
  """Of each point, [points, count]; at infinity the highest alone remains."""
  rows = [[point**exponent for exponent in range(count)] for point in _POINTS]
  return np.array([*rows, [0] * (count - 1) + [1]], float)
