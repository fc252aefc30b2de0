"""RunConfig: defaults, checks, replace, subclasses."""

import pathlib

import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.runtime.run_config import RunConfig

DEFAULTS = {
  'model_dir': None,
  'tf_random_seed': None,
  'save_summary_steps': 100,
  'save_checkpoints_steps': None,
  'save_checkpoints_secs': 600,
  'session_config': None,
  'keep_checkpoint_max': 5,
  'keep_checkpoint_every_n_hours': 10000,
  'log_step_count_steps': 100,
  'train_distribute': None,
  'device_fn': None,
  'protocol': None,
  'eval_distribute': None,
  'experimental_distribute': None,
  'experimental_max_worker_delay_secs': None,
  'session_creation_timeout_secs': 7200,
  'checkpoint_save_graph_def': True,
  'task_type': 'worker',
  'task_id': 0,
  'master': '',
  'evaluation_master': '',
  'is_chief': True,
  'num_ps_replicas': 0,
  'num_worker_replicas': 1,
  'global_id_in_cluster': 0,
  'service': None,
}


@pytest.mark.parametrize('name', DEFAULTS)
def test_the_defaults_are_tf_estimators(name):
  assert getattr(RunConfig(), name) == DEFAULTS[name]


def test_the_arguments_come_in_tf_estimators_order():
  config = RunConfig('folder', 3, 10, 20)
  assert config.model_dir == 'folder'
  assert config.tf_random_seed == 3
  assert config.save_summary_steps == 10
  assert config.save_checkpoints_steps == 20


def test_a_property_cannot_be_set():
  with pytest.raises(AttributeError):
    RunConfig().model_dir = 'other'


def test_naming_one_checkpoint_frequency_ends_the_other():
  by_steps = RunConfig(save_checkpoints_steps=5)
  assert (by_steps.save_checkpoints_steps, by_steps.save_checkpoints_secs) == (5, None)
  by_seconds = by_steps.replace(save_checkpoints_secs=30)
  assert (by_seconds.save_checkpoints_steps, by_seconds.save_checkpoints_secs) == (None, 30)
  assert by_seconds.replace(save_checkpoints_steps=None).save_checkpoints_secs == 30


def test_none_for_both_frequencies_means_no_checkpoints():
  config = RunConfig(save_checkpoints_steps=None)
  assert config.save_checkpoints_secs is None
  config = RunConfig(save_checkpoints_steps=None, save_checkpoints_secs=None)
  assert (config.save_checkpoints_steps, config.save_checkpoints_secs) == (None, None)


def test_both_frequencies_at_once_are_refused():
  with pytest.raises(ValueError, match='cannot be both set'):
    RunConfig(save_checkpoints_steps=5, save_checkpoints_secs=5)
  with pytest.raises(ValueError, match='cannot be both set'):
    RunConfig().replace(save_checkpoints_steps=5, save_checkpoints_secs=5)


BAD = [
  ('model_dir', '', 'model_dir should be non-empty'),
  ('save_summary_steps', -1, 'save_summary_steps should be >= 0'),
  ('save_checkpoints_steps', -1, 'save_checkpoints_steps should be >= 0'),
  ('save_checkpoints_secs', -1, 'save_checkpoints_secs should be >= 0'),
  ('session_config', {}, 'session_config must be instance of ConfigProto'),
  ('keep_checkpoint_max', -1, 'keep_checkpoint_max should be >= 0'),
  ('keep_checkpoint_every_n_hours', 0, 'keep_checkpoint_every_n_hours should be > 0'),
  ('log_step_count_steps', -1, 'log_step_count_steps should be > 0'),
  ('tf_random_seed', 1.0, 'tf_random_seed must be integer'),
  ('device_fn', lambda x: x, 'device_fn must be callable with exactly one argument "op"'),
  ('protocol', 'http', r'protocol should be grpc or grpc\+verbs. Got .http'),
  ('experimental_max_worker_delay_secs', '5', 'experimental_max_worker_delay_secs must be an int'),
  ('session_creation_timeout_secs', 0, 'session_creation_timeout_secs should be > 0'),
]


@pytest.mark.parametrize('name, value, words', BAD)
def test_a_value_that_cannot_work_is_refused_when_made_and_when_replaced(name, value, words):
  with pytest.raises(ValueError, match=words):
    RunConfig(**{name: value})
  with pytest.raises(ValueError, match=words):
    RunConfig().replace(**{name: value})


@pytest.mark.parametrize('name', ['log_step_count_steps', 'save_summary_steps'])
def test_zero_and_none_turn_a_frequency_off(name):
  assert getattr(RunConfig(**{name: 0}), name) == 0
  assert getattr(RunConfig(**{name: None}), name) is None


@pytest.mark.parametrize('path', [pathlib.Path('a folder'), b'a folder', 'a folder'])
def test_a_path_of_any_type_becomes_a_string(path):
  assert RunConfig(model_dir=path).model_dir == 'a folder'
  assert RunConfig().replace(model_dir=path).model_dir == 'a folder'


def test_replace_leaves_the_original_alone_and_keeps_the_rest():
  session_config = tf.ConfigProto(allow_soft_placement=True)
  first = RunConfig(tf_random_seed=1, session_config=session_config)
  second = first.replace(tf_random_seed=2)
  assert (first.tf_random_seed, second.tf_random_seed) == (1, 2)
  assert second.session_config == session_config
  assert second.session_config is not session_config


@pytest.mark.parametrize('name', ['master', 'is_chief', 'cluster_spec', 'no_such_field'])
def test_what_the_environment_decides_cannot_be_replaced(name):
  with pytest.raises(ValueError, match=f'Replacing {name} is not supported. Allowed properties'):
    RunConfig().replace(**{name: None})


class WithDevice(RunConfig):
  REPLACEABLE = (*RunConfig.REPLACEABLE, 'device')

  def __init__(self, device='cpu', **stock):
    super().__init__(**stock)
    self._device = device
    self._validate()

  def _validate(self):
    super()._validate()
    if self._device not in ('cpu', 'gpu'):
      raise ValueError(f'device must be cpu or gpu. Got {self._device!r}.')


def test_a_subclass_extends_replace_with_its_own_checked_fields():
  config = WithDevice(tf_random_seed=1).replace(device='gpu', model_dir='folder')
  assert isinstance(config, WithDevice)
  assert (config._device, config.model_dir, config.tf_random_seed) == ('gpu', 'folder', 1)
  with pytest.raises(ValueError, match='device must be cpu or gpu'):
    config.replace(device='abacus')
