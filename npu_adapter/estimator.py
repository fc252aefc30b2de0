"""NPUEstimator and NPUEstimatorSpec: the user's door. Asks the backend; knows no device."""

from __future__ import annotations

import inspect
import os
import tempfile
from typing import Any, Callable, Iterator, Mapping

from npu_adapter import backends, errors, log
from npu_adapter.backends import base
from npu_adapter.run_config import NPURunConfig
from npu_adapter.runtime import tf1
from npu_adapter.runtime.model_fn import EstimatorSpec, ModeKeys
from npu_adapter.runtime.run_config import folder_name


class NPUEstimator:
  """Trains, evaluates, predicts and exports a TF1 `model_fn` on the device that is there.

  The arguments are the vendor's. `config` may be left out; `model_dir` may be given here or in the
  config. `job_start_file` has a meaning on Ascend only; `exact_resume`, which is not the vendor's,
  on hosts only: True, or 'replay', makes a training that was stopped and started again end with the
  very weights of one that never was. `progress` is whether a training on a host tells on standard
  error how far it is. See docs/estimator.md.
  """

  def __init__(
    self,
    model_fn: Callable[..., Any] | None = None,
    model_dir: Any = None,
    config: NPURunConfig | None = None,
    params: Mapping[str, Any] | None = None,
    job_start_file: str = '',
    warm_start_from: Any = None,
    exact_resume: bool | str = False,
    progress: bool = True,
  ):
    tf1.enable()
    if model_fn is None:
      raise ValueError('model_fn must be provided to Estimator.')
    if config is None:
      config = NPURunConfig()
    if not isinstance(config, NPURunConfig):
      raise errors.OptionTypeError(
        f'`config` must be an NPURunConfig; got {type(config).__name__}. Hand the same arguments '
        'to npu_adapter.NPURunConfig.'
      )
    backend = backends.choose()
    folder = _model_dir(model_dir, config)
    params = None if params is None else dict(params)
    request = base.EstimatorRequest(
      model_fn,
      folder,
      config.replace(model_dir=folder),
      params,
      job_start_file,
      warm_start_from,
      exact_resume,
      progress,
    )
    self._config = request.config
    self._backend_name = backend.name
    self._estimator = backend.estimator(request)

  def train(
    self,
    input_fn: Callable[..., Any],
    hooks: Any = None,
    steps: int | None = None,
    max_steps: int | None = None,
    saving_listeners: Any = None,
  ) -> NPUEstimator:
    """Trains; `steps` counts from here, `max_steps` from the first step the model ever took."""
    loop, total = self._config.iterations_per_loop, steps or max_steps
    if total and total % loop:
      log.once(
        f'{total} steps are no multiple of iterations_per_loop={loop}: training ends at the loop '
        'end after that.'
      )
    self._estimator.train(input_fn, hooks, steps, max_steps, saving_listeners)
    return self

  def evaluate(
    self,
    input_fn: Callable[..., Any],
    steps: int | None = None,
    hooks: Any = None,
    checkpoint_path: Any = None,
    name: str | None = None,
  ) -> dict[str, Any]:
    """Returns the metrics of the latest checkpoint, or of `checkpoint_path`, with global_step."""
    return self._estimator.evaluate(input_fn, steps, hooks, checkpoint_path, name)

  def predict(
    self,
    input_fn: Callable[..., Any],
    predict_keys: Any = None,
    hooks: Any = None,
    checkpoint_path: Any = None,
    yield_single_examples: bool = True,
  ) -> Iterator[Any]:
    """Yields predictions, one an example, in the order of the input."""
    return self._estimator.predict(
      input_fn, predict_keys, hooks, checkpoint_path, yield_single_examples
    )

  def export_saved_model(
    self,
    export_dir_base: Any,
    serving_input_receiver_fn: Callable[[], Any],
    assets_extra: Mapping[str, str] | None = None,
    as_text: bool = False,
    checkpoint_path: Any = None,
    experimental_mode: str = ModeKeys.PREDICT,
  ) -> bytes:
    """Writes a SavedModel into a new time-stamped folder and returns that folder."""
    return self._estimator.export_saved_model(
      export_dir_base,
      serving_input_receiver_fn,
      assets_extra,
      as_text,
      checkpoint_path,
      experimental_mode,
    )

  def export_savedmodel(
    self,
    export_dir_base: Any,
    serving_input_receiver_fn: Callable[[], Any],
    assets_extra: Mapping[str, str] | None = None,
    as_text: bool = False,
    checkpoint_path: Any = None,
    strip_default_attrs: bool = False,
  ) -> bytes:
    """The older name of export_saved_model, with its own default for `strip_default_attrs`."""
    return self._estimator.export_savedmodel(
      export_dir_base,
      serving_input_receiver_fn,
      assets_extra,
      as_text,
      checkpoint_path,
      strip_default_attrs,
    )

  def experimental_export_all_saved_models(
    self,
    export_dir_base: Any,
    input_receiver_fn_map: Mapping[str, Callable[[], Any]],
    assets_extra: Mapping[str, str] | None = None,
    as_text: bool = False,
    checkpoint_path: Any = None,
  ) -> bytes:
    """Writes a SavedModel with a graph for each mode of `input_receiver_fn_map`."""
    return self._estimator.experimental_export_all_saved_models(
      export_dir_base, input_receiver_fn_map, assets_extra, as_text, checkpoint_path
    )

  def get_variable_names(self) -> list[str]:
    """The names of the variables in the latest checkpoint."""
    return self._estimator.get_variable_names()

  def get_variable_value(self, name: str) -> Any:
    """The value of one of them."""
    return self._estimator.get_variable_value(name)

  def latest_checkpoint(self) -> str | None:
    """The newest checkpoint of the model folder, or None."""
    return self._estimator.latest_checkpoint()

  def eval_dir(self, name: str | None = None) -> str:
    """Where evaluate(name=name) writes its summaries."""
    return self._estimator.eval_dir(name)

  @property
  def model_dir(self) -> str:
    """The folder of checkpoints and summaries."""
    return self._estimator.model_dir

  @property
  def config(self) -> NPURunConfig:
    """The checked configuration, with the model folder in it."""
    return self._config

  @property
  def params(self) -> dict[str, Any]:
    """A copy of the hyper-parameters."""
    return self._estimator.params

  @property
  def model_fn(self) -> Callable[..., Any]:
    """The model_fn bound to `params`, taking features, labels, mode and config."""
    return self._estimator.model_fn

  @property
  def backend_name(self) -> str:
    """The device it runs on: 'ascend' or 'host'."""
    return self._backend_name

  @property
  def native(self) -> Any:
    """The estimator behind this one: the vendor's on Ascend, the runtime's on a host."""
    return self._estimator


class NPUEstimatorSpec(EstimatorSpec):
  """EstimatorSpec plus `host_call`: (function, tensors), run on the host with every step.

  `tensors` is a list or a dict; the function gets them as its arguments and returns ops to run
  with every step of training and evaluation. Summaries need a writer of TensorFlow 2 style, as
  tf.compat.v2.summary has; what a v1 tf.summary op returns is written by nobody.
  """

  host_call: Any
  added_fields = ('host_call',)

  def __new__(cls, *args: Any, host_call: Any = None, **kwargs: Any) -> NPUEstimatorSpec:
    if host_call is not None:
      _check_host_call(host_call)
    spec = super().__new__(cls, *args, **kwargs)
    spec.host_call = host_call
    return spec


def _check_host_call(host_call: Any) -> None:
  """Refuses what the vendor refuses, in its words."""
  if not isinstance(host_call, (tuple, list)):
    raise ValueError(f'host_call should be tuple or list; got {type(host_call).__name__}')
  if len(host_call) != 2:
    raise ValueError(f'host_call should have two elements; got {len(host_call)}.')
  function, tensors = host_call
  if not callable(function):
    raise TypeError(f'host_call[0] should be callable; got {function!r}.')
  if not isinstance(tensors, (tuple, list, dict)):
    raise ValueError(f'host_call[1] should be tuple or list, or dict; got {tensors!r}.')
  _check_arity(function, tensors)


def _check_arity(function: Callable[..., Any], tensors: Any) -> None:
  try:
    signature = inspect.signature(function)
  except ValueError:
    # Some built-in functions have none; calling them will tell.
    return
  try:
    signature.bind(**tensors) if isinstance(tensors, dict) else signature.bind(*tensors)
  except TypeError as error:
    raise RuntimeError(
      f'In NPUEstimatorSpec.host_call, length of tensors {len(tensors)} does not match method args '
      f'of the function, which takes {len(signature.parameters)}: {error}.'
    ) from None


def _model_dir(model_dir: Any, config: NPURunConfig) -> str:
  """The one folder the constructor and the config name; a temporary one when neither does."""
  found = {folder_name(path) for path in (model_dir, config.model_dir) if path is not None}
  if len(found) > 1:
    raise errors.OptionError(
      'model_dir are set both in NPUEstimator and NPURunConfig, but with different values. In '
      f'constructor: {model_dir!r}, in NPURunConfig: {config.model_dir!r}. Keep one of them.'
    )
  if found:
    return _no_file(str(found.pop()))
  folder = tempfile.mkdtemp()
  log.logger().warning('Using temporary folder as model directory: %s', folder)
  return folder


def _no_file(folder: str) -> str:
  if os.path.isfile(folder):
    raise errors.OptionError(
      f'model_dir must be a folder, or a name for a new one; {folder!r} is a file.'
    )
  return folder
