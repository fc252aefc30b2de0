"""Estimator, the user's door to the runtime: checks arguments and hands the work on."""

from __future__ import annotations

import copy
import os
import tempfile
from contextlib import nullcontext
from typing import Any, Callable, Iterable, Iterator, Mapping, Sequence

import tensorflow.compat.v1 as tf

from npu_adapter.runtime import (
  checkpoint_health,
  checkpoints,
  cluster,
  evaluation,
  interruption,
  model_folder,
  overriding,
  prediction,
  saved_model,
  schedule,
  tf1,
  training,
  warm_start,
)
from npu_adapter.runtime.exact_resume import check_choice
from npu_adapter.runtime.model import Model
from npu_adapter.runtime.model_fn import ModeKeys
from npu_adapter.runtime.run_config import RunConfig, folder_name

_DISTRIBUTION_FIELDS = ('train_distribute', 'eval_distribute', 'experimental_distribute')


class Estimator:
  """A model with its folder of checkpoints. Every call builds the model anew in a graph of its own.

  model_fn(features, labels, mode, params, config) returns an EstimatorSpec; it may leave out any
    argument but `features`. In PREDICT mode `labels` is None.
  model_dir: where checkpoints and summaries go; if given here and in `config`, the same.
  config: a RunConfig.
  params: handed to model_fn and input_fn as a copy.
  warm_start_from: a checkpoint, its folder, a SavedModel folder, or WarmStartSettings; used as long
    as model_dir holds no checkpoint.
  spec_transform(spec, mode) -> spec: called in the graph right after model_fn.
  steps_per_loop: hooks take part in every such step of training only.
  exact_resume: True goes on in the data where a stopped training was, so that its weights end the
    same to the last bit; 'replay' draws what was drawn before once more, where the position in the
    data cannot be saved. A model that rolls dice outside of the checkpoint is refused.
  progress: whether training tells on standard error how far it is.
  """

  def __init__(
    self,
    model_fn: Callable[..., Any],
    model_dir: Any = None,
    config: Any = None,
    params: Mapping[str, Any] | None = None,
    warm_start_from: Any = None,
    spec_transform: Callable[[Any, str], Any] | None = None,
    steps_per_loop: int = 1,
    exact_resume: bool | str = False,
    progress: bool = True,
  ):
    overriding.check(type(self), Estimator)
    tf1.enable()
    self._config = _complete_config(config, model_dir)
    # Where subclasses written for tf.estimator look for it.
    self._session_config = self._config.session_config
    _refuse_distribution(self._config)
    tf.logging.info('Using config: %s', vars(self._config))
    if model_fn is None:
      raise ValueError('model_fn must be provided to Estimator.')
    if steps_per_loop < 1:
      raise ValueError(f'steps_per_loop must be at least 1; got {steps_per_loop}.')
    check_choice(exact_resume)
    self._model = Model(model_fn, params, self._config, spec_transform)
    self._warm_start_settings = warm_start.settings_from(warm_start_from)
    self._steps_per_loop = steps_per_loop
    self._exact_resume = exact_resume
    self._shows_progress = progress and self._config.is_chief

  @property
  def model_dir(self) -> str:
    """The folder of checkpoints and summaries."""
    return self._config.model_dir

  @property
  def config(self) -> Any:
    """A copy of the configuration, with the model folder in it."""
    return copy.deepcopy(self._config)

  @property
  def params(self) -> Any:
    """A copy of the hyper-parameters."""
    return self._model.params

  @property
  def model_fn(self) -> Callable[..., Any]:
    """The model_fn bound to `params`, taking features, labels, mode and config."""

    def public_model_fn(features: Any, labels: Any, mode: str, config: Any) -> Any:
      return self._model.spec(features, labels, mode, config)

    return public_model_fn

  def get_variable_value(self, name: str) -> Any:
    """The value of a variable in the latest checkpoint."""
    return tf.train.load_variable(checkpoints.require(self.model_dir), name)

  def get_variable_names(self) -> list[str]:
    """The names of the variables in the latest checkpoint."""
    path = checkpoints.require(self.model_dir)
    return [name for name, _ in tf.train.list_variables(path)]

  def latest_checkpoint(self) -> str | None:
    """The newest checkpoint of model_dir, or None."""
    return checkpoints.latest(self.model_dir)

  def _is_done(self, max_steps: int | None) -> bool:
    latest = checkpoints.latest(self.model_dir)
    if not (max_steps and latest and checkpoint_health.has_reached(latest, max_steps)):
      return False
    tf.logging.info('Skipping training since max_steps has already saved.')
    return True

  def _latest_whole(self) -> str | None:
    latest = self.latest_checkpoint()
    # A subclass may choose otherwise.
    if latest != checkpoints.latest(self.model_dir):
      return latest
    return checkpoint_health.newest_whole(self.model_dir)

  def eval_dir(self, name: str | None = None) -> str:
    """Where evaluate(name=name) writes its summaries."""
    return os.path.join(self.model_dir, f'eval_{name}' if name else 'eval')

  def train(
    self,
    input_fn: Callable[..., Any],
    hooks: Iterable[Any] | None = None,
    steps: int | None = None,
    max_steps: int | None = None,
    saving_listeners: Iterable[Any] | None = None,
  ) -> Any:
    """Trains on from the latest checkpoint; returns self.

    Stops after `steps` more steps, or at the global step `max_steps`, or at the end of the data. By
    SIGTERM or Ctrl-C it stops after the step it is in, writes a checkpoint, and ends the program
    with status 143 or 130. One process at a time trains in a model_dir.
    """
    if self._config.task_type in (cluster.TaskType.EVALUATOR, cluster.TaskType.PS):
      raise ValueError(
        'Train has been called wrong configuration. Please use tf.estimator.train_and_evaluate '
        'which calls proper API according to given configuration. Current configuration: '
        f'{vars(self._config)}.'
      )
    if steps is not None and max_steps is not None:
      raise ValueError('Can not provide both steps and max_steps.')
    _check_positive('steps', steps)
    _check_positive('max_steps', max_steps)
    # Before the claim, which needs a folder that can be written.
    if self._is_done(max_steps):
      return self
    claim = model_folder.claimed(self.model_dir) if self._config.is_chief else nullcontext()
    with claim, interruption.Watch() as watch:
      if self._config.is_chief:
        checkpoint_health.forget_broken(self.model_dir)
      if self._is_done(max_steps):
        return self
      all_hooks = _checked_hooks(hooks)
      if steps is not None or max_steps is not None:
        all_hooks.append(schedule.LastStep(steps, max_steps))
      plan = training.Plan(
        all_hooks,
        _checked_listeners(saving_listeners),
        self._warm_start_settings,
        self._steps_per_loop,
        self._exact_resume,
        watch.is_interrupted,
        self._shows_progress,
      )
      loss = training.train(self._model, input_fn, plan)
    watch.raise_if_interrupted(self.latest_checkpoint())
    tf.logging.info('Loss for final step: %s.', loss)
    return self

  def evaluate(
    self,
    input_fn: Callable[..., Any],
    steps: int | None = None,
    hooks: Iterable[Any] | None = None,
    checkpoint_path: Any = None,
    name: str | None = None,
  ) -> dict[str, Any]:
    """Returns the metrics of the latest checkpoint, or of `checkpoint_path`.

    Over `steps` batches, or until the data ends. Where there is no checkpoint, the model is
    evaluated as it is initialised. The metrics also go into an event file in eval_dir(name).
    """
    _check_positive('steps', steps)
    all_hooks = _checked_hooks(hooks)
    path = checkpoints.latest_or_warn(self.model_dir, checkpoint_path, 'evaluate')
    results = evaluation.evaluate(
      self._model, input_fn, steps, all_hooks, path, self._warm_start_settings
    )
    evaluation.write_summaries(self.eval_dir(name), results, path)
    return results

  def predict(
    self,
    input_fn: Callable[..., Any],
    predict_keys: Iterable[str] | None = None,
    hooks: Iterable[Any] | None = None,
    checkpoint_path: Any = None,
    yield_single_examples: bool = True,
  ) -> Iterator[Any]:
    """Yields the predictions of one example after the other, or with False of whole batches.

    `predict_keys` names those of a dict to keep. Nothing is built before the first is asked for.
    """
    return self._predict(
      input_fn, predict_keys, _checked_hooks(hooks), checkpoint_path, yield_single_examples
    )

  def _predict(
    self,
    input_fn: Callable[..., Any],
    predict_keys: Iterable[str] | None,
    hooks: Sequence[Any],
    checkpoint_path: Any,
    yield_single_examples: bool,
  ) -> Iterator[Any]:
    path = checkpoints.latest_or_warn(self.model_dir, checkpoint_path, 'predict')
    batches = prediction.predict(
      self._model, input_fn, predict_keys, hooks, path, self._warm_start_settings
    )
    for batch in batches:
      if yield_single_examples:
        yield from prediction.examples_of(batch)
      else:
        yield batch

  def export_saved_model(
    self,
    export_dir_base: Any,
    serving_input_receiver_fn: Callable[[], Any],
    assets_extra: Mapping[str, str] | None = None,
    as_text: bool = False,
    checkpoint_path: Any = None,
    experimental_mode: str = ModeKeys.PREDICT,
  ) -> bytes:
    """Writes a SavedModel into `export_dir_base`/<seconds> and returns that folder.

    `serving_input_receiver_fn` returns the features and the placeholders a server feeds.
    `assets_extra` is {path below assets.extra: file to copy there}.
    """
    if serving_input_receiver_fn is None:
      raise ValueError('An input_receiver_fn must be defined.')
    return self._export(
      export_dir_base,
      {experimental_mode: serving_input_receiver_fn},
      checkpoint_path,
      saved_model.Layout(assets_extra, as_text),
    )

  def experimental_export_all_saved_models(
    self,
    export_dir_base: Any,
    input_receiver_fn_map: Mapping[str, Callable[[], Any]],
    assets_extra: Mapping[str, str] | None = None,
    as_text: bool = False,
    checkpoint_path: Any = None,
  ) -> bytes:
    """The same with a graph for each mode of `input_receiver_fn_map`."""
    layout = saved_model.Layout(assets_extra, as_text)
    return self._export(export_dir_base, input_receiver_fn_map, checkpoint_path, layout)

  def export_savedmodel(
    self,
    export_dir_base: Any,
    serving_input_receiver_fn: Callable[[], Any],
    assets_extra: Mapping[str, str] | None = None,
    as_text: bool = False,
    checkpoint_path: Any = None,
    strip_default_attrs: bool = False,
  ) -> bytes:
    """The old name of export_saved_model, which keeps attributes that have their default value."""
    tf.logging.warning(
      'export_savedmodel: This function has been renamed, use `export_saved_model` instead.'
    )
    if serving_input_receiver_fn is None:
      raise ValueError('An input_receiver_fn must be defined.')
    return self._export(
      export_dir_base,
      {ModeKeys.PREDICT: serving_input_receiver_fn},
      checkpoint_path,
      saved_model.Layout(assets_extra, as_text, strip_default_attrs),
    )

  def _export(
    self,
    export_dir_base: Any,
    receiver_fns: Mapping[str, Callable[[], Any]],
    checkpoint_path: Any,
    layout: saved_model.Layout,
  ) -> bytes:
    path = (
      folder_name(checkpoint_path)
      or self._latest_whole()
      or warm_start.checkpoint_of(self._warm_start_settings)
    )
    if not path:
      raise ValueError(f"Couldn't find trained model at {self.model_dir}.")
    return saved_model.write(self._model, export_dir_base, receiver_fns, path, layout)


def _complete_config(config: Any, model_dir: Any) -> Any:
  """Returns the config with a model folder and a session config in it."""
  if config is None:
    config = RunConfig()
    tf.logging.info('Using default config.')
  if not isinstance(config, RunConfig):
    raise ValueError(f'config must be an instance of `RunConfig`, but provided {config}.')
  if config.session_config is None:
    config = config.replace(session_config=cluster.default_session_config())
  model_dir = folder_name(model_dir)
  if model_dir is not None and config.model_dir not in (None, model_dir):
    raise ValueError(
      '`model_dir` are set both in constructor and `RunConfig`, but with different values. '
      f"In constructor: '{model_dir}', in `RunConfig`: '{config.model_dir}' "
    )
  if model_dir:
    return config.replace(model_dir=model_dir)
  if config.model_dir is None:
    model_dir = tempfile.mkdtemp()
    tf.logging.warning('Using temporary folder as model directory: %s', model_dir)
    return config.replace(model_dir=model_dir)
  return config


def _refuse_distribution(config: RunConfig) -> None:
  """What would be left out without a word otherwise."""
  for field in _DISTRIBUTION_FIELDS:
    if getattr(config, field) is not None:
      raise ValueError(
        f'RunConfig.{field} must be None: this estimator runs in one process; got '
        f'{getattr(config, field)}.'
      )
  tasks = cluster.task_count(config.cluster_spec)
  if tasks > 1:
    raise ValueError(
      f'The cluster of TF_CONFIG must have one task: training with several is not implemented yet; '
      f'got {tasks} tasks in {config.cluster_spec.as_dict()}. Unset TF_CONFIG to train in this '
      'process alone.'
    )


def _check_positive(name: str, number: int | None) -> None:
  if number is not None and number <= 0:
    raise ValueError(f'Must specify {name} > 0, given: {number}')


def _checked_hooks(hooks: Iterable[Any] | None) -> list[Any]:
  found = list(hooks or [])
  for hook in found:
    if not isinstance(hook, tf.train.SessionRunHook):
      raise TypeError(f'Hooks must be a SessionRunHook, given: {hook}')
  return found


def _checked_listeners(listeners: Iterable[Any] | None) -> list[Any]:
  found = list(listeners or [])
  for listener in found:
    if not isinstance(listener, tf.train.CheckpointSaverListener):
      raise TypeError(
        f'saving_listeners must be a list of CheckpointSaverListener, given: {listener}'
      )
  return found
