"""Estimator: what it takes when it is made, and what it can be asked."""

import pathlib

import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.runtime.estimator import Estimator
from npu_adapter.runtime.model_fn import EstimatorSpec, ModeKeys
from npu_adapter.runtime.run_config import RunConfig


def any_spec(features, labels, mode):
  return EstimatorSpec(mode, loss=tf.constant(1.0), train_op=tf.no_op(), predictions=features)


def test_without_a_config_the_default_one_and_a_temporary_folder_are_used(log):
  estimator = Estimator(any_spec)
  assert pathlib.Path(estimator.model_dir).is_dir()
  assert 'Using default config.' in log
  assert f'Using temporary folder as model directory: {estimator.model_dir}' in log
  assert any(line.startswith('Using config: ') for line in log)
  assert estimator.config.session_config.allow_soft_placement
  rewriting = estimator.config.session_config.graph_options.rewrite_options
  assert rewriting.meta_optimizer_iterations == rewriting.ONE
  # Subclasses written for tf.estimator open their sessions with it.
  assert estimator._session_config == estimator.config.session_config


@pytest.mark.parametrize('convert', [str, pathlib.Path, lambda path: str(path).encode()])
def test_a_model_folder_may_be_any_kind_of_path(tmp_path, convert):
  assert Estimator(any_spec, convert(tmp_path)).model_dir == str(tmp_path)


def test_the_folder_of_the_config_is_used_and_may_not_be_contradicted(tmp_path):
  config = RunConfig(model_dir=str(tmp_path))
  assert Estimator(any_spec, config=config).model_dir == str(tmp_path)
  assert Estimator(any_spec, str(tmp_path), config).config.model_dir == str(tmp_path)
  with pytest.raises(ValueError, match='`model_dir` are set both in constructor and `RunConfig`'):
    Estimator(any_spec, 'elsewhere', config)


def test_a_session_config_of_the_user_is_kept():
  session_config = tf.ConfigProto(inter_op_parallelism_threads=1)
  estimator = Estimator(any_spec, config=RunConfig(session_config=session_config))
  assert estimator.config.session_config == session_config


def test_a_subclass_of_run_config_stays_one(tmp_path):
  class Config(RunConfig):
    pass

  assert isinstance(Estimator(any_spec, tmp_path, Config()).config, Config)


def test_a_config_of_another_type_is_refused():
  with pytest.raises(ValueError, match='config must be an instance of `RunConfig`, but provided'):
    Estimator(any_spec, config={'model_dir': 'x'})


def test_a_model_fn_is_required_and_checked():
  with pytest.raises(ValueError, match='model_fn must be provided to Estimator'):
    Estimator(None)
  with pytest.raises(ValueError, match='must include features argument'):
    Estimator(lambda labels: None)
  with pytest.raises(ValueError, match='does not include params argument'):
    Estimator(any_spec, params={'rate': 1})


def test_params_are_copied_in_and_out(tmp_path):
  params = {'layers': [1, 2]}
  seen = []

  def model_fn(features, labels, mode, params):
    seen.append(params['layers'])
    params['layers'].append(99)
    return any_spec(features, labels, mode)

  estimator = Estimator(model_fn, tmp_path, params=params)
  params['layers'].append(3)
  estimator.params['layers'].append(4)
  assert estimator.params == {'layers': [1, 2]}
  for _ in range(2):
    list(estimator.predict(lambda: tf.data.Dataset.range(1).batch(1)))
  assert seen == [[1, 2, 99], [1, 2, 99]]


def test_model_fn_and_input_fn_get_what_they_ask_for(tmp_path):
  seen = {}

  def model_fn(features, labels, mode, params, config):
    seen['model_fn'] = (mode, params, config.model_dir)
    return any_spec(features, labels, mode)

  def input_fn(mode, params, config):
    seen['input_fn'] = (mode, params, config.model_dir)
    return tf.data.Dataset.range(1).batch(1)

  estimator = Estimator(model_fn, tmp_path, params={'a': 1})
  list(estimator.predict(input_fn))
  assert seen['model_fn'] == seen['input_fn'] == (ModeKeys.PREDICT, {'a': 1}, str(tmp_path))


def test_the_bound_model_fn_can_be_called(graph):
  def model_fn(features, labels, mode, params):
    return EstimatorSpec(mode, loss=features * params['factor'])

  bound = Estimator(model_fn, params={'factor': 3.0}).model_fn
  spec = bound(tf.constant(2.0), None, ModeKeys.EVAL, None)
  with tf.Session() as session:
    assert session.run(spec.loss) == 6.0


def test_labels_for_a_model_without_labels_are_an_error(tmp_path, input_fn):
  estimator = Estimator(lambda features, mode: any_spec(features, None, mode), tmp_path)
  with pytest.raises(ValueError, match='does not take labels, but input_fn returns labels'):
    estimator.train(input_fn)


def test_a_model_fn_that_returns_nothing_is_an_error(tmp_path, input_fn):
  with pytest.raises(ValueError, match='model_fn should return an EstimatorSpec'):
    Estimator(lambda features, labels: None, tmp_path).train(input_fn)


def test_members_cannot_be_overridden_and_can_be_added():
  class Overriding(Estimator):
    def train(self, *args):
      return args

  class Extending(Estimator):
    def train_twice(self, input_fn):
      return self.train(input_fn).train(input_fn)

  with pytest.raises(ValueError, match=r"cannot override members of Estimator.*\['train'\]"):
    Overriding(any_spec)
  assert Extending(any_spec).train_twice


def test_members_that_only_tf_estimator_calls_are_refused():
  class Ignored(Estimator):
    def _call_model_fn(self, *args):
      return args

  with pytest.raises(ValueError, match=r"\['_call_model_fn'\], which tf.estimator calls and this"):
    Ignored(any_spec)


def test_eval_dir_has_the_name_of_the_evaluation(tmp_path):
  estimator = Estimator(any_spec, tmp_path)
  assert estimator.eval_dir() == str(tmp_path / 'eval')
  assert estimator.eval_dir('test') == str(tmp_path / 'eval_test')


def test_before_training_there_is_no_checkpoint_to_ask(tmp_path):
  estimator = Estimator(any_spec, tmp_path)
  assert estimator.latest_checkpoint() is None
  with pytest.raises(ValueError, match='Could not find trained model in model_dir: '):
    estimator.get_variable_names()
  with pytest.raises(ValueError, match='Could not find trained model in model_dir: '):
    estimator.get_variable_value('weights')


def test_variables_of_the_latest_checkpoint_can_be_read(make_estimator, model_fn, input_fn):
  estimator = make_estimator(model_fn).train(input_fn)
  assert {'weights', 'bias', 'global_step'} <= set(estimator.get_variable_names())
  assert estimator.get_variable_value('weights').shape == (3, 1)
  assert estimator.get_variable_value('global_step') == 8


@pytest.mark.parametrize(
  'field', ['train_distribute', 'eval_distribute', 'experimental_distribute']
)
def test_a_distribution_strategy_is_refused_and_not_ignored(field):
  with pytest.raises(ValueError, match=f'RunConfig.{field} must be None'):
    Estimator(any_spec, config=RunConfig(**{field: object()}))


def test_a_cluster_of_several_tasks_is_refused_and_not_ignored(monkeypatch):
  monkeypatch.setenv(
    'TF_CONFIG',
    '{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "chief", "index": 0}}',
  )
  with pytest.raises(ValueError, match='cluster of TF_CONFIG must have one task'):
    Estimator(any_spec)


def test_an_evaluator_cannot_train_and_can_predict(monkeypatch, tmp_path):
  monkeypatch.setenv(
    'TF_CONFIG',
    '{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "evaluator", "index": 0}}',
  )
  estimator = Estimator(any_spec, tmp_path)
  with pytest.raises(ValueError, match='Train has been called wrong configuration'):
    estimator.train(lambda: tf.data.Dataset.range(1))
  numbers = estimator.predict(lambda: tf.data.Dataset.range(2).batch(1))
  assert list(numbers) == [0, 1]


def test_the_caller_of_an_estimator_keeps_the_default_graph(make_estimator, model_fn, input_fn):
  with tf.Graph().as_default() as graph:
    estimator = make_estimator(model_fn)
    estimator.train(input_fn)
    estimator.evaluate(input_fn)
    list(estimator.predict(input_fn))
    assert tf.get_default_graph() is graph
    assert graph.get_operations() == []
