"""Small TCNs on plain tensors for the tests: built, run, and their gradients."""

import numpy as np
import tensorflow.compat.v1 as tf

from estimators.keras_tcn import architecture as tcn_architecture
from estimators.keras_tcn import convolution, positions, tcn

SMALL = tcn_architecture.Architecture(
  filters=(5,) * 4, kernel_size=3, dilations=(1, 2, 4, 8), skip_connections=False
)
STEPS, BATCH, CHANNELS = 37, 4, 2
PLANS = {'whole': positions.whole, 'last step': positions.last_step}


def is_tf115():
  return tf.__version__.startswith('1.')


def forms():
  """The forms whose gradients this TensorFlow has."""
  native = [] if is_tf115() else [convolution.by_native_dilation]
  return [convolution.by_view, *native]


def weights(architecture, channels=CHANNELS):
  """{name: array}, none of them at the value it starts with."""
  chance = np.random.RandomState(3)
  found = {}
  for weight in tcn_architecture.weights(architecture, channels):
    values = 0.4 * chance.normal(size=weight.shape)
    if weight.kind in ('gamma', 'gain', 'moving_variance'):
      values = 1 + 0.3 * np.abs(values)
    found[weight.name] = values.astype(np.float32)
  return found


def sequences(steps=STEPS, batch=BATCH, channels=CHANNELS):
  return np.random.RandomState(7).normal(size=[batch, steps, channels]).astype(np.float32)


def mask(ones):
  """Drops some channels, the same in every call and every plan."""
  kept = tf.cast(tf.random.stateless_uniform(tf.shape(ones), [5, 6]) > 0.3, tf.float32)
  return kept / 0.7


def run(
  architecture, plan='whole', convolve=None, is_training=True, is_forgetful=False, x=None
):  # fmt: skip
  """Returns the features of the last step, the loss's gradients by weights, and the averages."""
  x = sequences() if x is None else x
  values = weights(architecture, x.shape[2])
  with tf.Graph().as_default(), tf.Session() as session:
    tensors = {name: tf.constant(value) for name, value in values.items()}
    network = tcn.Network(
      architecture, tensors, is_training, mask, convolve or forms()[0], is_forgetful
    )
    found = tcn.apply(tf.constant(x), network, PLANS[plan](architecture, x.shape[1]))
    last = tcn.one_step(found.features, architecture)
    loss = tf.reduce_sum(
      last * tf.constant(np.cos(np.arange(last.shape.as_list()[1]) + 1.0), tf.float32)
    )
    names = [name for name in values if 'moving_' not in name]
    slopes = tf.gradients(loss, [tensors[name] for name in names])
    return session.run((last, dict(zip(names, slopes)), found.averages))


def assert_same(found, expected, tolerance=2e-5):
  """Features and gradients, each to a share of its largest number."""
  np.testing.assert_allclose(found[0], expected[0], rtol=tolerance, atol=tolerance)
  for name, slope in expected[1].items():
    scale = np.abs(slope).max() + 1e-3
    np.testing.assert_allclose(found[1][name] / scale, slope / scale, atol=tolerance, err_msg=name)
