"""What a training loses when it is stopped, when files are damaged, when the disk is full."""

import contextlib
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.runtime import checkpoint_health, checkpoints, interruption, model_folder
from npu_adapter.runtime.estimator import Estimator
from npu_adapter.runtime.run_config import RunConfig

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]

PROGRAM = f"""
import sys
sys.path.insert(0, {str(REPOSITORY)!r})
import numpy as np
import tensorflow.compat.v1 as tf
from npu_adapter.runtime.estimator import Estimator
from npu_adapter.runtime.model_fn import EstimatorSpec
from npu_adapter.runtime.run_config import RunConfig

def input_fn():
  return tf.data.Dataset.from_tensors(np.ones([4, 3], np.float32)).repeat()

def model_fn(features, labels, mode):
  loss = tf.reduce_mean(tf.square(tf.matmul(features, tf.get_variable('w', [3, 1])) - 1.0))
  train_op = tf.train.AdamOptimizer(0.01).minimize(loss, tf.train.get_global_step())
  return EstimatorSpec(mode, loss=loss, train_op=train_op)

class Started(tf.train.SessionRunHook):
  runs = 0
  def after_run(self, run_context, run_values):
    self.runs += 1
    if self.runs == 5:
      print('started', flush=True)

tf.logging.set_verbosity(tf.logging.INFO)
estimator = Estimator(model_fn, config=RunConfig(sys.argv[1]))
try:
  estimator.train(input_fn, hooks=[Started()])
except KeyboardInterrupt:
  print('a KeyboardInterrupt', flush=True)
  raise
finally:
  print('cleaned up', flush=True)
"""


@contextlib.contextmanager
def training(folder):
  process = subprocess.Popen(
    [sys.executable, '-c', PROGRAM, str(folder)],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    universal_newlines=True,
  )
  try:
    assert process.stdout.readline() == 'started\n'
    yield process
  finally:
    process.kill()
    process.communicate()


@pytest.mark.parametrize('number, status', [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_training_with_a_checkpoint_and_its_own_status(tmp_path, number, status):
  with training(tmp_path) as process:
    process.send_signal(number)
    output, errors = process.communicate()
  assert process.returncode == status, errors
  step = int(tf.train.load_variable(str(tmp_path), 'global_step'))
  assert step >= 5
  assert f'{number.name}: training has ended' in errors
  assert f'model.ckpt-{step}' in errors
  assert 'Traceback' not in errors
  # Programs that catch Ctrl-C, or clean up, do so.
  assert output.endswith('cleaned up\n')
  assert ('a KeyboardInterrupt' in output) == (number == signal.SIGINT)
  assert not (tmp_path / '.training').exists()


def test_after_a_training_signals_are_as_before(make_estimator, model_fn, input_fn):
  before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
  during = []

  class Look(tf.train.SessionRunHook):
    def begin(self):
      during.append(signal.getsignal(signal.SIGTERM))

  make_estimator(model_fn).train(input_fn, hooks=[Look()])
  assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
  assert during[0] not in before


def test_a_handler_of_the_program_and_an_ignored_signal_are_left_alone():
  handled = []
  old = signal.signal(signal.SIGTERM, lambda *arguments: handled.append(arguments))
  old_interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
  try:
    with interruption.Watch() as watch:
      os.kill(os.getpid(), signal.SIGTERM)
      os.kill(os.getpid(), signal.SIGINT)
      assert len(handled) == 1
      assert not watch.is_interrupted()
  finally:
    signal.signal(signal.SIGTERM, old)
    signal.signal(signal.SIGINT, old_interrupt)


def test_a_second_signal_acts_as_if_there_were_no_training():
  with pytest.raises(KeyboardInterrupt) as caught, interruption.Watch() as watch:  # noqa: PT012
    os.kill(os.getpid(), signal.SIGINT)
    assert watch.is_interrupted()
    os.kill(os.getpid(), signal.SIGINT)
  assert not isinstance(caught.value, interruption.Interrupted)


# Two processes.


def test_a_second_training_in_the_folder_is_refused_with_the_others_pid(
  tmp_path, make_estimator, model_fn, input_fn
):
  with training(tmp_path / 'model') as process:
    with pytest.raises(model_folder.ModelDirInUse, match=f'process {process.pid} trains in'):
      make_estimator(model_fn).train(input_fn)
    assert process.poll() is None
    process.kill()
    process.wait()
  # What a killed process leaves stops nobody.
  assert (tmp_path / 'model' / '.training').exists()
  with model_folder.claimed(str(tmp_path / 'model')):
    pass
  assert not (tmp_path / 'model' / '.training').exists()


def test_a_folder_may_be_evaluated_while_another_process_trains_in_it(
  tmp_path, make_estimator, input_fn
):
  def same_model_fn(features, labels, mode):
    from npu_adapter.runtime.model_fn import EstimatorSpec

    weights = tf.get_variable('w', [3, 1])
    return EstimatorSpec(mode, loss=tf.reduce_mean(tf.matmul(features['x'], weights)))

  with training(tmp_path / 'model'):
    assert make_estimator(same_model_fn).evaluate(input_fn)['global_step'] == 0


def test_a_folder_nobody_may_write_is_told(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(OSError, match='model_dir must be a folder this user can write'):
    with model_folder.claimed(str(tmp_path / 'file' / 'model')):
      pass


def test_where_nothing_is_left_to_train_a_folder_need_not_be_writable(
  make_estimator, model_fn, endless_input_fn
):
  estimator = make_estimator(model_fn).train(endless_input_fn, steps=4)
  os.mkdir(os.path.join(estimator.model_dir, '.training'))
  assert estimator.train(endless_input_fn, max_steps=4) is estimator
  with pytest.raises(OSError, match='model_dir must be a folder this user can write'):
    estimator.train(endless_input_fn, max_steps=5)


def test_a_folder_in_memory_is_trained_in_too(model_fn, endless_input_fn):
  estimator = Estimator(model_fn, f'ram://{os.getpid()}', RunConfig(tf_random_seed=7))
  try:
    estimator.train(endless_input_fn, steps=2)
  except tf.errors.UnimplementedError:
    pytest.skip('this TensorFlow has no file system in memory')
  estimator.train(endless_input_fn, steps=2)
  assert estimator.evaluate(endless_input_fn, steps=1)['global_step'] == 4


# Damaged files.


def cut(path):
  os.truncate(path, os.path.getsize(path) // 2)


def turn_a_bit(path):
  with open(path, 'r+b') as file:
    file.seek(os.path.getsize(path) // 2)
    byte = file.read(1)
    file.seek(-1, os.SEEK_CUR)
    file.write(bytes([byte[0] ^ 1]))


DAMAGES = {
  'data cut': ('.data-00000-of-00001', cut),
  'data turned': ('.data-00000-of-00001', turn_a_bit),
  'data gone': ('.data-00000-of-00001', os.remove),
  'data empty': ('.data-00000-of-00001', lambda path: os.truncate(path, 0)),
  'index cut': ('.index', cut),
  'index turned': ('.index', turn_a_bit),
  'index gone': ('.index', os.remove),
  'index empty': ('.index', lambda path: os.truncate(path, 0)),
}


def steps_listed(folder):
  state = tf.train.get_checkpoint_state(folder)
  return [int(path.rpartition('-')[2]) for path in state.all_model_checkpoint_paths]


@pytest.mark.parametrize('damage', DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(
  make_estimator, model_fn, endless_input_fn, log, damage
):
  whole = make_estimator(model_fn, 'whole', save_checkpoints_steps=4)
  whole.train(endless_input_fn, steps=8)
  estimator = make_estimator(model_fn, save_checkpoints_steps=4)
  estimator.train(endless_input_fn, steps=8)
  suffix, break_it = DAMAGES[damage]
  break_it(os.path.join(estimator.model_dir, 'model.ckpt-8' + suffix))
  del log[:]
  assert estimator.evaluate(endless_input_fn, steps=1)['global_step'] == 4
  assert any('model.ckpt-8 is damaged' in line and 'model.ckpt-4' in line for line in log)
  # Evaluation changes nothing; training goes on from there, and writes over it.
  assert steps_listed(estimator.model_dir) == [0, 4, 8]
  estimator.train(endless_input_fn, max_steps=8)
  assert steps_listed(estimator.model_dir) == [0, 4, 8]
  assert checkpoint_health.problem(estimator.latest_checkpoint()) is None
  assert estimator.evaluate(endless_input_fn, steps=1)['global_step'] == 8
  with open(os.path.join(estimator.model_dir, 'checkpoint')) as file:
    assert estimator.model_dir not in file.read()


def test_where_all_are_damaged_nothing_is_started_anew(make_estimator, model_fn, endless_input_fn):
  estimator = make_estimator(model_fn, save_checkpoints_steps=4).train(endless_input_fn, steps=8)
  for step in (0, 4, 8):
    cut(os.path.join(estimator.model_dir, f'model.ckpt-{step}.index'))
  before = sorted(os.listdir(estimator.model_dir))
  for use in (estimator.train, lambda data: estimator.evaluate(data, steps=1)):
    with pytest.raises(checkpoint_health.NoWholeCheckpoint, match='got 3 in .* all damaged'):
      use(endless_input_fn)
  assert sorted(os.listdir(estimator.model_dir)) == before


def test_predictions_and_exports_take_the_whole_one_too(
  tmp_path, make_estimator, model_fn, input_fn, endless_input_fn
):
  estimator = make_estimator(model_fn, save_checkpoints_steps=4).train(endless_input_fn, steps=8)
  expected = tf.train.load_variable(os.path.join(estimator.model_dir, 'model.ckpt-4'), 'weights')
  cut(os.path.join(estimator.model_dir, 'model.ckpt-8.data-00000-of-00001'))
  first = next(estimator.predict(input_fn))
  bias = tf.train.load_variable(os.path.join(estimator.model_dir, 'model.ckpt-4'), 'bias')
  np.testing.assert_allclose(first['y'], first['x'] @ expected + bias, rtol=1e-5)
  from npu_adapter.runtime import export

  receiver = export.build_raw_serving_input_receiver_fn({'x': np.zeros([1, 3], np.float32)})
  folder = estimator.export_saved_model(str(tmp_path / 'export'), receiver).decode()
  found = tf.train.load_variable(os.path.join(folder, 'variables', 'variables'), 'weights')
  np.testing.assert_array_equal(found, expected)


# A disk that takes no more.


class At(tf.train.SessionRunHook):
  """Does something after so many runs."""

  def __init__(self, run, action):
    self._left, self._action = run, action

  def after_run(self, run_context, run_values):
    self._left -= 1
    if not self._left:
      self._action()


def large_model_fn(features, labels, mode):
  from npu_adapter.runtime.model_fn import EstimatorSpec

  weights = tf.get_variable('large', [3, 50000])
  loss = tf.reduce_mean(tf.square(tf.matmul(features['x'], weights)))
  train_op = tf.train.GradientDescentOptimizer(0.1).minimize(loss, tf.train.get_global_step())
  return EstimatorSpec(mode, loss=loss, train_op=train_op)


def test_a_full_disk_is_an_error_and_the_last_good_checkpoint_stays(
  make_estimator, endless_input_fn
):
  estimator = make_estimator(large_model_fn, save_checkpoints_steps=4)
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

  def fill_disk():
    resource.setrlimit(resource.RLIMIT_FSIZE, (300000, hard))

  try:
    with pytest.raises(
      checkpoints.CheckpointNotWritten, match=r'of step 8 .*goes on from .*-4\.'
    ) as caught:
      estimator.train(endless_input_fn, hooks=[At(6, fill_disk)], steps=20)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, old)
  assert 'Graph execution error' not in str(caught.value)
  assert '..' not in str(caught.value)
  assert estimator.latest_checkpoint().endswith('model.ckpt-4')
  assert checkpoint_health.problem(estimator.latest_checkpoint()) is None
  assert estimator.train(endless_input_fn, max_steps=12).latest_checkpoint().endswith('-12')


def test_a_folder_that_vanishes_is_an_error(make_estimator, model_fn, endless_input_fn):
  estimator = make_estimator(model_fn, save_checkpoints_steps=4)
  remove = At(6, lambda: shutil.rmtree(estimator.model_dir))
  with pytest.raises(checkpoints.CheckpointNotWritten, match='of step 8 could not be written'):
    estimator.train(endless_input_fn, hooks=[remove], steps=20)


def test_a_claim_is_free_again_after_an_error(make_estimator, model_fn, endless_input_fn):
  def fail():
    raise ZeroDivisionError

  estimator = make_estimator(model_fn)
  with pytest.raises(ZeroDivisionError):
    estimator.train(endless_input_fn, hooks=[At(3, fail)], steps=20)
  assert int(estimator.train(endless_input_fn, steps=4).get_variable_value('global_step')) == 4
