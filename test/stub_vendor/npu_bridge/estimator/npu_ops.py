"""STUB of the vendor's operators: dropout with real arithmetic, no-op init, names for the rest."""

import tensorflow.compat.v1 as tf

from npu_bridge.stub_placeholders import placeholder


def _check_graph_mode():
  if tf.executing_eagerly():
    raise RuntimeError('npu_ops works in graph mode only: eager execution is on')


def dropout(x, keep_prob, noise_shape=None, seed=None, name=None):
  """Dropout; keep_prob of exactly 1.0 gives x itself."""
  _check_graph_mode()
  x = tf.convert_to_tensor(x, name='x')
  if not x.dtype.is_floating:
    raise ValueError(f'x must be a float tensor, got {x.dtype.name}')
  if isinstance(keep_prob, (int, float)):
    if not 0 < keep_prob <= 1:
      raise ValueError(f'keep_prob must be above 0 and at most 1, got {keep_prob}')
    if keep_prob == 1:
      return x
  return tf.nn.dropout(x, rate=1 - keep_prob, noise_shape=noise_shape, seed=seed, name=name)


def NPUInit(name='NPUInit'):
  """No device to open."""
  _check_graph_mode()
  return tf.no_op(name=name)


def NPUShutdown(name='NPUShutdown'):
  """No device to close."""
  _check_graph_mode()
  return tf.no_op(name=name)


def initialize_system(name=None):
  """Op that opens the device."""
  return NPUInit(name or 'NPUInit')


def shutdown_system(name=None):
  """Op that closes the device."""
  return NPUShutdown(name or 'NPUShutdown')


LARS = placeholder('npu_ops.LARS')
LARSV2 = placeholder('npu_ops.LARSV2')
basic_lstm_cell = placeholder('npu_ops.basic_lstm_cell')
adam_apply_one_assign = placeholder('npu_ops.adam_apply_one_assign')
adam_apply_one_with_decay_assign = placeholder('npu_ops.adam_apply_one_with_decay_assign')
outfeed_enqueue_op = placeholder('npu_ops.outfeed_enqueue_op')
outfeed_dequeue_op = placeholder('npu_ops.outfeed_dequeue_op')
stop_outfeed_dequeue_op = placeholder('npu_ops.stop_outfeed_dequeue_op')
scatter_elements = placeholder('npu_ops.scatter_elements')
k_means_centroids = placeholder('npu_ops.k_means_centroids')
npu_onnx_graph_op = placeholder('npu_ops.npu_onnx_graph_op')
channel_get_next = placeholder('npu_ops.channel_get_next')
