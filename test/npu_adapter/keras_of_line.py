"""The Keras that a test file runs with, and the others of this TensorFlow, each in its own process.

A process is in graph mode or executes eagerly from its start to its end: a test file runs itself
again, by `run_again`, with KERAS_OF_TEST set.
"""

import importlib
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.runtime import tf1

_VARIABLE = 'KERAS_OF_TEST'
_VERSION = tuple(int(number) for number in tf.__version__.split('.')[:2])
_HAS_KERAS_3 = _VERSION >= (2, 16)

# graph: sessions, as TensorFlow 1. eager: tf.keras as it comes. legacy: tf_keras beside Keras 3.
MODE = os.environ.get(_VARIABLE, 'graph')
_EAGER = [] if _VERSION < (2,) else ['eager', 'legacy'] if _HAS_KERAS_3 else ['eager']
IS_GRAPH = MODE == 'graph'
IS_KERAS_3 = _HAS_KERAS_3 and MODE == 'eager'

if IS_GRAPH:
  tf1.enable()
else:
  # Two, for the test of several devices. All others use the first.
  _CPU = tf.config.experimental.list_physical_devices('CPU')[0]
  _HALF = tf.config.experimental.VirtualDeviceConfiguration()
  tf.config.experimental.set_virtual_device_configuration(_CPU, [_HALF, _HALF])
keras = importlib.import_module('tf_keras') if _HAS_KERAS_3 and not IS_KERAS_3 else tf.keras
layers = keras.layers

# Of the test that runs its file again; nothing is left for it in a run it started.
in_every_keras = pytest.mark.parametrize('mode', [] if _VARIABLE in os.environ else _EAGER)


def run_again(path, mode):
  """Runs a test file with another Keras; fails with its output."""
  done = subprocess.run(
    [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', path],
    env={**os.environ, _VARIABLE: mode},
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )
  assert done.returncode == 0, done.stdout


def sgd(rate=0.1, **given):
  optimizers = keras.optimizers
  return (optimizers.legacy if IS_GRAPH and hasattr(optimizers, 'legacy') else optimizers).SGD(
    rate, **given
  )


def compiled(model, optimizer=None):
  model.compile(optimizer or sgd(), 'mse')
  return model


class Spy(keras.callbacks.Callback):
  """Notes the weights after each epoch, and those of the optimizer."""

  def __init__(self):
    super().__init__()
    self.weights, self.optimizer = [], []

  def on_epoch_end(self, epoch, logs=None):
    self.weights.append(self.model.get_weights())
    self.optimizer.append(optimizer_state(self.model))


class Stop(keras.callbacks.Callback):
  """Ends a training after an epoch, counted from 0: by an error, or as early stopping does."""

  def __init__(self, epoch, by_error=False):
    super().__init__()
    self._epoch, self._by_error = epoch, by_error

  def on_epoch_end(self, epoch, logs=None):
    if epoch != self._epoch:
      return
    if self._by_error:
      raise KeyboardInterrupt
    self.model.stop_training = True


def optimizer_state(model):
  """What the optimizer keeps, without its learning rate."""
  optimizer = model.optimizer
  if hasattr(optimizer, 'get_weights'):
    return optimizer.get_weights()
  variables = optimizer.variables
  return [np.array(each.numpy()) for each in (variables() if callable(variables) else variables)
          if 'learning_rate' not in each.name]  # fmt: skip


def mean_of(weights):
  """The mean of several lists of weights."""
  return [np.mean(np.float64(each), axis=0) for each in zip(*weights)]


def assert_close(found, expected, rtol=1e-6, atol=1e-7):
  assert len(found) == len(expected)
  for one, other in zip(found, expected):
    np.testing.assert_allclose(one, other, rtol=rtol, atol=atol)
