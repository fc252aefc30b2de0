#!/usr/bin/env python3
"""Prints what averaging the weights adds to a training step: schedule, question and samples.

The network and data are those of the demonstration that stochastic weight averaging was published
with for Keras: three clouds of 131,072 points, batches of 16,384, a cyclic rate, a sample every
three epochs. The two trainings alternate in one run; their ratio counts, not their times.
"""

import argparse
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from bench import measuring  # noqa: E402
from npu_adapter import command_line  # noqa: E402

_POINTS, _BATCH, _CLASSES, _UNITS = 131072, 16384, 3, 50
_STEPS_PER_EPOCH = _POINTS // _BATCH
_EPOCHS_A_SAMPLE = 3


def main():
  """Measures; returns the exit status."""
  parser = argparse.ArgumentParser(description=__doc__)
  add = parser.add_argument
  add('--rounds', type=int, default=15, help='alternating rounds; medians are printed')
  add('--steps', type=int, default=480, help='steps of a round')
  add('--json', metavar='FILE', help='write the figures here too')
  asked = parser.parse_args()
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  command_line.tell_tensorflow()
  figures = _measure(asked.rounds, asked.steps)
  print(f'TensorFlow {figures["tensorflow"]}, a step of {_BATCH} points')
  print(f'without averaging {figures["plain_ms"]:.3f} ms, with it {figures["averaged_ms"]:.3f} ms')
  print(f'averaging adds {100 * figures["share"]:.2f} % (median of {asked.rounds} pairs)')
  if asked.json:
    with open(asked.json, 'w', encoding='utf-8') as file:
      json.dump(figures, file, indent=2)
  return 0


def _measure(rounds, steps):
  import numpy as np
  import tensorflow.compat.v1 as tf

  import npu_adapter
  from npu_adapter.runtime import tf1

  tf1.enable()
  tf.logging.set_verbosity(tf.logging.ERROR)
  plan = npu_adapter.Averaging(0, _STEPS_PER_EPOCH * _EPOCHS_A_SAMPLE, 'cyclic', 0.001, 0.003)
  data = _points()
  found = []
  with tempfile.TemporaryDirectory() as folder:
    sides = [_estimator(os.path.join(folder, str(number)), each)
             for number, each in enumerate((None, plan))]  # fmt: skip
    for number in range(rounds + 1):
      # The first round warms up.
      pair = [_seconds(side, data, steps) for side in sides]
      found += [pair] if number else []
  plain, averaged = np.array(found).T
  return {
    'tensorflow': tf.__version__,
    'plain_ms': 1000 * float(np.median(plain)),
    'averaged_ms': 1000 * float(np.median(averaged)),
    'share': float(np.median(averaged / plain)) - 1,
  }


def _points():
  import numpy as np

  chance = np.random.RandomState(2)
  labels = chance.randint(0, _CLASSES, _POINTS).astype(np.int32)
  centres = chance.uniform(-10, 10, [_CLASSES, 2])
  points = centres[labels] + 2 * chance.standard_normal([_POINTS, 2])
  return points.astype(np.float32), labels


def _estimator(folder, plan):
  import npu_adapter

  config = npu_adapter.NPURunConfig(model_dir=folder, save_checkpoints_steps=10**9)
  return npu_adapter.NPUEstimator(_model_fn, config=config, params={'plan': plan}, progress=False)


def _seconds(estimator, data, steps):
  """Of a step, without those that fill the buffers."""
  import tensorflow.compat.v1 as tf

  def input_fn():
    # In memory, in its order: what is measured is not the reading.
    batches = tf.data.Dataset.from_tensor_slices(data).batch(_BATCH, drop_remainder=True)
    return batches.cache().repeat().prefetch(2)

  timer = measuring.timer(10)
  estimator.train(input_fn, [timer], steps=steps + 10)
  return timer.seconds_per_run


def _model_fn(features, labels, mode, params):
  import tensorflow.compat.v1 as tf

  import npu_adapter

  hidden = _normalised(tf.nn.relu(_dense(features, 'hidden', _UNITS)))
  logits = _dense(hidden, 'logits', _CLASSES)
  loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
  rate = npu_adapter.averaging_rate(0.1, params['plan'])
  step = tf.train.GradientDescentOptimizer(rate).minimize(loss, tf.train.get_global_step())
  done = tf.group(step, *tf.get_collection(tf.GraphKeys.UPDATE_OPS))
  train_op = npu_adapter.average_weights(done, params['plan'])
  return npu_adapter.EstimatorSpec(mode, loss=loss, train_op=train_op)


def _dense(x, name, units):
  import tensorflow.compat.v1 as tf

  with tf.variable_scope(name):
    kernel = tf.get_variable('kernel', [x.shape.as_list()[-1], units])
    return tf.nn.bias_add(tf.matmul(x, kernel), tf.get_variable('bias', [units]))


def _normalised(x):
  import tensorflow.compat.v1 as tf

  mean, variance = tf.nn.moments(x, [0])
  with tf.variable_scope('norm'):
    for name, value in (('moving_mean', mean), ('moving_variance', variance)):
      average = tf.get_variable(name, [_UNITS], trainable=False)
      tf.add_to_collection(
        tf.GraphKeys.UPDATE_OPS, tf.assign_sub(average, 0.01 * (average - value))
      )
    gamma = tf.get_variable('gamma', [_UNITS], initializer=tf.ones_initializer())
    beta = tf.get_variable('beta', [_UNITS], initializer=tf.zeros_initializer())
  return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)


if __name__ == '__main__':
  sys.exit(main())
