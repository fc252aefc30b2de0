"""Tiny models, data and a log to read, for the tests of the runtime."""

import logging

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.runtime import tf1
from npu_adapter.runtime.estimator import Estimator
from npu_adapter.runtime.model_fn import EstimatorSpec, ModeKeys
from npu_adapter.runtime.run_config import RunConfig

POINTS = np.random.RandomState(0).uniform(-1, 1, [64, 3]).astype(np.float32)
TARGETS = POINTS.sum(axis=1, keepdims=True) + 1
BATCH_SIZE = 8


@pytest.fixture(autouse=True, scope='session')
def tf1_behaviour():
  """The tests of single functions build graphs without an estimator, which would switch."""
  tf1.enable()


def outputs_of_variables(x):
  weights = tf.get_variable('weights', [3, 1], initializer=tf.zeros_initializer())
  bias = tf.get_variable('bias', [1], initializer=tf.zeros_initializer())
  return tf.matmul(x, weights) + bias


def outputs_of_layers(x):
  hidden = tf.layers.dense(x, 4, activation=tf.nn.tanh)
  return tf.layers.dense(tf.layers.dropout(hidden, 0.1, training=True), 1)


OUTPUTS = {'variables': outputs_of_variables, 'layers': outputs_of_layers}


def regression(outputs_of, spec=EstimatorSpec):
  """A model_fn of linear regression; `spec` is the class it returns."""

  def model_fn(features, labels, mode):
    outputs = outputs_of(features['x'])
    if mode == ModeKeys.PREDICT:
      return spec(mode, predictions={'y': outputs, 'x': features['x']})
    loss = tf.losses.mean_squared_error(labels, outputs)
    optimizer = tf.train.AdamOptimizer(0.05)
    train_op = optimizer.minimize(loss, tf.train.get_global_step())
    metrics = {'error': tf.metrics.mean_absolute_error(labels, outputs)}
    return spec(mode, predictions=outputs, loss=loss, train_op=train_op, eval_metric_ops=metrics)

  return model_fn


@pytest.fixture
def make_model_fn():
  """Returns regression(outputs_of, spec)."""
  return regression


@pytest.fixture(params=sorted(OUTPUTS))
def any_model_fn(request):
  """The same model on plain variables and on tf.layers."""
  return regression(OUTPUTS[request.param])


@pytest.fixture
def model_fn():
  """On plain variables: the quick one."""
  return regression(outputs_of_variables)


@pytest.fixture
def input_fn():
  """64 points in batches of 8, once."""
  return data


def data(repeats=1):
  points = tf.data.Dataset.from_tensor_slices(({'x': POINTS}, TARGETS))
  return points.repeat(repeats).batch(BATCH_SIZE)


@pytest.fixture
def endless_input_fn():
  """The same without an end."""
  return lambda: data(None)


@pytest.fixture
def make_estimator(tmp_path):
  """Returns make(model_fn, folder, **options of RunConfig); estimator options in `estimator`."""

  def make(function, folder='model', estimator=None, **config):
    config = RunConfig(**{'model_dir': str(tmp_path / folder), 'tf_random_seed': 7, **config})
    return Estimator(function, config=config, **(estimator or {}))

  return make


class _Collector(logging.Handler):
  def __init__(self):
    super().__init__(logging.DEBUG)
    self.lines = []

  def emit(self, record):
    self.lines.append(record.getMessage())


@pytest.fixture
def log():
  """The lines TensorFlow's logger is given during the test."""
  logger = tf.get_logger()
  level, collector = logger.level, _Collector()
  logger.setLevel(logging.INFO)
  logger.addHandler(collector)
  yield collector.lines
  logger.removeHandler(collector)
  logger.setLevel(level)


class Recorder(tf.train.SessionRunHook):
  """Writes down, under its name, what it was called for."""

  def __init__(self, name, calls):
    self.name = name
    self.calls = calls

  def begin(self):
    self.calls.append((self.name, 'begin'))

  def after_create_session(self, session, coord):
    self.calls.append((self.name, 'after_create_session'))

  def after_run(self, run_context, run_values):
    self.calls.append((self.name, 'after_run'))

  def end(self, session):
    self.calls.append((self.name, 'end'))


@pytest.fixture
def recorder():
  """Returns recorder(name) -> hook; `recorder.calls` is the list of (name, method)."""

  def make(name):
    return Recorder(name, make.calls)

  make.calls = []
  return make


@pytest.fixture
def events_in():
  """Returns the events of a folder's event files."""

  def read(folder):
    tf.summary.FileWriterCache.clear()
    paths = sorted(tf.io.gfile.glob(f'{folder}/events.out.tfevents.*'))
    return [event for path in paths for event in tf.train.summary_iterator(path)]

  return read
