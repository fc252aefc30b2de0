"""The layers the keyword-spotting networks are made of, each in a variable scope of its name.

Plain tf.nn operations on tf.get_variable: TensorFlow 2.16 and later has tf.layers and
tf.nn.rnn_cell only with the package tf_keras beside it, and warns at each call.
"""

import tensorflow.compat.v1 as tf

import npu_adapter

_GLOROT = tf.glorot_uniform_initializer()
_ZEROS = tf.zeros_initializer()
_ONES = tf.ones_initializer()
# Batch norm: how much of a moving average stays each step, and what is added to the variance.
_DECAY = 0.96
_EPSILON = 1e-3


def variable(name, shape, initializer=_GLOROT, trainable=True):
  """A float32 variable."""
  return tf.get_variable(name, shape, tf.float32, initializer, trainable=trainable)


def dense(x, name, units):
  """Maps float32 [batch, size] to [batch, units]."""
  with tf.variable_scope(name):
    product = tf.matmul(x, variable('kernel', [x.shape.as_list()[-1], units]))
    return tf.nn.bias_add(product, variable('bias', [units], _ZEROS))


def dense_batch_norm(x, name, units, is_training):
  """A dense layer, batch norm and ReLU."""
  with tf.variable_scope(name):
    weights = variable('kernel', [x.shape.as_list()[-1], units])
    if not is_training:
      scale, shift = _folded([units])
      return tf.nn.relu(tf.nn.bias_add(tf.matmul(x, weights * scale), shift))
    # The operator takes maps only.
    return flat(_batch_norm(tf.matmul(x, weights)[:, None, None, :]))


def conv(x, name, filters, kernel, strides=(1, 1), padding='SAME'):
  """A convolution and ReLU over float32 [batch, height, width, channels]."""
  with tf.variable_scope(name):
    weights = _conv_weights(x, filters, kernel, padding)
    x = tf.nn.conv2d(x, weights, [1, *strides, 1], padding)
    return tf.nn.relu(tf.nn.bias_add(x, variable('bias', [filters], _ZEROS)))


def conv_batch_norm(x, name, filters, kernel, strides, is_training, padding='SAME'):
  """A convolution, batch norm and ReLU."""
  with tf.variable_scope(name):
    weights = _conv_weights(x, filters, kernel, padding)
    if is_training:
      return _batch_norm(tf.nn.conv2d(x, weights, [1, *strides, 1], padding))
    scale, shift = _folded([filters])
    x = tf.nn.conv2d(x, weights * scale, [1, *strides, 1], padding)
    return tf.nn.relu(tf.nn.bias_add(x, shift))


def depthwise_batch_norm(x, name, kernel, strides, is_training):
  """A convolution of every channel by itself, batch norm and ReLU."""
  if strides[0] != strides[1]:
    raise npu_adapter.OptionError(
      f'a depthwise layer must have the same stride in time and frequency; {name} got '
      f'{strides[0]} and {strides[1]}.'
    )
  channels = x.shape.as_list()[-1]
  with tf.variable_scope(name):
    weights = variable('kernel', [*kernel, channels, 1])
    if is_training:
      return _batch_norm(tf.nn.depthwise_conv2d(x, weights, [1, *strides, 1], 'SAME'))
    scale, shift = _folded([channels])
    x = tf.nn.depthwise_conv2d(x, weights * scale[:, None], [1, *strides, 1], 'SAME')
    return tf.nn.relu(tf.nn.bias_add(x, shift))


def _conv_weights(x, filters, kernel, padding):
  height, width, channels = x.shape.as_list()[1:]
  if padding == 'VALID' and (kernel[0] > height or kernel[1] > width):
    raise npu_adapter.OptionError(
      f'a kernel must fit its map of {height} frames x {width} coefficients; '
      f'{tf.get_variable_scope().name} got {kernel[0]} x {kernel[1]}. Take a smaller kernel, a '
      'shorter window stride or more coefficients.'
    )
  return variable('kernel', [*kernel, channels, filters])


def _norm_variables(channels):
  """(bias of the layer before, beta, mean, variance) of batch norm, each [channels]."""
  bias = variable('bias', channels, _ZEROS)
  with tf.variable_scope('batch_norm'):
    beta = variable('beta', channels, _ZEROS)
    mean = variable('moving_mean', channels, _ZEROS, trainable=False)
    variance = variable('moving_variance', channels, _ONES, trainable=False)
  return bias, beta, mean, variance


def _folded(channels):
  """Batch norm outside of training: a factor of the weights before it, and what is then added.

  Normalising the weights instead of the whole map nearly doubles the speed of an evaluation.
  """
  bias, beta, mean, variance = _norm_variables(channels)
  scale = tf.rsqrt(variance + _EPSILON)
  return scale, (bias - mean) * scale + beta


def _batch_norm(x):
  """Training: ReLU of the normalised x + bias, over float32 [batch, height, width, channels].

  The bias moves the mean and nothing else: added to the mean of the channel instead of the whole
  map it gives the same, and a training step is 7 to 10 % (TF 1.15: 6 %) faster.
  """
  channels = [x.shape.as_list()[-1]]
  bias, beta, mean, variance = _norm_variables(channels)
  # Its gradient is zero, but must be there: loss-scale optimizers stop at a variable without one.
  beta = beta + 0.0 * bias
  x, batch_mean, batch_variance = tf.nn.fused_batch_norm(
    x, tf.ones(channels), beta, epsilon=_EPSILON
  )
  _move(mean, batch_mean + bias)
  _move(variance, batch_variance)
  # The operator divides by one less.
  count = tf.cast(tf.size(x) / channels[0], tf.float32)
  npu_adapter.keep_batch_statistics(
    mean, variance, batch_mean + bias, batch_variance * (count - 1) / count, count
  )
  return tf.nn.relu(x)


def _move(average, value):
  update = tf.assign_sub(average, (average - value) * (1 - _DECAY))
  tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, update)


def flat(x):
  """[batch, ...] -> [batch, values]."""
  sizes = x.shape.as_list()[1:]
  return tf.reshape(x, [-1, int(tf.TensorShape(sizes).num_elements())])


def dropout(x, is_training, rate):
  """Zeroes a share of x when training and makes up for it in the rest.

  What goes is the same again in a run that was stopped and goes on; tf.nn.dropout starts over.
  """
  return npu_adapter.dropout(x, rate) if is_training and rate else x


def lstm(steps, units, projection=None):
  """Maps a list of float32 [batch, size], one a time step, to the last output [batch, units].

  With `projection` the output, which the next step gets too, is [batch, projection], and the gates
  see the memory cell (peepholes).
  The steps stand in the graph one after the other: neither a while loop nor a fused operator, which
  not every device's compiler takes. On two CPU cores this is as fast as tf.nn.dynamic_rnn, and a
  quarter faster than tf.raw_ops.BlockLSTM.
  """
  batch, size = tf.shape(steps[0])[0], steps[0].shape.as_list()[1]
  width = projection or units
  kernel = variable('kernel', [size + width, 4 * units])
  bias = variable('bias', [4 * units], _ZEROS)
  peepholes = None
  if projection:
    peepholes = [variable(f'peephole_{gate}', [units]) for gate in ('input', 'forget', 'output')]
    narrowing = variable('projection', [units, projection])
  cell, output = tf.zeros([batch, units]), tf.zeros([batch, width])
  for step in steps:
    gates = tf.nn.bias_add(tf.matmul(tf.concat([step, output], axis=1), kernel), bias)
    cell, output = _lstm_step(cell, gates, peepholes)
    if projection:
      output = tf.matmul(output, narrowing)
  return output


def _lstm_step(cell, gates, peepholes):
  """Returns the next cell and what it shows, both [batch, units]."""
  to_input, candidate, to_forget, to_output = tf.split(gates, 4, axis=1)
  if peepholes:
    to_input += cell * peepholes[0]
    to_forget += cell * peepholes[1]
  # By the 1 the cell remembers before it has learnt to.
  cell = tf.sigmoid(to_forget + 1.0) * cell + tf.sigmoid(to_input) * tf.tanh(candidate)
  if peepholes:
    to_output += cell * peepholes[2]
  return cell, tf.sigmoid(to_output) * tf.tanh(cell)


def gru(steps, units):
  """Maps a list of float32 [batch, size], one a time step, to the outputs [batch, units]."""
  batch, size = tf.shape(steps[0])[0], steps[0].shape.as_list()[1]
  with tf.variable_scope('gates'):
    # Ones: at first the layer neither resets nor updates much.
    gates = (variable('kernel', [size + units, 2 * units]), variable('bias', [2 * units], _ONES))
  with tf.variable_scope('candidate'):
    kernel = variable('kernel', [size + units, units])
    bias = variable('bias', [units], _ZEROS)
  output, outputs = tf.zeros([batch, units]), []
  for step in steps:
    both = tf.nn.bias_add(tf.matmul(tf.concat([step, output], axis=1), gates[0]), gates[1])
    reset, update = tf.split(tf.sigmoid(both), 2, axis=1)
    seen = tf.concat([step, reset * output], axis=1)
    candidate = tf.tanh(tf.nn.bias_add(tf.matmul(seen, kernel), bias))
    output = candidate + update * (output - candidate)
    outputs.append(output)
  return outputs
