"""The layers of the keyword-spotting networks against their definitions, written out."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import npu_adapter
from estimators.ds_cnn import layers
from npu_adapter.runtime import tf1

MAPS = np.random.RandomState(3).normal(size=[4, 9, 5, 2]).astype(np.float32)
VECTORS = MAPS[:, 0, :, 0]


@pytest.fixture(autouse=True, scope='session')
def tf1_behaviour():
  tf1.enable()


def with_random_variables(graph):
  """A session in which no variable is what it is at first."""
  session = tf.Session(graph=graph)
  session.run(tf.global_variables_initializer())
  random = np.random.RandomState(5)
  for variable in tf.global_variables():
    # Variances must be positive.
    low = 0.5 if variable.op.name.endswith('variance') else -1
    variable.load(random.uniform(low, 2, variable.shape.as_list()), session)
  return session


# Batch norm: (input, the layer, what it is of variables by last name before batch norm).
LAYERS = {
  'a convolution': (
    MAPS,
    lambda x, training: layers.conv_batch_norm(x, 'x', 3, (4, 2), (2, 1), training),
    lambda x, of: tf.nn.conv2d(x, of['kernel'], [1, 2, 1, 1], 'SAME') + of['bias'],
  ),
  'a convolution without padding': (
    MAPS,
    lambda x, training: layers.conv_batch_norm(x, 'x', 3, (4, 2), (2, 1), training, 'VALID'),
    lambda x, of: tf.nn.conv2d(x, of['kernel'], [1, 2, 1, 1], 'VALID') + of['bias'],
  ),
  'a depthwise convolution': (
    MAPS,
    lambda x, training: layers.depthwise_batch_norm(x, 'x', (4, 2), (2, 2), training),
    lambda x, of: tf.nn.depthwise_conv2d(x, of['kernel'], [1, 2, 2, 1], 'SAME') + of['bias'],
  ),
  'a dense layer': (
    VECTORS,
    lambda x, training: layers.dense_batch_norm(x, 'x', 3, training),
    lambda x, of: tf.matmul(x, of['kernel']) + of['bias'],
  ),
}


@pytest.fixture(params=LAYERS)
def layer(request, graph):
  """Returns is_training -> (output, variables by last name, the input of batch norm)."""
  array, with_batch_norm, without = LAYERS[request.param]

  def build(is_training):
    x = tf.constant(array)
    output = with_batch_norm(x, is_training)
    of = {v.op.name.rpartition('/')[2]: v for v in tf.global_variables()}
    return output, of, without(x, of)

  return build


def textbook(x, mean, variance, beta):
  return tf.nn.relu((x - mean) / tf.sqrt(variance + 1e-3) + beta)


def test_in_inference_batch_norm_takes_the_moving_averages(graph, layer):
  output, of, x = layer(False)
  expected = textbook(x, of['moving_mean'], of['moving_variance'], of['beta'])
  assert not tf.get_collection(tf.GraphKeys.UPDATE_OPS)
  with with_random_variables(graph) as session:
    found, expected = session.run([output, expected])
  assert 0.1 < np.mean(found > 0) < 0.9
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_in_training_batch_norm_takes_the_batch_and_moves_the_averages(graph, layer):
  output, of, x = layer(True)
  mean, variance = tf.nn.moments(x, list(range(x.shape.ndims - 1)))
  expected = textbook(x, mean, variance, of['beta'])
  count = x.shape.num_elements() // x.shape.as_list()[-1]
  moved = {
    'moving_mean': 0.96 * of['moving_mean'] + 0.04 * mean,
    # Of a sample, as TensorFlow's own operator keeps it.
    'moving_variance': 0.96 * of['moving_variance'] + 0.04 * variance * count / (count - 1),
  }
  with with_random_variables(graph) as session:
    np.testing.assert_allclose(*session.run([output, expected]), rtol=1e-3, atol=1e-4)
    moved = session.run(moved)
    session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
    for name in moved:
      np.testing.assert_allclose(session.run(of[name]), moved[name], rtol=1e-4)


def test_a_bias_under_batch_norm_has_a_gradient_of_zero(graph, layer):
  output, of, _ = layer(True)
  gradients = tf.gradients(output, [of['bias'], of['beta']])
  with with_random_variables(graph) as session:
    of_bias, of_beta = session.run(gradients)
  assert not of_bias.any()
  assert of_beta.any()


# Dropout.


def dropped(seed=1, step=0, name='x'):
  with tf.Graph().as_default() as graph:
    tf.set_random_seed(seed)
    tf.train.get_or_create_global_step()
    x = layers.dropout(tf.ones([100, 100], name=name), True, 0.25)
    with with_random_variables(graph) as session:
      tf.train.get_global_step().load(step, session)
      first, second = session.run(x), session.run(x)
  np.testing.assert_array_equal(first, second)
  return first


def test_dropout_keeps_the_mean():
  found = dropped()
  assert set(np.unique(found)) == {0, np.float32(1 / 0.75)}
  assert 0.22 < np.mean(found == 0) < 0.28


def test_dropout_depends_on_seed_step_and_place_alone():
  expected = dropped()
  np.testing.assert_array_equal(dropped(), expected)
  for other in (dropped(seed=2), dropped(step=1), dropped(name='y')):
    assert np.mean(other != expected) > 0.2


@pytest.mark.parametrize(('is_training', 'rate'), [(False, 0.5), (True, 0), (True, 0.0)])
def test_without_dropout_nothing_is_built(graph, is_training, rate):
  x = tf.ones([2, 3])
  assert layers.dropout(x, is_training, rate) is x


# Recurrent layers.


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def run_layer(build):
  """Returns (what `build` makes of random steps, those steps, the variables by name)."""
  with tf.Graph().as_default() as graph:
    steps = np.random.RandomState(1).normal(size=[5, 3, 4])
    output = build(tf.unstack(tf.constant(steps, tf.float32)))
    with with_random_variables(graph) as session:
      return session.run(output), steps, {v.op.name: session.run(v) for v in tf.global_variables()}


@pytest.mark.parametrize('projection', [None, 3])
def test_an_lstm_computes_its_definition(projection):
  found, steps, of = run_layer(lambda steps: layers.lstm(steps, 6, projection))
  peephole = {gate: of.get(f'peephole_{gate}', 0) for gate in ('input', 'forget', 'output')}
  cell, output = np.zeros([3, 6]), np.zeros([3, projection or 6])
  for step in steps:
    gates = np.concatenate([step, output], axis=1).dot(of['kernel']) + of['bias']
    to_input, candidate, to_forget, to_output = np.split(gates, 4, axis=1)
    let_in = sigmoid(to_input + peephole['input'] * cell)
    cell = cell * sigmoid(to_forget + 1 + peephole['forget'] * cell) + let_in * np.tanh(candidate)
    output = sigmoid(to_output + peephole['output'] * cell) * np.tanh(cell)
    output = output.dot(of['projection']) if projection else output
  np.testing.assert_allclose(found, output, rtol=1e-4)


def test_a_gru_computes_its_definition():
  found, steps, of = run_layer(lambda steps: layers.gru(steps, 6))
  output = np.zeros([3, 6])
  for number, step in enumerate(steps):
    gates = np.concatenate([step, output], axis=1).dot(of['gates/kernel']) + of['gates/bias']
    reset, update = np.split(sigmoid(gates), 2, axis=1)
    seen = np.concatenate([step, reset * output], axis=1)
    candidate = np.tanh(seen.dot(of['candidate/kernel']) + of['candidate/bias'])
    output = update * output + (1 - update) * candidate
    np.testing.assert_allclose(found[number], output, rtol=1e-4)


def test_gates_of_a_fresh_gru_stay_half_open(graph):
  layers.gru([tf.zeros([1, 4])], 6)
  biases = [v for v in tf.trainable_variables() if v.op.name.endswith('bias')]
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    assert {v.op.name: set(session.run(v)) for v in biases} == {
      'gates/bias': {1.0},
      'candidate/bias': {0.0},
    }


# What users write.


def test_a_kernel_that_does_not_fit_its_map_is_told(graph):
  x = tf.constant(MAPS)
  text = r'map of 9 frames x 5 coefficients; near/conv_1 got 10 x 4\. Take a smaller kernel'
  with pytest.raises(npu_adapter.OptionError, match=text), tf.variable_scope('near'):
    layers.conv(x, 'conv_1', 8, (10, 4), padding='VALID')
  with pytest.raises(npu_adapter.OptionError, match=r'got 9 x 6\.'):
    layers.conv(x, 'conv_2', 8, (9, 6), padding='VALID')
  assert layers.conv(x, 'conv_3', 8, (9, 5), padding='VALID').shape.as_list() == [4, 1, 1, 8]


def test_a_depthwise_layer_of_two_strides_is_told(graph):
  with pytest.raises(npu_adapter.OptionError, match=r'same stride .* depthwise_1 got 2 and 1\.'):
    layers.depthwise_batch_norm(tf.constant(MAPS), 'depthwise_1', (3, 3), (2, 1), True)
