"""The layers the networks are made of, each in a variable scope of its name."""

import tensorflow.compat.v1 as tf

import npu_adapter

_ZEROS = tf.zeros_initializer()
_HE = tf.variance_scaling_initializer(2.0, 'fan_in', 'untruncated_normal')
# Keras' defaults, which the original's network has.
_DECAY, _EPSILON = 0.99, 1e-3


def dense(x, name, units):
  """Maps float32 [batch, size] to [batch, units]."""
  with tf.variable_scope(name):
    kernel = tf.get_variable('kernel', [x.shape.as_list()[-1], units], tf.float32,
                             tf.glorot_uniform_initializer())  # fmt: skip
    bias = tf.get_variable('bias', [units], tf.float32, _ZEROS)
    return tf.nn.bias_add(tf.matmul(x, kernel), bias)


def conv(x, name, filters, size, stride=1, has_bias=False):
  """Maps float32 [batch, height, width, channels] to [batch, height, width, filters], by stride."""
  with tf.variable_scope(name):
    shape = [size, size, x.shape.as_list()[-1], filters]
    kernel = tf.get_variable('kernel', shape, tf.float32, _HE)
    x = tf.nn.conv2d(_padded(x, size, stride), kernel, [1, stride, stride, 1], _padding(stride))
    if not has_bias:
      return x
    return tf.nn.bias_add(x, tf.get_variable('bias', [filters], tf.float32, _ZEROS))


def _padding(stride):
  return 'SAME' if stride == 1 else 'VALID'


def _padded(x, size, stride):
  """With a stride, as much before as behind, as the publication's; TensorFlow's SAME has it not."""
  if stride == 1 or size == 1:
    return x
  around = [size // 2, size // 2]
  return tf.pad(x, [[0, 0], around, around, [0, 0]])


def norm_relu(x, name, is_training):
  """Batch norm and ReLU."""
  return tf.nn.relu(norm(x, name, is_training))


def norm(x, name, is_training):
  """Batch norm over all but the last dimension."""
  with tf.variable_scope(name):
    return npu_adapter.batch_norm(x, is_training, _DECAY, _EPSILON)


def pooled(x):
  """The largest of each 2 x 2."""
  return tf.nn.max_pool(x, [1, 2, 2, 1], [1, 2, 2, 1], 'VALID')


def flat(x):
  """[batch, ...] -> [batch, values]."""
  return tf.reshape(x, [-1, x.shape[1:].num_elements()])
