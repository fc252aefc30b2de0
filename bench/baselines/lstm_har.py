"""Activity recognition as it was first written: cells unrolled over 128 steps, feeds, a session.

What bench/lstm_har.py measures against. It follows the published way of working, not its text: the
input is cut into a list of steps, each layer is tf.nn.static_rnn over that list, and each step of
it has a dense layer of its own in the graph, on shared weights. TensorFlow 2.16 and later has
tf.nn.rnn_cell with the package tf_keras alone.
"""

import tensorflow.compat.v1 as tf

_STEPS, _CHANNELS, _CLASSES, _UNITS, _LAYERS = 128, 9, 6, 28, 3
_KEPT, _FORGET_BIAS = 0.85, 0.999


class Baseline:
  """Trains the 0x3 network on windows that are fed; the graph is the current one."""

  def __init__(self):
    self._windows = tf.placeholder(tf.float32, [None, _STEPS, _CHANNELS])
    self._labels = tf.placeholder(tf.float32, [None, _CLASSES])
    self._kept = tf.placeholder(tf.float32, [])
    logits = self._logits()
    entropies = tf.nn.softmax_cross_entropy_with_logits_v2(labels=self._labels, logits=logits)
    weights = [each for each in tf.trainable_variables() if 'bias' not in each.op.name]
    squares = tf.add_n([tf.nn.l2_loss(each) for each in weights])
    self._loss = tf.reduce_mean(entropies) + 0.005 * squares
    gradients, variables = zip(*_pairs(self._loss))
    clipped, _ = tf.clip_by_global_norm(gradients, 15.0)
    self._train = tf.train.AdamOptimizer(0.001).apply_gradients(zip(clipped, variables))
    self._session = tf.Session()
    self._session.run(tf.global_variables_initializer())

  def train(self, windows, labels):
    """One training step; returns the loss. `labels` are one-hot."""
    feed = {self._windows: windows, self._labels: labels, self._kept: _KEPT}
    return self._session.run([self._train, self._loss], feed)[1]

  def _logits(self):
    dropped = tf.nn.dropout(self._windows, rate=1 - self._kept)
    outputs = tf.unstack(tf.transpose(dropped, [1, 0, 2]))
    for number in range(_LAYERS):
      with tf.variable_scope(f'layer_{number}'):
        outputs = _layer(outputs)
    return _dense(tf.nn.dropout(outputs[-1], rate=1 - self._kept), 'logits', _CLASSES)


def _pairs(loss):
  variables = tf.trainable_variables()
  return list(zip(tf.gradients(loss, variables), variables))


def _layer(steps):
  with tf.variable_scope('relu_fc', reuse=tf.AUTO_REUSE):
    steps = [tf.nn.relu(_dense(step, 'dense', _UNITS)) for step in steps]
  cell = tf.nn.rnn_cell.BasicLSTMCell(_UNITS, forget_bias=_FORGET_BIAS)
  outputs, _ = tf.nn.static_rnn(cell, steps, dtype=tf.float32)
  return outputs


def _dense(x, name, units):
  with tf.variable_scope(name, reuse=tf.AUTO_REUSE):
    size = x.shape.as_list()[-1]
    kernel = tf.get_variable(
      'kernel', [size, units], tf.float32, tf.random_normal_initializer(0.0, 0.2)
    )
    bias = tf.get_variable('bias', [units], tf.float32, tf.random_normal_initializer(0.3, 0.2))
    return tf.matmul(x, kernel) + bias
