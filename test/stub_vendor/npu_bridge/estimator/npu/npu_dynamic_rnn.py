"""STUB of the vendor's fused RNN layers: DynamicRNN with real arithmetic, names for the rest."""

import tensorflow.compat.v1 as tf
from tensorflow.python.layers import base

from npu_bridge.stub_placeholders import placeholder_class

DynamicGRUV2 = placeholder_class('DynamicGRUV2')
DynamicAUGRU = placeholder_class('DynamicAUGRU')

# What the constructor takes and the operator does not do.
_NOT_SUPPORTED = {
  'cell_type': 'LSTM', 'direction': 'UNIDIRECTIONAL', 'cell_depth': 1, 'use_peephole': False,
  'keep_prob': 1.0, 'cell_clip': -1.0, 'num_proj': 0, 'time_major': True, 'activation': 'tanh',
}  # fmt: skip


class DynamicRNN(base.Layer):
  """An LSTM; its gates stand in the order input, candidate, forget, output.

  As the vendor's, it makes its variables before it looks at the weights it is called with, and one
  for the lengths of the sequences.
  """

  def __init__(
    self, hidden_size, dtype, cell_type='LSTM', direction='UNIDIRECTIONAL', cell_depth=1,
    use_peephole=False, keep_prob=1.0, cell_clip=-1.0, num_proj=0, time_major=True,
    activation='tanh', forget_bias=0.0, is_training=True,
  ):  # fmt: skip
    super().__init__()
    asked = locals()
    for name, only in _NOT_SUPPORTED.items():
      if asked[name] != only:
        raise ValueError(f'{name} must be {only!r}, got {asked[name]!r}')
    self._hidden_size, self._dtype, self._forget_bias = hidden_size, dtype, forget_bias
    self._is_training = is_training

  def build(self, input_shape):
    steps, batch, size = (dimension.value for dimension in input_shape)
    if size is None:
      raise ValueError('the last dimension of the input must be known')
    units = self._hidden_size
    self.add_variable(
      'dynamicbase/seq_length', [batch or 16], tf.int32, tf.constant_initializer(steps or 1),
      trainable=False,
    )  # fmt: skip
    self._kernel = self.add_variable('dynamicrnn/w', [size + units, 4 * units], self._dtype)
    self._bias = self.add_variable('dynamicrnn/b', [4 * units], self._dtype, tf.zeros_initializer())
    super().build(input_shape)

  def call(self, x, seq_length=None, init_h=None, init_c=None, weight=None, bias=None):
    kernel = self._kernel if weight is None else weight
    added = self._bias if bias is None else bias
    blank = tf.zeros([tf.shape(x)[1], self._hidden_size], self._dtype)

    def advance(state, step):
      _, output, cell, *_ = state
      gates = tf.nn.bias_add(tf.matmul(tf.concat([step, output], 1), kernel), added)
      entry, candidate, forget, leaving = tf.split(gates, 4, axis=1)
      entry, candidate = tf.sigmoid(entry), tf.tanh(candidate)
      forget, leaving = tf.sigmoid(forget + self._forget_bias), tf.sigmoid(leaving)
      cell = forget * cell + entry * candidate
      output = leaving * tf.tanh(cell)
      return output, output, cell, entry, candidate, forget, leaving, tf.tanh(cell)

    first_h = blank if init_h is None else init_h
    first_c = blank if init_c is None else init_c
    y, *others = tf.scan(advance, x, (blank, first_h, first_c, *[blank] * 5))
    # On a device the shape of one of its outputs is not known before it runs.
    return (tf.placeholder_with_default(y, [None, None, None]), *others)
