"""The same script on tf.estimator and on the runtime: equal to the last bit where there is both."""

import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.runtime import export
from npu_adapter.runtime.estimator import Estimator
from npu_adapter.runtime.model_fn import EstimatorSpec
from npu_adapter.runtime.run_config import RunConfig

pytestmark = pytest.mark.skipif(
  not hasattr(tf, 'estimator'), reason='no tf.estimator in this TensorFlow'
)

POINTS = np.random.RandomState(1).uniform(-1, 1, [200, 6]).astype(np.float32)


def input_fn():
  data = tf.data.Dataset.from_tensor_slices(({'x': POINTS}, (POINTS[:, 0] > 0).astype(np.int32)))
  return data.shuffle(100).repeat().batch(10)


def ordered_input_fn():
  data = tf.data.Dataset.from_tensor_slices(({'x': POINTS}, (POINTS[:, 0] > 0).astype(np.int32)))
  return data.batch(10)


def model_fn_returning(spec):
  """Random initial values, dropout and shuffling: all that a seed decides."""

  def model_fn(features, labels, mode):
    is_training = mode == 'train'
    # Random ops without a seed of their own: what they draw follows from how many ops came before.
    shift = tf.get_variable('shift', [6], initializer=tf.random_normal_initializer())
    noise = tf.random_uniform([6], maxval=0.1) if is_training else 0.0
    hidden = tf.layers.dense(features['x'] + shift + noise, 8, tf.nn.relu)
    hidden = tf.layers.batch_normalization(hidden, training=is_training)
    logits = tf.layers.dense(tf.layers.dropout(hidden, 0.3, training=is_training), 2)
    if mode == 'infer':
      return spec(mode, predictions={'logits': logits})
    loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
      train_op = tf.train.AdamOptimizer(0.01).minimize(loss, tf.train.get_global_step())
    accuracy = tf.metrics.accuracy(labels, tf.argmax(logits, 1))
    return spec(mode, None, loss, train_op, {'accuracy': accuracy})

  return model_fn


class Losses(tf.train.SessionRunHook):
  def __init__(self):
    self.values = []

  def begin(self):
    self._loss = tf.losses.get_losses()[0]

  def before_run(self, run_context):
    return tf.train.SessionRunArgs(self._loss)

  def after_run(self, run_context, run_values):
    self.values.append(float(run_values.results))


def run(estimator):
  """Trains in two goes, evaluates, predicts; returns all that came of it."""
  losses = Losses()
  estimator.train(input_fn, hooks=[losses], steps=30)
  estimator.train(input_fn, hooks=[losses], max_steps=50)
  result = estimator.evaluate(ordered_input_fn)
  rows = np.array([row['logits'] for row in estimator.predict(ordered_input_fn)])
  return losses.values, result, rows


@pytest.fixture
def both(tmp_path):
  # One thread: the order in which two random ops of tf.data draw is no matter of chance then.
  options = {
    'tf_random_seed': 5,
    'save_checkpoints_steps': 20,
    'session_config': tf.ConfigProto(
      inter_op_parallelism_threads=1, intra_op_parallelism_threads=1
    ),
  }
  theirs = tf.estimator.Estimator(
    model_fn_returning(tf.estimator.EstimatorSpec),
    config=tf.estimator.RunConfig(model_dir=str(tmp_path / 'theirs'), **options),
  )
  ours = Estimator(
    model_fn_returning(EstimatorSpec), config=RunConfig(model_dir=str(tmp_path / 'ours'), **options)
  )
  return theirs, ours


def test_losses_metrics_predictions_and_files_are_equal(both):
  (their_losses, their_result, their_rows), (losses, result, rows) = map(run, both)
  assert losses == their_losses
  assert result == their_result
  np.testing.assert_array_equal(rows, their_rows)
  theirs, ours = both
  for name in theirs.get_variable_names():
    np.testing.assert_array_equal(
      ours.get_variable_value(name), theirs.get_variable_value(name), name
    )
  assert ours.get_variable_names() == theirs.get_variable_names()
  assert files_of(ours.model_dir) == files_of(theirs.model_dir)


def files_of(folder):
  """Every file below, event files without the time in their names."""
  found = []
  for parent, _, names in os.walk(folder):
    relative = os.path.relpath(parent, folder)
    found += [(relative, name.split('.tfevents')[0]) for name in names]
  return sorted(found)


def test_a_folder_of_tf_estimators_can_be_taken_over(both, tmp_path):
  theirs, ours = both
  theirs.train(input_fn, steps=3)
  os.rename(theirs.model_dir, ours.model_dir)
  ours.train(input_fn, steps=3)
  assert ours.get_variable_value('global_step') == 6


def test_a_model_fn_that_returns_tf_estimators_spec_needs_no_change(tmp_path):
  estimator = Estimator(
    model_fn_returning(tf.estimator.EstimatorSpec), config=RunConfig(model_dir=str(tmp_path))
  )
  losses, result, rows = run(estimator)
  assert len(losses) == 50
  assert result['global_step'] == 50
  assert rows.shape == (200, 2)


def test_the_exported_signatures_are_equal(both, tmp_path):
  theirs, ours = both
  like = {'x': tf.placeholder(tf.float32, [None, 6])}
  folders = [
    estimator.train(input_fn, steps=1).export_saved_model(str(tmp_path / name), build(like))
    for name, estimator, build in (
      ('a', theirs, tf.estimator.export.build_raw_serving_input_receiver_fn),
      ('b', ours, export.build_raw_serving_input_receiver_fn),
    )
  ]
  signatures = []
  for folder in folders:
    with tf.Graph().as_default(), tf.Session() as session:
      loaded = tf.saved_model.loader.load(session, ['serve'], folder.decode())
      signatures.append(dict(loaded.signature_def))
  assert signatures[0] == signatures[1]


def test_the_log_lines_begin_alike(both, log):
  theirs, ours = both
  written = []
  for estimator in both:
    del log[:]
    estimator.train(ordered_input_fn, steps=3)
    estimator.evaluate(ordered_input_fn, steps=2)
    list(estimator.predict(ordered_input_fn))
    written.append([line.split(estimator.model_dir)[0].split(' = ')[0] for line in log])
  assert without_times(written[1]) == without_times(written[0])


def without_times(lines):
  """The first two words of a line: what follows are times, folders and numbers."""
  # TensorFlow's own saver hook says from 2.x on that it calls listeners, of which there are none.
  kept = [line for line in lines if 'Calling checkpoint listeners' not in line]
  kept = [line for line in kept if 'is deprecated' not in line and 'Inference Time' not in line]
  return [' '.join(line.split()[:2]) for line in kept]
