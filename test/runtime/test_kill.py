"""Trainings that are killed in the midst of writing a checkpoint, and what that leaves."""

import os
import pathlib
import random
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.runtime import checkpoint_health

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
LAST_STEP, SAVE_EVERY = 120, 10

# The ballast changes with every step, so that parts of two checkpoints would be told apart, and
# makes writing long enough to be hit.
PROGRAM = f"""
import sys
sys.path.insert(0, {str(REPOSITORY)!r})
import numpy as np
import tensorflow.compat.v1 as tf
import npu_adapter
from npu_adapter.runtime.estimator import Estimator
from npu_adapter.runtime.model_fn import EstimatorSpec
from npu_adapter.runtime.run_config import RunConfig

points = np.random.RandomState(0).uniform(-1, 1, [64, 3]).astype(np.float32)

def input_fn():
  data = tf.data.Dataset.from_tensor_slices((points, points.sum(axis=1, keepdims=True)))
  return data.shuffle(50, seed=3).repeat().batch(8).prefetch(2)

def model_fn(features, labels, mode):
  hidden = tf.nn.tanh(tf.matmul(features, tf.get_variable('w', [3, 8])))
  hidden = npu_adapter.dropout(hidden, 0.3)
  loss = tf.losses.mean_squared_error(labels, tf.matmul(hidden, tf.get_variable('v', [8, 1])))
  train_op = tf.train.AdamOptimizer(0.01).minimize(loss, tf.train.get_global_step())
  ballast = tf.get_variable('ballast', [5000000], trainable=False)
  train_op = tf.group(train_op, tf.assign_add(ballast, tf.ones([5000000])))
  return EstimatorSpec(mode, loss=loss, train_op=train_op)

config = RunConfig(
  sys.argv[1], tf_random_seed=7, save_checkpoints_steps={SAVE_EVERY}, keep_checkpoint_max=2
)
estimator = Estimator(model_fn, config=config, exact_resume=True)
estimator.train(input_fn, max_steps={LAST_STEP})
"""


class Life:
  """A process that trains in a folder."""

  def __init__(self, folder):
    self.folder, self.begun_s = folder, time.time()
    self.process = subprocess.Popen(
      [sys.executable, '-c', PROGRAM, str(folder)],
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      universal_newlines=True,
    )

  def finish(self):
    output = self.process.communicate()[0]
    assert self.process.returncode == 0, output

  def kill_in_write(self, number, after_s):
    """Kills `after_s` after its write of that number has begun; whether it was still going on."""
    first_step = self._newest_step()
    while self.process.poll() is None:
      is_due = self._newest_step() >= first_step + SAVE_EVERY * (number - 1)
      if is_due and self.unfinished():
        break
      time.sleep(0.0005)
    time.sleep(after_s)
    self.process.kill()
    output = self.process.communicate()[0]
    assert self.process.returncode < 0, output
    return bool(self.unfinished())

  def _newest_step(self):
    path = self.folder / 'checkpoint'
    return int(path.read_text().split('"')[1].rpartition('-')[2]) if path.exists() else 0

  def unfinished(self):
    """Files that a checkpoint of this life has only while it is written."""
    return [
      path.name
      for path in self.folder.glob('model.ckpt-*_temp*')
      if self._is_of_this_life(path.name)
    ]

  def _is_of_this_life(self, name):
    try:
      return os.path.getmtime(str(self.folder / name)) >= self.begun_s
    except FileNotFoundError:
      return False


def contents(folder):
  reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(folder)))
  names = reader.get_variable_to_shape_map()
  return {name: reader.get_tensor(name).tobytes() for name in names}


def assert_readable(folder):
  state = tf.train.get_checkpoint_state(str(folder))
  for path in state.all_model_checkpoint_paths if state else ():
    assert checkpoint_health.problem(path) is None


def test_killed_while_it_writes_checkpoints_it_ends_with_the_same_bits(tmp_path):
  whole, killed = tmp_path / 'whole', tmp_path / 'killed'
  Life(whole).finish()
  chance, hits, kills = random.Random(2), 0, 0
  # One that comes too late is another moment that nobody chose.
  while kills < 4 or (hits < 2 and kills < 8):
    number = 1 + kills % 2 if kills else 3
    hits += Life(killed).kill_in_write(number, chance.uniform(0, 0.004))
    kills += 1
    assert_readable(killed)
  assert hits
  Life(killed).finish()
  assert contents(killed) == contents(whole)
  # What the killed writes had left is gone.
  assert sorted(path.name for path in killed.glob('*')) == expected_names(whole, killed)


def expected_names(whole, killed):
  """The names of a folder without a kill, but for event files: each life has its own."""
  names = [path.name for path in whole.glob('*') if 'tfevents' not in path.name]
  return sorted([*names, *(path.name for path in killed.glob('*tfevents*'))])


@pytest.mark.parametrize('step', [0, 3])
def test_several_lives_that_come_no_further_change_nothing(make_estimator, model_fn, step):
  def shuffled():
    points = np.random.RandomState(0).uniform(-1, 1, [64, 3]).astype(np.float32)
    pairs = tf.data.Dataset.from_tensor_slices(({'x': points}, points.sum(axis=1, keepdims=True)))
    return pairs.shuffle(50, seed=3).repeat().batch(8).prefetch(2)

  class Die(tf.train.SessionRunHook):
    def after_run(self, run_context, run_values):
      raise ZeroDivisionError

  def make(folder):
    return make_estimator(model_fn, folder, {'exact_resume': True}, save_checkpoints_steps=50)

  whole = make('whole').train(shuffled, max_steps=step + 9)
  estimator = make('model')
  if step:
    estimator.train(shuffled, max_steps=step)
  for _ in range(4):
    with pytest.raises(ZeroDivisionError):
      estimator.train(shuffled, [Die()], max_steps=step + 9)
  estimator.train(shuffled, max_steps=step + 9)
  assert contents(estimator.model_dir) == contents(whole.model_dir)


def test_the_checkpoint_a_training_goes_on_from_is_not_written_again(
  make_estimator, model_fn, endless_input_fn
):
  # Were it killed then, there might be none to go on from: TensorFlow writes in place.
  estimator = make_estimator(model_fn, keep_checkpoint_max=1).train(endless_input_fn, steps=4)
  paths = [estimator.latest_checkpoint() + ending for ending in ('.index', '.data-00000-of-00001')]
  before = [os.stat(path) for path in paths]
  seen = []

  class Look(tf.train.SessionRunHook):
    def after_run(self, run_context, run_values):
      seen.append([os.stat(path) for path in paths])

  estimator.train(endless_input_fn, hooks=[Look()], steps=1)
  for was, now in zip(before, seen[0]):
    assert (was.st_ino, was.st_mtime_ns) == (now.st_ino, now.st_mtime_ns)


def test_a_graph_that_has_changed_since_is_written_beside_it(
  make_estimator, model_fn, endless_input_fn
):
  def larger(features, labels, mode):
    tf.constant(1.0, name='added_later')
    return model_fn(features, labels, mode)

  estimator = make_estimator(model_fn).train(endless_input_fn, steps=4)
  path = estimator.latest_checkpoint() + '.meta'
  found = []

  class Look(tf.train.SessionRunHook):
    def after_run(self, run_context, run_values):
      with open(path, 'rb') as file:
        found.append(b'added_later' in file.read())

  make_estimator(larger).train(endless_input_fn, hooks=[Look()], steps=1)
  assert found == [True]


def test_what_killed_writes_left_goes_and_other_files_stay(
  make_estimator, model_fn, endless_input_fn
):
  estimator = make_estimator(model_fn).train(endless_input_fn, steps=2)
  random_part = '0123456789abcdef' * 2
  left = ['model.ckpt-9_temp/part', f'model.ckpt-9_temp_{random_part}/part']
  left += [f'checkpoint.tmp{random_part}', f'model.ckpt-9.meta.tmp{random_part}']
  others = ['model.ckpt-9_temporary/part', 'mine.tmp', 'checkpoint.tmp']
  folder = pathlib.Path(estimator.model_dir)
  for name in left + others:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b'')
  estimator.train(endless_input_fn, steps=1)
  assert not [name for name in left if (folder / name.partition('/')[0]).exists()]
  assert all((folder / name).exists() for name in others)
