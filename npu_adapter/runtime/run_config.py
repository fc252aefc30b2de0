"""RunConfig: where a run writes, how often, and with which session."""

from __future__ import annotations

import copy
import os
from typing import Any, Callable, Mapping

import tensorflow.compat.v1 as tf

from npu_adapter.runtime import call_arguments, cluster

TaskType = cluster.TaskType

_NOT_GIVEN = object()
_SECONDS_BETWEEN_CHECKPOINTS = 600

# Field, what must hold of a value that is not None, the words that say so.
_CHECKS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
  ('model_dir', bool, 'model_dir should be non-empty.'),
  ('save_summary_steps', lambda n: n >= 0, 'save_summary_steps should be >= 0.'),
  ('save_checkpoints_steps', lambda n: n >= 0, 'save_checkpoints_steps should be >= 0.'),
  ('save_checkpoints_secs', lambda n: n >= 0, 'save_checkpoints_secs should be >= 0.'),
  (
    'session_config',
    lambda proto: isinstance(proto, tf.ConfigProto),
    'session_config must be instance of ConfigProto.',
  ),
  ('keep_checkpoint_max', lambda n: n >= 0, 'keep_checkpoint_max should be >= 0.'),
  (
    'keep_checkpoint_every_n_hours',
    lambda n: n > 0,
    'keep_checkpoint_every_n_hours should be > 0.',
  ),
  # tf.estimator refuses 0; the vendor's RunConfig takes it for none.
  (
    'log_step_count_steps',
    lambda n: n >= 0,
    'log_step_count_steps should be > 0, or 0 for no log lines.',
  ),
  ('tf_random_seed', lambda n: isinstance(n, int), 'tf_random_seed must be integer.'),
  (
    'experimental_max_worker_delay_secs',
    lambda n: isinstance(n, int),
    'experimental_max_worker_delay_secs must be an integer if set.',
  ),
  (
    'session_creation_timeout_secs',
    lambda n: n > 0,
    'session_creation_timeout_secs should be > 0.',
  ),
  (
    'device_fn',
    lambda fn: callable(fn) and call_arguments.names_of(fn) == ('op',),
    'device_fn must be callable with exactly one argument "op".',
  ),
  (
    'protocol',
    lambda name: name in ('grpc', 'grpc+verbs'),
    'protocol should be grpc or grpc+verbs.',
  ),
)


def _read_only(name: str, doc: str = '') -> Any:
  return property(lambda self: getattr(self, '_' + name), doc=doc)


class RunConfig:
  """The settings of a run that are not the model's. Cannot be changed: `replace` makes another one.

  A subclass that adds settings names them in REPLACEABLE, keeps each in `self._<name>`, and checks
  them in `_validate`; `replace` then works for them as well.
  """

  REPLACEABLE: tuple[str, ...] = (
    'model_dir', 'tf_random_seed', 'save_summary_steps', 'save_checkpoints_steps',
    'save_checkpoints_secs', 'session_config', 'keep_checkpoint_max',
    'keep_checkpoint_every_n_hours', 'log_step_count_steps', 'train_distribute', 'device_fn',
    'protocol', 'eval_distribute', 'experimental_distribute',
    'experimental_max_worker_delay_secs', 'session_creation_timeout_secs',
    'checkpoint_save_graph_def',
  )  # fmt: skip

  def __init__(
    self,
    model_dir: Any = None,
    tf_random_seed: int | None = None,
    save_summary_steps: int | None = 100,
    save_checkpoints_steps: Any = _NOT_GIVEN,
    save_checkpoints_secs: Any = _NOT_GIVEN,
    session_config: Any = None,
    keep_checkpoint_max: int | None = 5,
    keep_checkpoint_every_n_hours: float | None = 10000,
    log_step_count_steps: int | None = 100,
    train_distribute: Any = None,
    device_fn: Any = None,
    protocol: str | None = None,
    eval_distribute: Any = None,
    experimental_distribute: Any = None,
    experimental_max_worker_delay_secs: int | None = None,
    session_creation_timeout_secs: float = 7200,
    checkpoint_save_graph_def: bool = True,
  ):
    given = {name: value for name, value in locals().items() if name in RunConfig.REPLACEABLE}
    tf_config = cluster.read_environment()
    given['model_dir'] = _model_dir(given['model_dir'], tf_config)
    place = cluster.place_of(tf_config)
    if session_config is None and cluster.has_device_filters(place):
      given['session_config'] = cluster.default_session_config(place)
    self._take(_with_checkpoint_default(given))
    for name, value in place._asdict().items():
      setattr(self, '_' + name, value)
    RunConfig._validate(self)

  def replace(self, **kwargs: Any) -> Any:
    """Returns a new config of the same class with `kwargs` in place of the fields they name."""
    for name in kwargs:
      if name not in self.REPLACEABLE:
        raise ValueError(
          f'Replacing {name} is not supported. Allowed properties are {list(self.REPLACEABLE)}.'
        )
    changed = copy.deepcopy(self)
    changed._take(kwargs)
    changed._validate()
    return changed

  def _take(self, values: Mapping[str, Any]) -> None:
    """Sets fields; naming one checkpoint frequency ends the other."""
    frequencies = ('save_checkpoints_steps', 'save_checkpoints_secs')
    given = [name for name in frequencies if values.get(name) is not None]
    if len(given) > 1:
      raise ValueError('`save_checkpoints_steps` and `save_checkpoints_secs` cannot be both set.')
    if given:
      values = {**dict.fromkeys(frequencies), **values}
    for name, value in values.items():
      setattr(self, '_' + name, folder_name(value) if name == 'model_dir' else value)

  def _validate(self) -> None:
    """Raises ValueError for the first field whose value cannot work."""
    for name, holds, words in _CHECKS:
      value = getattr(self, '_' + name)
      if value is not None and not holds(value):
        raise ValueError(f'{words} Got {value!r}.')

  model_dir = _read_only('model_dir', 'The folder of checkpoints and summaries.')
  tf_random_seed = _read_only('tf_random_seed')
  save_summary_steps = _read_only('save_summary_steps', 'None or 0: no summaries.')
  save_checkpoints_steps = _read_only('save_checkpoints_steps')
  save_checkpoints_secs = _read_only('save_checkpoints_secs')
  session_config = _read_only('session_config')
  keep_checkpoint_max = _read_only('keep_checkpoint_max', 'None or 0: all are kept.')
  keep_checkpoint_every_n_hours = _read_only('keep_checkpoint_every_n_hours')
  log_step_count_steps = _read_only('log_step_count_steps', 'None or 0: no log lines.')
  train_distribute = _read_only('train_distribute')
  device_fn = _read_only('device_fn')
  protocol = _read_only('protocol')
  eval_distribute = _read_only('eval_distribute')
  experimental_distribute = _read_only('experimental_distribute')
  experimental_max_worker_delay_secs = _read_only('experimental_max_worker_delay_secs')
  session_creation_timeout_secs = _read_only('session_creation_timeout_secs')
  checkpoint_save_graph_def = _read_only(
    'checkpoint_save_graph_def', 'Whether graph.pbtxt and the .meta files are written.'
  )
  cluster_spec = _read_only('cluster_spec')
  task_type = _read_only('task_type')
  task_id = _read_only('task_id', 'Counts tasks of the same type.')
  master = _read_only('master')
  evaluation_master = _read_only('evaluation_master')
  is_chief = _read_only('is_chief')
  num_ps_replicas = _read_only('num_ps_replicas')
  num_worker_replicas = _read_only('num_worker_replicas', 'Workers and the chief.')
  global_id_in_cluster = _read_only('global_id_in_cluster', 'Counts tasks of all types.')
  service = _read_only('service')


def folder_name(path: Any) -> str | None:
  """Returns a str, bytes or PathLike path as str, and None as None."""
  return None if path is None else os.fsdecode(path)


def _with_checkpoint_default(given: Mapping[str, Any]) -> dict[str, Any]:
  """Ten minutes if neither frequency was named; None for one only says that it is not used."""
  resolved = {name: None if value is _NOT_GIVEN else value for name, value in given.items()}
  if given['save_checkpoints_steps'] is given['save_checkpoints_secs'] is _NOT_GIVEN:
    resolved['save_checkpoints_secs'] = _SECONDS_BETWEEN_CHECKPOINTS
  return resolved


def _model_dir(given: Any, tf_config: Mapping[str, Any]) -> str | None:
  """The folder named by the argument or by TF_CONFIG, which must not contradict each other."""
  model_dir = folder_name(given)
  from_environment = tf_config.get('model_dir')
  if from_environment == '':
    raise ValueError('model_dir in TF_CONFIG should be non-empty.')
  if from_environment is None:
    return model_dir
  if model_dir and model_dir != from_environment:
    raise ValueError(
      '`model_dir` provided in RunConfig construct, if set, must have the same value as the '
      f'model_dir in TF_CONFIG. model_dir: {model_dir}\nTF_CONFIG["model_dir"]: {from_environment}.'
    )
  tf.logging.info('Using model_dir in TF_CONFIG: %s', from_environment)
  return from_environment
