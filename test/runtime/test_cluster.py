"""TF_CONFIG: the place it gives to a process."""

import json

import pytest

from npu_adapter.runtime.run_config import RunConfig

CLUSTER = {
  'chief': ['host0:0'],
  'ps': ['host1:1', 'host2:2'],
  'worker': ['host3:3', 'host4:4', 'host5:5'],
}
WITH_MASTER = {'master': ['host0:0'], 'worker': ['host3:3']}


@pytest.fixture
def config_of(monkeypatch):
  def make(tf_config, **arguments):
    text = tf_config if isinstance(tf_config, str) else json.dumps(tf_config)
    monkeypatch.setenv('TF_CONFIG', text)
    return RunConfig(**arguments)

  return make


def task(type_, index, cluster=CLUSTER, **more):
  return {'cluster': cluster, 'task': {'type': type_, 'index': index}, **more}


# task -> master, is_chief, global_id
PLACES = {
  ('chief', 0): ('grpc://host0:0', True, 0),
  ('worker', 0): ('grpc://host3:3', False, 1),
  ('worker', 2): ('grpc://host5:5', False, 3),
  ('ps', 1): ('grpc://host2:2', False, 5),
}


@pytest.mark.parametrize('place', PLACES)
def test_a_task_of_a_cluster_knows_its_place(config_of, place):
  config = config_of(task(*place))
  assert (config.task_type, config.task_id) == place
  assert (config.master, config.is_chief, config.global_id_in_cluster) == PLACES[place]
  assert (config.num_worker_replicas, config.num_ps_replicas) == (4, 2)
  assert config.cluster_spec.as_dict() == CLUSTER
  assert config.evaluation_master == ''


def test_an_evaluator_is_outside_the_cluster(config_of):
  config = config_of(task('evaluator', 12, eval_session_master='there'))
  assert (config.task_type, config.task_id, config.is_chief) == ('evaluator', 12, False)
  assert config.cluster_spec.as_dict() == {}
  assert (config.master, config.evaluation_master) == ('', 'there')
  assert (config.num_worker_replicas, config.num_ps_replicas) == (0, 0)
  assert config.global_id_in_cluster is None


def test_a_cluster_of_the_old_kind_has_a_master_for_a_chief(config_of):
  config = config_of(task('master', 0, WITH_MASTER))
  assert (config.is_chief, config.num_worker_replicas) == (True, 2)
  assert not config_of(task('worker', 0, WITH_MASTER)).is_chief


def test_a_single_task_uses_its_own_process(config_of):
  config = config_of(task('chief', 0, {'chief': ['host0:0']}))
  assert (config.master, config.is_chief, config.num_worker_replicas) == ('', True, 1)


def test_a_session_master_named_there_wins(config_of):
  assert config_of(task('chief', 0, session_master='mine')).master == 'mine'
  assert config_of({'session_master': 'mine'}).master == 'mine'


@pytest.mark.parametrize(
  'place, filters',
  [
    (('chief', 0), ['/job:ps', '/job:chief']),
    (('worker', 1), ['/job:ps', '/job:worker/task:1']),
    (('ps', 0), ['/job:ps', '/job:worker', '/job:chief', '/job:master']),
  ],
)
def test_a_task_that_trains_talks_to_those_it_needs_only(config_of, place, filters):
  session_config = config_of(task(*place)).session_config
  assert list(session_config.device_filters) == filters
  assert session_config.allow_soft_placement


def test_alone_or_as_evaluator_the_session_config_is_left_open(config_of):
  assert config_of('{}').session_config is None
  assert config_of(task('evaluator', 0)).session_config is None


def test_the_service_and_the_model_folder_are_taken_over(config_of):
  config = config_of({'service': {'key': 1}, 'model_dir': 'there'})
  assert (config.service, config.model_dir) == ({'key': 1}, 'there')
  assert config_of({'model_dir': 'there'}, model_dir='there').model_dir == 'there'


BAD = {
  'not JSON': ('{', 'TF_CONFIG must be JSON'),
  'not an object': ('[]', 'TF_CONFIG must be a JSON object'),
  'no chief': (task('worker', 0, {'worker': ['a:1']}), 'it must have one "chief" node'),
  'two chiefs': (task('chief', 0, {'chief': ['a:1', 'b:1']}), 'must have only one "chief" node'),
  'two masters': (task('master', 0, {'master': ['a:1', 'b:1']}), 'only one "master" node'),
  'no type': ({'cluster': CLUSTER, 'task': {'index': 0}}, 'task type must be set'),
  'no index': ({'cluster': CLUSTER, 'task': {'type': 'ps'}}, 'task index must be set'),
  'a negative index': (task('ps', -1), 'Task index must be non-negative number'),
  'too big an index': (task('ps', 2), '2 is not a valid task_id for task_type ps'),
  'an unknown type': (task('boss', 0), 'boss is not a valid task_type'),
  'a type without a cluster': (task('chief', 0, {}), 'task type must be WORKER'),
  'an index without a cluster': (task('worker', 1, {}), 'task index must be 0'),
  'chief and master': (
    task('chief', 0, {'chief': ['a:1'], 'master': ['b:1']}),
    'job `chief` is not supported',
  ),
  'an evaluator beside a master': (
    task('evaluator', 0, WITH_MASTER),
    'task_type `evaluator` is not supported',
  ),
  'an empty folder': ({'model_dir': ''}, 'model_dir in TF_CONFIG should be non-empty'),
}


@pytest.mark.parametrize('mistake', BAD)
def test_a_mistake_in_tf_config_is_named(config_of, mistake):
  tf_config, words = BAD[mistake]
  with pytest.raises(ValueError, match=words):
    config_of(tf_config)


def test_a_service_that_is_no_dict_is_refused(config_of):
  with pytest.raises(TypeError, match='"service" is set in TF_CONFIG, it must be a dict. Given'):
    config_of({'service': 1})


def test_two_different_folders_are_refused(config_of):
  with pytest.raises(ValueError, match='must have the same value as the model_dir in TF_CONFIG'):
    config_of({'model_dir': 'there'}, model_dir='here')
