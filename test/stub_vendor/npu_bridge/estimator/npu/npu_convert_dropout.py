"""STUB: importing this replaces Keras Dropout.call by the stub's npu_ops.dropout."""

import tensorflow.compat.v1 as tf
from tensorflow.python.keras.utils import tf_utils

from npu_bridge import stub_control
from npu_bridge.estimator import npu_ops


def _call(self, inputs, training=None):
  if training is None:
    training = tf.keras.backend.learning_phase()
  return tf_utils.smart_cond(
    training,
    lambda: npu_ops.dropout(inputs, 1 - self.rate, self._get_noise_shape(inputs), self.seed),
    lambda: tf.identity(inputs),
  )


stub_control.replace_method(tf.keras.layers.Dropout, 'call', _call)
