"""The embedders against their definitions in NumPy, and the forms of their convolution."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from estimators.tcc.networks import context_convolution, embedders
from npu_adapter import backends, errors
from npu_adapter.runtime import tf1

SMALL = embedders.ConvEmbedder(
  conv_layers=((3, 3, True), (4, 3, True)), fc_layers=((5, True),), size=6, capacity=2
)
SMALL_GRU = embedders.ConvGruEmbedder(conv_layers=((5, 3, True), (4, 3, True)), gru_layers=(6,))
MAPS = np.random.RandomState(0).normal(size=[2, 6, 5, 3, 7]).astype(np.float32)


@pytest.fixture(autouse=True)
def graph_mode(monkeypatch):
  monkeypatch.setenv('NPU_ADAPTER_BACKEND', 'host')
  tf1.enable()


def session_of(graph):
  """In which no variable is what it is at first."""
  session = tf.Session(graph=graph)
  session.run(tf.global_variables_initializer())
  chance = np.random.RandomState(5)
  assigned = []
  for each in tf.global_variables():
    low = 0.5 if each.op.name.endswith(('variance', 'gamma')) else -0.5
    if each.dtype.base_dtype == tf.float32:
      assigned.append(tf.assign(each, chance.uniform(low, 1, each.shape.as_list())))
  session.run(assigned)
  return session


def run(options, context, is_training=False, maps=MAPS, convolve=None):
  """Embeddings, and the variables by their name in the embedder."""
  with tf.Graph().as_default() as graph:
    tf.train.get_or_create_global_step()
    found = embedders.embed(tf.constant(maps), options, context, is_training, convolve)
    with session_of(graph) as session:
      of = {each.op.name.partition('/')[2]: each for each in tf.global_variables('embedder')}
      return session.run((found, of))


# The convolution over context, height and width.

SHAPES = [(1, 7, 7), (2, 7, 7), (2, 14, 14), (2, 4, 8), (2, 1, 2), (3, 5, 4), (5, 3, 9)]


@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_products_of_tiles_are_the_convolution_and_so_are_their_gradients(graph, shape):
  chance = np.random.RandomState(2)
  x = tf.constant(np.maximum(0, chance.normal(size=[3, *shape, 32])), tf.float32)
  kernel = tf.constant(chance.normal(size=[3, 3, 3, 32, 24]), tf.float32)
  weight = tf.constant(chance.normal(size=[3, *shape, 24]), tf.float32)
  results = []
  for form in (context_convolution.by_tiles, context_convolution.by_conv3d):
    y = form(x, kernel)
    results.append([y, *tf.gradients(y, [x, kernel], weight)])
  with tf.Session() as session:
    for found, expected in zip(*session.run(results)):
      np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_products_of_tiles_take_any_number_of_frames(graph):
  x = tf.placeholder(tf.float32, [None, 2, 4, 4, 3])
  y = context_convolution.by_tiles(x, tf.ones([3, 3, 3, 3, 2]))
  assert y.shape.as_list() == [None, 2, 4, 4, 2]
  with tf.Session() as session:
    found = session.run(y, {x: np.ones([5, 2, 4, 4, 3])})
  # A corner is a tap of each direction away from the middle.
  np.testing.assert_allclose(found[4, :, 0, 0, 1], [2 * 2 * 2 * 3] * 2, rtol=1e-5)


def test_tiles_are_the_default_and_give_what_conv3d_gives():
  plain = run(SMALL, 2, True, convolve=context_convolution.by_conv3d)
  np.testing.assert_allclose(run(SMALL, 2, True)[0], plain[0], rtol=1e-3, atol=1e-4)
  with tf.Graph().as_default() as graph:
    embedders.embed(tf.constant(MAPS), SMALL, 2, False)
    assert not [each for each in graph.get_operations() if each.type == 'Conv3D']


def test_a_kernel_of_another_size_is_conv3d(graph):
  options = SMALL._replace(conv_layers=((3, 5, True), (4, 1, True)))
  embedders.embed(tf.constant(MAPS), options, 2, False)
  assert len([each for each in graph.get_operations() if each.type == 'Conv3D']) == 2


# The published embedders.


def numbers(variables):
  return sum(each.shape.num_elements() for each in variables)


def test_the_published_conv_embedder_has_its_parameters(graph):
  maps = tf.zeros([1, 4, 7, 7, 1024])
  found = embedders.embed(maps, embedders.ConvEmbedder(), 2, False)
  assert found.shape.as_list() == [1, 2, 128]
  assert numbers(tf.global_variables()) == 21829760
  # With gamma and beta of the base, 15,744, these are the 21,843,456 that were trained.
  assert numbers(tf.trainable_variables()) == 21843456 - 15744


def test_the_published_convgru_embedder_has_its_parameters(graph):
  found = embedders.embed(tf.zeros([1, 4, 7, 7, 1024]), embedders.ConvGruEmbedder(), 1, False)
  assert found.shape.as_list() == [1, 4, 128]
  convolutions = 9 * 1024 * 512 + 9 * 512 * 512 + 2 * 5 * 512
  assert numbers(tf.global_variables()) == convolutions + (512 + 128 + 2) * 3 * 128


@pytest.mark.parametrize(('options', 'context'), [(SMALL, 2), (SMALL_GRU, 1)])
def test_every_variable_of_an_embedder_is_in_its_scope_and_has_a_gradient(graph, options, context):
  tf.train.get_or_create_global_step()
  found = embedders.embed(tf.constant(MAPS), options, context, True)
  variables = tf.trainable_variables()
  assert all(each.op.name.startswith('embedder/') for each in variables)
  slopes = tf.gradients(tf.reduce_sum(tf.square(found)), variables)
  assert all(each is not None for each in slopes)
  with session_of(graph) as session:
    for variable, slope in zip(variables, session.run(slopes)):
      before_norm = 'conv' in variable.op.name and variable.op.name.endswith('bias')
      assert before_norm or np.abs(slope).max() > 1e-6, variable.op.name


# What they compute.


def convolved(x, kernel, bias):
  """[images, *sides, channels] -> [images, *sides, filters]: zeros around, tap by tap."""
  sides = x.shape[1:-1]
  padded = np.pad(x, [(0, 0), *[(1, 1)] * len(sides), (0, 0)], 'constant')
  total = bias
  for tap in np.ndindex(*[3] * len(sides)):
    window = tuple(slice(first, first + side) for first, side in zip(tap, sides))
    total = total + padded[(slice(None), *window)] @ kernel[tap]
  return total


def norm_relu(x, of, name, is_training):
  axes = tuple(range(x.ndim - 1))
  mean, variance = of[f'{name}_bn/moving_mean'], of[f'{name}_bn/moving_variance']
  if is_training:
    mean, variance = x.mean(axes), x.var(axes)
  x = (x - mean) / np.sqrt(variance + 1e-3)
  return np.maximum(0, x * of[f'{name}_bn/gamma'] + of[f'{name}_bn/beta'])


def expected_of(of, options, context, is_training):
  x = MAPS.reshape([-1, context, *MAPS.shape[2:]])
  for name in ('conv1', 'conv2'):
    x = convolved(x, of[f'{name}/kernel'], of[f'{name}/bias'])
    x = norm_relu(x, of, name, is_training)
  x = {
    'max_pool': x.max(axis=(1, 2, 3)),
    'avg_pool': x.mean(axis=(1, 2, 3)),
    'flatten': x.reshape([len(x), -1]),
  }[options.flatten]
  x = np.maximum(0, x @ of['fc1/kernel'] + of['fc1/bias'])
  return (x @ of['embedding/kernel'] + of['embedding/bias']).reshape([len(MAPS), -1, options.size])


@pytest.mark.parametrize('is_training', [False, True])
@pytest.mark.parametrize('context', [1, 2, 3])
def test_the_conv_embedder_computes_its_definition(context, is_training):
  options = SMALL._replace(fc_dropout=0.0)
  found, of = run(options, context, is_training)
  assert found.shape == (2, 6 // context, 6)
  expected = expected_of(of, options, context, is_training)
  np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('flatten', ['avg_pool', 'flatten'])
def test_maps_are_flattened_as_asked(flatten):
  options = SMALL._replace(flatten=flatten)
  found, of = run(options, 2)
  np.testing.assert_allclose(found, expected_of(of, options, 2, False), rtol=1e-3, atol=1e-3)


def test_relus_and_batch_norm_may_be_left_out():
  """Without either, and with averages instead of the largest, the embedding is linear."""
  options = SMALL._replace(
    conv_layers=((3, 3, False),), fc_layers=((5, False),), use_batch_norm=False, flatten='avg_pool'
  )
  zero, once, twice = (run(options, 2, maps=factor * MAPS)[0] for factor in (0, 1, 2))
  np.testing.assert_allclose(twice - zero, 2 * (once - zero), rtol=1e-3, atol=1e-4)
  assert not [name for name in run(options, 2)[1] if '_bn/' in name]


@pytest.mark.parametrize(('options', 'context'), [(SMALL, 2), (SMALL_GRU, 1)])
def test_embeddings_are_brought_to_length_1_as_asked(options, context):
  plain = run(options, context)[0]
  found = run(options._replace(l2_normalize=True), context)[0]
  expected = plain / np.linalg.norm(plain, axis=-1, keepdims=True)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
  assert np.abs(np.linalg.norm(plain, axis=-1) - 1).min() > 0.01


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def gru_of(x, of, name):
  """Outputs at every frame; x is [batch, frames, size]."""
  kernel, recurrent, bias = (
    of[f'{name}/{kind}'] for kind in ('kernel', 'recurrent_kernel', 'bias')
  )
  output, outputs = np.zeros([len(x), len(recurrent)]), []
  for frame in range(x.shape[1]):
    entering = np.split(x[:, frame] @ kernel + bias[0], 3, axis=1)
    returning = np.split(output @ recurrent + bias[1], 3, axis=1)
    update, reset = sigmoid(entering[0] + returning[0]), sigmoid(entering[1] + returning[1])
    output = update * output + (1 - update) * np.tanh(entering[2] + reset * returning[2])
    outputs.append(output)
  return np.stack(outputs, axis=1)


@pytest.mark.parametrize('is_training', [False, True])
def test_the_convgru_embedder_computes_its_definition(is_training):
  options = SMALL_GRU._replace(gru_layers=(6, 3))
  found, of = run(options, 1, is_training)
  x = MAPS.reshape([-1, *MAPS.shape[2:]])
  for name in ('conv1', 'conv2'):
    x = norm_relu(convolved(x, of[f'{name}/kernel'], of[f'{name}/bias']), of, name, is_training)
  x = x.max(axis=(1, 2)).reshape([2, 6, -1])
  expected = gru_of(gru_of(x, of, 'gru1'), of, 'gru2')
  assert found.shape == (2, 6, 3)
  np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


# Weight decay.


def test_the_l2_terms_are_of_all_kernels_and_biases(graph):
  embedders.embed(tf.constant(MAPS), SMALL._replace(l2_weight=0.01), 2, False)
  kept = [each for each in tf.trainable_variables() if each.op.name.endswith(('kernel', 'bias'))]
  terms = embedders.l2_terms()
  assert len(terms) == len(kept) == 2 * 4
  with session_of(graph) as session:
    found, values = session.run([terms, kept])
  np.testing.assert_allclose(found, [0.01 * (value**2).sum() for value in values], rtol=1e-4)


def test_without_weight_decay_there_are_no_terms(graph):
  embedders.embed(tf.constant(MAPS), SMALL._replace(l2_weight=0.0), 2, False)
  assert embedders.l2_terms() == []


def test_a_gru_has_terms_of_its_kernel_and_biases(graph):
  embedders.embed(tf.constant(MAPS), SMALL_GRU, 1, False)
  assert len(embedders.l2_terms()) == 2 * 3


# Dropout.


def outcome(options, step, is_training=True, context=2):
  with tf.Graph().as_default() as graph:
    tf.set_random_seed(1)
    tf.train.get_or_create_global_step()
    found = embedders.embed(tf.constant(MAPS), options, context, is_training)
    with session_of(graph) as session:
      session.run(tf.assign(tf.train.get_global_step(), step))
      return session.run(found)


@pytest.mark.parametrize(
  ('options', 'context'),
  [
    (SMALL._replace(fc_dropout=0.4), 2),
    (SMALL._replace(fc_dropout=0.0, base_dropout=0.4), 2),
    (SMALL._replace(fc_dropout=0.0, base_dropout=0.4, base_dropout_spatial=True), 2),
    (SMALL_GRU._replace(dropout=0.4), 1),
  ],
)
def test_what_is_dropped_depends_on_the_step_and_is_nothing_outside_of_training(options, context):
  first = outcome(options, 7, context=context)
  np.testing.assert_array_equal(outcome(options, 7, context=context), first)
  assert np.abs(outcome(options, 8, context=context) - first).max() > 0.01
  inferred = [outcome(options, step, False, context) for step in (7, 8)]
  np.testing.assert_array_equal(*inferred)


def test_the_published_dropout_is_in_front_of_the_dense_layers_alone(graph):
  tf.train.get_or_create_global_step()
  embedders.embed(tf.constant(MAPS), embedders.ConvEmbedder(), 2, True)
  noise = [each for each in graph.get_operations() if 'StatelessRandomUniform' in each.type]
  assert len(noise) == 2
  assert all(each.outputs[0].shape.as_list() == [6, 512] for each in noise)


def test_spatial_dropout_drops_whole_channels_of_a_frame(graph):
  tf.train.get_or_create_global_step()
  dropped = embedders._dropped_maps(tf.ones([50, 2, 4, 4, 9]), 0.5, True, True)
  with session_of(graph) as session:
    found = session.run(dropped)
  assert set(np.unique(found)) == {0, 2}
  np.testing.assert_array_equal(found, np.broadcast_to(found[:, :1, :1, :1], found.shape))
  assert 0.4 < (found == 0).mean() < 0.6


# What users write.


def test_a_convgru_embedder_with_a_context_is_told(graph):
  with pytest.raises(errors.InputError, match=r'a context of 1; got 2\. Set NUM_STEPS to 1'):
    embedders.embed(tf.constant(MAPS), SMALL_GRU, 2, False)


def test_an_unknown_way_to_flatten_is_told():
  with pytest.raises(errors.InputError, match=r"got 'maxpool'\. Did you mean 'max_pool'\?"):
    embedders.check(SMALL._replace(flatten='maxpool'), 2)


def test_a_context_of_nothing_is_told():
  with pytest.raises(errors.InputError, match=r'context must be 1 frame or more; got 0'):
    embedders.check(SMALL, 0)


@pytest.mark.parametrize(('frames', 'context'), [(6, 4), (None, 2)])
def test_frames_that_are_no_multiple_of_the_context_are_told(graph, frames, context):
  maps = tf.placeholder(tf.float32, [2, frames, 4, 4, 3])
  with pytest.raises(errors.InputError, match=rf'a known multiple of the context, {context}; got'):
    embedders.embed(maps, SMALL, context, False)


def test_a_device_with_units_for_convolutions_gets_the_plain_operator(monkeypatch):
  device = backends.choose()
  assert context_convolution.fastest() is context_convolution.by_tiles
  monkeypatch.setattr(type(device), 'is_made_for_convolutions', True)
  assert context_convolution.fastest() is context_convolution.by_conv3d
