"""Validation while training, and the best checkpoint it keeps, with real checkpoints throughout."""

import glob
import os
import shutil
import signal
import time

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import npu_adapter as npu
from npu_adapter import best_checkpoint, training_log
from npu_adapter.runtime import interruption


def input_fn():
  return tf.data.Dataset.from_tensor_slices(np.zeros([100, 1], np.float32)).batch(1)


def model_fn(features, mode, params):
  """A network whose accuracy after step n is params['scores'][n]."""
  steps_made = tf.get_variable('steps_made', [], tf.int32, tf.zeros_initializer())
  loss = tf.reduce_mean(features)
  if mode == npu.ModeKeys.TRAIN:
    step = tf.group(tf.assign_add(steps_made, 1), tf.assign_add(tf.train.get_global_step(), 1))
    return npu.EstimatorSpec(mode, loss=loss, train_op=step)
  score = tf.gather(tf.constant(params['scores'], tf.float32), steps_made)
  return npu.EstimatorSpec(mode, loss=loss, eval_metric_ops={'accuracy': tf.metrics.mean(score)})


class Killed(tf.train.SessionRunHook):
  """Ends a training after so many runs by an error: nothing is saved and nothing ends in order."""

  def __init__(self, runs):
    self._left = runs

  def after_run(self, run_context, run_values):
    self._left -= 1
    if not self._left:
      raise KeyboardInterrupt


class Trained:
  """A model folder, trained once or several times, and what validation did there."""

  def __init__(self, folder, scores, save_steps=2):
    self.folder = str(folder)
    config = npu.NPURunConfig(save_checkpoints_steps=save_steps)
    self.estimator = npu.NPUEstimator(model_fn, self.folder, config, {'scores': scores})
    self.evaluated = []
    self.log_path = os.path.join(self.folder, training_log.FILE_NAME)

  def train(self, last_step, every_steps, hooks=(), listeners=lambda log: [], **validation):
    latest = self.estimator.latest_checkpoint()
    first_step = int(latest.rpartition('-')[2]) if latest else 0
    log = training_log.TrainingLog(self.log_path, 1, first_step)
    log.start_clock()

    def evaluate(split):
      found = self.estimator.evaluate(input_fn, steps=1, name=split)
      self.evaluated.append((split, found['global_step']))
      seconds = log.seconds
      time.sleep(0.01)
      assert log.seconds == seconds
      return found

    listener = best_checkpoint.Validation(
      log, evaluate, self.folder, 'net', every_steps, **validation
    )
    self.estimator.train(
      input_fn, hooks, max_steps=last_step, saving_listeners=[listener, *listeners(log)]
    )
    log.close()
    return self

  @property
  def best(self):
    return sorted(os.listdir(best_checkpoint.folder_of(self.folder)))

  @property
  def logged(self):
    """{(split, step): accuracy} of the log."""
    events = [e for e in training_log.read(self.log_path) if e['event'] == 'evaluate']
    return {(event['split'], event['step']): event['accuracy'] for event in events}


def files_of(name):
  endings = ('.data-00000-of-00001', '.index', '.meta')
  return ['checkpoint', *(name + ending for ending in endings)]


def test_what_is_saved_is_evaluated_every_so_many_steps_and_at_the_end(tmp_path):
  found = Trained(tmp_path, np.arange(11) / 16).train(10, 4)
  steps = [0, 4, 8, 10]
  assert found.evaluated == [('validation', step) for step in steps]
  assert found.logged == {('validation', step): step / 16 for step in steps}


def test_who_sends_a_signal_does_not_wait_for_an_evaluation(tmp_path):
  class Signal(tf.train.SessionRunHook):
    def after_run(self, run_context, run_values):
      if run_context.session.run(tf.train.get_global_step()) == 6:
        os.kill(os.getpid(), signal.SIGTERM)

  found = Trained(tmp_path, np.arange(11) / 16)
  with pytest.raises(interruption.Terminated):
    found.train(10, 4, [Signal()])
  assert found.evaluated == [('validation', 0), ('validation', 4)]
  assert found.estimator.latest_checkpoint().endswith('model.ckpt-6')


def test_what_was_never_trained_is_evaluated_before_the_first_step_only(tmp_path):
  found = Trained(tmp_path, [0.5, 0.25, 0.125])
  found.train(2, 1, splits=['validation', 'training'], untrained_splits=['test'])
  splits = [('validation', 0), ('training', 0), ('test', 0), ('validation', 2), ('training', 2)]
  assert found.evaluated == splits


def test_the_best_is_kept_whole_and_gives_the_metric_it_was_kept_for(tmp_path):
  found = Trained(tmp_path / 'a model', [0.125, 0, 0.25, 0, 0.75, 0, 0.5]).train(6, 2)
  assert found.best == files_of('net_7500.ckpt-4')
  best = best_checkpoint.find(found.folder)
  assert best == tf.train.latest_checkpoint(best_checkpoint.folder_of(found.folder))
  metrics = found.estimator.evaluate(input_fn, steps=1, checkpoint_path=best)
  assert (metrics['accuracy'], metrics['global_step']) == (0.75, 4)
  assert found.logged[('validation', 4)] == 0.75


def test_of_equals_the_later_is_kept(tmp_path):
  found = Trained(tmp_path, [0.5] * 5).train(4, 2)
  assert found.best == files_of('net_5000.ckpt-4')


def test_what_is_not_a_number_is_never_the_best(tmp_path):
  nan = float('nan')
  found = Trained(tmp_path, [nan, 0, 0.25, 0, nan, 0, 0.125]).train(6, 2)
  assert found.logged[('validation', 4)] is None
  assert found.best == files_of('net_2500.ckpt-2')


def test_a_metric_that_evaluation_does_not_return_is_an_error(tmp_path):
  with pytest.raises(ValueError, match=r"must return 'precision'.* got \['accuracy', "):
    Trained(tmp_path, [0.5, 0.5]).train(1, 1, metric='precision')


def test_without_a_split_to_tell_the_best_by_there_is_none(tmp_path):
  found = Trained(tmp_path, [0.5] * 3).train(2, 1, splits=[], untrained_splits=['test'])
  assert found.evaluated == [('test', 0)]
  assert best_checkpoint.find(found.folder) == str(tmp_path / 'model.ckpt-2')
  assert not os.path.exists(best_checkpoint.folder_of(found.folder))


def test_the_best_of_a_folder_named_from_the_working_directory_can_be_moved(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  found = Trained('a/model', [0.25, 0, 0.75, 0, 0.5]).train(4, 2)
  best = os.path.join('a', 'model', 'best', 'net_7500.ckpt-2')
  assert tf.train.latest_checkpoint('a/model/best') == best
  assert found.best == files_of('net_7500.ckpt-2')
  shutil.move('a', 'b')
  assert best_checkpoint.find('b/model') == os.path.join('b', 'model', 'best', 'net_7500.ckpt-2')


def test_the_clock_stands_still_while_a_checkpoint_is_written(tmp_path):
  saved = []

  class StandsStill(tf.train.CheckpointSaverListener):
    def __init__(self, log):
      self.log = log

    def before_save(self, session, global_step_value):
      seconds = self.log.seconds
      time.sleep(0.01)
      assert self.log.seconds == seconds

    def after_save(self, session, global_step_value):
      # Behind Validation, the clock goes again.
      seconds = self.log.seconds
      time.sleep(0.01)
      assert self.log.seconds > seconds
      saved.append(int(global_step_value))

  # One save with an evaluation after it, and one without.
  Trained(tmp_path, [0.5] * 5).train(4, 4, listeners=lambda log: [StandsStill(log)])
  assert saved == [0, 2, 4]


def test_a_resumed_run_evaluates_no_step_twice_and_keeps_to_its_interval(tmp_path):
  found = Trained(tmp_path, np.arange(11) / 16, save_steps=1)
  with pytest.raises(KeyboardInterrupt):
    found.train(10, 4, hooks=[Killed(7)])
  latest = int(found.estimator.latest_checkpoint().rpartition('-')[2])
  assert 4 < latest < 8
  found.train(10, 4)
  assert found.evaluated == [('validation', step) for step in (0, 4, 8, 10)]
  assert found.best == files_of('net_6250.ckpt-10')


def test_a_run_killed_before_the_best_was_kept_keeps_it_when_it_is_resumed(tmp_path):
  found = Trained(tmp_path, [0, 0, 0.75, 0, 0.5]).train(2, 2)
  shutil.rmtree(best_checkpoint.folder_of(found.folder))
  found.train(4, 2)
  assert found.evaluated == [('validation', step) for step in (0, 2, 4)]
  assert found.best == files_of('net_7500.ckpt-2')


def test_a_resumed_run_goes_on_from_the_seconds_of_the_last_evaluation(tmp_path):
  found = Trained(tmp_path, [0.5] * 5).train(2, 2)
  last = training_log.read(found.log_path)[-1]
  assert (last['event'], last['step']) == ('evaluate', 2)
  assert last['seconds'] > 0
  assert training_log.TrainingLog(found.log_path, 1, first_step=2).seconds == last['seconds']


def test_a_best_of_the_run_before_is_not_replaced_by_less(tmp_path):
  found = Trained(tmp_path, [0, 0, 0.75, 0, 0.5, 0, 0.625]).train(2, 2).train(6, 2)
  assert found.best == files_of('net_7500.ckpt-2')


def test_a_folder_that_tensorflow_takes_for_a_pattern_is_an_error_not_a_false_score(tmp_path):
  found = Trained(tmp_path / 'run [1]', [0.5, 0.5])
  with pytest.raises(npu.OptionError, match=r"got '.*run \[1\]/model\.ckpt-0': .* takes \["):
    found.train(1, 1)
  assert found.evaluated == []


def save(path, value):
  """Writes a checkpoint of one variable and returns its path."""
  with tf.Graph().as_default(), tf.Session() as session:
    variable = tf.get_variable('value', [], initializer=tf.constant_initializer(value))
    session.run(variable.initializer)
    return tf.train.Saver(save_relative_paths=True).save(session, str(path))


def value_of(checkpoint):
  return tf.train.load_variable(checkpoint, 'value')


class Interrupted(Exception):
  """What a kill would be."""


class FailsAt:
  """A function that works so many times and is then no more; counts its calls."""

  def __init__(self, function, calls):
    self._function, self._calls, self.made = function, calls, 0

  def __call__(self, *args, **kwargs):
    if self.made == self._calls:
      raise Interrupted
    self.made += 1
    return self._function(*args, **kwargs)


@pytest.mark.parametrize('module, name', [(os, 'replace'), (shutil, 'copyfile'), (os, 'remove')])
@pytest.mark.parametrize('calls', range(4))
def test_a_kill_at_any_point_leaves_a_best_that_is_whole(
  tmp_path, monkeypatch, module, name, calls
):
  model, folder = tmp_path / 'a model', str(tmp_path / 'a model' / 'best')
  best_checkpoint.keep(save(tmp_path / 'x.ckpt-10', 1.0), folder, 'net_20.ckpt-10')
  better = save(tmp_path / 'x.ckpt-1', 2.0)
  with monkeypatch.context() as patch:
    patch.setattr(module, name, FailsAt(getattr(module, name), calls))
    try:
      best_checkpoint.keep(better, folder, 'net_20.ckpt-1')
      was_killed = False
    except Interrupted:
      was_killed = True
  assert was_killed == (calls < {'replace': 4, 'copyfile': 3, 'remove': 3}[name])
  # The last replacement is that of the description; what is removed is removed after it.
  is_new = not was_killed or name == 'remove'
  found = best_checkpoint.find(str(model))
  assert found == tf.train.latest_checkpoint(folder)
  assert value_of(found) == (2.0 if is_new else 1.0)
  # By its index a checkpoint counts as one, whatever the description says.
  for index in glob.glob(f'{folder}/*.index'):
    assert value_of(index[: -len('.index')]) in (1.0, 2.0)
  best_checkpoint.keep(better, folder, 'net_30.ckpt-20')
  assert sorted(os.listdir(folder)) == files_of('net_30.ckpt-20')
  assert value_of(best_checkpoint.find(str(model))) == 2.0


def test_a_checkpoint_of_the_same_name_takes_the_place_of_the_one_before(tmp_path):
  folder = str(tmp_path / 'best')
  for value in (1.0, 2.0):
    best_checkpoint.keep(save(tmp_path / 'x.ckpt-1', value), folder, 'net.ckpt-1')
  assert value_of(os.path.join(folder, 'net.ckpt-1')) == 2.0
  assert sorted(os.listdir(folder)) == files_of('net.ckpt-1')


def test_what_is_no_checkpoint_stays_in_the_folder_of_the_best(tmp_path):
  folder = tmp_path / 'best'
  (folder / 'exported').mkdir(parents=True)
  (folder / 'notes.index.txt').write_text('mine', encoding='utf-8')
  best_checkpoint.keep(save(tmp_path / 'x.ckpt-1', 1.0), str(folder), 'net.ckpt-1')
  best_checkpoint.keep(save(tmp_path / 'x.ckpt-2', 2.0), str(folder), 'net.ckpt-2')
  expected = [*files_of('net.ckpt-2'), 'exported', 'notes.index.txt']
  assert sorted(os.listdir(str(folder))) == sorted(expected)


def test_a_neighbour_whose_name_begins_alike_is_not_copied(tmp_path):
  one = save(tmp_path / 'x.ckpt-1', 1.0)
  save(tmp_path / 'x.ckpt-10', 10.0)
  (tmp_path / 'x.ckpt-1.data-00000-of-00001.tempstate7').write_bytes(b'left by a kill')
  best_checkpoint.keep(one, str(tmp_path / 'best'), 'net.ckpt-1')
  assert sorted(os.listdir(str(tmp_path / 'best'))) == files_of('net.ckpt-1')


def test_nothing_is_given_up_for_a_checkpoint_that_is_not_there(tmp_path):
  folder = str(tmp_path / 'best')
  best_checkpoint.keep(save(tmp_path / 'x.ckpt-1', 1.0), folder, 'net.ckpt-1')
  with pytest.raises(FileNotFoundError, match=r'absent.* has no \.index'):
    best_checkpoint.keep(str(tmp_path / 'absent'), folder, 'net.ckpt-2')
  assert sorted(os.listdir(folder)) == files_of('net.ckpt-1')


@pytest.mark.parametrize('name', ['model', 'a model', 'run *?', '{1,2}', 'Übung'])
def test_a_checkpoint_is_found_by_its_path_or_in_its_folder_the_best_first(tmp_path, name):
  model = tmp_path / name
  model.mkdir()
  last = save(model / 'model.ckpt-5', 5.0)
  assert best_checkpoint.find(last) == last
  assert best_checkpoint.find(str(model)) == last
  best_checkpoint.keep(last, str(model / 'best'), 'net.ckpt-5')
  best = str(model / 'best' / 'net.ckpt-5')
  assert best_checkpoint.find(str(model)) == best
  assert best_checkpoint.find(str(model / 'best')) == best
  assert best_checkpoint.find(last) == last
  assert value_of(best) == 5.0


@pytest.mark.parametrize('name', ['run [1]', 'back\\slash'])
def test_a_checkpoint_that_tensorflow_would_not_find_is_an_error_that_says_why(tmp_path, name):
  (tmp_path / name).mkdir()
  last = save(tmp_path / name / 'model.ckpt-5', 5.0)
  best_checkpoint.keep(last, str(tmp_path / name / 'best'), 'net.ckpt-5')
  assert sorted(os.listdir(str(tmp_path / name / 'best'))) == files_of('net.ckpt-5')
  for path in (last, str(tmp_path / name)):
    with pytest.raises(npu.OptionError, match=r'takes \[ and .* Rename the folder'):
      best_checkpoint.find(path)


@pytest.mark.parametrize('description', ['', 'model_checkpoint_path: "gone.ckpt-1"\n', '\0'])
def test_a_best_that_is_damaged_leaves_the_last(tmp_path, description):
  last = save(tmp_path / 'model.ckpt-5', 5.0)
  (tmp_path / 'best').mkdir()
  (tmp_path / 'best' / 'checkpoint').write_text(description, encoding='utf-8')
  assert best_checkpoint.find(str(tmp_path)) == last


@pytest.mark.parametrize('name', ['absent', '', 'an empty folder', 'model.ckpt-5.index'])
def test_where_no_checkpoint_is_the_error_says_what_would_be_one(tmp_path, name):
  save(tmp_path / 'elsewhere' / 'model.ckpt-5', 5.0)
  (tmp_path / 'an empty folder').mkdir()
  with pytest.raises(npu.OptionError, match=r"the path before \.index.* none is at '.*" + name):
    best_checkpoint.find(str(tmp_path / name))
