"""The questions a device answers. Holds no TensorFlow and no device."""

from __future__ import annotations

import abc
import os
from typing import Any, Callable, Mapping, NamedTuple, Sequence

from npu_adapter import errors


class EstimatorRequest(NamedTuple):
  """What NPUEstimator was asked for; `config` is a checked NPURunConfig."""

  model_fn: Callable[..., Any]
  model_dir: str
  config: Any
  params: Mapping[str, Any] | None = None
  job_start_file: str = ''
  warm_start_from: Any = None
  exact_resume: Any = False
  progress: bool = True


class OptimizerRequest(NamedTuple):
  """What wrap_optimizer was asked for; `loss_scale_manager` is one of ours or None."""

  optimizer: Any
  loss_scale_manager: Any = None
  is_tailing_optimization: bool = False


class Backend(abc.ABC):
  """One device. The callers never ask which one they have."""

  name = ''
  # Whether it has units of its own for convolutions; a CPU is faster with other forms of them.
  is_made_for_convolutions = True

  @abc.abstractmethod
  def description(self) -> str:
    """What runs here, in the words of the log line that announces the backend."""

  @abc.abstractmethod
  def estimator(self, request: EstimatorRequest) -> Any:
    """Returns an object with tf.estimator's train, evaluate, predict and export methods."""

  @abc.abstractmethod
  def session_config(self, config: Any, session_only: Mapping[str, Any]) -> Any:
    """Returns a new ConfigProto that carries `config` (an NPURunConfig) into sess.run code."""

  @abc.abstractmethod
  def wrap_optimizer(self, request: OptimizerRequest) -> Any:
    """Returns the optimizer with this device's distribution and loss scaling around it."""

  @abc.abstractmethod
  def fixed_loss_scale(self, loss_scale: float, enable_overflow_check: bool) -> Any:
    """Returns the implementation behind FixedLossScaleManager."""

  @abc.abstractmethod
  def exponential_loss_scale(self, **arguments: Any) -> Any:
    """Returns the implementation behind ExponentialUpdateLossScaleManager."""

  def dropout(self, x: Any, keep_prob: Any, seed: int | None, name: str | None) -> Any:
    """Returns x with the device's own dropout on it; None where it has none of its own."""
    del x, keep_prob, seed, name

  def lstm(self, x: Any, kernel: Any, bias: Any, forget_bias: float) -> Any:
    """Returns [steps, batch, units] by the device's own operator; None where it has none."""
    del x, kernel, bias, forget_bias

  def only_when(self, condition: Any, make: Callable[[], Any]) -> Any:
    """Returns an operation that runs what `make` makes where the condition holds, else nothing.

    None where the device has no form of its own: tf.cond is for all.
    """
    del condition, make

  @abc.abstractmethod
  def set_keras_session(self, session_config: Any) -> Any:
    """Makes a session with `session_config` Keras' own, and returns it."""

  @abc.abstractmethod
  def keras_optimizer(self, optimizer: Any) -> Any:
    """Returns a Keras optimizer with this device's distribution around it."""

  @abc.abstractmethod
  def keras_callbacks(self, callbacks: Sequence[Any]) -> list[Any]:
    """Returns the callbacks with those the device needs added."""


def rank_size() -> int:
  """How many processes train together, by the environment Ascend jobs are started with."""
  text = os.environ.get('RANK_SIZE') or os.environ.get('CM_WORKER_SIZE') or '1'
  if not (text.isascii() and text.isdigit()) or int(text) < 1:
    raise errors.OptionError(f'RANK_SIZE must be a number of at least 1; got {text!r}.')
  return int(text)
