"""From a base network's maps to an embedding of each frame: by convolutions, or by a GRU behind."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

import tensorflow.compat.v1 as tf

import npu_adapter
from estimators.tcc.networks import context_convolution, layers
from npu_adapter import errors

SCOPE = 'embedder'
l2_terms = layers.l2_terms
_FLATTENED_BY: dict[str, Callable[..., Any]] = {
  'max_pool': lambda x: tf.reduce_max(x, axis=[1, 2, 3]),
  'avg_pool': lambda x: tf.reduce_mean(x, axis=[1, 2, 3]),
  'flatten': lambda x: tf.reshape(x, [-1, x.shape[1:].num_elements()]),
}


class ConvEmbedder(NamedTuple):
  """Convolutions over context, height and width, then dense layers; the defaults are published."""

  # (filters, size of the kernel, whether a ReLU follows); filters and units times capacity
  conv_layers: tuple = ((256, 3, True), (256, 3, True))
  fc_layers: tuple = ((256, True), (256, True))  # (units, whether a ReLU follows)
  capacity: int = 2
  size: int = 128  # of an embedding
  flatten: str = 'max_pool'  # or 'avg_pool', 'flatten'
  base_dropout: float = 0.0  # of the maps
  base_dropout_spatial: bool = False  # whole channels of a frame and its context
  fc_dropout: float = 0.1  # in front of each dense layer but the last
  use_batch_norm: bool = True
  l2_weight: float = 1e-5
  l2_normalize: bool = False


class ConvGruEmbedder(NamedTuple):
  """Convolutions over each frame, then GRUs along the frames; the defaults are published."""

  conv_layers: tuple = ((512, 3, True), (512, 3, True))
  gru_layers: tuple = (128,)  # units; the last ones are the size of an embedding
  dropout: float = 0.0  # of the maps
  use_batch_norm: bool = True
  l2_weight: float = 1e-5
  l2_normalize: bool = False


def check(options: Any, context: int) -> None:
  """Raises InputError for what cannot work."""
  if context < 1:
    raise errors.InputError(f'context must be 1 frame or more; got {context}.')
  if isinstance(options, ConvGruEmbedder):
    if context != 1:
      raise errors.InputError(
        f'the convgru embedder must get each frame by itself, a context of 1; got {context}. Set '
        'NUM_STEPS to 1, or take the conv embedder.'
      )
  elif options.flatten not in _FLATTENED_BY:
    raise errors.InputError(
      f'flatten must be one of {", ".join(_FLATTENED_BY)}; got {options.flatten!r}.'
      f'{errors.nearest(options.flatten, _FLATTENED_BY)}'
    )


def embed(
  features: Any, options: Any, context: int, is_training: bool, convolve: Any = None
) -> Any:
  """Returns the embeddings, float32 [batch, chosen, size].

  features: float32 [batch, chosen * context, height, width, channels], a base network's maps.
  options: a ConvEmbedder or a ConvGruEmbedder.
  convolve: one of context_convolution's forms, where it is not to be the fastest one.
  """
  check(options, context)
  _, frames, height, width, channels = features.shape.as_list()
  if frames is None or frames % context:
    raise errors.InputError(
      f'the frames of a clip must be a known multiple of the context, {context}; got {frames}.'
    )
  mode = layers.embedder_mode(is_training)
  chosen = frames // context
  maps = tf.reshape(features, [-1, context, height, width, channels])
  with tf.variable_scope(SCOPE):
    if isinstance(options, ConvGruEmbedder):
      x = _by_gru(maps, options, chosen, mode)
    else:
      x = _by_convolutions(maps, options, mode, convolve or context_convolution.fastest())
      x = tf.reshape(x, [-1, chosen, options.size])
    return tf.nn.l2_normalize(x, axis=-1) if options.l2_normalize else x


def _by_convolutions(maps: Any, options: ConvEmbedder, mode: layers.Mode, convolve: Any) -> Any:
  """[images, context, height, width, channels] -> [images, size]."""
  is_training = mode.by_batch
  x = _dropped_maps(maps, options.base_dropout, options.base_dropout_spatial, is_training)
  for number, (filters, size, has_relu) in enumerate(options.conv_layers, 1):
    name, filters = f'conv{number}', filters * options.capacity
    x = _conv3d(x, name, filters, size, options.l2_weight, convolve)
    x = _finished(x, name, options.use_batch_norm, has_relu, mode)
  x = _FLATTENED_BY[options.flatten](x)
  for number, (units, has_relu) in enumerate(options.fc_layers, 1):
    x = _dropped(x, options.fc_dropout, is_training)
    x = layers.dense(x, f'fc{number}', units * options.capacity, options.l2_weight)
    x = tf.nn.relu(x) if has_relu else x
  return layers.dense(x, 'embedding', options.size, options.l2_weight)


def _by_gru(maps: Any, options: ConvGruEmbedder, chosen: int, mode: layers.Mode) -> Any:
  """[batch * chosen, 1, height, width, channels] -> [batch, chosen, size]."""
  x = tf.squeeze(_dropped_maps(maps, options.dropout, False, mode.by_batch), 1)
  for number, (filters, size, has_relu) in enumerate(options.conv_layers, 1):
    name, how = f'conv{number}', layers.Convolution(filters, size, l2_weight=options.l2_weight)
    x = _finished(layers.conv(x, name, how, mode), name, options.use_batch_norm, has_relu, mode)
  x = tf.reduce_max(x, axis=[1, 2])
  x = tf.reshape(x, [-1, chosen, x.shape.as_list()[-1]])
  for number, units in enumerate(options.gru_layers, 1):
    x = gru(x, f'gru{number}', units, options.l2_weight)
  return x


def _conv3d(x: Any, name: str, filters: int, size: int, l2_weight: float, convolve: Any) -> Any:
  with tf.variable_scope(name):
    shape = [size] * 3 + [x.shape.as_list()[-1], filters]
    kernel = layers.variable('kernel', shape, layers.he_normal(), True, l2_weight)
    bias = layers.variable('bias', [filters], tf.zeros_initializer(), True, l2_weight)
    if size != context_convolution.TAPS:
      convolve = context_convolution.by_conv3d
    return tf.nn.bias_add(convolve(x, kernel), bias)


def _finished(x: Any, name: str, use_batch_norm: bool, has_relu: bool, mode: layers.Mode) -> Any:
  """Batch norm and ReLU, of maps with a context or without."""
  shape = x.shape.as_list()
  if use_batch_norm:
    x = layers.batch_norm(tf.reshape(x, [-1, *shape[-3:]]), f'{name}_bn', mode)
    x = tf.reshape(x, [-1, *shape[1:]])
  return tf.nn.relu(x) if has_relu else x


def _dropped_maps(maps: Any, rate: float, is_spatial: bool, is_training: bool) -> Any:
  """Drops numbers, or channels of a frame and its context."""
  if not is_spatial or not rate or not is_training:
    return _dropped(maps, rate, is_training)
  ones = tf.ones_like(maps[:, :1, :1, :1], name='channels')
  return maps * _dropped(ones, rate, is_training)


def _dropped(x: Any, rate: float, is_training: bool) -> Any:
  return npu_adapter.dropout(x, rate) if is_training and rate else x


def gru(x: Any, name: str, units: int, l2_weight: float = 0.0) -> Any:
  """Maps float32 [batch, frames, size] to the output at every frame, [batch, frames, units].

  It resets what the last output becomes, not the output itself, so that there is a second bias: the
  form of cuDNN and of Keras' reset_after, whose weights fit. Gates: update, reset, candidate. The
  frames stand in the graph one after the other: neither a while loop nor a fused operator, which
  not every device's compiler takes.
  """
  batch, frames, size = tf.shape(x)[0], *x.shape.as_list()[1:]
  glorot, orthogonal = tf.glorot_uniform_initializer(), tf.orthogonal_initializer()
  with tf.variable_scope(name):
    kernel = layers.variable('kernel', [size, 3 * units], glorot, True, l2_weight)
    recurrent = layers.variable('recurrent_kernel', [units, 3 * units], orthogonal)
    bias = layers.variable('bias', [2, 3 * units], tf.zeros_initializer(), True, l2_weight)
    entering = tf.matmul(tf.reshape(x, [-1, size]), kernel) + bias[0]
    output, outputs = tf.zeros([batch, units]), []
    for step in tf.unstack(tf.reshape(entering, [-1, frames, 3 * units]), axis=1):
      output = _gru_step(step, tf.matmul(output, recurrent) + bias[1], output)
      outputs.append(output)
    return tf.stack(outputs, axis=1)


def _gru_step(entering: Any, returning: Any, output: Any) -> Any:
  """The next output, from what each gate gets of the input and of the last output."""
  to_update, to_reset, candidate = tf.split(entering, 3, axis=1)
  update_again, reset_again, candidate_again = tf.split(returning, 3, axis=1)
  update = tf.sigmoid(to_update + update_again)
  reset = tf.sigmoid(to_reset + reset_again)
  candidate = tf.tanh(candidate + reset * candidate_again)
  return candidate + update * (output - candidate)
