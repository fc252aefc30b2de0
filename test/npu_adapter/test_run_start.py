"""Where a run begins: with the weights of another, and nothing else of it."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import npu_adapter
from npu_adapter import run_start
from npu_adapter.runtime import tf1

tf1.enable()
OPTIMIZERS = {
  'adam': tf.train.AdamOptimizer,
  'momentum': lambda rate: tf.train.MomentumOptimizer(rate, 0.9),
}


def model_fn(features, labels, mode, params):
  with tf.variable_scope('net'):
    weight = tf.get_variable('weight', [2], tf.float32, tf.ones_initializer())
    average = tf.get_variable(
      'moving_mean', [2], tf.float32, tf.zeros_initializer(), trainable=False
    )
  loss = tf.reduce_sum(tf.square(weight - features))
  optimizer = OPTIMIZERS[params['optimizer']](0.1)
  step = optimizer.minimize(loss, tf.train.get_global_step())
  moved = tf.assign_add(average, [1.0, 2.0])
  return npu_adapter.EstimatorSpec(mode, loss=loss, train_op=tf.group(step, moved))


def train(folder, optimizer, steps, start=None):
  config = npu_adapter.NPURunConfig(model_dir=str(folder), save_checkpoints_steps=1)
  estimator = npu_adapter.NPUEstimator(
    model_fn, config=config, params={'optimizer': optimizer}, warm_start_from=start, progress=False
  )
  estimator.train(lambda: tf.data.Dataset.from_tensors([3.0, 5.0]).repeat(), max_steps=steps)
  reader = tf.train.load_checkpoint(str(folder / f'model.ckpt-{steps if start is None else 0}'))
  return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


@pytest.mark.parametrize('optimizer', sorted(OPTIMIZERS))
def test_weights_and_averages_are_taken_and_no_slot_of_the_optimizer(tmp_path, optimizer):
  before = train(tmp_path / 'a', optimizer, 3)
  start = run_start.weights_of(str(tmp_path / 'a'), ['net'])
  found = train(tmp_path / 'b', optimizer, 1, start)
  for name in ('net/weight', 'net/moving_mean'):
    np.testing.assert_array_equal(found[name], before[name])
  slots = [name for name in found if name.rpartition('/')[2] in ('Adam', 'Adam_1', 'Momentum')]
  assert slots
  for name in slots:
    assert (before[name] != 0).any() and (found[name] == 0).all(), name
  assert found['global_step'] == 0
