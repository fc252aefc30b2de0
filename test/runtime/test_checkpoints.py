"""Checkpoints: when they are written, how many stay, who is told, what the folder looks like."""

import os
import time

import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.runtime import checkpoints


def steps_in(estimator):
  """The steps of the checkpoints the folder still holds, from files and from the state file."""
  names = os.listdir(estimator.model_dir)
  from_files = sorted(int(n.split('-')[1].split('.')[0]) for n in names if n.endswith('.index'))
  state = tf.train.get_checkpoint_state(estimator.model_dir)
  assert [int(p.split('-')[-1]) for p in state.all_model_checkpoint_paths] == from_files
  return from_files


def test_the_folder_has_tf_estimators_layout(make_estimator, model_fn, input_fn):
  estimator = make_estimator(model_fn).train(input_fn)
  names = set(os.listdir(estimator.model_dir))
  assert {'checkpoint', 'graph.pbtxt'} <= names
  for step in (0, 8):
    prefix = f'model.ckpt-{step}'
    assert {f'{prefix}.index', f'{prefix}.meta', f'{prefix}.data-00000-of-00001'} <= names
  assert any(name.startswith('events.out.tfevents.') for name in names)
  assert estimator.latest_checkpoint() == os.path.join(estimator.model_dir, 'model.ckpt-8')


def test_the_state_file_names_checkpoints_relative_to_the_folder(
  make_estimator, model_fn, input_fn, tmp_path
):
  estimator = make_estimator(model_fn, 'first').train(input_fn)
  with open(os.path.join(estimator.model_dir, 'checkpoint'), encoding='utf-8') as file:
    assert str(tmp_path) not in file.read()
  os.rename(str(tmp_path / 'first'), str(tmp_path / 'moved'))
  assert make_estimator(model_fn, 'moved').get_variable_value('global_step') == 8


def test_checkpoints_are_written_every_so_many_steps_at_the_start_and_at_the_end(
  make_estimator, model_fn, endless_input_fn, log
):
  estimator = make_estimator(model_fn, save_checkpoints_steps=3)
  estimator.train(endless_input_fn, steps=8)
  assert steps_in(estimator) == [0, 3, 6, 8]
  path = os.path.join(estimator.model_dir, 'model.ckpt')
  assert f'Saving checkpoints for 3 into {path}.' in log


def test_checkpoints_are_written_every_so_many_seconds(make_estimator, model_fn, endless_input_fn):
  class Wait(tf.train.SessionRunHook):
    def after_run(self, run_context, run_values):
      time.sleep(0.6)

  estimator = make_estimator(model_fn, save_checkpoints_secs=1)
  estimator.train(endless_input_fn, hooks=[Wait()], steps=5)
  assert len(steps_in(estimator)) > 2


def test_only_the_newest_are_kept(make_estimator, model_fn, endless_input_fn):
  estimator = make_estimator(model_fn, save_checkpoints_steps=2, keep_checkpoint_max=2)
  estimator.train(endless_input_fn, steps=10)
  assert steps_in(estimator) == [8, 10]
  again = make_estimator(model_fn, save_checkpoints_steps=2, keep_checkpoint_max=2)
  again.train(endless_input_fn, steps=2)
  assert steps_in(again)[-1] == 12


@pytest.mark.parametrize('everything', [0, None])
def test_all_are_kept_where_there_is_no_limit(
  make_estimator, model_fn, endless_input_fn, everything
):
  estimator = make_estimator(model_fn, save_checkpoints_steps=1, keep_checkpoint_max=everything)
  estimator.train(endless_input_fn, steps=9)
  assert len(os.listdir(estimator.model_dir)) > 27


@pytest.mark.parametrize('frequency', [0, None])
def test_no_checkpoints_are_written_where_they_are_turned_off(
  make_estimator, model_fn, input_fn, frequency
):
  options = {'save_checkpoints_steps': frequency, 'save_checkpoints_secs': None}
  estimator = make_estimator(model_fn, **options).train(input_fn)
  assert estimator.latest_checkpoint() is None
  assert 'graph.pbtxt' not in os.listdir(estimator.model_dir)


def test_the_graph_can_be_left_out(make_estimator, model_fn, input_fn):
  estimator = make_estimator(model_fn, checkpoint_save_graph_def=False).train(input_fn)
  names = os.listdir(estimator.model_dir)
  assert 'graph.pbtxt' not in names
  assert not [name for name in names if name.endswith('.meta')]
  assert make_estimator(model_fn).train(input_fn).get_variable_value('global_step') == 16


def test_a_train_op_that_takes_several_steps_at_once_is_saved_in_time(
  make_estimator, model_fn, endless_input_fn
):
  def by_four(features, labels, mode):
    spec = model_fn(features, labels, mode)
    with tf.control_dependencies([spec.train_op]):
      return spec._replace(train_op=tf.assign_add(tf.train.get_global_step(), 3))

  estimator = make_estimator(by_four, save_checkpoints_steps=8, keep_checkpoint_max=None)
  estimator.train(endless_input_fn, steps=29)
  assert sorted(
    int(name[len('model.ckpt-') : -len('.index')])
    for name in os.listdir(estimator.model_dir)
    if name.endswith('.index')
  ) == [0, 8, 16, 24, 32]


class Listener(tf.train.CheckpointSaverListener):
  def __init__(self, calls, stop_at=None):
    self.calls = calls
    self.stop_at = stop_at

  def begin(self):
    self.calls.append('begin')

  def before_save(self, session, global_step_value):
    self.calls.append(f'before {global_step_value}')

  def after_save(self, session, global_step_value):
    self.calls.append(f'after {global_step_value}')
    return self.stop_at is not None and global_step_value >= self.stop_at

  def end(self, session, global_step_value):
    self.calls.append(f'end {global_step_value}')


TOLD = [
  'begin', 'before 0', 'after 0', 'before 3', 'after 3', 'before 5', 'after 5', 'end 5',
]  # fmt: skip


def test_listeners_are_told_before_and_after_every_checkpoint(
  make_estimator, model_fn, endless_input_fn
):
  calls = []
  estimator = make_estimator(model_fn, save_checkpoints_steps=3)
  estimator.train(endless_input_fn, steps=5, saving_listeners=[Listener(calls)])
  assert calls == TOLD


def test_a_last_step_that_was_saved_is_not_saved_twice(make_estimator, model_fn, endless_input_fn):
  calls = []
  estimator = make_estimator(model_fn, save_checkpoints_steps=3)
  estimator.train(endless_input_fn, steps=6, saving_listeners=[Listener(calls)])
  assert calls[-3:] == ['before 6', 'after 6', 'end 6']
  assert calls.count('before 6') == 1


def test_a_listener_can_stop_the_training(make_estimator, model_fn, endless_input_fn, log):
  estimator = make_estimator(model_fn, save_checkpoints_steps=3)
  listener = Listener([], stop_at=6)
  estimator.train(endless_input_fn, steps=20, saving_listeners=[listener])
  assert estimator.get_variable_value('global_step') == 6
  assert any('requested that training be stopped' in line for line in log)


def test_a_saver_hook_of_the_user_writes_instead_and_tells_the_listeners(
  make_estimator, model_fn, endless_input_fn
):
  calls = []
  estimator = make_estimator(model_fn, save_checkpoints_steps=1)
  hook = tf.train.CheckpointSaverHook(
    estimator.model_dir, save_steps=3, saver=None, checkpoint_basename='mine'
  )
  estimator.train(endless_input_fn, hooks=[hook], steps=5, saving_listeners=[Listener(calls)] * 2)
  assert calls == TOLD
  assert steps_in(estimator) == [0, 3, 5]
  assert os.path.basename(estimator.latest_checkpoint()) == 'mine-5'


def test_listeners_without_a_checkpoint_to_listen_to_are_refused(
  make_estimator, model_fn, endless_input_fn
):
  estimator = make_estimator(model_fn, save_checkpoints_steps=None)
  with pytest.raises(ValueError, match='There should be a CheckpointSaverHook to use saving_list'):
    estimator.train(endless_input_fn, steps=1, saving_listeners=[Listener([])])


def test_the_event_file_tells_of_the_graph_and_the_checkpoints(
  make_estimator, model_fn, input_fn, events_in
):
  estimator = make_estimator(model_fn).train(input_fn)
  events = events_in(estimator.model_dir)
  assert any(event.graph_def for event in events)
  assert any(event.meta_graph_def for event in events)
  saved = [event for event in events if event.session_log.status == tf.SessionLog.CHECKPOINT]
  assert [event.step for event in saved] == [0, 8]


def test_the_last_step_of_a_folder_is_that_of_its_newest_checkpoint(
  make_estimator, model_fn, input_fn, tmp_path
):
  assert checkpoints.last_step(str(tmp_path)) == 0
  assert checkpoints.last_step(make_estimator(model_fn).train(input_fn).model_dir) == 8


def test_a_checkpoint_without_a_global_step_is_of_step_0(tmp_path, graph):
  tf.get_variable('v', [])
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    tf.train.Saver().save(session, str(tmp_path / 'model.ckpt'))
  assert checkpoints.last_step(str(tmp_path)) == 0
