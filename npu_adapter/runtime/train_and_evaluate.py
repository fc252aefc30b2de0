"""train_and_evaluate: training and evaluation in turns, or each as the task TF_CONFIG names."""

from __future__ import annotations

import time
from typing import Any, Iterable

import tensorflow.compat.v1 as tf

from npu_adapter.runtime import checkpoint_evaluation, cluster, train_eval_specs
from npu_adapter.runtime.cluster import TaskType
from npu_adapter.runtime.train_eval_specs import EvalSpec, TrainSpec

# The names tf.estimator has for them; its own tests find them in one module.
_ContinuousEvalListener = checkpoint_evaluation.ContinuousEvalListener
_EvalResult = checkpoint_evaluation.EvalResult
_EvalStatus = checkpoint_evaluation.EvalStatus
_NewCheckpointListenerForEvaluate = checkpoint_evaluation.NewCheckpointListener

# Workers begin one after the other: with asynchronous updates the model then converges faster.
_SECONDS_PER_WORKER = 5
_MOST_SECONDS_TO_WAIT = 60
_TRAINERS = (TaskType.CHIEF, TaskType.MASTER, TaskType.WORKER)
_USED_OF_AN_ESTIMATOR = ('train', 'evaluate', 'export_saved_model', 'latest_checkpoint')


def train_and_evaluate(estimator: Any, train_spec: Any, eval_spec: Any) -> Any:
  """Trains, evaluates at new checkpoints, and exports, as the two specs say.

  Returns (metrics of the last evaluation, what the exporters returned then); both None where no
  step was left to train. With TF_CONFIG this process does the part of the task it names, and None
  is returned.
  """
  _required_eval_spec(eval_spec)
  executor = _TrainingExecutor(estimator=estimator, train_spec=train_spec, eval_spec=eval_spec)
  config = estimator.config
  if config.task_type == TaskType.EVALUATOR and config.task_id > 0:
    raise ValueError(
      'For distributed training, there can only be one `evaluator` task (with task id 0).  Given '
      f'task id {config.task_id}'
    )
  return executor.run()


class _TrainingExecutor:
  """Does the part of one task: run_<task> for each kind of them, run_local for a lone process."""

  def __init__(
    self,
    estimator: Any,
    train_spec: Any,
    eval_spec: Any,
    train_hooks: Iterable[Any] | None = None,
    continuous_eval_listener: Any = None,
  ):
    # By what it can do: NPUEstimator and tf.estimator's are no relatives of ours.
    if not all(callable(getattr(estimator, name, None)) for name in _USED_OF_AN_ESTIMATOR):
      raise TypeError(
        f'`estimator` must have type `tf.estimator.Estimator`. Got: {type(estimator)}'
      )
    self._estimator = estimator
    self._train_spec = train_eval_specs.adopted(train_spec, TrainSpec)
    if self._train_spec is None:
      raise TypeError(
        f'`train_spec` must have type `tf.estimator.TrainSpec`. Got: {type(train_spec)}'
      )
    self._eval_spec: Any = train_eval_specs.adopted(eval_spec, EvalSpec)
    if eval_spec and self._eval_spec is None:
      raise TypeError(
        '`eval_spec` must be either `None` or have type `tf.estimator.EvalSpec`. '
        f'Got: {type(eval_spec)}'
      )
    self._train_hooks = train_eval_specs.checked_hooks(train_hooks)
    if continuous_eval_listener and not isinstance(
      continuous_eval_listener, _ContinuousEvalListener
    ):
      raise TypeError('`continuous_eval_listener` must have type `_ContinuousEvalListener`.')
    self._continuous_eval_listener = continuous_eval_listener or _ContinuousEvalListener()

  @property
  def estimator(self) -> Any:
    """The estimator it was given."""
    return self._estimator

  def run(self) -> Any:
    """Runs the task the estimator's config names; returns what train_and_evaluate returns."""
    config = self._estimator.config
    if not config.cluster_spec and config.task_type != TaskType.EVALUATOR:
      tf.logging.info('Running training and evaluation locally (non-distributed).')
      return self.run_local()
    if not config.task_type:
      raise ValueError(
        '`estimator.config` must have task_type set. This usually means TF_CONFIG environment is '
        'not set correctly.'
      )
    if config.task_type == 'local':
      raise ValueError(
        '`task.type` in TF_CONFIG cannot be `local`. Leaving `cluster` and `task` properties in '
        'TF_CONFIG absent triggers train and evaluate `Estimator` locally (non-distributed).'
      )
    tasks = self._tasks()
    if config.task_type not in tasks:
      raise ValueError(
        f'Task type {config.task_type} is not supported. Supported task types are {list(tasks)}'
      )
    tasks[config.task_type]()
    return None

  def _tasks(self) -> dict[str, Any]:
    """{task type: what runs it}; a subclass adds a type with another run_ method."""
    prefix = 'run_'
    names = [name for name in dir(self) if name.startswith(prefix) and name != 'run_local']
    methods = {name[len(prefix) :]: getattr(self, name) for name in names}
    return {task: method for task, method in methods.items() if callable(method)}

  def run_chief(self) -> None:
    """Trains, and writes the checkpoints that the evaluator task evaluates."""
    self._train_in_cluster(self._train_spec.saving_listeners)

  def run_worker(self) -> None:
    """Trains; the chief writes the checkpoints."""
    self._train_in_cluster(None)

  def run_master(self) -> None:
    """Trains like a chief, and evaluates in between, for clusters without an evaluator."""
    listener = self._evaluating_listener(_ContinuousEvalListener())
    self._train_in_cluster((*self._train_spec.saving_listeners, listener))

  def run_ps(self) -> None:
    """Serves variables until the process is ended from outside."""
    self._start_server().join()

  def run_evaluator(self) -> None:
    """Evaluates each new checkpoint until one has reached max_steps or the listener stops it."""
    delay = _required_eval_spec(self._eval_spec).start_delay_secs
    if delay:
      tf.logging.info('Waiting %f secs before starting eval.', delay)
      time.sleep(delay)
    evaluator = self._evaluator()
    is_over = False
    while not is_over:
      is_over = self._evaluate_once(evaluator)

  def run_local(self) -> Any:
    """Trains and evaluates in this process, in turns."""
    listener = self._evaluating_listener(self._continuous_eval_listener)
    config = self._estimator.config
    tf.logging.info(
      'Start train and evaluate loop. The evaluate will happen after every checkpoint. Checkpoint '
      'frequency is determined based on RunConfig arguments: save_checkpoints_steps %s or '
      'save_checkpoints_secs %s.', config.save_checkpoints_steps, config.save_checkpoints_secs,
    )  # fmt: skip
    self._train((*self._train_spec.saving_listeners, listener))
    if listener.eval_result is None:
      return None, None
    return listener.eval_result.metrics, listener.export_results

  def _evaluator(self) -> checkpoint_evaluation.Evaluator:
    spec = _required_eval_spec(self._eval_spec)
    return checkpoint_evaluation.Evaluator(self._estimator, spec, self._train_spec.max_steps)

  def _evaluating_listener(self, eval_listener: Any) -> Any:
    evaluator = self._evaluator()
    throttle = self._eval_spec.throttle_secs
    return _NewCheckpointListenerForEvaluate(evaluator, throttle, eval_listener)

  def _train(self, saving_listeners: Any) -> None:
    self._estimator.train(
      input_fn=self._train_spec.input_fn,
      max_steps=self._train_spec.max_steps,
      hooks=[*self._train_spec.hooks, *self._train_hooks],
      saving_listeners=saving_listeners,
    )

  def _train_in_cluster(self, saving_listeners: Any) -> None:
    # Before the wait: the tasks look for one another before any of them trains.
    if not _brings_its_own_server():
      self._start_server()
    delay = _start_delay(self._estimator.config)
    if delay > 0:
      tf.logging.info('Waiting %d secs before starting training.', delay)
      time.sleep(delay)
    self._train(saving_listeners)

  def _start_server(self) -> Any:
    """Returns this task's server, None where it is alone and needs none."""
    config = self._estimator.config
    if not config.cluster_spec or not config.task_type or config.task_id is None:
      raise RuntimeError(
        'Could not start server; be sure to specify cluster_spec, task_type, and task in RunConfig '
        'or set the TF_CONFIG environment variable.'
      )
    if not config.master:
      if cluster.task_count(config.cluster_spec) != 1 or config.task_type not in _TRAINERS:
        raise RuntimeError(
          'Could not start server; be sure to specify master in RunConfig or set the TF_CONFIG '
          'environment variable.'
        )
      tf.logging.info('Skip starting Tensorflow server as there is only one node in the cluster.')
      return None
    tf.logging.info('Start Tensorflow server.')
    server = tf.train.Server(
      config.cluster_spec,
      job_name=config.task_type,
      task_index=config.task_id,
      config=_server_config(config.session_config),
      start=False,
      protocol=config.protocol,
    )
    server.start()
    return server

  def _evaluate_once(self, evaluator: Any) -> bool:
    """Evaluates if there is a new checkpoint, then waits; returns whether that was the last."""
    started = time.time()
    if not self._continuous_eval_listener.before_eval():
      tf.logging.info('Exiting evaluation, as requested by _ContinuousEvalListener.before_eval.')
      return True
    result, _ = evaluator.evaluate_and_export()
    if not self._continuous_eval_listener.after_eval(result):
      tf.logging.info('Exiting evaluation, as requested by _ContinuousEvalListener.after_eval.')
      return True
    self._throttle(started, result)
    return self._has_come_to_the_end(result)

  def _throttle(self, started: float, result: Any) -> None:
    throttle = self._eval_spec.throttle_secs
    left = throttle - (time.time() - started)
    if left > 0:
      tf.logging.info('Waiting %f secs before starting next eval run.', left)
      time.sleep(left)
    elif throttle == 0 and result.status != _EvalStatus.EVALUATED:
      tf.logging.warning(
        'EvalSpec.throttle_secs is set as 0. This might overload the job before finding (next) new '
        'checkpoint. Please consider to increase it.'
      )

  def _has_come_to_the_end(self, result: Any) -> bool:
    last = self._train_spec.max_steps
    if not last or result.status != _EvalStatus.EVALUATED:
      return False
    step = result.metrics[tf.GraphKeys.GLOBAL_STEP]
    if step < last:
      return False
    tf.logging.info('Exiting evaluation, global_step=%s >= train max_steps=%s', step, last)
    return True


class _StopAtSecsHook(tf.train.SessionRunHook):
  """Stops training after so many seconds; here for those who know it from tf.estimator."""

  def __init__(self, stop_after_secs: float):
    self._stop_after_secs = stop_after_secs
    self._started = 0.0

  def begin(self) -> None:
    self._started = time.time()

  def after_run(self, run_context: Any, run_values: Any) -> None:
    if time.time() - self._started >= self._stop_after_secs:
      run_context.request_stop()


def _required_eval_spec(eval_spec: Any) -> Any:
  spec = train_eval_specs.adopted(eval_spec, EvalSpec)
  if spec is None:
    raise TypeError(f'`eval_spec` must have type `tf.estimator.EvalSpec`. Got: {type(eval_spec)}')
  return spec


def _brings_its_own_server() -> bool:
  """Whether whoever started the tasks has started their servers as well."""
  tf_config = cluster.read_environment()
  if not tf_config:
    tf.logging.warning('TF_CONFIG should not be empty in distributed environment.')
  return tf_config.get('environment') == 'google'


def _start_delay(config: Any) -> int:
  """The seconds a worker waits by its number, at most what the config says."""
  if config.task_type != TaskType.WORKER:
    return 0
  most = config.experimental_max_worker_delay_secs
  most = _MOST_SECONDS_TO_WAIT if most is None else int(most)
  return min(most, (config.task_id + 1) * _SECONDS_PER_WORKER)


def _server_config(session_config: Any) -> Any:
  """The part of a session's config that is settled when its server starts: the GPUs."""
  if session_config is None:
    return tf.ConfigProto(log_device_placement=False)
  return tf.ConfigProto(log_device_placement=False, gpu_options=session_config.gpu_options)
