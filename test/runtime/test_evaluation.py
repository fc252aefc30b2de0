"""Estimator.evaluate: what it returns, what it writes, over which data and checkpoint."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.runtime.model_fn import EstimatorSpec, ModeKeys


@pytest.fixture
def trained(make_estimator, model_fn, input_fn):
  return make_estimator(model_fn, save_checkpoints_steps=4).train(input_fn)


def test_the_metrics_come_as_numbers_with_loss_and_step(trained, input_fn):
  result = trained.evaluate(input_fn)
  assert set(result) == {'error', 'loss', 'global_step'}
  assert isinstance(result['loss'], np.float32)
  assert isinstance(result['global_step'], np.int64)
  assert result['global_step'] == 8


def test_the_loss_is_the_mean_over_the_batches(make_estimator, log):
  def model_fn(features, labels, mode):
    return EstimatorSpec(mode, loss=tf.reduce_mean(tf.cast(features, tf.float32)))

  estimator = make_estimator(model_fn)
  result = estimator.evaluate(lambda: tf.data.Dataset.range(10).batch(4))
  assert result['loss'] == pytest.approx((1.5 + 5.5 + 8.5) / 3)
  assert estimator.evaluate(lambda: tf.data.Dataset.range(10).batch(4), steps=2)['loss'] == 3.5


@pytest.mark.parametrize('steps, lines', [(3, 3), (40, 10)])
def test_progress_is_logged_for_each_batch_or_for_a_tenth(
  trained, endless_input_fn, log, steps, lines
):
  trained.evaluate(endless_input_fn, steps=steps)
  assert len([line for line in log if line.startswith('Evaluation [')]) == lines
  assert f'Evaluation [{steps}/{steps}]' in log


def test_start_end_and_result_are_logged(trained, input_fn, log):
  trained.evaluate(input_fn)
  for words in (
    'Starting evaluation at',
    'Finished evaluation at',
    'Saving dict for global step 8',
  ):
    assert any(line.startswith(words) for line in log), words
  path = trained.latest_checkpoint()
  assert f"Saving 'checkpoint_path' summary for global step 8: {path}" in log


@pytest.mark.parametrize('name', [None, 'test'])
def test_the_metrics_are_written_into_the_folder_of_the_evaluation(
  trained, input_fn, events_in, name
):
  result = trained.evaluate(input_fn, name=name)
  values = {
    value.tag: (event.step, value)
    for event in events_in(trained.eval_dir(name))
    for value in event.summary.value
  }
  assert set(values) == {'error', 'loss', 'checkpoint_path'}
  step, loss = values['loss']
  assert (step, loss.simple_value) == (8, pytest.approx(result['loss']))
  (path,) = values['checkpoint_path'][1].tensor.string_val
  assert path.decode() == trained.latest_checkpoint()


def test_a_checkpoint_can_be_named(trained, input_fn):
  path = trained.latest_checkpoint().replace('ckpt-8', 'ckpt-4')
  result = trained.evaluate(input_fn, checkpoint_path=path)
  assert result['global_step'] == 4
  assert result['loss'] > trained.evaluate(input_fn)['loss']


def test_without_a_checkpoint_the_initial_model_is_evaluated(
  make_estimator, model_fn, input_fn, log
):
  estimator = make_estimator(model_fn)
  assert estimator.evaluate(input_fn)['global_step'] == 0
  assert (
    f'Could not find trained model in model_dir: {estimator.model_dir}, running initialization to '
    'evaluate.'
  ) in log


def test_a_number_of_steps_that_means_nothing_is_refused(trained, input_fn):
  with pytest.raises(ValueError, match='Must specify steps > 0, given: 0'):
    trained.evaluate(input_fn, steps=0)


@pytest.mark.parametrize('name', ['loss', 'global_step'])
def test_metrics_cannot_have_the_names_of_the_estimators_own(make_estimator, input_fn, name):
  def model_fn(features, labels, mode):
    metric = tf.metrics.mean(features['x'])
    return EstimatorSpec(mode, loss=tf.constant(1.0), eval_metric_ops={name: metric})

  with pytest.raises(ValueError, match=f'Metric with name `{name}` is not allowed'):
    make_estimator(model_fn).evaluate(input_fn)


def test_hooks_of_the_call_and_of_the_model_are_called_in_this_order(
  make_estimator, model_fn, input_fn, recorder
):
  def with_hooks(features, labels, mode):
    return model_fn(features, labels, mode)._replace(
      evaluation_hooks=[recorder('of the model')], training_hooks=[recorder('of training')]
    )

  estimator = make_estimator(with_hooks)
  estimator.evaluate(input_fn, hooks=[recorder('of the call')])
  for method, count in (('begin', 1), ('after_create_session', 1), ('end', 1)):
    called = [name for name, called in recorder.calls if called == method]
    assert called == ['of the call', 'of the model'] * count
  assert recorder.calls.count(('of the call', 'after_run')) == 8
  with pytest.raises(TypeError, match='Hooks must be a SessionRunHook'):
    estimator.evaluate(input_fn, hooks=[3])


def test_a_local_init_op_of_the_model_does_not_leave_the_metrics_out(
  make_estimator, model_fn, input_fn
):
  def with_scaffold(features, labels, mode):
    local = tf.get_variable(
      'local', [], initializer=tf.zeros_initializer(), collections=[tf.GraphKeys.LOCAL_VARIABLES]
    )
    scaffold = tf.train.Scaffold(local_init_op=tf.group(local.initializer))
    return model_fn(features, labels, mode)._replace(scaffold=scaffold)

  assert make_estimator(with_scaffold).evaluate(input_fn, steps=1)['loss'] > 0


def test_a_scaffold_of_the_model_can_initialise_it(make_estimator, model_fn, input_fn):
  seen = []

  def with_scaffold(features, labels, mode):
    scaffold = tf.train.Scaffold(init_fn=lambda scaffold, session: seen.append('init_fn'))
    return model_fn(features, labels, mode)._replace(scaffold=scaffold)

  make_estimator(with_scaffold).evaluate(input_fn, steps=1)
  assert seen == ['init_fn']


def test_a_keras_metric_is_evaluated(make_estimator, input_fn):
  def model_fn(features, labels, mode):
    metric = tf.keras.metrics.Mean()
    metric.update_state(labels)
    return EstimatorSpec(mode, loss=tf.constant(1.0), eval_metric_ops={'mean': metric})

  result = make_estimator(model_fn).evaluate(input_fn)
  with tf.Graph().as_default(), tf.Session() as session:
    batch = tf.data.make_one_shot_iterator(input_fn().batch(8)).get_next()[1]
    assert result['mean'] == pytest.approx(session.run(batch).mean(), rel=1e-5)


def metric_of(tensor):
  return tensor, tf.no_op()


def test_metrics_of_every_kind_are_written_or_named_as_left_out(
  make_estimator, input_fn, events_in, log
):
  def model_fn(features, labels, mode):
    metrics = {
      'float': metric_of(tf.constant(0.5)),
      'integer': metric_of(tf.constant(3)),
      'array': metric_of(tf.constant([1.0, 2.0])),
      'image': metric_of(tf.summary.scalar('inner', tf.constant(2.0))),
      'text': metric_of(tf.constant('\xff no summary')),
      'flag': metric_of(tf.constant(True)),
    }
    return EstimatorSpec(mode, loss=tf.constant(1.0), eval_metric_ops=metrics)

  estimator = make_estimator(model_fn)
  estimator.evaluate(input_fn, steps=1)
  events = events_in(estimator.eval_dir())
  values = {value.tag: value for event in events for value in event.summary.value}
  assert set(values) == {'loss', 'float', 'integer', 'array', 'image/0'}
  assert values['integer'].simple_value == 3
  assert tf.make_ndarray(values['array'].tensor).tolist() == [1.0, 2.0]
  assert values['image/0'].simple_value == 2.0
  assert any('Skipping summary for text, cannot parse string to Summary' in line for line in log)
  assert any('Skipping summary for flag, must be a float' in line for line in log)


def test_a_metric_of_nested_values_is_evaluated_to_nested_numbers(make_estimator, input_fn):
  def model_fn(features, labels):
    values = ((tf.constant(2.0), tf.constant(1)), tf.constant(3.0))
    return EstimatorSpec(
      ModeKeys.EVAL, loss=tf.constant(1.0), eval_metric_ops={'nested': (values, tf.no_op())}
    )

  assert make_estimator(model_fn).evaluate(input_fn, steps=1)['nested'] == ((2.0, 1), 3.0)


class StopAfterTwo(tf.train.SessionRunHook):
  """Counts as tf.contrib.training.StopAfterNEvalsHook does."""

  def _set_evals_completed_tensor(self, batches):
    self._batches = batches

  def before_run(self, run_context):
    return tf.train.SessionRunArgs(self._batches)

  def after_run(self, run_context, run_values):
    if run_values.results >= 2:
      run_context.request_stop()


def test_hooks_that_count_batches_are_told_what_to_count_by(
  make_estimator, model_fn, input_fn, recorder
):
  hooks = [StopAfterTwo(), recorder('of the call')]
  make_estimator(model_fn).evaluate(input_fn, hooks=hooks)
  assert recorder.calls.count(('of the call', 'after_run')) == 2


def test_the_counter_of_batches_is_where_hooks_look_for_it(trained, input_fn):
  seen = []

  class Count(tf.train.SessionRunHook):
    def begin(self):
      (self._step,) = tf.get_collection(tf.GraphKeys.EVAL_STEP)

    def end(self, session):
      seen.append(int(session.run(self._step)))

  trained.evaluate(input_fn, steps=3, hooks=[Count()])
  assert seen == [3]


def test_the_random_seed_holds_for_every_evaluation(make_estimator, input_fn):
  def model_fn(features, labels, mode):
    return EstimatorSpec(mode, loss=tf.random_uniform([]))

  estimator = make_estimator(model_fn)
  first = estimator.evaluate(input_fn, steps=1)['loss']
  assert first == estimator.evaluate(input_fn, steps=1)['loss']
