"""dropout: a mask that a restarted training draws again, the same on any step."""

from __future__ import annotations

import zlib
from typing import Any

import tensorflow.compat.v1 as tf

from npu_adapter import backends, errors

# The tensors that are dropped from already, by name: in a collection they belong to the graph.
_PLACES = 'npu_adapter_dropout_places'


def dropout(x: Any, rate: Any, name: str | None = None, seed: int | None = None) -> Any:
  """Zeroes the share `rate` of x and divides the rest by 1 - rate, as tf.nn.dropout does.

  What goes depends on the graph's seed, the place in the network and the global step alone, so that
  a run that was stopped goes on as if it never had been; tf.nn.dropout starts over. The place is
  the name of x, and how many times x was dropped from before. A `seed` stands in for the place: two
  calls with one seed drop the same of two tensors of one shape.

  x: a tensor of any float type, of any shape. rate: a number or a tensor, from 0 to below 1.
  The graph must have its global step already: made here, it would get the name of the layer around.
  """
  x = tf.convert_to_tensor(x)
  if not x.dtype.is_floating:
    raise errors.OptionTypeError(f'dropout takes floats; got {x.name} of {x.dtype.name}.')
  if not isinstance(rate, (tf.Tensor, tf.Variable)):
    rate = _number(rate)
    if not rate:
      return x
  on_device = backends.choose().dropout(x, 1 - rate, seed, name)
  if on_device is not None:
    return on_device
  step = _global_step()
  with tf.name_scope(name, 'dropout') as scope:
    graph_seed, place_seed = tf.random.get_seed(_place(x) if seed is None else seed)
    pair = tf.stack([graph_seed ^ place_seed, tf.cast(step, tf.int32)])
    # In float32 whatever x is: bfloat16 has 128 values between 0.5 and 1, too few for a share, and
    # on TF 1.15 no division that its optimizer leaves alone.
    noise = tf.random.stateless_uniform(tf.shape(x), pair)
    wide = tf.cast(x, tf.float32) if x.dtype.size < noise.dtype.size else x
    kept = tf.cast(noise >= tf.cast(rate, noise.dtype), wide.dtype)
    stays = 1 - rate
    if not isinstance(stays, float):
      stays = tf.cast(stays, wide.dtype)
    return tf.identity(tf.cast(wide * kept / stays, x.dtype), name=scope)


def _number(rate: Any) -> float:
  try:
    number = float(rate)
  except (TypeError, ValueError):
    number = -1.0
  if not 0 <= number < 1:
    raise errors.OptionError(
      f'the rate of dropout must be a number from 0 to below 1, or a tensor; got {rate!r}. It is '
      'the share that goes, not the share that stays.'
    )
  return number


def _place(x: Any) -> int:
  """A number for the place in the network; another one for each call on the same tensor."""
  name = x.op.name
  times = tf.get_collection(_PLACES).count(name)
  tf.add_to_collection(_PLACES, name)
  place = f'{name}:{times}' if times else name
  return zlib.crc32(place.encode()) % 2**31


def _global_step() -> Any:
  step = tf.train.get_global_step()
  if step is None:
    raise errors.OptionError(
      'dropout needs the global step in the graph, to draw another mask at each step; got a graph '
      'without one. An estimator makes it before it calls model_fn; elsewhere call '
      'tf.train.get_or_create_global_step() before the model is built.'
    )
  return step
