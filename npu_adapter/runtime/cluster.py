"""Reads TF_CONFIG: which place this process has among those that train together."""

from __future__ import annotations

import json
import os
from typing import Any, Mapping, NamedTuple

import tensorflow.compat.v1 as tf

_VARIABLE = 'TF_CONFIG'


class TaskType:
  """The kinds of task a cluster can have."""

  MASTER = 'master'
  PS = 'ps'
  WORKER = 'worker'
  CHIEF = 'chief'
  EVALUATOR = 'evaluator'


class Place(NamedTuple):
  """One process: its task, the sessions it talks to, and how many others there are."""

  cluster_spec: Any
  task_type: str = TaskType.WORKER
  task_id: int = 0
  master: str = ''
  evaluation_master: str = ''
  is_chief: bool = True
  num_ps_replicas: int = 0
  num_worker_replicas: int = 1
  # The chief is 0, parameter servers come last; None for an evaluator, which is no part of it.
  global_id_in_cluster: int | None = 0
  service: Any = None


# Which tasks a task may talk to, so that a lost worker does not stop the others.
_DEVICE_FILTERS = {
  TaskType.MASTER: ['/job:ps', '/job:master'],
  TaskType.CHIEF: ['/job:ps', '/job:chief'],
  TaskType.WORKER: ['/job:ps', '/job:worker/task:{task_id}'],
  TaskType.PS: ['/job:ps', '/job:worker', '/job:chief', '/job:master'],
}


def read_environment() -> dict[str, Any]:
  """Returns TF_CONFIG as a dict, empty where it is not set."""
  text = os.environ.get(_VARIABLE, '{}')
  try:
    tf_config = json.loads(text)
  except ValueError as error:
    raise ValueError(f'{_VARIABLE} must be JSON; got {text!r}: {error}') from error
  if not isinstance(tf_config, dict):
    raise ValueError(f'{_VARIABLE} must be a JSON object; got {text!r}.')
  if tf_config:
    tf.logging.info('TF_CONFIG environment variable: %s', tf_config)
  return tf_config


def place_of(tf_config: Mapping[str, Any]) -> Place:
  """Returns the place `tf_config` gives this process, checked."""
  service = tf_config.get('service')
  if service is not None and not isinstance(service, dict):
    raise TypeError(f'If "service" is set in TF_CONFIG, it must be a dict. Given {type(service)}')
  spec = tf.train.ClusterSpec(tf_config.get('cluster', {}))
  task = tf_config.get('task', {})
  if not spec:
    return _local(spec, task, tf_config)._replace(service=service)
  return _in_cluster(spec, task, tf_config)._replace(service=service)


def _local(spec: Any, task: Mapping[str, Any], tf_config: Mapping[str, Any]) -> Place:
  if task.get('type', TaskType.WORKER) != TaskType.WORKER:
    raise ValueError('If "cluster" is not set in TF_CONFIG, task type must be WORKER.')
  if int(task.get('index', 0)) != 0:
    raise ValueError('If "cluster" is not set in TF_CONFIG, task index must be 0.')
  return Place(
    spec,
    master=tf_config.get('session_master', ''),
    evaluation_master=tf_config.get('eval_session_master', ''),
  )


def _in_cluster(spec: Any, task: Mapping[str, Any], tf_config: Mapping[str, Any]) -> Place:
  chief_type = _chief_type(spec, task)
  task_type, task_id = _checked_task(spec, task, chief_type)
  if task_type == TaskType.EVALUATOR:
    return Place(
      tf.train.ClusterSpec({}),
      task_type,
      task_id,
      evaluation_master=tf_config.get('eval_session_master', ''),
      is_chief=False,
      num_worker_replicas=0,
      global_id_in_cluster=None,
    )
  jobs = spec.as_dict()
  return Place(
    spec,
    task_type,
    task_id,
    master=tf_config.get('session_master', _address(spec, task_type, task_id)),
    is_chief=task_type == chief_type,
    num_ps_replicas=len(jobs.get(TaskType.PS, [])),
    num_worker_replicas=len(jobs.get(TaskType.WORKER, [])) + len(jobs[chief_type]),
    global_id_in_cluster=_global_id(jobs, task_type, task_id, chief_type),
  )


def _chief_type(spec: Any, task: Mapping[str, Any]) -> str:
  """`master` in clusters of the old kind, which have neither a chief nor an evaluator."""
  if TaskType.MASTER not in spec.jobs:
    return TaskType.CHIEF
  if TaskType.CHIEF in spec.jobs:
    raise ValueError(
      'If `master` node exists in `cluster`, job `chief` is not supported. Name one of them.'
    )
  if task.get('type') == TaskType.EVALUATOR:
    raise ValueError(
      'If `master` node exists in `cluster`, task_type `evaluator` is not supported. '
      'Name the `master` node `chief`.'
    )
  return TaskType.MASTER


def _checked_task(spec: Any, task: Mapping[str, Any], chief_type: str) -> tuple[str, int]:
  if chief_type not in spec.jobs:
    raise ValueError(f'If "cluster" is set in TF_CONFIG, it must have one "{chief_type}" node.')
  if len(spec.job_tasks(chief_type)) > 1:
    raise ValueError(f'The "cluster" in TF_CONFIG must have only one "{chief_type}" node.')
  task_type, task_id = task.get('type'), task.get('index')
  if not task_type:
    raise ValueError('If "cluster" is set in TF_CONFIG, task type must be set.')
  if task_id is None:
    raise ValueError('If "cluster" is set in TF_CONFIG, task index must be set.')
  task_id = int(task_id)
  if task_id < 0:
    raise ValueError(f'Task index must be non-negative number. Got {task_id}.')
  if task_type == TaskType.EVALUATOR:
    return task_type, task_id
  if task_type not in spec.jobs:
    raise ValueError(f'{task_type} is not a valid task_type in the cluster of TF_CONFIG: {spec}')
  if task_id >= len(spec.job_tasks(task_type)):
    raise ValueError(
      f'{task_id} is not a valid task_id for task_type {task_type} in the cluster of TF_CONFIG: '
      f'{spec}'
    )
  return task_type, task_id


def _address(spec: Any, task_type: str, task_id: int) -> str:
  """A task that is alone uses its own process: no server is needed for that."""
  if task_count(spec) == 1:
    return ''
  return 'grpc://' + spec.job_tasks(task_type)[task_id]


def _global_id(jobs: Mapping[str, Any], task_type: str, task_id: int, chief_type: str) -> int:
  def rank(job: str) -> tuple[bool, bool, str]:
    return job == TaskType.PS, job != chief_type, job

  before = [job for job in jobs if rank(job) < rank(task_type)]
  return sum(len(jobs[job]) for job in before) + task_id


def task_count(cluster_spec: Any) -> int:
  """How many tasks of any kind a ClusterSpec names."""
  return sum(len(tasks) for tasks in cluster_spec.as_dict().values())


def default_session_config(place: Place | None = None) -> Any:
  """The ConfigProto of a run that was given none; for a task of a cluster with device filters."""
  session_config = tf.ConfigProto(allow_soft_placement=True)
  rewrite_options = session_config.graph_options.rewrite_options
  rewrite_options.meta_optimizer_iterations = rewrite_options.ONE
  if place is not None:
    filters = _DEVICE_FILTERS[place.task_type]
    session_config.device_filters.extend(name.format(task_id=place.task_id) for name in filters)
  return session_config


def has_device_filters(place: Place) -> bool:
  """Whether this is a task that trains in a cluster."""
  return bool(place.cluster_spec) and place.task_type in _DEVICE_FILTERS
