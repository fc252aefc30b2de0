"""Host backend: the runtime on whatever device TensorFlow finds, CPU or GPU."""

from __future__ import annotations

from typing import Any, Callable, Mapping, Sequence

import tensorflow.compat.v1 as tf

from npu_adapter import errors, log, option, options
from npu_adapter.backends import base
from npu_adapter.backends.host import host_call, loss_scale, seldom
from npu_adapter.config_objects import ConfigObject
from npu_adapter.runtime.estimator import Estimator


class HostBackend(base.Backend):
  """Runs the same model_fn without an NPU; says which options mean nothing here."""

  name = 'host'
  is_made_for_convolutions = False

  def description(self) -> str:
    return f'TensorFlow {tf.__version__} on CPU, or on the GPU it finds'

  def estimator(self, request: base.EstimatorRequest) -> Any:
    _one_rank()
    _say_without_effect(request.config.given, request.config.session_only)
    return Estimator(
      request.model_fn,
      model_dir=request.model_dir,
      config=request.config,
      params=request.params,
      warm_start_from=request.warm_start_from,
      spec_transform=host_call.attach,
      steps_per_loop=request.config.iterations_per_loop,
      exact_resume=request.exact_resume,
      progress=request.progress,
    )

  def session_config(self, config: Any, session_only: Mapping[str, Any]) -> Any:
    _one_rank()
    _say_without_effect(config.given, session_only)
    proto = config.session_proto()
    proto.allow_soft_placement = True
    return proto

  def wrap_optimizer(self, request: base.OptimizerRequest) -> Any:
    _one_rank()
    if request.loss_scale_manager is None:
      return request.optimizer
    return loss_scale.LossScaleOptimizer(request.optimizer, request.loss_scale_manager.native)

  def fixed_loss_scale(self, loss_scale_value: float, enable_overflow_check: bool) -> Any:
    return loss_scale.FixedLossScale(loss_scale_value, enable_overflow_check)

  def exponential_loss_scale(self, **arguments: Any) -> Any:
    return loss_scale.ExponentialLossScale(**arguments)

  def only_when(self, condition: Any, make: Callable[[], Any]) -> Any:
    return seldom.only_when(condition, make)

  def set_keras_session(self, session_config: Any) -> Any:
    session = tf.Session(config=session_config)
    tf.keras.backend.set_session(session)
    return session

  def keras_optimizer(self, optimizer: Any) -> Any:
    _one_rank()
    return optimizer

  def keras_callbacks(self, callbacks: Sequence[Any]) -> list[Any]:
    _one_rank()
    return list(callbacks)


def _one_rank() -> None:
  size = base.rank_size()
  if size > 1:
    raise errors.BackendError(
      f'the host backend trains one rank; got RANK_SIZE={size}. Unset RANK_SIZE: exchange of '
      'gradients between host processes is not built yet.'
    )


def _say_without_effect(given: Mapping[str, Any], session_only: Mapping[str, Any]) -> None:
  names = sorted({*_without_effect('NPURunConfig', given),
                  *_without_effect('session_config', session_only)})  # fmt: skip
  if names:
    log.once('the host backend goes without these options: ' + ', '.join(names))


def _without_effect(owner: str, values: Mapping[str, Any]) -> list[str]:
  """The options of `values` that were changed from the default and mean nothing on a host."""
  rows = options.rows_of(owner)
  found = []
  for name, value in values.items():
    if isinstance(value, ConfigObject):
      found.extend(_without_effect(value.OWNER, value.values))
    elif value != rows[name].default and rows[name].host in (option.NO_EFFECT, option.NOT_YET):
      found.append(f'{rows[name].label()} ({rows[name].host})')
  return found
