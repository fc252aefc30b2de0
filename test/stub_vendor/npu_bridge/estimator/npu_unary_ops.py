"""STUB of the vendor's unary operators, reached through the inner object of the same name."""

import math
import types

import tensorflow.compat.v1 as tf


def _gelu(x, name=None):
  with tf.name_scope(name, 'Gelu', [x]):
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * tf.pow(x, 3))
    return 0.5 * x * (1 + tf.tanh(inner))


npu_unary_ops = types.SimpleNamespace(gelu=_gelu)
