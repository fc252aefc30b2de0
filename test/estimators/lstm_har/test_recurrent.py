"""The layers against the equations of the publication, in NumPy, and against themselves cut."""

import zlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from estimators.lstm_har import recurrent
from estimators.lstm_har.architecture import Architecture
from npu_adapter import lstm_layer
from npu_adapter.runtime import tf1

BATCH, STEPS, CHANNELS = 6, 5, 3
WINDOWS = np.random.RandomState(0).standard_normal([BATCH, STEPS, CHANNELS])
FAMILY = [
  Architecture(layers, 2, bidirectional, 8)
  for layers in (0, 1, 2)
  for bidirectional in (False, True)
]
SMALL = [Architecture(2, 2, False, 8), Architecture(2, 1, True, 8)]


@pytest.fixture(autouse=True)
def graph_mode():
  tf1.enable()


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def cell_of(x, weights, scope):
  """Relu(x W + b) at each step, then the LSTM; x is [steps, batch, size]."""
  dense = np.maximum(0, x @ weights[f'{scope}/relu_fc/kernel'] + weights[f'{scope}/relu_fc/bias'])
  kernel, bias = weights[f'{scope}/lstm/kernel'], weights[f'{scope}/lstm/bias']
  units = len(bias) // 4
  cell = output = np.zeros([x.shape[1], units])
  outputs = []
  for step in dense:
    gates = np.concatenate([step, output], axis=1) @ kernel + bias
    enter, new, forget, leave = np.split(gates, 4, axis=1)
    cell = sigmoid(forget + 0.999) * cell + sigmoid(enter) * np.tanh(new)
    output = sigmoid(leave) * np.tanh(cell)
    outputs.append(output)
  return np.stack(outputs)


def layer_of(x, weights, scope, network):
  total = 0
  for number in range(max(1, network.layers_in_highway)):
    forward = cell_of(x, weights, f'{scope}/cell_{number}/forward')
    if network.bidirectional:
      backward = cell_of(x[::-1], weights, f'{scope}/cell_{number}/backward')[::-1]
      forward = np.concatenate([forward, backward], axis=2)
    total = total + forward
  if not network.layers_in_highway:
    return total
  mean = total.mean(axis=(1, 2), keepdims=True)
  variance = total.var(axis=(1, 2), keepdims=True)
  scale, shift = (weights[f'{scope}/normalisation/{name}'] for name in ('scale', 'shift'))
  return (total - mean) / np.sqrt(variance + 0.001) * scale + shift


def expected_of(weights, network):
  x = WINDOWS.transpose(1, 0, 2)
  for number in range(network.stacked_layers):
    x = layer_of(x, weights, f'layer_{number}', network)
  return x[-1]


def run(network, is_training=True):
  """The outputs, the gradients by name, and the weights by name."""
  with tf.Graph().as_default(), tf.Session() as session:
    outputs = recurrent.stack(tf.constant(WINDOWS, tf.float32), network, is_training)
    loss = tf.reduce_sum(tf.square(outputs - 0.3))
    variables = tf.trainable_variables()
    session.run(tf.global_variables_initializer())
    # First values are drawn by the place in the graph; these by the name.
    for variable in variables:
      chance = np.random.RandomState(zlib.crc32(variable.op.name.encode()))
      variable.load(0.4 * chance.standard_normal(variable.shape.as_list()), session)
    names = [variable.op.name for variable in variables]
    gradients = dict(zip(names, session.run(tf.gradients(loss, variables))))
    return session.run(outputs), gradients, dict(zip(names, session.run(variables)))


@pytest.mark.parametrize('network', FAMILY, ids=str)
def test_every_network_of_the_family_follows_the_equations(network):
  outputs, gradients, weights = run(network)
  assert outputs.shape == (BATCH, 8)
  np.testing.assert_allclose(outputs, expected_of(weights, network), rtol=1e-4, atol=1e-5)
  assert all(np.abs(gradient).max() > 0 for gradient in gradients.values())


@pytest.mark.parametrize('network', SMALL, ids=str)
def test_step_after_step_by_plain_operators_it_is_the_same(network):
  """Outputs and gradients, with the same variables under the same names."""
  outputs, gradients, weights = run(network)
  with lstm_layer.unrolled():
    check_same(run(network), (outputs, gradients, weights))


@pytest.mark.parametrize('parts', [2, 99])
def test_however_it_is_cut_in_time_it_is_the_same(monkeypatch, parts):
  before = _in_parts(monkeypatch, 1)
  check_same(_in_parts(monkeypatch, parts), before)


def _in_parts(monkeypatch, count):
  monkeypatch.setattr(recurrent, '_PARTS_IN_TIME', count)
  return run(SMALL[0])


def check_same(found, expected):
  np.testing.assert_allclose(found[0], expected[0], rtol=1e-4, atol=1e-5)
  for one, other in zip(found[1:], expected[1:]):
    assert list(one) == list(other)
    for name, value in other.items():
      np.testing.assert_allclose(one[name], value, rtol=1e-3, atol=1e-4, err_msg=name)


def test_a_stacked_network_that_goes_one_way_is_cut_and_others_are_not():
  def operators(network):
    with tf.Graph().as_default() as graph:
      recurrent.stack(tf.zeros([2, 128, 3]), network, False)
      return sum(operation.type == 'BlockLSTM' for operation in graph.get_operations())

  assert operators(Architecture(0, 3, False, 8)) == 3 * 8
  assert operators(Architecture(0, 1, False, 8)) == 1
  assert operators(Architecture(3, 3, True, 8)) == 3 * 3 * 2


def test_inference_takes_the_moving_averages_that_training_made():
  network = Architecture(2, 1, True, 8)
  with tf.Graph().as_default(), tf.Session() as session:
    recurrent.stack(tf.constant(WINDOWS, tf.float32), network, True)
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    with tf.variable_scope('', reuse=True):
      inferred = recurrent.stack(tf.constant(WINDOWS, tf.float32), network, False)
      alone = recurrent.stack(tf.constant(WINDOWS[2:3], tf.float32), network, False)
    trained = recurrent_in_training(network)
    session.run(tf.global_variables_initializer())
    assert np.abs(session.run(inferred) - session.run(trained)).max() > 0.1
    for _ in range(150):
      session.run(updates)
    np.testing.assert_allclose(session.run(inferred), session.run(trained), atol=1e-4)
    np.testing.assert_allclose(session.run(alone)[0], session.run(inferred)[2], atol=1e-5)


def recurrent_in_training(network):
  with tf.variable_scope('', reuse=True):
    return recurrent.stack(tf.constant(WINDOWS, tf.float32), network, True)
