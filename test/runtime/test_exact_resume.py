"""Trainings that are stopped, killed and started again, against one that never was."""

import os
import pathlib
import random
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.runtime import input_file
from npu_adapter.runtime.estimator import Estimator
from npu_adapter.runtime.model_fn import EstimatorSpec

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]

PROGRAM = f"""
import sys
sys.path.insert(0, {str(REPOSITORY)!r})
import numpy as np
import tensorflow.compat.v1 as tf
import npu_adapter
from npu_adapter.runtime.estimator import Estimator
from npu_adapter.runtime.model_fn import EstimatorSpec
from npu_adapter.runtime.run_config import RunConfig

folder, choice = sys.argv[1], {{'True': True, 'False': False, 'replay': 'replay'}}[sys.argv[2]]
points = np.random.RandomState(0).uniform(-1, 1, [64, 3]).astype(np.float32)

def input_fn():
  data = tf.data.Dataset.from_tensor_slices((points, points.sum(axis=1, keepdims=True)))
  data = data.shuffle(50, seed=3).repeat()
  if choice == 'replay':
    data = data.map(lambda x, y: (tf.py_func(lambda x: x * 2, [x], tf.float32), y))
    data = data.map(lambda x, y: (tf.ensure_shape(x, [3]), y))
  return data.map(lambda x, y: (x, y * 2), num_parallel_calls=2).batch(8).prefetch(2)

def model_fn(features, labels, mode):
  hidden = tf.nn.tanh(tf.matmul(features, tf.get_variable('w', [3, 8])))
  hidden = npu_adapter.dropout(hidden, 0.3)
  loss = tf.losses.mean_squared_error(labels, tf.matmul(hidden, tf.get_variable('v', [8, 1])))
  train_op = tf.train.AdamOptimizer(0.01).minimize(loss, tf.train.get_global_step())
  return EstimatorSpec(mode, loss=loss, train_op=train_op)

config = RunConfig(folder, tf_random_seed=7, save_checkpoints_steps=20, keep_checkpoint_max=2)
estimator = Estimator(model_fn, config=config, exact_resume=choice)
estimator.train(input_fn, max_steps=int(sys.argv[3]))
"""


def start(folder, choice, last_step):
  return subprocess.Popen(
    [sys.executable, '-c', PROGRAM, str(folder), str(choice), str(last_step)],
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    universal_newlines=True,
  )


def finish(process):
  output = process.communicate()[0]
  assert process.returncode == 0, output
  return output


def weights_of(folder):
  path = tf.train.latest_checkpoint(str(folder))
  return {name: tf.train.load_variable(path, name) for name, _ in tf.train.list_variables(path)}


def assert_same_bits(some, others):
  assert set(some) == set(others)
  for name, value in some.items():
    np.testing.assert_array_equal(value, others[name], name)


@pytest.mark.parametrize('choice', [True, 'replay'])
def test_killed_in_the_middle_and_started_again_it_ends_with_the_same_bits(tmp_path, choice):
  last_step = 3000
  finish(start(tmp_path / 'whole', choice, last_step))
  chance = random.Random(1)
  for _ in range(4):
    process = start(tmp_path / 'killed', choice, last_step)
    # Until something is written in this life, then a moment that nobody chose.
    begun = time.time()
    while process.poll() is None and not _written_since(tmp_path / 'killed', begun):
      time.sleep(0.01)
    time.sleep(chance.uniform(0, 0.2))
    process.kill()
    process.communicate()
    tf.train.load_checkpoint(str(tmp_path / 'killed'))
  finish(start(tmp_path / 'killed', choice, last_step))
  assert_same_bits(weights_of(tmp_path / 'killed'), weights_of(tmp_path / 'whole'))


def _written_since(folder, begun):
  path = folder / 'checkpoint'
  return path.exists() and path.stat().st_mtime > begun


def test_without_it_the_data_begin_anew(tmp_path):
  finish(start(tmp_path / 'whole', False, 40))
  finish(start(tmp_path / 'stopped', False, 25))
  finish(start(tmp_path / 'stopped', False, 40))
  found, expected = weights_of(tmp_path / 'stopped'), weights_of(tmp_path / 'whole')
  assert not np.array_equal(found['w'], expected['w'])


def data():
  numbers = tf.data.Dataset.from_tensor_slices(np.arange(1, 33, dtype=np.float32))
  return numbers.shuffle(8, seed=5).repeat().batch(4)


def summing(features, labels, mode):
  """Weights that are the sum of all that was read, each element weighed by its place."""
  total = tf.get_variable('total', [], tf.float32, tf.zeros_initializer())
  step = tf.train.get_global_step()
  weighed = tf.reduce_sum(features) * tf.cast(step.read_value() + 1, tf.float32)
  with tf.control_dependencies([weighed]):
    train_op = tf.group(tf.assign_add(total, weighed), tf.assign_add(step, 1))
  return EstimatorSpec(mode, loss=weighed, train_op=train_op)


@pytest.mark.parametrize('choice', [True, 'replay'])
def test_every_checkpoint_has_its_own_file_and_old_ones_go_with_theirs(make_estimator, choice):
  estimator = make_estimator(
    summing, estimator={'exact_resume': choice}, save_checkpoints_steps=2, keep_checkpoint_max=2
  )
  estimator.train(data, steps=10)
  names = sorted(name for name in os.listdir(estimator.model_dir) if name.endswith('.input'))
  assert names == ['model.ckpt-10.input', 'model.ckpt-8.input']
  # Checkpoints have the names of tf.estimator's, and none besides.
  assert estimator.get_variable_names() == ['global_step', 'total']


@pytest.mark.parametrize('choice', [True, 'replay'])
def test_a_checkpoint_whose_file_was_written_but_not_named_yet_is_not_taken(make_estimator, choice):
  whole = make_estimator(summing, 'whole', estimator={'exact_resume': choice}).train(data, steps=9)
  estimator = make_estimator(
    summing, estimator={'exact_resume': choice}, save_checkpoints_steps=3
  ).train(data, steps=3)
  # As if killed between the two writes of step 6.
  source, target = (
    os.path.join(estimator.model_dir, f'model.ckpt-{step}.input') for step in (3, 6)
  )
  with open(source, 'rb') as file, open(target, 'wb') as copy:
    copy.write(file.read()[:40])
  estimator.train(data, max_steps=9)
  assert_same_bits(weights_of(estimator.model_dir), weights_of(whole.model_dir))


def test_a_checkpoint_without_the_file_is_refused_with_what_to_do(make_estimator):
  make_estimator(summing).train(data, steps=3)
  estimator = make_estimator(summing, estimator={'exact_resume': True})
  with pytest.raises(input_file.InputStateError, match='written without exact_resume.*warm_start'):
    estimator.train(data, max_steps=6)


def test_a_model_that_rolls_dice_is_refused_by_the_name_of_the_operation(make_estimator):
  def rolling(features, labels, mode):
    return summing(tf.nn.dropout(features, rate=0.5, name='dice'), labels, mode)

  estimator = make_estimator(rolling, estimator={'exact_resume': True})
  with pytest.raises(ValueError, match='dice.*npu_adapter.dropout'):
    estimator.train(data, steps=3)
  assert not os.path.exists(os.path.join(estimator.model_dir, 'checkpoint'))


def test_data_from_python_are_refused_and_may_be_replayed(make_estimator):
  def from_generator():
    numbers = tf.data.Dataset.from_generator(lambda: iter(range(99)), tf.int32, [])
    return numbers.map(lambda number: tf.cast(number, tf.float32)).batch(3)

  with pytest.raises(ValueError, match="exact_resume='replay'"):
    make_estimator(summing, estimator={'exact_resume': True}).train(from_generator, steps=3)
  replayed = {'exact_resume': 'replay'}
  whole = make_estimator(summing, 'whole', estimator=replayed).train(from_generator, steps=9)
  estimator = make_estimator(summing, 'parts', estimator=replayed).train(from_generator, steps=4)
  estimator.train(from_generator, max_steps=9)
  assert_same_bits(weights_of(estimator.model_dir), weights_of(whole.model_dir))


def test_a_folder_of_another_machine_is_refused(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  estimator = Estimator(summing, 'ram://far', exact_resume=True)
  with pytest.raises(ValueError, match="a folder of this machine with exact_resume.*'ram://far'"):
    estimator.train(data, steps=1)
  assert os.listdir(str(tmp_path)) == []


def test_a_training_that_writes_no_checkpoints_is_refused(make_estimator):
  estimator = make_estimator(summing, estimator={'exact_resume': True}, save_checkpoints_steps=None)
  with pytest.raises(ValueError, match='save_checkpoints_steps.*exact_resume'):
    estimator.train(data, steps=1)


@pytest.mark.parametrize('choice', ['yes', 1.5, None])
def test_other_choices_are_refused(make_estimator, choice):
  with pytest.raises(ValueError, match="exact_resume must be False, True or 'replay'; got"):
    make_estimator(summing, estimator={'exact_resume': choice})


def test_loops_of_several_steps_go_on_exactly_too(make_estimator):
  options = {'exact_resume': True, 'steps_per_loop': 3}
  whole = make_estimator(summing, 'whole', estimator=options).train(data, steps=12)
  estimator = make_estimator(summing, 'parts', estimator=options).train(data, steps=6)
  estimator.train(data, max_steps=12)
  assert_same_bits(weights_of(estimator.model_dir), weights_of(whole.model_dir))
