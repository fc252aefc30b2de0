"""The layers of the network: cells of a shared dense layer and an LSTM, side by side and stacked.

Sequences are time-major, float32 [steps, batch, units], and lists of such tensors: one sequence
cut in time (see npu_adapter.lstm), so that a layer begins on a part that the layer below has done.
"""

import tensorflow.compat.v1 as tf

import npu_adapter

_FORGET_BIAS = 0.999
_EPSILON = 1e-3
# How much of a moving average stays each step. Low, because a step's own statistics are of
# thousands of numbers.
_DECAY = 0.9
# With two directions, the cores have the one and the other to work on.
_PARTS_IN_TIME = 8


def stack(windows, architecture, is_training):
  """Maps float32 [batch, steps, channels] to the last output of the last layer [batch, units]."""
  sequence = tf.transpose(windows, [1, 0, 2])
  parts = [sequence]
  if architecture.stacked_layers > 1 and not architecture.bidirectional:
    parts = tf.split(sequence, _part_lengths(sequence.shape.as_list()[0]))
  for number in range(architecture.stacked_layers):
    with tf.variable_scope(f'layer_{number}'):
      parts = _layer(parts, architecture, is_training)
  return parts[-1][-1]


def relu_dense(x, name, units, activation=tf.nn.relu):
  """A dense layer over the last dimension, the same at every step."""
  shape = x.shape.as_list()
  with tf.variable_scope(name):
    kernel = _variable('kernel', [shape[-1], units], tf.random_normal_initializer(0.0, 0.2))
    bias = _variable('bias', [units], tf.random_normal_initializer(0.3, 0.2))
    product = tf.nn.bias_add(tf.matmul(tf.reshape(x, [-1, shape[-1]]), kernel), bias)
    if activation:
      product = activation(product)
    if len(shape) == 2:
      return product
    return tf.reshape(product, [shape[0], -1, units])


def _part_lengths(steps):
  count = min(_PARTS_IN_TIME, steps)
  return [steps // count + (number < steps % count) for number in range(count)]


def _layer(parts, architecture, is_training):
  units = architecture.hidden_units
  if architecture.bidirectional:
    forward = _cells(parts, architecture, 'forward', units // 2)[0]
    backward = _cells([tf.reverse(parts[0], [0])], architecture, 'backward', units // 2)[0]
    parts = [tf.concat([forward, tf.reverse(backward, [0])], axis=2)]
  else:
    parts = _cells(parts, architecture, 'forward', units)
  if not architecture.layers_in_highway:
    return parts
  return _normalised(parts, is_training)


def _cells(parts, architecture, direction, units):
  """The sum of cells that see the same input, each with variables of its own."""
  outputs = []
  for number in range(max(1, architecture.layers_in_highway)):
    with tf.variable_scope(f'cell_{number}/{direction}'):
      outputs.append(_cell(parts, units))
  return [tf.add_n(same_part) for same_part in zip(*outputs)]


def _cell(parts, units):
  with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
    dense = [relu_dense(part, 'relu_fc', units) for part in parts]
  with tf.variable_scope('lstm'):
    kernel = _variable('kernel', [2 * units, 4 * units], tf.glorot_uniform_initializer())
    bias = _variable('bias', [4 * units], tf.zeros_initializer())
    return npu_adapter.lstm(dense, kernel, bias, _FORGET_BIAS)


def _normalised(parts, is_training):
  """Brings each step to one mean and one variance over its batch and units.

  The publication takes them from the batch in inference too, where the answer to a window then
  depends on its neighbours; here inference has the moving averages of the training, a number a
  step.
  """
  with tf.variable_scope('normalisation'):
    scale = _variable('scale', [], tf.constant_initializer(0.5))
    shift = _variable('shift', [], tf.zeros_initializer())
    steps = sum(part.shape.as_list()[0] for part in parts)
    means = _variable('moving_mean', [steps], tf.zeros_initializer(), trainable=False)
    variances = _variable('moving_variance', [steps], tf.ones_initializer(), trainable=False)
    if is_training:
      moments = [tf.nn.moments(part, [1, 2]) for part in parts]
      seen = [tf.concat(of_parts, axis=0) for of_parts in zip(*moments)]  # [steps]
      for average, value in zip((means, variances), seen):
        change = (1 - _DECAY) * (value - average)
        tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, tf.assign_add(average, change))
      count = tf.size(parts[0][0])
      npu_adapter.keep_batch_statistics(means, variances, *seen, count)
    else:
      lengths = [part.shape.as_list()[0] for part in parts]
      moments = zip(tf.split(means, lengths), tf.split(variances, lengths))
    return [_scaled(part, *found, scale, shift) for part, found in zip(parts, moments)]


def _scaled(part, mean, variance, scale, shift):
  factor = tf.rsqrt(variance + _EPSILON) * scale  # [steps]
  return part * factor[:, None, None] + (shift - mean * factor)[:, None, None]


def _variable(name, shape, initializer, trainable=True):
  return tf.get_variable(name, shape, tf.float32, initializer, trainable=trainable)
