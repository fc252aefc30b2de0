"""The networks by their names: each maps what a task gives to logits [batch, classes]."""

import tensorflow.compat.v1 as tf

import npu_adapter
from estimators.swa import layers

# VGG16: filters of each convolution, 0 where the map is halved.
_VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
_VGG16_UNITS, _VGG16_DROPOUT = 512, 0.5
# A block of PreResNet has three convolutions: (164 - 2) / (3 stages x 3).
_BLOCKS = 18
_STAGES = (16, 32, 64)
_EXPANSION = 4


def dense(x, classes, is_training):
  """The original's demonstration: 50 hidden units behind ReLU and batch norm; 503 numbers."""
  hidden = layers.norm(tf.nn.relu(layers.dense(x, 'hidden', 50)), 'norm', is_training)
  return layers.dense(hidden, 'logits', classes)


def conv(x, classes, is_training):
  """Three convolutions with batch norm, for pictures of 8 x 8."""
  for number, filters in enumerate((16, 32, 64), 1):
    x = layers.conv(x, f'conv_{number}', filters, 3)
    x = layers.norm_relu(x, f'norm_{number}', is_training)
    if number < 3:
      x = layers.pooled(x)
  return layers.dense(tf.reduce_mean(x, [1, 2]), 'logits', classes)


def vgg16(x, classes, is_training):
  """As in the publication: no batch norm, dropout before both hidden layers."""
  for number, filters in enumerate(_VGG16, 1):
    x = (
      tf.nn.relu(layers.conv(x, f'conv_{number}', filters, 3, has_bias=True))
      if filters
      else layers.pooled(x)
    )
  x = layers.flat(x)
  for number in (1, 2):
    x = npu_adapter.dropout(x, _VGG16_DROPOUT if is_training else 0.0)
    x = tf.nn.relu(layers.dense(x, f'hidden_{number}', _VGG16_UNITS))
  return layers.dense(x, 'logits', classes)


def preresnet164(x, classes, is_training):
  """Residual network of bottleneck blocks whose batch norm stands before each convolution."""
  x = layers.conv(x, 'conv', _STAGES[0], 3)
  for stage, filters in enumerate(_STAGES, 1):
    for block in range(1, _BLOCKS + 1):
      stride = 2 if stage > 1 and block == 1 else 1
      with tf.variable_scope(f'stage_{stage}_block_{block}'):
        x = _bottleneck(x, filters, stride, is_training)
  x = layers.norm_relu(x, 'norm', is_training)
  return layers.dense(tf.reduce_mean(x, [1, 2]), 'logits', classes)


def _bottleneck(x, filters, stride, is_training):
  past = x
  x = layers.norm_relu(x, 'norm_1', is_training)
  x = layers.conv(x, 'conv_1', filters, 1)
  x = layers.norm_relu(x, 'norm_2', is_training)
  x = layers.conv(x, 'conv_2', filters, 3, stride)
  x = layers.norm_relu(x, 'norm_3', is_training)
  x = layers.conv(x, 'conv_3', filters * _EXPANSION, 1)
  if past.shape.as_list()[1:] != x.shape.as_list()[1:]:
    past = layers.conv(past, 'shortcut', filters * _EXPANSION, 1, stride)
  return x + past


TABLE = {'dense': dense, 'conv': conv, 'vgg16': vgg16, 'preresnet164': preresnet164}
