"""Ascend backend: the only file that imports npu_bridge, which NPU machines alone have."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
from typing import Any, Iterator, Mapping, Sequence

import numpy as np
import tensorflow.compat.v1 as tf

from npu_adapter import errors, log, options, parameter_map
from npu_adapter.backends import ascend_spec, base
from npu_adapter.config_objects import ConfigObject

_CONFIG_MODULE = 'npu_bridge.estimator.npu.npu_config'
_RNN_MODULE = 'npu_bridge.estimator.npu.npu_dynamic_rnn'
# The vendor's estimator does not start without a job id, though one process has no use for it.
_JOB_DEFAULTS = {'JOB_ID': '10087', 'RANK_SIZE': '1'}


class AscendBackend(base.Backend):
  """Hands everything to the vendor's own classes, in the types those want."""

  name = 'ascend'

  def __init__(self) -> None:
    try:
      self._npu: Any = importlib.import_module('npu_bridge.npu_init')
      self._npu_config: Any = importlib.import_module(_CONFIG_MODULE)
    except ImportError as error:
      raise errors.BackendError(
        f"the ascend backend needs npu_bridge, of CANN's TensorFlow plugin: {error}. Source its "
        'set_env.sh, or choose the host with --backend=host or NPU_ADAPTER_BACKEND=host.'
      ) from error

  def description(self) -> str:
    return f'npu_bridge with TensorFlow {tf.__version__}, rank size {base.rank_size()}'

  def estimator(self, request: base.EstimatorRequest) -> Any:
    if request.exact_resume:
      raise errors.BackendError(
        f'exact_resume={request.exact_resume!r} needs the host backend: the device draws its '
        'dropout masks itself, and npu_bridge reads ahead in the data. Leave it out on Ascend.'
      )
    _set_job_defaults(request.job_start_file)
    config = request.config
    arguments = {
      'model_fn': ascend_spec.converting(request.model_fn, config, request.params, self._npu),
      'model_dir': request.model_dir,
      'config': self._run_config(config),
      'params': dict(request.params or {}),
      'job_start_file': request.job_start_file,
      'warm_start_from': ascend_spec.warm_start(request.warm_start_from),
    }
    with _vendor_errors('NPUEstimator'):
      estimator = self._npu.NPUEstimator(**arguments)
    _complete(estimator, config)
    return estimator

  def _run_config(self, config: Any) -> Any:
    arguments = self._arguments(self._npu.NPURunConfig, 'NPURunConfig', config.given)
    # The vendor edits the ConfigProto it is given, and adds another NpuOptimizer each time.
    private = config.session_proto()
    with _vendor_errors('NPURunConfig'):
      return self._npu.NPURunConfig(**{**arguments, 'session_config': private})

  def _arguments(self, vendor_class: Any, owner: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments for a vendor class; one the installed version lacks is an error if changed."""
    accepted = inspect.signature(vendor_class.__init__).parameters
    rows = options.rows_of(owner)
    arguments = {}
    for name, value in values.items():
      if name in accepted:
        arguments[name] = self._in_vendor_type(name, value)
      elif value != rows[name].default:
        raise errors.BackendError(
          f'{rows[name].label()}={value!r} needs npu_bridge of {rows[name].since} or newer; the '
          'installed one has no such option. Leave it out, or install a newer CANN.'
        )
    return arguments

  def _in_vendor_type(self, name: str, value: Any) -> Any:
    if isinstance(value, ConfigObject):
      vendor_class = getattr(self._npu_config, value.OWNER)
      return vendor_class(**self._arguments(vendor_class, value.OWNER, value.values))
    # The one text the vendor assigns to the proto without encoding it.
    return value.encode() if name == 'insert_op_file' else value

  def session_config(self, config: Any, session_only: Mapping[str, Any]) -> Any:
    proto = config.session_proto()
    rewrite = proto.graph_options.rewrite_options
    # The engine compiles the graph TensorFlow hands it: these would hand it another one.
    rewrite.remapping = rewrite.OFF
    rewrite.memory_optimization = rewrite.NO_MEM_OPT
    proto.graph_options.optimizer_options.global_jit_level = tf.OptimizerOptions.OFF
    proto.allow_soft_placement = True
    parameter_map.write(proto, parameter_map.session_entries(config.given, session_only))
    return proto

  def wrap_optimizer(self, request: base.OptimizerRequest) -> Any:
    manager = request.loss_scale_manager
    is_distributed = base.rank_size() > 1
    with _vendor_errors('optimizer'):
      if request.is_tailing_optimization:
        return self._npu.NPUOptimizer(
          request.optimizer,
          loss_scale_manager=manager.native if manager else None,
          is_distributed=is_distributed,
          is_loss_scale=manager is not None,
          is_tailing_optimization=True,
        )
      optimizer = request.optimizer
      if is_distributed:
        optimizer = self._npu.NPUDistributedOptimizer(optimizer)
      if manager is None:
        return optimizer
      return self._npu.NPULossScaleOptimizer(optimizer, manager.native, is_distributed)

  def fixed_loss_scale(self, loss_scale: float, enable_overflow_check: bool) -> Any:
    return self._npu.FixedLossScaleManager(loss_scale, enable_overflow_check)

  def exponential_loss_scale(self, **arguments: Any) -> Any:
    return self._npu.ExponentialUpdateLossScaleManager(**arguments)

  def dropout(self, x: Any, keep_prob: Any, seed: int | None, name: str | None) -> Any:
    return self._npu.npu_ops.dropout(x, keep_prob, seed=seed, name=name)

  def lstm(self, x: Any, kernel: Any, bias: Any, forget_bias: float) -> Any:
    module = importlib.import_module(_RNN_MODULE)
    units = kernel.shape.as_list()[1] // 4
    layer = module.DynamicRNN(units, kernel.dtype.base_dtype)
    # Its gates stand as ours: input, candidate, forget, output. The bias of the third is added here
    # and not by the operator, whose documentation does not say what it does with one.
    added = np.repeat([0.0, 0.0, forget_bias, 0.0], units)
    shifted = bias + tf.constant(added, kernel.dtype.base_dtype)
    with tf.variable_scope('dynamic_rnn', custom_getter=_given_variables(kernel, shifted)):
      return layer(x)[0]

  def set_keras_session(self, session_config: Any) -> Any:
    return self._npu.set_keras_session_npu_config(config=session_config)

  def keras_optimizer(self, optimizer: Any) -> Any:
    return self._npu.npu_keras_optimizer(optimizer)

  def keras_callbacks(self, callbacks: Sequence[Any]) -> list[Any]:
    return list(self._npu.npu_callbacks_append(callbacks_list=list(callbacks)))


def _given_variables(kernel: Any, bias: Any) -> Any:
  """A getter under which the vendor's recurrent layer takes variables that are there.

  It makes its own even where it is handed some: a checkpoint would hold both, and one of a host
  would lack them. The lengths of the sequences, which are no weights, are not saved.
  """

  def take(getter: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    found = {'w': kernel, 'b': bias}.get(name.rpartition('/')[2])
    if found is not None:
      return found
    return getter(name, *args, **{**kwargs, 'collections': [tf.GraphKeys.LOCAL_VARIABLES]})

  return take


def _set_job_defaults(job_start_file: str) -> None:
  if job_start_file and os.path.exists(job_start_file):
    return
  # A job that is set up by CM_* variables has its size there, and the vendor refuses a second one.
  has_size = bool(os.environ.get('CM_WORKER_SIZE'))
  for name, value in _JOB_DEFAULTS.items():
    if not os.environ.get(name) and not (name == 'RANK_SIZE' and has_size):
      os.environ[name] = value
      log.once(f'{name} was not set; npu_bridge needs it, so it is {value} now.')


def _complete(estimator: Any, config: Any) -> None:
  """Puts right in the session's own ConfigProto what the vendor's estimator cannot say."""
  proto = estimator._session_config  # noqa: SLF001 - TF 1.15 has no public way to it
  parameter_map.write(proto, parameter_map.entries('session_config', config.session_only))
  if config.given.get('compress_weight_conf'):
    # The vendor writes enable_compress_weight=False beside it, which its own check then rejects.
    parameter_map.erase(proto, 'enable_compress_weight')


@contextlib.contextmanager
def _vendor_errors(what: str) -> Iterator[None]:
  """Turns what the vendor's constructors raise into ours, with the cause kept."""
  try:
    yield
  except errors.AdapterError:
    raise
  except (AttributeError, TypeError, ValueError, RuntimeError) as error:
    raise errors.BackendError(f'npu_bridge refused {what}: {error}') from error
