"""The one place that switches TensorFlow to TF1 behaviour; importing it changes nothing."""

from __future__ import annotations

import importlib.util
import os

import tensorflow.compat.v1 as tf

_LEGACY_KERAS = 'TF_USE_LEGACY_KERAS'
# From here on tf.keras is Keras 3, which has no graph mode, and tf.layers went with the old one.
_FIRST_WITH_KERAS_3 = (2, 16)
_WITHOUT_PROTOBUF_7 = (2, 20)


def enable() -> None:
  """Switches to what TF1 code takes for granted: graph mode, control flow v1, tf.data v1.

  May be called any number of times, and on TF 1.15. A program that is in TF1 mode already keeps
  what it chose itself, such as tf.enable_resource_variables(). Eager tensors made before cannot
  enter a graph; TensorFlow says so where one is used. After a call inside `with
  tf.Graph().as_default()` of an eager program, eager execution is back when the block ends, until
  the next call.
  """
  outside_functions = getattr(tf, 'executing_eagerly_outside_functions', tf.executing_eagerly)
  if outside_functions() and not tf.executing_eagerly():
    raise RuntimeError(
      'TF1 behaviour must be switched on outside of tf.function and of functions given to '
      'Dataset.map; got a call inside one. Call npu_adapter.runtime.tf1.enable(), or make the '
      'first estimator, at the start of the program.'
    )
  _check_protobuf()
  if _has_keras_3() and _has_tf_keras():
    os.environ.setdefault(_LEGACY_KERAS, '1')
  if tf.executing_eagerly() or tf.control_flow_v2_enabled():
    _disable_v2_behavior()


def _disable_v2_behavior() -> None:
  """Without TensorFlow's warnings of the switches that its own function throws."""
  verbosity = tf.logging.get_verbosity()
  tf.logging.set_verbosity(tf.logging.ERROR)
  try:
    tf.disable_v2_behavior()
  finally:
    tf.logging.set_verbosity(verbosity)


def layers_problem() -> str | None:
  """Why tf.layers, tf.nn.rnn_cell and graph-mode tf.keras do not work here; None where they do."""
  if not _has_keras_3():
    return None
  if not _has_tf_keras():
    return (
      f'tf.layers, tf.nn.rnn_cell and graph-mode tf.keras need the package tf_keras beside '
      f'TensorFlow {tf.__version__}, and it is not installed: pip install tf_keras, of the same '
      f'version as TensorFlow.'
    )
  if os.environ.get(_LEGACY_KERAS) not in ('1', 'true', 'True'):
    return (
      f'tf.layers, tf.nn.rnn_cell and graph-mode tf.keras need {_LEGACY_KERAS}=1 in the '
      f'environment before the first use of Keras; got {os.environ.get(_LEGACY_KERAS)!r}.'
    )
  return None


def _version() -> tuple[int, ...]:
  return tuple(int(number) for number in tf.__version__.split('.')[:2])


def _check_protobuf() -> None:
  """Refuses the one pair of versions that pip puts together and that cannot write a graph."""
  if _version() != _WITHOUT_PROTOBUF_7:
    return
  import google.protobuf

  if int(google.protobuf.__version__.split('.')[0]) >= 7:
    raise RuntimeError(
      f'TensorFlow {tf.__version__} needs protobuf below 7 to write graphs; got protobuf '
      f"{google.protobuf.__version__}. Run: pip install 'protobuf<7', or take another TensorFlow."
    )


def _has_keras_3() -> bool:
  return _version() >= _FIRST_WITH_KERAS_3


def _has_tf_keras() -> bool:
  return importlib.util.find_spec('tf_keras') is not None
