"""Estimator.train: when it stops, what it writes, whom it calls in which order."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.runtime.estimator import Estimator
from npu_adapter.runtime.model_fn import EstimatorSpec, ModeKeys
from npu_adapter.runtime.run_config import RunConfig


def step_of(estimator):
  return int(estimator.get_variable_value('global_step'))


def test_training_lowers_the_loss_and_returns_the_estimator(
  make_estimator, any_model_fn, input_fn, endless_input_fn
):
  estimator = make_estimator(any_model_fn)
  assert estimator.train(input_fn, steps=1) is estimator
  before = estimator.evaluate(input_fn)['loss']
  estimator.train(endless_input_fn, steps=200)
  assert estimator.evaluate(input_fn)['loss'] < before / 4


def test_training_ends_with_the_data(make_estimator, model_fn, input_fn):
  assert step_of(make_estimator(model_fn).train(input_fn)) == 8


def test_steps_count_from_here_and_max_steps_from_the_first(
  make_estimator, model_fn, endless_input_fn, log
):
  estimator = make_estimator(model_fn)
  assert step_of(estimator.train(endless_input_fn, steps=5)) == 5
  assert step_of(estimator.train(endless_input_fn, steps=5)) == 10
  assert step_of(estimator.train(endless_input_fn, max_steps=12)) == 12
  del log[:]
  estimator.train(endless_input_fn, max_steps=12)
  assert log == ['Skipping training since max_steps has already saved.']


def test_a_new_estimator_on_the_folder_goes_on_as_the_old_one_would(
  make_estimator, model_fn, endless_input_fn
):
  first = make_estimator(model_fn).train(endless_input_fn, max_steps=8)
  second = make_estimator(model_fn).train(endless_input_fn, max_steps=16)
  whole = make_estimator(model_fn, 'whole').train(endless_input_fn, max_steps=16)
  assert step_of(second) == 16
  assert first.get_variable_names() == second.get_variable_names()
  for name in whole.get_variable_names():
    np.testing.assert_array_equal(
      second.get_variable_value(name), whole.get_variable_value(name), name
    )


def test_the_same_seed_gives_the_same_weights(make_estimator, any_model_fn, input_fn):
  first = make_estimator(any_model_fn, 'first').train(input_fn)
  second = make_estimator(any_model_fn, 'second').train(input_fn)
  for name in first.get_variable_names():
    np.testing.assert_array_equal(first.get_variable_value(name), second.get_variable_value(name))


@pytest.mark.parametrize(
  'arguments, words',
  [
    ({'steps': 1, 'max_steps': 1}, 'Can not provide both steps and max_steps'),
    ({'steps': 0}, 'Must specify steps > 0, given: 0'),
    ({'max_steps': -1}, 'Must specify max_steps > 0, given: -1'),
  ],
)
def test_numbers_of_steps_that_mean_nothing_are_refused(
  make_estimator, model_fn, input_fn, arguments, words
):
  with pytest.raises(ValueError, match=words):
    make_estimator(model_fn).train(input_fn, **arguments)


def test_hooks_and_listeners_of_other_types_are_refused(make_estimator, model_fn, input_fn):
  estimator = make_estimator(model_fn)
  with pytest.raises(TypeError, match='Hooks must be a SessionRunHook, given: 3'):
    estimator.train(input_fn, hooks=[3])
  with pytest.raises(TypeError, match='must be a list of CheckpointSaverListener, given: 3'):
    estimator.train(input_fn, saving_listeners=[3])


def test_data_that_are_empty_give_a_warning(make_estimator, model_fn, input_fn, log):
  make_estimator(model_fn).train(lambda: input_fn().take(0))
  assert any('Training with estimator made no steps' in line for line in log)
  assert 'Loss for final step: None.' in log


def test_log_lines_carry_loss_step_and_speed(make_estimator, model_fn, endless_input_fn, log):
  make_estimator(model_fn, log_step_count_steps=5).train(endless_input_fn, steps=12)
  assert any(line.startswith('loss = ') and 'step = ' in line for line in log)
  assert any(line.startswith('global_step/sec: ') for line in log)
  assert any(line.startswith('Loss for final step: ') for line in log)


@pytest.mark.parametrize('off', [0, None])
def test_no_log_lines_and_no_summaries_where_they_are_turned_off(
  make_estimator, model_fn, endless_input_fn, log, events_in, off
):
  estimator = make_estimator(model_fn, log_step_count_steps=off, save_summary_steps=off)
  estimator.train(endless_input_fn, steps=12)
  assert not any(line.startswith(('loss = ', 'global_step/sec')) for line in log)
  assert not [v for event in events_in(estimator.model_dir) for v in event.summary.value]


def test_summaries_are_written_with_the_loss_and_the_speed(
  make_estimator, model_fn, endless_input_fn, events_in
):
  def with_summary(features, labels, mode):
    tf.summary.scalar('mine', tf.constant(3.0))
    return model_fn(features, labels, mode)

  estimator = make_estimator(with_summary, save_summary_steps=4, log_step_count_steps=4)
  estimator.train(endless_input_fn, steps=12)
  found = {}
  for event in events_in(estimator.model_dir):
    for value in event.summary.value:
      found.setdefault(value.tag, []).append(value.simple_value)
  assert set(found) == {'mine', 'loss', 'global_step/sec'}
  assert found['mine'] == [3.0] * len(found['loss'])
  assert len(found['loss']) >= 3


def test_a_loss_summary_of_the_models_own_is_the_only_one(
  make_estimator, model_fn, input_fn, events_in
):
  def with_loss(features, labels, mode):
    spec = model_fn(features, labels, mode)
    tf.summary.scalar('loss', spec.loss)
    return spec

  estimator = make_estimator(with_loss).train(input_fn)
  tags = [v.tag for event in events_in(estimator.model_dir) for v in event.summary.value]
  assert {tag for tag in tags if tag.startswith('loss')} == {'loss'}


def test_hooks_are_called_in_tf_estimators_order(make_estimator, model_fn, input_fn, recorder):
  def with_hooks(features, labels, mode):
    return model_fn(features, labels, mode)._replace(
      training_hooks=[recorder('of the model')], training_chief_hooks=[recorder('of the chief')]
    )

  make_estimator(with_hooks).train(input_fn, hooks=[recorder('of the call')], steps=1)
  order = ['of the chief', 'of the call', 'of the model']
  for method in ('begin', 'after_create_session', 'after_run', 'end'):
    assert [name for name, called in recorder.calls if called == method] == order


def stands_still(log):
  return [line for line in log if 'has not been increased' in line]


def test_no_step_seems_to_stand_still_because_its_read_raced_with_the_update(
  make_estimator, model_fn, endless_input_fn, log
):
  make_estimator(model_fn).train(endless_input_fn, steps=2000)
  assert not stands_still(log)


def test_a_train_op_that_does_not_count_its_steps_gives_a_warning(
  make_estimator, endless_input_fn, log
):
  def without_counting(features, labels, mode):
    weights = tf.get_variable('weights', [3, 1])
    loss = tf.losses.mean_squared_error(labels, tf.matmul(features['x'], weights))
    return EstimatorSpec(mode, loss=loss, train_op=tf.train.AdamOptimizer().minimize(loss))

  class Stop(tf.train.SessionRunHook):
    runs = 0

    def after_run(self, run_context, run_values):
      self.runs += 1
      if self.runs == 30:
        run_context.request_stop()

  make_estimator(without_counting).train(endless_input_fn, hooks=[Stop()])
  assert stands_still(log)


def test_hooks_for_other_modes_are_not_called(make_estimator, model_fn, input_fn, recorder):
  def with_hooks(features, labels, mode):
    return model_fn(features, labels, mode)._replace(
      evaluation_hooks=[recorder('evaluation')], prediction_hooks=[recorder('prediction')]
    )

  make_estimator(with_hooks).train(input_fn, steps=1)
  assert recorder.calls == []


def test_a_hook_can_stop_the_training(make_estimator, model_fn, endless_input_fn):
  estimator = make_estimator(model_fn)
  estimator.train(endless_input_fn, hooks=[tf.train.StopAtStepHook(last_step=3)])
  assert step_of(estimator) == 3


def test_a_loss_that_is_no_number_stops_the_training(make_estimator, endless_input_fn):
  def model_fn(features, labels, mode):
    weight = tf.get_variable('weight', [], initializer=tf.ones_initializer())
    step = tf.train.get_global_step()
    loss = weight * tf.where(tf.equal(step, 3), float('nan'), 1.0)
    train_op = tf.train.GradientDescentOptimizer(0.1).minimize(loss, step)
    return EstimatorSpec(mode, loss=loss, train_op=train_op)

  with pytest.raises(tf.train.NanLossDuringTrainingError):
    make_estimator(model_fn).train(endless_input_fn, steps=20)


class Interrupt(tf.train.SessionRunHook):
  def __init__(self, at_step):
    self._left = at_step

  def after_run(self, run_context, run_values):
    self._left -= 1
    if not self._left:
      raise KeyboardInterrupt


def test_an_interrupt_leaves_the_last_checkpoint_to_go_on_from(
  make_estimator, model_fn, endless_input_fn
):
  estimator = make_estimator(model_fn, save_checkpoints_steps=4)
  with pytest.raises(KeyboardInterrupt):
    estimator.train(endless_input_fn, hooks=[Interrupt(7)], steps=20)
  assert step_of(estimator) == 4
  assert estimator.evaluate(endless_input_fn, steps=1)['global_step'] == 4
  assert step_of(estimator.train(endless_input_fn, max_steps=10)) == 10


def test_a_scaffold_of_the_model_initialises_and_saves(make_estimator, model_fn, input_fn):
  seen = []

  def with_scaffold(features, labels, mode):
    spec = model_fn(features, labels, mode)
    local = tf.get_variable('local', [], collections=[tf.GraphKeys.LOCAL_VARIABLES])
    scaffold = tf.train.Scaffold(
      init_fn=lambda scaffold, session: seen.append('init_fn'),
      local_init_op=tf.group(tf.assign(local, 3.0), tf.local_variables_initializer()),
      saver=tf.train.Saver(tf.global_variables(), max_to_keep=1),
    )
    return spec._replace(scaffold=scaffold)

  estimator = make_estimator(with_scaffold, save_checkpoints_steps=2).train(input_fn)
  assert seen == ['init_fn']
  state = tf.train.get_checkpoint_state(estimator.model_dir)
  assert list(state.all_model_checkpoint_paths) == [estimator.latest_checkpoint()]


def test_a_device_function_places_the_training_graph(make_estimator, model_fn, input_fn):
  devices = []

  def with_devices(features, labels, mode):
    spec = model_fn(features, labels, mode)
    devices.append(spec.loss.device)
    return spec

  def on_cpu(op):
    return '/device:CPU:0'

  make_estimator(with_devices, device_fn=on_cpu).train(input_fn, steps=1)
  assert [device.endswith('CPU:0') for device in devices] == [True]


def test_a_spec_transform_is_called_in_the_graph_after_model_fn_in_every_mode(
  make_estimator, model_fn, input_fn, recorder
):
  seen = []

  def transform(spec, mode):
    assert spec.mode == mode
    seen.append((mode, tf.train.get_global_step() is not None))
    field = {ModeKeys.TRAIN: 'training_hooks', ModeKeys.EVAL: 'evaluation_hooks'}
    return spec._replace(**{field.get(mode, 'prediction_hooks'): [recorder(mode)]})

  estimator = make_estimator(model_fn, estimator={'spec_transform': transform})
  estimator.train(input_fn, steps=1)
  estimator.evaluate(input_fn, steps=1)
  list(estimator.predict(input_fn))
  assert seen == [('train', True), ('eval', True), ('infer', True)]
  assert {name for name, method in recorder.calls if method == 'end'} == {'train', 'eval', 'infer'}


def test_a_spec_transform_may_change_the_training_graph(make_estimator, model_fn, input_fn):
  def freeze(spec, mode):
    with tf.control_dependencies([spec.loss]):
      step = tf.assign_add(tf.train.get_global_step(), 1)
    return spec._replace(train_op=step)

  estimator = make_estimator(model_fn, estimator={'spec_transform': freeze}).train(input_fn)
  assert step_of(estimator) == 8
  assert not estimator.get_variable_value('weights').any()


def test_a_spec_transform_that_returns_nothing_is_an_error(make_estimator, model_fn, input_fn):
  estimator = make_estimator(model_fn, estimator={'spec_transform': lambda spec, mode: None})
  with pytest.raises(ValueError, match='should return an EstimatorSpec'):
    estimator.train(input_fn)


def test_hooks_take_part_at_the_end_of_a_loop_only(
  make_estimator, model_fn, endless_input_fn, recorder
):
  estimator = make_estimator(model_fn, estimator={'steps_per_loop': 4}, save_checkpoints_steps=8)
  estimator.train(endless_input_fn, hooks=[recorder('hook')], steps=24)
  assert step_of(estimator) == 24
  assert recorder.calls.count(('hook', 'after_run')) == 6
  state = tf.train.get_checkpoint_state(estimator.model_dir)
  steps = [int(path.split('-')[-1]) for path in state.all_model_checkpoint_paths]
  assert steps == [0, 8, 16, 24]


def test_loops_do_not_change_what_is_learnt(make_estimator, model_fn, endless_input_fn):
  single = make_estimator(model_fn, 'single').train(endless_input_fn, steps=12)
  looped = make_estimator(model_fn, 'looped', estimator={'steps_per_loop': 4})
  looped.train(endless_input_fn, steps=12)
  np.testing.assert_array_equal(
    single.get_variable_value('weights'), looped.get_variable_value('weights')
  )


def test_data_that_end_within_a_loop_end_the_training(make_estimator, model_fn, input_fn, log):
  estimator = make_estimator(model_fn, estimator={'steps_per_loop': 16}).train(input_fn)
  assert step_of(estimator) == 8
  assert not any('made no steps' in line for line in log)


def test_a_loop_of_no_steps_is_refused(make_estimator, model_fn):
  with pytest.raises(ValueError, match='steps_per_loop must be at least 1; got 0'):
    make_estimator(model_fn, estimator={'steps_per_loop': 0})


class OfAWorker(RunConfig):
  is_chief = False


def test_a_worker_that_is_not_the_chief_calls_no_hooks_of_the_chief_and_writes_nothing(
  recorder, input_fn, tmp_path
):
  def model_fn(features, labels, mode):
    # There is no chief in this test to wait for, nor one that initialises the global step.
    ready = tf.constant([], tf.string)
    initialise = tf.variables_initializer([tf.train.get_global_step()])
    return EstimatorSpec(
      mode,
      loss=tf.reduce_sum(features['x']),
      train_op=tf.no_op(),
      scaffold=tf.train.Scaffold(
        ready_op=ready, ready_for_local_init_op=ready, local_init_op=initialise
      ),
      training_hooks=[recorder('worker')],
      training_chief_hooks=[recorder('chief')],
    )

  config = OfAWorker(model_dir=str(tmp_path / 'model'), log_step_count_steps=None)
  Estimator(model_fn, config=config).train(input_fn)
  assert {name for name, _ in recorder.calls} == {'worker'}
  assert not (tmp_path / 'model').exists()
