#!/usr/bin/env python3
"""Prints how many steps a second the training loop makes, against tf.estimator's, on a tiny model.

A dense layer of 32 x 10 on batches of 32, default hooks, summaries and checkpoints: what is
measured is the way from one step to the next. Both in one run, in turns; ratios count. On a
TensorFlow without tf.estimator a MonitoredTrainingSession of the same hooks stands in, and the row
says so.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def main():
  """Measures both loops, with default hooks and with one that fetches the loss."""
  parser = argparse.ArgumentParser(description=__doc__)
  add = parser.add_argument
  add('--steps', type=int, default=20000, help='steps of one training')
  add('--rounds', type=int, default=3, help='trainings of each kind; medians are printed')
  add('--json', metavar='FILE', help='write the figures here too')
  asked = parser.parse_args()
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  figures = _measure(asked.rounds, asked.steps)
  for row, (ours, theirs) in figures['rows'].items():
    print(
      f'{row:34s} {ours:6.0f} steps/s; {figures["theirs"]} {theirs:6.0f}; ratio {ours / theirs:.2f}'
    )
  if asked.json:
    with open(asked.json, 'w', encoding='utf-8') as file:
      json.dump(figures, file, indent=2)
  return 0


def _measure(rounds, steps):
  import tensorflow.compat.v1 as tf

  from npu_adapter.runtime import tf1

  tf1.enable()
  tf.logging.set_verbosity(tf.logging.ERROR)
  print(f'TensorFlow {tf.__version__}, {steps} steps, median of {rounds} trainings each')
  theirs = 'tf.estimator' if hasattr(tf, 'estimator') else 'MonitoredTrainingSession'
  rows = {}
  for row, with_hook in (('default hooks', False), ('and a hook that fetches the loss', True)):
    speeds = {_ours: [], _theirs: []}
    for number in range(rounds + 1):
      for train, found in speeds.items():
        speed = train(tf, steps, with_hook)
        # The first round warms up.
        found.extend([speed] if number else [])
    rows[row] = [statistics.median(found) for found in speeds.values()]
  return {'tensorflow': tf.__version__, 'theirs': theirs, 'rows': rows}


def _ours(tf, steps, with_hook):
  from npu_adapter.runtime import estimator, model_fn, run_config

  def build(features, labels, mode):
    loss, train_op = _model(tf, features, labels)
    return model_fn.EstimatorSpec(mode, loss=loss, train_op=train_op)

  with tempfile.TemporaryDirectory() as folder:
    made = estimator.Estimator(build, config=run_config.RunConfig(model_dir=folder))
    return _timed(tf, steps, with_hook, made)


def _theirs(tf, steps, with_hook):
  if not hasattr(tf, 'estimator'):
    return _monitored(tf, steps, with_hook)

  def build(features, labels, mode):
    loss, train_op = _model(tf, features, labels)
    return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)

  with tempfile.TemporaryDirectory() as folder:
    made = tf.estimator.Estimator(build, config=tf.estimator.RunConfig(model_dir=folder))
    return _timed(tf, steps, with_hook, made)


def _timed(tf, steps, with_hook, made):
  clock = _clock(tf)
  made.train(lambda: _data(tf), hooks=_hooks(tf, clock, with_hook), steps=steps)
  return steps / clock.seconds


def _monitored(tf, steps, with_hook):
  clock = _clock(tf)
  with tempfile.TemporaryDirectory() as folder, tf.Graph().as_default():
    step = tf.train.create_global_step()
    iterator = tf.data.make_initializable_iterator(_data(tf))
    tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
    loss, train_op = _model(tf, *iterator.get_next())
    tf.losses.add_loss(loss)
    tf.summary.scalar('loss', loss)
    hooks = [
      tf.train.StopAtStepHook(num_steps=steps),
      tf.train.NanTensorHook(loss),
      tf.train.LoggingTensorHook({'loss': loss, 'step': step}, every_n_iter=100),
      *_hooks(tf, clock, with_hook),
    ]
    with tf.train.MonitoredTrainingSession(checkpoint_dir=folder, hooks=hooks) as session:
      while not session.should_stop():
        session.run([train_op, loss])
  return steps / clock.seconds


def _hooks(tf, clock, with_hook):
  class FetchLoss(tf.train.SessionRunHook):
    """What users write to follow the loss."""

    def begin(self):
      self._loss = tf.losses.get_losses()[0]

    def before_run(self, run_context):
      return tf.train.SessionRunArgs(self._loss)

    def after_run(self, run_context, run_values):
      self.last = run_values.results

  return [clock, FetchLoss()] if with_hook else [clock]


def _clock(tf):
  class Clock(tf.train.SessionRunHook):
    """Seconds from the session's start to the end of the last step; in no step itself."""

    def after_create_session(self, session, coord):
      self._started = time.perf_counter()

    def end(self, session):
      self.seconds = time.perf_counter() - self._started

  return Clock()


def _data(tf):
  import numpy as np

  chance = np.random.RandomState(0)
  x, y = chance.standard_normal([320, 32]).astype(np.float32), np.arange(320) % 10
  data = tf.data.Dataset.from_tensor_slices((x, y))
  return data.repeat().batch(32, drop_remainder=True).prefetch(2)


def _model(tf, features, labels):
  weights, bias = tf.get_variable('weights', [32, 10]), tf.get_variable('bias', [10])
  logits = tf.matmul(features, weights) + bias
  losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
  loss = tf.reduce_mean(losses)
  optimizer = tf.train.GradientDescentOptimizer(0.01)
  return loss, optimizer.minimize(loss, tf.train.get_global_step())


if __name__ == '__main__':
  sys.exit(main())
