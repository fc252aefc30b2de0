"""InMemoryEvaluatorHook: when it evaluates, with which weights, and what it refuses."""

import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import npu_adapter
from npu_adapter.runtime.in_memory_evaluator import InMemoryEvaluatorHook
from npu_adapter.runtime.inputs_from_arrays import numpy_input_fn
from npu_adapter.runtime.model_fn import EstimatorSpec, ModeKeys


@pytest.fixture
def estimator(make_estimator, model_fn):
  """Writes a checkpoint at the start and the end only."""
  return make_estimator(model_fn, save_checkpoints_steps=1000)


@pytest.fixture
def losses_in(events_in):
  """Returns [(step, loss)] of the evaluations written into a folder, in their order."""

  def read(folder):
    return [
      (event.step, value.simple_value)
      for event in events_in(folder)
      for value in event.summary.value
      if value.tag == 'loss'
    ]

  return read


def test_it_evaluates_before_during_and_after_the_training(
  estimator, input_fn, endless_input_fn, losses_in
):
  hook = InMemoryEvaluatorHook(estimator, input_fn, every_n_iter=4)
  estimator.train(endless_input_fn, hooks=[hook], steps=10)
  assert [step for step, _ in losses_in(estimator.eval_dir())] == [0, 4, 8, 10]


def test_the_metrics_are_those_of_the_weights_at_that_step(
  make_estimator, model_fn, input_fn, endless_input_fn, losses_in
):
  estimator = make_estimator(model_fn, save_checkpoints_steps=4)
  hook = InMemoryEvaluatorHook(estimator, input_fn, name='memory', every_n_iter=4)
  estimator.train(endless_input_fn, hooks=[hook], steps=8)
  in_memory = dict(losses_in(estimator.eval_dir('memory')))
  assert sorted(in_memory) == [0, 4, 8]
  for step, loss in in_memory.items():
    path = os.path.join(estimator.model_dir, f'model.ckpt-{step}')
    assert estimator.evaluate(input_fn, checkpoint_path=path)['loss'] == np.float32(loss)


def test_no_checkpoint_is_written_for_it(estimator, input_fn, endless_input_fn):
  paths = []

  class Look(tf.train.SessionRunHook):
    def after_run(self, run_context, run_values):
      paths.append(estimator.latest_checkpoint())

  hook = InMemoryEvaluatorHook(estimator, input_fn, every_n_iter=1)
  estimator.train(endless_input_fn, hooks=[hook, Look()], steps=3)
  assert {os.path.basename(path) for path in paths} == {'model.ckpt-0'}


def test_one_evaluation_graph_serves_all_evaluations(make_estimator, model_fn, input_fn):
  graphs = []

  def watched(features, labels, mode):
    if mode == ModeKeys.EVAL:
      graphs.append(tf.get_default_graph())
    return model_fn(features, labels, mode)

  estimator = make_estimator(watched)
  estimator.train(input_fn, hooks=[InMemoryEvaluatorHook(estimator, input_fn, every_n_iter=2)])
  assert len(graphs) == 1


def test_a_second_training_with_the_same_hook_goes_on(
  estimator, input_fn, endless_input_fn, losses_in
):
  hook = InMemoryEvaluatorHook(estimator, input_fn, every_n_iter=3)
  for _ in range(2):
    estimator.train(endless_input_fn, hooks=[hook], steps=4)
  # Iterations are counted from the beginning of each training.
  steps = [step for step, _ in losses_in(estimator.eval_dir())]
  assert steps == [0, 3, 4, 4, 7, 8]


def test_steps_and_hooks_are_those_of_evaluate(estimator, endless_input_fn, recorder):
  hook = InMemoryEvaluatorHook(
    estimator, endless_input_fn, steps=3, hooks=[recorder('of the evaluation')]
  )
  estimator.train(endless_input_fn, hooks=[hook], steps=1)
  called = [method for _, method in recorder.calls]
  assert called == ['begin', 'after_create_session', *['after_run'] * 3, 'end'] * 2


def test_variables_that_only_the_evaluation_has_are_initialised(
  make_estimator, input_fn, events_in
):
  def model_fn(features, labels, mode):
    loss = tf.reduce_mean(features['x'] * tf.get_variable('shared', [], tf.float32))
    train_op = tf.assign_add(tf.train.get_global_step(), 1)
    metrics = None
    if mode == ModeKeys.EVAL:
      own = tf.get_variable('own', initializer=7.0)
      metrics = {'own': (tf.identity(own), tf.no_op())}
    else:
      tf.get_variable('only_trained', [2])
    return EstimatorSpec(mode, loss=loss, train_op=train_op, eval_metric_ops=metrics)

  estimator = make_estimator(model_fn)
  estimator.train(input_fn, hooks=[InMemoryEvaluatorHook(estimator, input_fn)], steps=1)
  values = [
    value.simple_value
    for event in events_in(estimator.eval_dir())
    for value in event.summary.value
    if value.tag == 'own'
  ]
  assert values == [7.0, 7.0]


@pytest.mark.parametrize('is_resource', [False, True])
def test_both_kinds_of_variables_are_copied(
  make_estimator, input_fn, endless_input_fn, losses_in, is_resource
):
  def model_fn(features, labels, mode):
    weight = tf.get_variable('weight', initializer=1.0, use_resource=is_resource)
    with tf.control_dependencies([tf.assign_add(weight, 1.0)]):
      train_op = tf.assign_add(tf.train.get_global_step(), 1)
    # Without the features an evaluation would not see the end of the data.
    with tf.control_dependencies([features['x']]):
      return EstimatorSpec(mode, loss=weight + 0.0, train_op=train_op)

  estimator = make_estimator(model_fn)
  hook = InMemoryEvaluatorHook(estimator, input_fn, every_n_iter=2)
  estimator.train(endless_input_fn, hooks=[hook], steps=4)
  assert losses_in(estimator.eval_dir()) == [(0, 1), (2, 3), (4, 5), (4, 5)]


def test_arrays_are_read_anew_by_each_evaluation(estimator, endless_input_fn, losses_in):
  points = np.ones([6, 3], np.float32)
  arrays = numpy_input_fn({'x': points}, points[:, :1], batch_size=4, shuffle=False)
  hook = InMemoryEvaluatorHook(estimator, arrays, every_n_iter=1)
  estimator.train(endless_input_fn, hooks=[hook], steps=2)
  losses = losses_in(estimator.eval_dir())
  assert [step for step, _ in losses] == [0, 1, 2, 2]
  assert losses[0][1] == 1.0


def test_an_npu_estimator_on_a_host_is_taken_too(tmp_path, model_fn, input_fn, losses_in):
  estimator = npu_adapter.NPUEstimator(model_fn, str(tmp_path / 'npu'))
  estimator.train(input_fn, hooks=[InMemoryEvaluatorHook(estimator, input_fn)], steps=2)
  assert [step for step, _ in losses_in(estimator.eval_dir())] == [0, 2]


def test_a_saver_and_an_init_fn_of_the_model_are_refused(make_estimator, model_fn, input_fn):
  scaffolds = {
    'does not support custom saver': lambda: tf.train.Scaffold(saver=tf.train.Saver()),
    'does not support custom init_fn': lambda: tf.train.Scaffold(init_fn=lambda *_: None),
  }

  def with_scaffold(features, labels, mode, params):
    return model_fn(features, labels, mode)._replace(scaffold=scaffolds[params['message']]())

  for message in scaffolds:
    estimator = make_estimator(with_scaffold, estimator={'params': {'message': message}})
    with pytest.raises(ValueError, match=f'InMemoryEvaluator {message}'):
      estimator.train(input_fn, hooks=[InMemoryEvaluatorHook(estimator, input_fn)])


def test_saveables_other_than_variables_are_refused(make_estimator, model_fn, input_fn):
  def with_saveable(features, labels, mode):
    only_saved = [tf.GraphKeys.SAVEABLE_OBJECTS]
    kept = tf.get_variable('kept', initializer=1.0, collections=only_saved)
    spec = model_fn(features, labels, mode)
    init_op = tf.group(kept.initializer, tf.global_variables_initializer())
    return spec._replace(scaffold=tf.train.Scaffold(init_op=init_op))

  estimator = make_estimator(with_saveable)
  with pytest.raises(ValueError, match='does not support saveables other than global variables'):
    estimator.train(input_fn, hooks=[InMemoryEvaluatorHook(estimator, input_fn)])


@pytest.mark.parametrize('counts', [{'_num_ps_replicas': 1}, {'_num_worker_replicas': 2}])
def test_a_cluster_is_refused(estimator, input_fn, counts):
  # As a task of a cluster has it: an Estimator refuses such a config when it is made.
  vars(estimator._config).update(counts)
  with pytest.raises(ValueError, match='InMemoryEvaluator supports only single machine'):
    InMemoryEvaluatorHook(estimator, input_fn)


def test_arguments_that_mean_nothing_are_refused(estimator, input_fn):
  for every in (None, 0, -1):
    with pytest.raises(ValueError, match=f'invalid every_n_iter={every}.'):
      InMemoryEvaluatorHook(estimator, input_fn, every_n_iter=every)
  with pytest.raises(ValueError, match='Must specify steps > 0, given: 0'):
    InMemoryEvaluatorHook(estimator, input_fn, steps=0)
  with pytest.raises(TypeError, match='Hooks must be a SessionRunHook, given: 3'):
    InMemoryEvaluatorHook(estimator, input_fn, hooks=[3])
  with pytest.raises(TypeError, match='`estimator` must be an Estimator of npu_adapter'):
    InMemoryEvaluatorHook('no estimator', input_fn)
