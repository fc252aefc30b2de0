"""NPUEstimator on a host: real training with host_call, loss scaling, session and Keras code."""

import functools
import json
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from tensorflow.compat import v2 as tf2

import npu_adapter as npu
from npu_adapter import log

POINTS = np.random.RandomState(0).uniform(-1, 1, [400, 2]).astype(np.float32)


def input_fn(repeats=1):
  labels = (POINTS[:, 0] > 0).astype(np.int32)
  data = tf.data.Dataset.from_tensor_slices(({'x': POINTS}, labels))
  return data.repeat(repeats).batch(50)


def model_fn(features, labels, mode, params):
  weights = tf.get_variable('weights', [2, 2], initializer=tf.zeros_initializer())
  logits = tf.matmul(features['x'], weights)
  classes = tf.argmax(logits, axis=1)
  if mode == npu.ModeKeys.PREDICT:
    return npu.NPUEstimatorSpec(mode, predictions={'class': classes})
  loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
  optimizer = npu.wrap_optimizer(
    tf.train.GradientDescentOptimizer(0.5), params.get('loss_scale', 'none')
  )
  train_op = optimizer.minimize(loss, tf.train.get_global_step())
  metrics = {'accuracy': tf.metrics.accuracy(labels, classes)}
  spec = npu.NPUEstimatorSpec
  return spec(mode, None, loss, train_op, metrics, host_call=params.get('host_call'))


def estimator(folder, **params):
  return npu.NPUEstimator(model_fn, model_dir=str(folder), params=params)


def test_an_estimator_trains_evaluates_predicts_and_exports(tmp_path):
  made = estimator(tmp_path / 'a model')
  assert made.train(lambda: input_fn(20)) is made
  result = made.evaluate(input_fn)
  assert result['accuracy'] > 0.95
  assert result['global_step'] == 160
  classes = [row['class'] for row in made.predict(input_fn)]
  assert np.mean(np.equal(classes, POINTS[:, 0] > 0)) > 0.95
  serving = npu.build_raw_serving_input_receiver_fn({'x': np.zeros([1, 2], np.float32)})
  exported = made.export_saved_model(str(tmp_path / 'exported'), serving)
  with tf.Session(graph=tf.Graph()) as session:
    meta = tf.saved_model.loader.load(session, ['serve'], exported.decode())
    signature = meta.signature_def['serving_default']
    outputs = session.run(
      signature.outputs['class'].name, {signature.inputs['x'].name: [[1.0, 0.0], [-1.0, 0.0]]}
    )
  assert outputs.tolist() == [1, 0]


def test_the_older_and_the_wider_export_work_too(tmp_path):
  made = estimator(tmp_path / 'model')
  made.train(input_fn)
  serving = npu.build_raw_serving_input_receiver_fn({'x': np.zeros([1, 2], np.float32)})
  for folder in (
    made.export_savedmodel(str(tmp_path / 'a'), serving),
    made.experimental_export_all_saved_models(str(tmp_path / 'b'), {npu.ModeKeys.PREDICT: serving}),
  ):
    assert tf.saved_model.contains_saved_model(folder.decode())


def test_the_bound_model_fn_builds_a_mode_by_itself(tmp_path):
  made = estimator(tmp_path)
  with tf.Graph().as_default():
    features = {'x': tf.zeros([3, 2])}
    spec = made.model_fn(features, None, npu.ModeKeys.PREDICT, made.config)
    assert spec.predictions['class'].shape.as_list() == [3]


def test_a_second_estimator_goes_on_where_the_first_stopped(tmp_path):
  estimator(tmp_path).train(lambda: input_fn(5))
  again = estimator(tmp_path)
  assert again.latest_checkpoint().endswith('model.ckpt-40')
  again.train(lambda: input_fn(5), max_steps=50)
  assert again.get_variable_value('global_step') == 50
  assert 'weights' in again.get_variable_names()


def test_the_vendors_default_checkpoints_every_100_steps(tmp_path):
  estimator(tmp_path).train(lambda: input_fn(30))
  steps = {name.split('-')[1].split('.')[0] for name in os.listdir(tmp_path) if 'ckpt' in name}
  assert steps == {'0', '100', '200', '240'}


class Counting(tf.train.SessionRunHook):
  """Counts how often the hooks of a run are called."""

  calls = 0

  def after_run(self, run_context, run_values):
    self.calls += 1


def test_with_iterations_per_loop_hooks_and_checkpoints_come_at_loop_ends_only(tmp_path):
  config = npu.NPURunConfig(iterations_per_loop=4, save_checkpoints_steps=8)
  counting = Counting()
  made = npu.NPUEstimator(model_fn, str(tmp_path), config, params={})
  made.train(lambda: input_fn(3), hooks=[counting], steps=24)
  assert counting.calls == 6
  assert made.get_variable_value('global_step') == 24
  steps = {name.split('-')[1].split('.')[0] for name in os.listdir(tmp_path) if 'ckpt' in name}
  assert steps == {'0', '8', '16', '24'}


def test_a_warm_start_takes_the_weights_and_not_the_step(tmp_path):
  estimator(tmp_path / 'first').train(lambda: input_fn(5))
  second = npu.NPUEstimator(
    model_fn, str(tmp_path / 'second'), params={}, warm_start_from=str(tmp_path / 'first')
  )
  second.train(input_fn, steps=1)
  first = estimator(tmp_path / 'first')
  assert second.get_variable_value('global_step') == 1
  difference = second.get_variable_value('weights') - first.get_variable_value('weights')
  assert 0 < np.abs(difference).max() < 0.5


def collected_host_call(seen):
  def host_call(step, loss):
    def note(step_value, loss_value):
      seen.append((int(step_value), float(loss_value)))
      return np.int32(0)

    return tf.py_func(note, [step, loss], tf.int32)

  return host_call


def test_host_call_sees_every_step_of_training_and_evaluation(tmp_path):
  seen = []

  def with_host_call(features, labels, mode, params):
    spec = model_fn(features, labels, mode, {})
    step = tf.train.get_global_step()
    return npu.NPUEstimatorSpec(
      mode, None, spec.loss, spec.train_op, spec.eval_metric_ops,
      host_call=(collected_host_call(seen), [step, spec.loss]),
    )  # fmt: skip

  made = npu.NPUEstimator(with_host_call, str(tmp_path), params={})
  made.train(input_fn)
  assert len(seen) == 8
  assert seen[0][1] == pytest.approx(np.log(2))
  made.evaluate(input_fn)
  assert len(seen) == 16
  assert {step for step, _ in seen[8:]} == {8}


def test_host_call_writes_summaries_of_tensorflow_2_style(tmp_path):
  def with_summaries(features, labels, mode, params):
    spec = model_fn(features, labels, mode, {})

    def host_call(step, loss):
      writer = tf2.summary.create_file_writer(str(tmp_path / 'events'))
      with writer.as_default():
        tf2.summary.scalar('host_loss', loss, step=step)
      return tf.summary.all_v2_summary_ops()

    tensors = {'step': tf.train.get_global_step(), 'loss': spec.loss}
    return npu.NPUEstimatorSpec(
      mode, loss=spec.loss, train_op=spec.train_op, host_call=(host_call, tensors)
    )

  npu.NPUEstimator(with_summaries, str(tmp_path / 'model'), params={}).train(input_fn)
  (events,) = (tmp_path / 'events').iterdir()
  tags = [v.tag for event in tf.train.summary_iterator(str(events)) for v in event.summary.value]
  assert tags.count('host_loss') == 8


@pytest.mark.parametrize(
  'host_call, error, words',
  [
    (3, ValueError, 'host_call should be tuple or list'),
    ((print,), ValueError, 'host_call should have two elements'),
    ((3, []), TypeError, r'host_call\[0\] should be callable'),
    ((print, 3), ValueError, r'host_call\[1\] should be tuple or list, or dict'),
    ((lambda a, b: a, [1]), RuntimeError, 'length of tensors 1 does not match'),
  ],
)
def test_a_wrong_host_call_is_refused_in_the_vendors_words(host_call, error, words):
  with tf.Graph().as_default():
    loss = tf.constant(1.0)
    with pytest.raises(error, match=words):
      npu.NPUEstimatorSpec('eval', loss=loss, host_call=host_call)


def test_a_spec_keeps_its_host_call_when_a_field_is_replaced():
  with tf.Graph().as_default():
    call = (lambda *tensors: None, [])
    spec = npu.NPUEstimatorSpec('eval', loss=tf.constant(1.0), host_call=call)
    assert spec._replace(predictions={'x': tf.constant(2.0)}).host_call is call


def test_a_config_that_is_no_npu_run_config_is_refused(tmp_path):
  from npu_adapter.runtime.run_config import RunConfig

  with pytest.raises(ValueError, match='`config` must be an NPURunConfig; got RunConfig'):
    npu.NPUEstimator(model_fn, str(tmp_path), RunConfig())
  with pytest.raises(ValueError, match='model_fn must be provided'):
    npu.NPUEstimator()


def test_two_model_folders_are_one_too_many(tmp_path):
  config = npu.NPURunConfig(model_dir=str(tmp_path / 'a'))
  with pytest.raises(ValueError, match='model_dir'):
    npu.NPUEstimator(model_fn, str(tmp_path / 'b'), config)
  made = npu.NPUEstimator(model_fn, str(tmp_path / 'a'), config)
  assert made.model_dir == str(tmp_path / 'a')
  assert made.config.model_dir == str(tmp_path / 'a')


def test_options_without_effect_are_named_in_one_line(tmp_path, caplog, monkeypatch):
  monkeypatch.setattr(log, '_said', set())
  config = npu.NPURunConfig(
    precision_mode='allow_mix_precision', hcom_parallel=True, aoe_mode='2',
    dump_config=npu.DumpConfig(enable_dump=True, dump_path=str(tmp_path)),
  )  # fmt: skip
  with caplog.at_level('INFO', logger='npu_adapter'):
    npu.NPUEstimator(model_fn, str(tmp_path), config)
    npu.NPUEstimator(model_fn, str(tmp_path), config)
  lines = [line for line in caplog.messages if 'goes without' in line]
  assert len(lines) == 1
  assert 'precision_mode (not emulated yet)' in lines[0]
  assert 'aoe_mode (no effect on a host)' in lines[0]
  assert 'DumpConfig.dump_path' in lines[0]
  assert 'hcom_parallel' not in lines[0]


def test_several_ranks_are_refused_on_a_host(tmp_path, monkeypatch):
  monkeypatch.setenv('RANK_SIZE', '2')
  with pytest.raises(npu.BackendError, match='one rank; got RANK_SIZE=2'):
    estimator(tmp_path)
  monkeypatch.setenv('RANK_SIZE', 'two')
  with pytest.raises(npu.OptionError, match="got 'two'"):
    estimator(tmp_path)


def test_session_and_keras_code_are_refused_on_several_ranks_too(monkeypatch):
  monkeypatch.setenv('RANK_SIZE', '2')
  with pytest.raises(npu.BackendError, match='one rank; got RANK_SIZE=2'):
    npu.session_config()
  with pytest.raises(npu.BackendError, match='one rank; got RANK_SIZE=2'):
    npu.set_keras_session()


def test_one_task_as_kubernetes_names_it_trains_and_several_are_refused(tmp_path, monkeypatch):
  task = {'type': 'chief', 'index': 0}
  cluster = {'chief': ['localhost:1']}
  monkeypatch.setenv('TF_CONFIG', json.dumps({'cluster': cluster, 'task': task}))
  estimator(tmp_path).train(input_fn, steps=1)
  cluster['worker'] = ['localhost:2']
  monkeypatch.setenv('TF_CONFIG', json.dumps({'cluster': cluster, 'task': task}))
  with pytest.raises(ValueError, match='TF_CONFIG must have one task'):
    estimator(tmp_path)


def test_a_file_cannot_be_a_model_folder(tmp_path):
  (tmp_path / 'model').write_text('')
  with pytest.raises(npu.OptionError, match='model_dir must be a folder.*is a file'):
    estimator(tmp_path / 'model')


def test_steps_that_end_within_a_loop_are_told(tmp_path, caplog, monkeypatch):
  monkeypatch.setattr(log, '_said', set())
  config = npu.NPURunConfig(iterations_per_loop=4)
  made = npu.NPUEstimator(model_fn, str(tmp_path), config, params={})
  with caplog.at_level('INFO', logger='npu_adapter'):
    made.train(lambda: input_fn(3), steps=6)
  assert [line for line in caplog.messages if '6 steps are no multiple' in line]
  assert made.get_variable_value('global_step') == 8


@pytest.mark.parametrize('bound', [True, False])
def test_parameters_bound_with_partial_reach_the_model(tmp_path, bound):
  seen = []

  def with_rate(features, labels, mode, params):
    seen.append(params['rate'])
    return model_fn(features, labels, mode, {})

  if bound:
    made = npu.NPUEstimator(functools.partial(with_rate, params={'rate': 3}), str(tmp_path))
  else:
    made = npu.NPUEstimator(with_rate, str(tmp_path), params={'rate': 3})
  made.train(input_fn, steps=1)
  assert seen == [3]


def test_session_code_gets_the_users_config_and_no_npu_optimizer():
  base = tf.ConfigProto(intra_op_parallelism_threads=1)
  made = npu.session_config(base, precision_mode='force_fp16', graph_exec_timeout=5)
  assert made.intra_op_parallelism_threads == 1
  assert made.allow_soft_placement
  assert not made.graph_options.rewrite_options.custom_optimizers
  assert base == tf.ConfigProto(intra_op_parallelism_threads=1)
  with tf.Graph().as_default(), tf.Session(config=made) as session:
    assert session.run(tf.constant(2) + 3) == 5


def test_session_options_are_checked():
  with pytest.raises(ValueError, match="Did you mean 'force_fp16'"):
    npu.session_config(precision_mode='force_fp61')
  with pytest.raises(TypeError, match="Did you mean 'graph_exec_timeout'"):
    npu.session_config(graph_exec_timeot=3)
  with pytest.raises(ValueError, match='graph_exec_timeout must be'):
    npu.session_config(graph_exec_timeout=-3)
  assert isinstance(npu.session_config(graph_exec_timeout=5), tf.ConfigProto)
  with pytest.raises(TypeError, match='config must be an NPURunConfig or a ConfigProto; got dict'):
    npu.session_config({})
  config = npu.NPURunConfig(precision_mode='force_fp16')
  assert isinstance(npu.session_config(config, hcom_parallel=False), tf.ConfigProto)


def test_keras_graph_code_trains_in_the_session_that_was_set():
  with tf.Graph().as_default():
    session = npu.set_keras_session(precision_mode='allow_mix_precision')
    model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(2,))])
    model.compile(optimizer=npu.keras_optimizer(tf.keras.optimizers.SGD(0.1)), loss='mse')
    before = model.evaluate(POINTS, POINTS[:, :1], verbose=0)
    model.fit(POINTS, POINTS[:, :1], epochs=5, verbose=0, callbacks=npu.keras_callbacks([]))
    assert model.evaluate(POINTS, POINTS[:, :1], verbose=0) < before / 10
    assert tf.keras.backend.get_session() is session
