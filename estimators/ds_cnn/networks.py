"""The keyword-spotting architectures: fingerprint in, logits out; their sizes. No flags, no files.

Every architecture is a function of
  fingerprint   float32 [batch, frames * coefficients], frame after frame
  sizes         a tuple of whole numbers, as `sizes` returns it
  shape         (frames, coefficients)
  classes       how many
  is_training   True takes batch statistics in batch norm, and drops out
  dropout_rate  share of the activations dropped, behind each hidden layer and before the logits
and returns float32 logits [batch, classes].

Tools that fold or quantise a checkpoint find variables by name: `<architecture>/<layer>/kernel` and
`bias`, and in a layer with batch norm `batch_norm/{beta,moving_mean,moving_variance}`, no gamma.
The layers, each with `logits` behind them:
  ds_cnn            conv_0, then depthwise_<n> and pointwise_<n> from 1; batch norm in all of them
  dnn               dense_<n>, from 1 as all that follow
  cnn               conv_1, conv_2, linear, dense_1; batch norm in all but linear
  basic_lstm, lstm  lstm
  gru               gru_<n>
  crnn              conv_1, gru_<n>, dense_1
  single_fc
  conv              conv_1, conv_2
  low_latency_conv  conv_1, dense_1, dense_2
  low_latency_svdf  svdf, dense_1, dense_2
Kernels are [in, out]; of a convolution [height, width, in, out], height being time; of a depthwise
one [height, width, in, 1]; of an LSTM [in + out, 4 * units], gates in the order input, candidate,
forget, output, and that of `lstm` has peephole_{input,forget,output} [units] and projection [units,
out] too. A GRU has gates/{kernel,bias}, reset before update, and candidate/{kernel,bias}; svdf has
kernel_frequency [coefficients, 2 * units], kernel_time [frames, 2 * units] and bias.
"""

import collections
import difflib

import tensorflow.compat.v1 as tf

import npu_adapter
from estimators.ds_cnn import layers


def ds_cnn(fingerprint, sizes, shape, classes, is_training, dropout_rate):
  """A convolution, then pairs of a depthwise and a 1x1 one, then the mean over the map."""
  first, *others = [sizes[start : start + 5] for start in range(1, len(sizes), 5)]
  with tf.variable_scope('ds_cnn'):
    x = _as_map(fingerprint, shape)
    x = layers.conv_batch_norm(x, 'conv_0', first[0], first[1:3], first[3:], is_training)
    for number, (filters, *window) in enumerate(others, start=1):
      kernel, strides = window[:2], window[2:]
      x = layers.depthwise_batch_norm(x, f'depthwise_{number}', kernel, strides, is_training)
      x = layers.conv_batch_norm(x, f'pointwise_{number}', filters, (1, 1), (1, 1), is_training)
    x = tf.reduce_mean(x, axis=[1, 2])  # [batch, filters]
    return _logits(x, classes, is_training, dropout_rate)


def dnn(fingerprint, sizes, shape, classes, is_training, dropout_rate):
  """Dense layers with ReLU."""
  del shape
  x = fingerprint
  with tf.variable_scope('dnn'):
    for number, units in enumerate(sizes, start=1):
      # What goes into the logits is dropped out there.
      x = layers.dropout(x, is_training, dropout_rate if number > 1 else 0)
      x = tf.nn.relu(layers.dense(x, f'dense_{number}', units))
    return _logits(x, classes, is_training, dropout_rate)


def cnn(fingerprint, sizes, shape, classes, is_training, dropout_rate):
  """Two convolutions, a linear layer that narrows, a dense layer.

  The published counts of parameters leave batch norm out: a beta and two statistics a channel.
  """
  with tf.variable_scope('cnn'):
    x = _as_map(fingerprint, shape)
    for number, (filters, *window) in enumerate((sizes[:5], sizes[5:10]), start=1):
      x = layers.conv_batch_norm(
        x, f'conv_{number}', filters, window[:2], window[2:], is_training, 'VALID'
      )
      x = layers.dropout(x, is_training, dropout_rate)
    x = layers.dense(layers.flat(x), 'linear', sizes[10])
    x = layers.dense_batch_norm(x, 'dense_1', sizes[11], is_training)
    return _logits(x, classes, is_training, dropout_rate)


def basic_lstm(fingerprint, sizes, shape, classes, is_training, dropout_rate):
  """An LSTM; its last output decides."""
  with tf.variable_scope('basic_lstm'):
    with tf.variable_scope('lstm'):
      x = layers.lstm(_frames(fingerprint, shape), sizes[0])
    return _logits(x, classes, is_training, dropout_rate)


def lstm(fingerprint, sizes, shape, classes, is_training, dropout_rate):
  """An LSTM with projection and peepholes; its last output decides."""
  projection, units = sizes
  with tf.variable_scope('lstm'):
    with tf.variable_scope('lstm'):
      x = layers.lstm(_frames(fingerprint, shape), units, projection)
    return _logits(x, classes, is_training, dropout_rate)


def gru(fingerprint, sizes, shape, classes, is_training, dropout_rate):
  """GRU layers on top of each other; the last output of the last decides."""
  with tf.variable_scope('gru'):
    x = _gru_layers(_frames(fingerprint, shape), *sizes)
    return _logits(x, classes, is_training, dropout_rate)


def crnn(fingerprint, sizes, shape, classes, is_training, dropout_rate):
  """A convolution, GRU layers over the steps of its map, a dense layer; no batch norm."""
  with tf.variable_scope('crnn'):
    x = _as_map(fingerprint, shape)
    x = layers.conv(x, 'conv_1', sizes[0], sizes[1:3], sizes[3:5], 'VALID')
    x = layers.dropout(x, is_training, dropout_rate)
    x = _gru_layers([layers.flat(step) for step in tf.unstack(x, axis=1)], *sizes[5:7])
    x = tf.nn.relu(layers.dense(x, 'dense_1', sizes[7]))
    return _logits(x, classes, is_training, dropout_rate)


def single_fc(fingerprint, sizes, shape, classes, is_training, dropout_rate):
  """One matrix, the least a network can be."""
  del sizes, shape
  with tf.variable_scope('single_fc'):
    return _logits(fingerprint, classes, is_training, dropout_rate)


def conv(fingerprint, sizes, shape, classes, is_training, dropout_rate):
  """Two wide convolutions with a maximum pool between them."""
  del sizes
  with tf.variable_scope('conv'):
    x = layers.conv(_as_map(fingerprint, shape), 'conv_1', 64, (20, 8))
    x = layers.dropout(x, is_training, dropout_rate)
    x = tf.nn.max_pool(x, [1, 2, 2, 1], [1, 2, 2, 1], 'SAME')
    x = layers.conv(x, 'conv_2', 64, (10, 4))
    return _logits(layers.flat(x), classes, is_training, dropout_rate)


def low_latency_conv(fingerprint, sizes, shape, classes, is_training, dropout_rate):
  """One convolution over all frames; the dense layers have no activation, as in the original."""
  del sizes
  with tf.variable_scope('low_latency_conv'):
    x = _as_map(fingerprint, shape)
    x = layers.flat(layers.conv(x, 'conv_1', 186, (shape[0], 8), padding='VALID'))
    for number in (1, 2):
      x = layers.dense(layers.dropout(x, is_training, dropout_rate), f'dense_{number}', 128)
    return _logits(x, classes, is_training, dropout_rate)


def low_latency_svdf(fingerprint, sizes, shape, classes, is_training, dropout_rate):
  """A layer of rank 2 over time and frequency; the dense layers have no activation either."""
  del sizes
  units, rank = 1280, 2
  with tf.variable_scope('low_latency_svdf'):
    with tf.variable_scope('svdf'):
      of_frequency = layers.variable('kernel_frequency', [shape[1], units * rank])
      of_time = layers.variable('kernel_time', [shape[0], units * rank])
      bias = layers.variable('bias', [units], tf.zeros_initializer())
    # Multiplied out first, a batch costs half of what it costs filter by filter.
    filters = of_time[:, None, :] * of_frequency  # [frames, coefficients, units * rank]
    filters = tf.reduce_sum(tf.reshape(filters, [shape[0] * shape[1], units, rank]), axis=2)
    x = tf.nn.relu(tf.nn.bias_add(tf.matmul(fingerprint, filters), bias))
    for number in (1, 2):
      x = layers.dense(layers.dropout(x, is_training, dropout_rate), f'dense_{number}', 256)
    return _logits(x, classes, is_training, dropout_rate)


def _as_map(fingerprint, shape):
  """[batch, frames * coefficients] -> [batch, frames, coefficients, 1]."""
  return tf.reshape(fingerprint, [-1, *shape, 1])


def _frames(fingerprint, shape):
  """[batch, frames * coefficients] -> a [batch, coefficients] for each frame."""
  return tf.unstack(tf.reshape(fingerprint, [-1, *shape]), axis=1)


def _gru_layers(steps, count, units):
  """Returns the last output [batch, units] of the last layer."""
  for number in range(1, count + 1):
    with tf.variable_scope(f'gru_{number}'):
      steps = layers.gru(steps, units)
  return steps[-1]


def _logits(x, classes, is_training, dropout_rate):
  return layers.dense(layers.dropout(x, is_training, dropout_rate), 'logits', classes)


# `window_stride_ms` is what the published row was trained with.
Preset = collections.namedtuple('Preset', 'sizes window_stride_ms')
# `holds` says in words what sizes are; `length` is how many a given tuple must be. An architecture
# without presets takes no sizes.
Network = collections.namedtuple('Network', 'function presets holds length')
_UNSIZED = ({}, 'nothing', lambda sizes: 0)
_CONV = 'filters, kernel time, kernel frequency, stride time, stride frequency'

NETWORKS = {
  'ds_cnn': Network(
    ds_cnn,
    {
      'S': Preset((5, 64, 10, 4, 2, 2) + 4 * (64, 3, 3, 1, 1), 20),
      'M': Preset((5, 172, 10, 4, 2, 1, 172, 3, 3, 2, 2) + 3 * (172, 3, 3, 1, 1), 20),
      'L': Preset((6, 276, 10, 4, 2, 1, 276, 3, 3, 2, 2) + 4 * (276, 3, 3, 1, 1), 20),
    },
    f'how many layers, then for each of them {_CONV}',
    lambda sizes: 1 + 5 * sizes[0],
  ),
  'dnn': Network(
    dnn,
    {
      'S': Preset(3 * (144,), 40),
      'M': Preset(3 * (256,), 40),
      'L': Preset(3 * (436,), 40),
    },
    'the units of each hidden layer',
    len,
  ),
  'cnn': Network(
    cnn,
    {
      'S': Preset((28, 10, 4, 1, 1, 30, 10, 4, 2, 1, 16, 128), 20),
      'M': Preset((64, 10, 4, 1, 1, 48, 10, 4, 2, 1, 16, 128), 20),
      'L': Preset((60, 10, 4, 1, 1, 76, 10, 4, 2, 1, 58, 128), 20),
    },
    f'{_CONV}, the same five again, linear units, dense units',
    lambda sizes: 12,
  ),
  'basic_lstm': Network(
    basic_lstm,
    {'S': Preset((118,), 20), 'M': Preset((214,), 20), 'L': Preset((344,), 20)},
    'units',
    lambda sizes: 1,
  ),
  'lstm': Network(
    lstm,
    {'S': Preset((98, 144), 40), 'M': Preset((130, 280), 20), 'L': Preset((188, 500), 20)},
    'projection, units',
    lambda sizes: 2,
  ),
  'gru': Network(
    gru,
    {'S': Preset((1, 154), 40), 'M': Preset((1, 250), 20), 'L': Preset((1, 400), 20)},
    'layers, units of each',
    lambda sizes: 2,
  ),
  'crnn': Network(
    crnn,
    {
      'S': Preset((48, 10, 4, 2, 2, 2, 60, 84), 20),
      'M': Preset((128, 10, 4, 2, 2, 2, 76, 164), 20),
      'L': Preset((100, 10, 4, 2, 1, 2, 136, 188), 20),
    },
    f'{_CONV}, GRU layers, units of each, dense units',
    lambda sizes: 8,
  ),
  'single_fc': Network(single_fc, *_UNSIZED),
  'conv': Network(conv, *_UNSIZED),
  'low_latency_conv': Network(low_latency_conv, *_UNSIZED),
  'low_latency_svdf': Network(low_latency_svdf, *_UNSIZED),
}


def sizes(architecture, text=None):
  """Returns the sizes that `text` means for an architecture, as a tuple of whole numbers.

  `text` is 'S', 'M' or 'L', the numbers themselves with spaces or commas between, or None for 'S'.
  """
  if architecture not in NETWORKS:
    raise npu_adapter.OptionError(
      f'the architecture must be one of {", ".join(NETWORKS)}; got {architecture!r}.'
      f'{_nearest(architecture, NETWORKS)}'
    )
  network = NETWORKS[architecture]
  if not network.presets:
    if text:
      raise npu_adapter.OptionError(f'{architecture} has one size and takes none; got {text!r}.')
    return ()
  if text is None or text in network.presets:
    return network.presets[text or 'S'].sizes
  must = f"sizes of {architecture} must be 'S', 'M', 'L' or numbers: {network.holds}"
  words = text.replace(',', ' ').split()
  if not words or not all(word.isdecimal() and int(word) for word in words):
    hint = _nearest(text, network.presets)
    raise npu_adapter.OptionError(f'{must}, each at least 1; got {text!r}.{hint}')
  numbers = tuple(int(word) for word in words)
  length = network.length(numbers)
  if len(numbers) != length:
    raise npu_adapter.OptionError(f'{must}; that is {length} here, got {len(numbers)}: {text!r}.')
  return numbers


def _nearest(word, known):
  by_lower_case = {name.lower(): name for name in known}
  found = difflib.get_close_matches(word.lower(), by_lower_case, n=1)
  return f' Did you mean {by_lower_case[found[0]]!r}?' if found else ''
