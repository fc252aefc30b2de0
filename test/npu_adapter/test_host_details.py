"""The host backend's fine print: host_call, hooks, sessions, Keras, what it says and refuses."""

import logging

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import npu_adapter as npu
from npu_adapter import log
from npu_adapter.backends import base

POINTS = np.arange(32, dtype=np.float32).reshape([16, 2]) / 32


def input_fn():
  return tf.data.Dataset.from_tensor_slices(({'x': POINTS}, POINTS[:, :1])).batch(4)


def model_fn(features, labels, mode):
  weights = tf.get_variable('weights', [2, 1], initializer=tf.zeros_initializer())
  outputs = tf.matmul(features['x'], weights)
  if mode == npu.ModeKeys.PREDICT:
    return npu.NPUEstimatorSpec(mode, {'y': outputs})
  loss = tf.losses.mean_squared_error(labels, outputs)
  optimizer = tf.train.GradientDescentOptimizer(0.1)
  train_op = optimizer.minimize(loss, tf.train.get_global_step())
  return npu.NPUEstimatorSpec(mode, {'y': outputs}, loss, train_op)


@pytest.fixture
def lines(monkeypatch, caplog):
  """A function for the adapter's log lines so far, as in a process that has said nothing before."""
  monkeypatch.setattr(log, '_said', set())
  monkeypatch.setattr(logging.getLogger('npu_adapter'), 'propagate', True)
  with caplog.at_level('INFO', logger='npu_adapter'):
    yield lambda: [line for line in caplog.messages if 'goes without' in line]


class Counting(tf.train.SessionRunHook):
  """Counts the session.run calls of the run it is in."""

  calls = 0

  def after_run(self, run_context, run_values):
    self.calls += 1


def counting_call(seen, *more):
  """A host_call function that notes its tensors with every step, and returns `more` as well."""

  def note(*values):
    seen.append(values)
    return np.int32(0)

  def host_call(*tensors):
    return [tf.py_func(note, tensors, tf.int32), *more]

  return host_call


def with_host_call(make, **fields):
  def wrapped(features, labels, mode):
    spec = model_fn(features, labels, mode)
    return npu.NPUEstimatorSpec(
      mode, spec.predictions, spec.loss, spec.train_op, host_call=make(features), **fields
    )

  return wrapped


def test_a_host_call_stands_beside_the_models_own_hooks(tmp_path):
  seen, training, evaluation = [], Counting(), Counting()
  function = with_host_call(
    lambda features: (counting_call(seen), [features['x']]),
    training_hooks=[training],
    evaluation_hooks=[evaluation],
  )
  made = npu.NPUEstimator(function, str(tmp_path))
  made.train(input_fn)
  assert (len(seen), training.calls, evaluation.calls) == (4, 4, 0)
  made.evaluate(input_fn)
  assert (len(seen), training.calls, evaluation.calls) == (8, 4, 4)


def test_prediction_runs_no_host_call(tmp_path):
  seen = []
  function = with_host_call(lambda features: (counting_call(seen), [features['x']]))
  made = npu.NPUEstimator(function, str(tmp_path))
  made.train(input_fn)
  assert len(list(made.predict(input_fn))) == 16
  assert len(seen) == 4


def test_every_op_a_host_call_returns_runs_and_none_is_left_out(tmp_path):
  first, second = [], []

  def make(features):
    def host_call(x):
      also = counting_call(second)(x)
      return {'a': counting_call(first)(x), 'b': (None, also)}

    return host_call, [features['x']]

  npu.NPUEstimator(with_host_call(make), str(tmp_path)).train(input_fn)
  assert (len(first), len(second)) == (4, 4)


def test_a_host_call_that_returns_nothing_is_fine(tmp_path):
  function = with_host_call(lambda features: (lambda x: None, [features['x']]))
  npu.NPUEstimator(function, str(tmp_path)).train(input_fn)


def test_tensors_of_a_host_call_go_by_name_whatever_their_order(tmp_path):
  seen = []

  def make(features):
    def host_call(small, large):
      return counting_call(seen)(small, large)

    return host_call, {'large': tf.constant(9), 'small': tf.constant(1)}

  npu.NPUEstimator(with_host_call(make), str(tmp_path)).train(input_fn, steps=1)
  assert seen == [(1, 9)]


def test_a_fixed_scale_without_the_check_takes_an_overflowing_step():
  with tf.Graph().as_default(), tf.Session() as session:
    weight = tf.get_variable('weight', [], initializer=tf.zeros_initializer())
    manager = npu.FixedLossScaleManager(2, enable_overflow_check=False)
    optimizer = npu.wrap_optimizer(tf.train.GradientDescentOptimizer(1.0), manager)
    train_op = optimizer.minimize(weight * np.inf)
    session.run(tf.global_variables_initializer())
    session.run(train_op)
    assert not np.isfinite(session.run(weight))


@pytest.mark.parametrize(
  'make',
  [
    lambda: npu.wrap_optimizer(tf.train.AdamOptimizer()),
    lambda: npu.keras_optimizer(object()),
    lambda: npu.keras_callbacks([]),
  ],
  ids=['optimizer', 'Keras optimizer', 'Keras callbacks'],
)
@pytest.mark.parametrize('name', ['RANK_SIZE', 'CM_WORKER_SIZE'])
def test_no_part_of_training_starts_with_several_ranks(monkeypatch, make, name):
  monkeypatch.setenv(name, '2')
  with pytest.raises(npu.BackendError, match='one rank; got RANK_SIZE=2'):
    make()
  monkeypatch.setenv(name, '1')
  make()


@pytest.mark.parametrize('text', ['0', '-1', 'two', '1.5'])
def test_a_rank_size_that_is_no_count_is_refused(monkeypatch, text):
  monkeypatch.setenv('RANK_SIZE', text)
  with pytest.raises(npu.OptionError, match='RANK_SIZE must be a number of at least 1; got'):
    base.rank_size()


def test_keras_callbacks_and_optimizer_are_the_users():
  callback, optimizer = object(), object()
  given = [callback]
  found = npu.keras_callbacks(given)
  assert found == [callback] and found is not given
  assert npu.keras_callbacks() == []
  assert npu.keras_optimizer(optimizer) is optimizer


def test_a_keras_session_has_the_users_config_and_runs_keras():
  proto = tf.ConfigProto(intra_op_parallelism_threads=3)
  with tf.Graph().as_default():
    session = npu.set_keras_session(proto)
    assert session._config.intra_op_parallelism_threads == 3
    assert session._config.allow_soft_placement
    assert tf.keras.backend.get_session() is session


def test_session_code_is_told_what_has_no_effect(lines):
  npu.session_config(precision_mode='force_fp16', hcom_parallel=True, graph_exec_timeout=5)
  (line,) = lines()
  assert 'precision_mode (not emulated yet)' in line
  assert 'session_config.graph_exec_timeout (no effect on a host)' in line
  assert 'hcom_parallel' not in line


def test_an_estimator_is_told_what_its_config_proto_has_without_effect(lines, tmp_path):
  proto = tf.ConfigProto()
  optimizer = proto.graph_options.rewrite_options.custom_optimizers.add()
  optimizer.name = 'NpuOptimizer'
  optimizer.parameter_map['graph_exec_timeout'].i = 5
  optimizer.parameter_map['precision_mode'].s = b'force_fp16'
  npu.NPUEstimator(model_fn, str(tmp_path), npu.NPURunConfig(session_config=proto))
  (line,) = lines()
  assert 'session_config.graph_exec_timeout' in line and 'precision_mode' in line


def test_options_a_host_honours_are_not_complained_about(lines, tmp_path):
  config = npu.NPURunConfig(
    iterations_per_loop=2, tf_random_seed=7, save_summary_steps=2, save_checkpoints_steps=2,
    keep_checkpoint_max=2, keep_checkpoint_every_n_hours=2, log_step_count_steps=2,
    session_config=tf.ConfigProto(),
  )  # fmt: skip
  npu.NPUEstimator(model_fn, str(tmp_path), config)
  assert lines() == []


def test_a_session_config_starts_from_an_npu_run_config_or_a_proto(lines):
  proto = tf.ConfigProto(intra_op_parallelism_threads=3)
  config = npu.NPURunConfig(session_config=proto)
  for made in (npu.session_config(config), npu.session_config(config, deterministic=1)):
    assert made.intra_op_parallelism_threads == 3
  assert 'deterministic' in lines()[0]
  with pytest.raises(npu.OptionError, match='deterministic'):
    npu.session_config(config, deterministic=2)
