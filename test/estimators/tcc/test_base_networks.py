"""The base networks: sizes, what is trained, and batch norm against its definition."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import npu_adapter
from estimators.tcc.networks import layers, resnet50v2, small_base, vgg_m
from npu_adapter import batch_statistics, errors
from npu_adapter.runtime import tf1

NETWORKS = {'resnet50v2': resnet50v2, 'vgg_m': vgg_m, 'small_base': small_base}
MAPS = np.random.RandomState(3).normal(1, 2, [4, 5, 3, 6]).astype(np.float32)
TRAINED = layers.embedder_mode(is_training=True)


@pytest.fixture(autouse=True, scope='module')
def graph_mode():
  tf1.enable()


def numbers(variables):
  return sum(each.shape.num_elements() for each in variables)


def images(side, count=2):
  return tf.constant(np.random.RandomState(0).uniform(-1, 1, [count, side, side, 3]), tf.float32)


def build(name, side=64, is_training=True, train_base='train_all'):
  return NETWORKS[name].base(images(side), is_training, train_base)


# Sizes.


@pytest.mark.parametrize(
  ('name', 'side', 'shape'),
  [
    ('resnet50v2', 224, [14, 14, 1024]),
    ('resnet50v2', 112, [7, 7, 1024]),
    ('vgg_m', 224, [14, 14, 512]),
    ('small_base', 64, [8, 8, 128]),
    ('small_base', 96, [12, 12, 128]),
  ],
)
def test_the_map_has_the_documented_shape(graph, name, side, shape):
  assert build(name, side).shape.as_list() == [2, *shape]


def test_resnet50v2_has_the_parameters_of_its_publication(graph):
  build('resnet50v2')
  assert numbers(tf.global_variables()) == 5209600


def test_vgg_m_has_seven_convolutions_with_batch_norm(graph):
  build('vgg_m')
  sizes = [(7, 3, 64), (3, 64, 128), (3, 128, 128), (3, 128, 256), (3, 256, 256), (3, 256, 512),
           (3, 512, 512)]  # fmt: skip
  kernels = [each for each in tf.global_variables() if each.op.name.endswith('kernel')]
  assert [each.shape.as_list() for each in kernels] == [[a, a, b, c] for a, b, c in sizes]
  # A kernel, a bias, and four numbers of batch norm for each filter.
  assert numbers(tf.global_variables()) == sum(a * a * b * c + 5 * c for a, b, c in sizes)


def test_vgg_m_without_batch_norm_has_kernels_and_biases_alone(graph):
  vgg_m.base(images(64), True, 'train_all', use_batch_norm=False)
  assert {each.op.name.rpartition('/')[2] for each in tf.global_variables()} == {'kernel', 'bias'}
  assert not tf.get_collection(tf.GraphKeys.UPDATE_OPS)


@pytest.mark.parametrize('name', NETWORKS)
def test_all_variables_are_in_the_scope_base(graph, name):
  build(name)
  assert all(each.op.name.startswith('base/') for each in tf.global_variables())


@pytest.mark.parametrize('name', NETWORKS)
def test_kernels_start_as_he_et_al_say(graph, name):
  build(name)
  kernels = [each for each in tf.global_variables() if each.op.name.endswith('kernel')]
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for kernel, values in zip(kernels, session.run(kernels)):
      inputs = np.prod(kernel.shape.as_list()[:-1])
      assert values.std() == pytest.approx((2 / inputs) ** 0.5, rel=0.05), kernel.op.name


# What is trained.


def trained(name, train_base, is_training=True):
  """Trainable variables' last names, and the layers whose averages move."""
  with tf.Graph().as_default() as graph:
    features = build(name, 64, is_training, train_base)
    kinds = {each.op.name.rpartition('/')[2] for each in tf.trainable_variables()}
    moved = len(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
    found = len(batch_statistics.find(graph)) if moved else 0
    assert moved == 2 * found
    return features, kinds, numbers(tf.trainable_variables()), found


def test_of_resnet50v2_only_bn_trains_gamma_and_beta(graph):
  _, kinds, count, moved = trained('resnet50v2', 'only_bn')
  assert (kinds, count, moved) == ({'gamma', 'beta'}, 15744, 30)


@pytest.mark.parametrize('name', NETWORKS)
def test_train_all_trains_kernels_too(name):
  _, kinds, _, moved = trained(name, 'train_all')
  assert kinds - {'bias'} == {'kernel', 'gamma', 'beta'} and moved


@pytest.mark.parametrize('name', NETWORKS)
def test_a_frozen_base_trains_nothing_and_moves_nothing(name):
  assert trained(name, 'frozen')[1:] == (set(), 0, 0)


@pytest.mark.parametrize('train_base', layers.TRAIN_BASE)
def test_outside_of_training_no_averages_move(train_base):
  assert trained('small_base', train_base, is_training=False)[3] == 0


@pytest.mark.parametrize('name', NETWORKS)
def test_what_is_trained_does_not_change_the_variables(name):
  def names(*how):
    with tf.Graph().as_default():
      build(name, 64, *how)
      return [each.op.name for each in tf.global_variables()]

  expected = names(False, 'train_all')
  assert names(True, 'only_bn') == expected
  assert names(True, 'frozen') == expected


@pytest.mark.parametrize('name', NETWORKS)
@pytest.mark.parametrize('train_base', ['train_all', 'only_bn'])
def test_every_trained_variable_has_a_gradient(graph, name, train_base):
  features = build(name, 64, True, train_base)
  variables = tf.trainable_variables()
  slopes = tf.gradients(tf.reduce_sum(tf.square(features)), variables)
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for variable, slope in zip(variables, session.run(slopes)):
      # Batch norm takes away what a bias in front of it adds.
      before_norm = name == 'vgg_m' and variable.op.name.endswith('bias')
      assert before_norm or np.abs(slope).max() > 0, variable.op.name


def test_fixed_kernels_of_only_bn_cost_no_gradient(graph):
  features = build('resnet50v2', 64, True, 'only_bn')
  slopes = tf.gradients(tf.reduce_sum(features), tf.trainable_variables())
  names = [each.op.name for each in slopes]
  needed = tf.graph_util.extract_sub_graph(graph.as_graph_def(), names)
  kinds = {each.op for each in needed.node}
  assert 'Conv2DBackpropInput' in kinds and 'Conv2DBackpropFilter' not in kinds


@pytest.mark.parametrize('name', NETWORKS)
def test_frozen_features_of_an_image_do_not_depend_on_its_neighbours(graph, name):
  x = images(64, 3)
  whole = NETWORKS[name].base(x, True, 'frozen')
  with tf.variable_scope('', reuse=True):
    alone = NETWORKS[name].base(x[1:2], True, 'frozen')
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    found, expected = session.run([alone[0], whole[1]])
  np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_kernels_and_biases_of_vgg_m_are_kept_small_while_they_are_trained(graph):
  vgg_m.base(images(64), True, 'train_all', l2_weight=0.01)
  terms = layers.l2_terms()
  kept = [each for each in tf.trainable_variables() if each.op.name.endswith(('kernel', 'bias'))]
  assert len(terms) == len(kept) == 14
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    found, values = session.run([terms, kept])
  np.testing.assert_allclose(found, [0.01 * (value**2).sum() for value in values], rtol=1e-4)


@pytest.mark.parametrize('train_base', ['only_bn', 'frozen'])
def test_fixed_kernels_are_not_among_the_l2_terms(graph, train_base):
  vgg_m.base(images(64), True, train_base, l2_weight=0.01)
  assert layers.l2_terms() == []


# Batch norm.


def normalised(mode, rounds=0, epsilon=1e-3):
  """The output of batch norm, its variables and statistics after so many updates."""
  with tf.Graph().as_default() as graph, tf.Session() as session:
    y = layers.batch_norm(tf.constant(MAPS), 'x', mode, epsilon)
    session.run(tf.global_variables_initializer())
    chance = np.random.RandomState(5)
    for each in tf.global_variables():
      session.run(tf.assign(each, chance.uniform(0.5, 2, each.shape.as_list())))
    of = {each.op.name[2:]: each for each in tf.global_variables()}
    before = session.run(of)
    for _ in range(rounds):
      session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
    layers_found = batch_statistics.find(graph) if mode.by_batch else []
    statistics = [session.run(tuple(each)[2:]) for each in layers_found]
    return session.run(y), before, session.run(of), statistics


def textbook(mean, variance, of, epsilon):
  return (MAPS - mean) / np.sqrt(variance + epsilon) * of['gamma'] + of['beta']


@pytest.mark.parametrize('epsilon', [1e-3, 0.5])
def test_in_training_batch_norm_takes_the_batch(epsilon):
  found, of, _, _ = normalised(TRAINED, epsilon=epsilon)
  expected = textbook(MAPS.mean((0, 1, 2)), MAPS.var((0, 1, 2)), of, epsilon)
  np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('epsilon', [1e-3, 0.5])
def test_in_inference_batch_norm_takes_the_averages(epsilon):
  found, of, _, _ = normalised(layers.embedder_mode(is_training=False), epsilon=epsilon)
  expected = textbook(of['moving_mean'], of['moving_variance'], of, epsilon)
  np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_the_averages_move_by_a_hundredth():
  _, before, after, _ = normalised(TRAINED, rounds=1)
  count = MAPS[..., 0].size
  seen = {'mean': MAPS.mean((0, 1, 2)), 'variance': MAPS.var((0, 1, 2)) * count / (count - 1)}
  for kind, value in seen.items():
    expected = 0.99 * before[f'moving_{kind}'] + 0.01 * value
    np.testing.assert_allclose(after[f'moving_{kind}'], expected, rtol=1e-5)


def test_what_the_averages_are_of_is_told():
  _, _, _, ((mean, variance, count),) = normalised(TRAINED)
  np.testing.assert_allclose(mean, MAPS.mean((0, 1, 2)), rtol=1e-4)
  np.testing.assert_allclose(variance, MAPS.var((0, 1, 2)), rtol=1e-4)
  assert count == MAPS[..., 0].size


# What users write.


def test_an_unknown_train_base_is_told(graph):
  with pytest.raises(npu_adapter.AdapterError, match=r"got 'only_bm'\. Did you mean 'only_bn'\?"):
    build('small_base', train_base='only_bm')


@pytest.mark.parametrize('name', NETWORKS)
def test_images_that_are_too_small_are_told(graph, name):
  smallest = NETWORKS[name].SMALLEST_IMAGE
  text = rf'{name} must be at least {smallest} pixels .*got {smallest - 1} x {smallest - 1}\. Take'
  with pytest.raises(errors.InputError, match=text):
    build(name, smallest - 1)
  assert min(build(name, smallest).shape.as_list()[1:3]) == 2
