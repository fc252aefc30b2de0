"""The TCN as it was first written for TensorFlow 1.15: Keras layers on a Keras graph.

What bench/keras_tcn.py measures against there. It follows the published network, not its text: in
every block two causal Conv1D with a dilation, batch norm, ReLU and spatial dropout, a 1 x 1
convolution around where channels change, and train_on_batch of a compiled model.
"""

import numpy as np
import tensorflow.compat.v1 as tf

_FILTERS, _TAPS, _LEVELS, _RATE = 24, 8, 9, 0.1


def step_of(steps, batch):
  """Returns a function that makes one training step on fixed sequences."""
  keras = tf.keras
  sequence = keras.layers.Input((steps, 2))
  x = sequence
  for level in range(_LEVELS):
    x = _block(keras, x, 2**level)
  last = keras.layers.Lambda(lambda features: features[:, -1, :])(x)
  model = keras.models.Model(sequence, keras.layers.Dense(1)(last))
  model.compile(keras.optimizers.Adam(lr=0.005, clipnorm=1.0), 'mse')
  chance = np.random.RandomState(1)
  sequences = chance.uniform(size=[batch, steps, 2]).astype(np.float32)
  targets = chance.uniform(size=[batch, 1]).astype(np.float32)
  return lambda: model.train_on_batch(sequences, targets)


def _block(keras, x, dilation):
  branch = x
  for _ in range(2):
    branch = keras.layers.Conv1D(
      _FILTERS, _TAPS, dilation_rate=dilation, padding='causal', kernel_initializer='he_normal'
    )(branch)
    branch = keras.layers.BatchNormalization()(branch)
    branch = keras.layers.Activation('relu')(branch)
    branch = keras.layers.SpatialDropout1D(_RATE)(branch)
  branch = keras.layers.Activation('relu')(branch)
  if int(x.shape[-1]) != _FILTERS:
    x = keras.layers.Conv1D(_FILTERS, 1, padding='same', kernel_initializer='he_normal')(x)
  return keras.layers.Activation('relu')(keras.layers.add([x, branch]))
