"""Runs NPUEstimatorSpec.host_call on a host: in the same session.run as the step it belongs to."""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as tf

from npu_adapter.runtime.model_fn import ModeKeys

# Where tf.summary of TensorFlow 2 style keeps the initialisers of its writers, on every version.
_WRITER_INITIALIZERS = '_SUMMARY_WRITER_V2'
_HOOKS_OF = {ModeKeys.TRAIN: 'training_hooks', ModeKeys.EVAL: 'evaluation_hooks'}


def attach(spec: Any, mode: str) -> Any:
  """Returns `spec` with its host_call, if it has one, turned into a hook of this mode."""
  call = getattr(spec, 'host_call', None)
  if call is None or mode not in _HOOKS_OF:
    return spec
  function, tensors = call
  result = function(**tensors) if isinstance(tensors, dict) else function(*tensors)
  field = _HOOKS_OF[mode]
  hook = _HostCallHook(tf.nest.flatten(result))
  return spec._replace(**{field: (hook, *(getattr(spec, field) or ()))})


class _HostCallHook(tf.train.SessionRunHook):
  """Fetches what host_call returned with every step, so that its ops see that step's values."""

  def __init__(self, fetches: list[Any]):
    self._fetches = [fetch for fetch in fetches if fetch is not None]
    self._initializers: list[Any] = []

  def begin(self) -> None:
    self._initializers = tf.get_collection(_WRITER_INITIALIZERS)

  def after_create_session(self, session: Any, coord: Any) -> None:
    session.run(self._initializers)

  def before_run(self, run_context: Any) -> Any:
    return tf.train.SessionRunArgs(self._fetches)
