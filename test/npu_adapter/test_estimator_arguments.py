"""Every argument of NPUEstimator's methods has its effect, whoever does the work behind it."""

import logging
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import saved_model_pb2

import npu_adapter as npu
from npu_adapter.runtime import receivers

POINTS = np.arange(32, dtype=np.float32).reshape([16, 2]) / 32
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def input_fn():
  data = tf.data.Dataset.from_tensor_slices(({'x': POINTS}, POINTS[:, :1]))
  return data.repeat(2).batch(4)


def model_fn(features, labels, mode, params):
  weights = tf.get_variable('weights', [2, 1], initializer=tf.zeros_initializer())
  outputs = tf.matmul(features['x'], weights)
  if mode == npu.ModeKeys.PREDICT:
    return npu.NPUEstimatorSpec(mode, {'y': outputs, 'x': features['x']})
  loss = tf.losses.mean_squared_error(labels, outputs)
  optimizer = tf.train.GradientDescentOptimizer(params.get('rate', 0.1))
  train_op = optimizer.minimize(loss, tf.train.get_global_step())
  metrics = {'error': tf.metrics.mean_absolute_error(labels, outputs)}
  return npu.NPUEstimatorSpec(mode, {'y': outputs}, loss, train_op, metrics)


class Counting(tf.train.SessionRunHook):
  """Counts the session.run calls of the run it is in."""

  calls = 0

  def after_run(self, run_context, run_values):
    self.calls += 1


class Listening(tf.train.CheckpointSaverListener):
  """Collects the steps that were saved."""

  def __init__(self):
    self.steps = []

  def after_save(self, session, global_step_value):
    self.steps.append(int(global_step_value))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """A model folder with checkpoints of steps 4 and 8."""
  made = tmp_path_factory.mktemp('model')
  config = npu.NPURunConfig(model_dir=str(made), save_checkpoints_steps=4)
  npu.NPUEstimator(model_fn, config=config, params={}).train(input_fn)
  return str(made)


@pytest.fixture
def trained(folder):
  return npu.NPUEstimator(model_fn, folder, params={'rate': 3})


@pytest.fixture
def older(folder):
  return os.path.join(folder, 'model.ckpt-4')


def test_train_calls_hooks_and_tells_listeners_of_every_checkpoint(tmp_path):
  hook, listener = Counting(), Listening()
  made = npu.NPUEstimator(model_fn, str(tmp_path), params={})
  made.train(input_fn, hooks=[hook], steps=6, saving_listeners=[listener])
  assert hook.calls == 6
  assert listener.steps == [0, 6]


def test_steps_count_from_here_and_max_steps_from_the_first_step_ever(tmp_path):
  made = npu.NPUEstimator(model_fn, str(tmp_path), params={})
  for arguments, step in (({'steps': 3}, 3), ({'steps': 3}, 6), ({'max_steps': 7}, 7)):
    made.train(input_fn, **arguments)
    assert made.get_variable_value('global_step') == step


def test_evaluation_takes_steps_hooks_a_checkpoint_and_a_name(trained, older, folder):
  hook = Counting()
  result = trained.evaluate(input_fn, steps=3, hooks=[hook], checkpoint_path=older, name='old')
  assert hook.calls == 3
  assert result['global_step'] == 4
  assert trained.eval_dir('old') == os.path.join(folder, 'eval_old')
  assert os.listdir(trained.eval_dir('old'))
  assert trained.evaluate(input_fn)['global_step'] == 8
  assert trained.eval_dir() == os.path.join(folder, 'eval')


def test_prediction_takes_keys_hooks_and_a_checkpoint(trained, older):
  hook = Counting()
  rows = list(trained.predict(input_fn, predict_keys=['y'], hooks=[hook]))
  assert hook.calls == 8
  assert {tuple(row) for row in rows} == {('y',)}
  assert {tuple(sorted(row)) for row in trained.predict(input_fn)} == {('x', 'y')}
  before = list(trained.predict(input_fn, checkpoint_path=older))
  assert np.abs(before[-1]['y'] - rows[-1]['y']).max() > 1e-3


def test_prediction_in_whole_batches(trained):
  batches = list(trained.predict(input_fn, yield_single_examples=False))
  assert [batch['y'].shape for batch in batches] == [(4, 1)] * 8


def serving():
  return npu.build_raw_serving_input_receiver_fn({'x': np.zeros([1, 2], np.float32)})()


def training_inputs():
  features = {'x': tf.placeholder(tf.float32, [None, 2], name='x')}
  labels = tf.placeholder(tf.float32, [None, 1], name='labels')
  tensors = {'x': features['x'], 'labels': labels}
  return receivers.SupervisedInputReceiver(features, labels, tensors)


def exports(made, base, **arguments):
  """{method: folder} of the three ways to export with the same arguments."""
  by_mode = {npu.ModeKeys.PREDICT: serving}
  return {
    'saved_model': made.export_saved_model(f'{base}/a', serving, **arguments),
    'savedmodel': made.export_savedmodel(f'{base}/b', serving, **arguments),
    'all': made.experimental_export_all_saved_models(f'{base}/c', by_mode, **arguments),
  }


def test_every_export_takes_assets_a_form_and_a_checkpoint(trained, older, tmp_path):
  (tmp_path / 'words.txt').write_text('a b')
  weights = tf.train.load_checkpoint(older).get_tensor('weights')
  found = exports(
    trained, tmp_path, assets_extra={'vocabulary/words.txt': str(tmp_path / 'words.txt')},
    as_text=True, checkpoint_path=older,
  )  # fmt: skip
  for method, made in found.items():
    made = made.decode()
    assert os.path.exists(os.path.join(made, 'saved_model.pbtxt')), method
    assert not os.path.exists(os.path.join(made, 'saved_model.pb')), method
    with open(os.path.join(made, 'assets.extra', 'vocabulary', 'words.txt')) as asset:
      assert asset.read() == 'a b', method
    variables = tf.train.load_checkpoint(os.path.join(made, 'variables', 'variables'))
    assert (variables.get_tensor('weights') == weights).all(), method


def is_stripped(folder):
  """Whether the graph of a SavedModel was written without attributes that are the default."""
  proto = saved_model_pb2.SavedModel()
  with open(os.path.join(folder.decode(), 'saved_model.pb'), 'rb') as file:
    proto.ParseFromString(file.read())
  return proto.meta_graphs[0].meta_info_def.stripped_default_attrs


def test_default_attributes_are_stripped_when_asked_and_by_the_newer_name(trained, tmp_path):
  assert is_stripped(trained.export_saved_model(str(tmp_path / 'a'), serving))
  assert not is_stripped(trained.export_savedmodel(str(tmp_path / 'b'), serving))
  asked = trained.export_savedmodel(str(tmp_path / 'c'), serving, strip_default_attrs=True)
  assert is_stripped(asked)


def test_another_mode_can_be_exported(trained, tmp_path):
  exported = trained.export_saved_model(
    str(tmp_path), training_inputs, experimental_mode=npu.ModeKeys.EVAL
  )
  with tf.Session(graph=tf.Graph()) as session:
    tf.saved_model.loader.load(session, ['eval'], exported.decode())


def test_params_are_a_copy_of_what_was_given(trained):
  assert trained.params == {'rate': 3}
  trained.params['rate'] = 4
  assert trained.params == {'rate': 3}


def test_the_config_knows_the_model_folder_however_it_was_named(tmp_path):
  for path in (str(tmp_path), tmp_path, os.fsencode(str(tmp_path))):
    made = npu.NPUEstimator(model_fn, path, npu.NPURunConfig(precision_mode='force_fp16'))
    assert made.model_dir == made.config.model_dir == str(tmp_path)
    assert made.config.precision_mode == 'force_fp16'
    same = npu.NPUEstimator(model_fn, path, npu.NPURunConfig(model_dir=str(tmp_path)))
    assert same.model_dir == str(tmp_path)


def test_without_a_folder_a_temporary_one_is_made_and_said(caplog, monkeypatch):
  monkeypatch.setattr(logging.getLogger('npu_adapter'), 'propagate', True)
  with caplog.at_level('WARNING', logger='npu_adapter'):
    made = npu.NPUEstimator(model_fn)
  assert os.path.isdir(made.model_dir)
  assert made.config.model_dir == made.model_dir
  assert f'Using temporary folder as model directory: {made.model_dir}' in caplog.messages
  os.rmdir(made.model_dir)


def spec_with(host_call):
  with tf.Graph().as_default():
    return npu.NPUEstimatorSpec('eval', loss=tf.constant(1.0), host_call=host_call)


def test_a_host_call_may_take_its_tensors_by_name_or_be_built_in():
  for call in ((lambda loss, step: None, {'step': 1, 'loss': 2}), (dict, [])):
    assert spec_with(call).host_call is call
  with pytest.raises(RuntimeError, match='length of tensors 1 does not match'):
    spec_with((lambda loss: None, {'step': 1}))


FIRST_CALLS = {
  'an estimator': 'npu_adapter.NPUEstimator(lambda features, labels, mode: None)',
  'a session config': 'npu_adapter.session_config()',
  'an optimizer': 'npu_adapter.wrap_optimizer(tf.train.AdamOptimizer())',
  'a Keras optimizer': 'npu_adapter.keras_optimizer(None)',
  'Keras callbacks': 'npu_adapter.keras_callbacks([])',
  'a fixed loss scale': 'npu_adapter.FixedLossScaleManager(8)',
  'a moving loss scale': 'npu_adapter.ExponentialUpdateLossScaleManager(8, 100)',
}


@pytest.mark.parametrize('name', FIRST_CALLS)
def test_whatever_comes_first_switches_to_tf1_behaviour(name, tmp_path):
  code = (
    f'import tensorflow.compat.v1 as tf, npu_adapter; {FIRST_CALLS[name]}; '
    'print(tf.executing_eagerly())'
  )
  environment = {**os.environ, 'PYTHONPATH': ROOT, 'TMPDIR': str(tmp_path)}
  done = subprocess.run(
    [sys.executable, '-c', code], env=environment, capture_output=True, text=True
  )
  assert done.stdout.strip() == 'False', done.stderr
