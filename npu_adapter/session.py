"""The same options for sess.run and Keras graph code, which have no estimator to carry them."""

from __future__ import annotations

from typing import Any, Sequence

import tensorflow.compat.v1 as tf

from npu_adapter import backends, errors, options
from npu_adapter.run_config import NPURunConfig
from npu_adapter.runtime import tf1


def session_config(
  config: NPURunConfig | tf.ConfigProto | None = None, **given: Any
) -> tf.ConfigProto:
  """Returns a new ConfigProto for tf.Session that carries NPU options to the device that is there.

  `config` is an NPURunConfig, or a ConfigProto to start from, which is copied; `given` are options
  of NPURunConfig and the session-only keys (use_off_line, graph_exec_timeout, ...).
  """
  tf1.enable()
  rows = options.rows_of('session_config')
  known = {*rows, *options.rows_of('NPURunConfig')} - {'session_config'}
  for name in given:
    if name not in known:
      raise errors.OptionTypeError(
        f'session_config has no option {name!r}.{errors.nearest(name, known)}'
      )
  session_only = {name: given.pop(name) for name in list(given) if name in rows}
  session_only = {name: rows[name].check(value) for name, value in session_only.items()}
  run_config = _run_config(config, given)
  for name, value in run_config.session_only.items():
    if session_only.setdefault(name, value) != value and isinstance(config, tf.ConfigProto):
      raise errors.OptionError(
        f'{name} is given twice: {session_only[name]!r} as an argument and {value!r} in the '
        'NpuOptimizer of the ConfigProto. Keep one of them.'
      )
  return backends.choose().session_config(run_config, session_only)


def _run_config(config: Any, given: dict[str, Any]) -> NPURunConfig:
  if isinstance(config, NPURunConfig):
    return config.replace(**given) if given else config
  if config is not None and not isinstance(config, tf.ConfigProto):
    raise errors.OptionTypeError(
      f'config must be an NPURunConfig or a ConfigProto; got {type(config).__name__}.'
    )
  return NPURunConfig(session_config=config, **given)


def set_keras_session(config: NPURunConfig | tf.ConfigProto | None = None, **given: Any) -> Any:
  """Makes a session with these options the one Keras graph code runs in, and returns it."""
  return backends.choose().set_keras_session(session_config(config, **given))


def keras_optimizer(optimizer: Any) -> Any:
  """Returns a Keras optimizer that exchanges gradients between ranks; the same one for one rank."""
  tf1.enable()
  return backends.choose().keras_optimizer(optimizer)


def keras_callbacks(callbacks: Sequence[Any] = ()) -> list[Any]:
  """Returns `callbacks` with those the device needs (broadcast of the first weights) added."""
  tf1.enable()
  return backends.choose().keras_callbacks(callbacks)
