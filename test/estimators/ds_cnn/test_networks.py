"""The keyword-spotting networks: their sizes, parameters, layers, and what training changes."""

import collections
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import npu_adapter
from estimators.ds_cnn import networks
from npu_adapter.runtime import tf1

CLASSES = 12
COEFFICIENTS = 10
FRAMES_OF_STRIDE = {20: 49, 40: 25}

Row = collections.namedtuple('Row', 'weights betas statistics')
# Published: weights and biases without batch norm's betas. A unit under batch norm has one beta and
# two statistics.
PUBLISHED = {
  ('ds_cnn', 'S'): Row(22604, 576, 1152),
  ('ds_cnn', 'M'): Row(135032, 1548, 3096),
  ('ds_cnn', 'L'): Row(410700, 3036, 6072),
  ('dnn', 'S'): Row(79644, 0, 0),
  ('dnn', 'M'): Row(198924, 0, 0),
  ('dnn', 'L'): Row(495744, 0, 0),
  ('cnn', 'S'): Row(69238, 186, 372),
  ('cnn', 'M'): Row(178444, 240, 480),
  ('cnn', 'L'): Row(476206, 264, 528),
  ('basic_lstm', 'S'): Row(62316, 0, 0),
  ('basic_lstm', 'M'): Row(195180, 0, 0),
  ('basic_lstm', 'L'): Row(492620, 0, 0),
  ('lstm', 'S'): Row(78516, 0, 0),
  ('lstm', 'M'): Row(196732, 0, 0),
  ('lstm', 'L'): Row(495768, 0, 0),
  ('gru', 'S'): Row(78090, 0, 0),
  ('gru', 'M'): Row(198762, 0, 0),
  ('gru', 'L'): Row(498012, 0, 0),
  ('crnn', 'S'): Row(75432, 0, 0),
  ('crnn', 'M'): Row(189032, 0, 0),
  ('crnn', 'L'): Row(485004, 0, 0),
  # Layer by layer, for want of published counts.
  ('single_fc', None): Row(490 * 12 + 12, 0, 0),
  ('conv', None): Row(20 * 8 * 64 + 64 + 10 * 4 * 64 * 64 + 64 + 25 * 5 * 64 * 12 + 12, 0, 0),
  ('low_latency_conv', None): Row(
    49 * 8 * 186 + 186 + 3 * 186 * 128 + 128 + 128 * 128 + 128 + 128 * 12 + 12, 0, 0
  ),
  ('low_latency_svdf', None): Row(
    (10 + 49) * 2 * 1280 + 1280 + 1280 * 256 + 256 + 256 * 256 + 256 + 256 * 12 + 12, 0, 0
  ),
}
UNSIZED = ('single_fc', 'conv', 'low_latency_conv', 'low_latency_svdf')
WITH_BATCH_NORM = ('ds_cnn', 'cnn')


@pytest.fixture(autouse=True, scope='session')
def tf1_behaviour():
  tf1.enable()


def frames_of(architecture, size):
  presets = networks.NETWORKS[architecture].presets
  return FRAMES_OF_STRIDE[presets[size].window_stride_ms] if size else 49


def logits_of(architecture, batch, size=None, frames=25, is_training=False, dropout_rate=0.0):
  """Returns [batch, CLASSES] of a network in the default graph."""
  sizes = networks.sizes(architecture, size)
  network = networks.NETWORKS[architecture].function
  shape = (frames, COEFFICIENTS)
  return network(tf.constant(batch), sizes, shape, CLASSES, is_training, dropout_rate)


def fingerprints(count, frames=25):
  return np.random.RandomState(3).normal(size=[count, frames * COEFFICIENTS]).astype(np.float32)


def count(variables):
  return sum(variable.shape.num_elements() for variable in variables)


def is_beta(variable):
  return variable.op.name.endswith('/batch_norm/beta')


def started(graph):
  session = tf.Session(graph=graph)
  session.run(tf.global_variables_initializer())
  return session


# Sizes.


@pytest.mark.parametrize(('architecture', 'size'), PUBLISHED)
def test_a_network_has_the_published_parameters(graph, architecture, size):
  frames = frames_of(architecture, size)
  logits = logits_of(architecture, fingerprints(2, frames), size, frames, is_training=True)
  assert logits.shape.as_list() == [2, CLASSES]
  trained = tf.trainable_variables()
  fixed = [variable for variable in tf.global_variables() if variable not in trained]
  assert Row(
    count(variable for variable in trained if not is_beta(variable)),
    count(variable for variable in trained if is_beta(variable)),
    count(fixed),
  ) == PUBLISHED[architecture, size]  # fmt: skip


@pytest.mark.parametrize(('size', 'trained'), [('S', 23180), ('M', 136580), ('L', 413736)])
def test_ds_cnn_trains_the_published_number_of_parameters(graph, size, trained):
  logits_of('ds_cnn', fingerprints(1, 49), size, 49, is_training=True)
  assert count(tf.trainable_variables()) == trained


def test_every_architecture_has_its_row():
  rows = [
    (name, size)
    for name, network in networks.NETWORKS.items()
    for size in network.presets or [None]
  ]
  assert rows == list(PUBLISHED)


def products_of(operation):
  """Multiplications and additions of one operation of an inference graph, for one example."""
  weights = operation.inputs[1].shape.as_list()
  _, *size, channels = operation.outputs[0].shape.as_list()
  if operation.type == 'DepthwiseConv2dNative':
    return np.prod(size) * np.prod(weights)
  return np.prod(size) * np.prod(weights[:-1]) * channels


@pytest.mark.parametrize(('size', 'millions'), [('S', 2.657), ('M', 9.816), ('L', 28.328)])
def test_ds_cnn_computes_what_is_published(graph, size, millions):
  logits_of('ds_cnn', fingerprints(1, 49), size, 49)
  types = ('Conv2D', 'DepthwiseConv2dNative', 'MatMul')
  total = sum(products_of(op) for op in graph.get_operations() if op.type in types)
  assert round(total / 1e6, 3) == millions


# Names.


def names(variables):
  return [variable.op.name for variable in variables]


def test_ds_cnn_names_its_variables_by_layer(graph):
  logits_of('ds_cnn', fingerprints(1), '2 7 3 3 2 2 5 3 3 1 1', is_training=True)
  batch_norm = ['batch_norm/beta', 'batch_norm/moving_mean', 'batch_norm/moving_variance']
  layers_with_it = ('conv_0', 'depthwise_1', 'pointwise_1')
  expected = [
    f'ds_cnn/{layer}/{name}' for layer in layers_with_it for name in ('kernel', 'bias', *batch_norm)
  ]
  assert names(tf.global_variables()) == [*expected, 'ds_cnn/logits/kernel', 'ds_cnn/logits/bias']
  shapes = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()}
  assert shapes['ds_cnn/conv_0/kernel'] == [3, 3, 1, 7]
  assert shapes['ds_cnn/depthwise_1/kernel'] == [3, 3, 7, 1]
  assert shapes['ds_cnn/pointwise_1/kernel'] == [1, 1, 7, 5]
  assert shapes['ds_cnn/logits/kernel'] == [5, CLASSES]


# Architecture -> its layers, as the docstring of networks tells them, before the logits.
LAYERS = {
  'dnn': ['dense_1', 'dense_2', 'dense_3'],
  'cnn': ['conv_1', 'conv_2', 'linear', 'dense_1'],
  'basic_lstm': ['lstm'],
  'lstm': ['lstm'],
  'gru': ['gru_1/gates', 'gru_1/candidate'],
  'crnn': [
    'conv_1', 'gru_1/gates', 'gru_1/candidate', 'gru_2/gates', 'gru_2/candidate', 'dense_1',
  ],
  'single_fc': [],
  'conv': ['conv_1', 'conv_2'],
  'low_latency_conv': ['conv_1', 'dense_1', 'dense_2'],
  'low_latency_svdf': ['svdf', 'dense_1', 'dense_2'],
}  # fmt: skip


@pytest.mark.parametrize('architecture', LAYERS)
def test_the_others_name_their_variables_by_layer(graph, architecture):
  logits_of(architecture, fingerprints(1))
  biases = [name for name in names(tf.trainable_variables()) if name.endswith('/bias')]
  layers_found = [name[len(architecture) + 1 : -len('/bias')] for name in biases]
  assert layers_found == [*LAYERS[architecture], 'logits']


def test_inference_asks_for_the_variables_that_training_saved():
  for architecture in networks.NETWORKS:
    found = []
    for is_training in (True, False):
      with tf.Graph().as_default():
        logits_of(architecture, fingerprints(1), is_training=is_training)
        found.append({v.op.name: v.shape.as_list() for v in tf.global_variables()})
    assert found[0] == found[1]


# Training and inference.


@pytest.mark.parametrize('architecture', networks.NETWORKS)
def test_every_trained_variable_has_a_gradient(graph, architecture):
  logits = logits_of(architecture, fingerprints(2), is_training=True)
  assert None not in tf.gradients(logits, tf.trainable_variables())


@pytest.mark.parametrize('architecture', networks.NETWORKS)
def test_every_coefficient_reaches_the_logits(graph, architecture):
  fed, logits = fed_logits_of(architecture, is_training=False)
  (gradient,) = tf.gradients(logits, fed)
  with started(graph) as session:
    found = session.run(gradient, {fed: fingerprints(1)}).reshape([25, COEFFICIENTS])
  # Of 25 frames crnn's kernel of 10 and stride of 2 leave the last out.
  seen = 24 if architecture == 'crnn' else 25
  assert found[:seen].all()


def fed_logits_of(architecture, is_training):
  """Returns (placeholder of a batch of any size, its logits)."""
  tf.set_random_seed(1)
  fed = tf.placeholder(tf.float32, [None, 25 * COEFFICIENTS])
  network, sizes = networks.NETWORKS[architecture].function, networks.sizes(architecture)
  return fed, network(fed, sizes, (25, COEFFICIENTS), CLASSES, is_training, 0.0)


@pytest.mark.parametrize('architecture', networks.NETWORKS)
def test_in_inference_no_example_sees_another(graph, architecture):
  fed, logits = fed_logits_of(architecture, is_training=False)
  batch = fingerprints(6)
  with started(graph) as session:
    together = session.run(logits, {fed: batch})
    for part in (slice(0, 1), slice(3, 6)):
      alone = session.run(logits, {fed: batch[part]})
      np.testing.assert_allclose(alone, together[part], rtol=1e-4, atol=1e-5)
  assert not tf.get_collection(tf.GraphKeys.UPDATE_OPS)


@pytest.mark.parametrize('architecture', WITH_BATCH_NORM)
def test_in_training_batch_norm_sees_the_batch_and_learns_its_statistics(graph, architecture):
  fed, logits = fed_logits_of(architecture, is_training=True)
  batch = fingerprints(6)
  updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
  statistics = [v for v in tf.global_variables() if v not in tf.trainable_variables()]
  assert len(updates) == len(statistics)
  with started(graph) as session:
    together, part = (session.run(logits, {fed: rows}) for rows in (batch, batch[:2]))
    assert not np.allclose(together[:2], part, rtol=0.01)
    before = session.run(statistics)
    session.run(updates, {fed: batch})
    for old, new in zip(before, session.run(statistics)):
      assert not np.array_equal(old, new)


# Dropout.


@pytest.mark.parametrize('architecture', networks.NETWORKS)
def test_dropout_acts_in_training_only(graph, architecture):
  batch = fingerprints(4)
  cases = [(False, 0.0), (False, 0.5), (True, 0.0), (True, 0.5)]
  found = []
  tf.train.get_or_create_global_step()
  for is_training, rate in cases:
    found.append(logits_of(architecture, batch, is_training=is_training, dropout_rate=rate))
    tf.get_variable_scope().reuse_variables()
  with started(graph) as session:
    inference, inference_with, training, training_with = session.run(found)
  np.testing.assert_array_equal(inference, inference_with)
  assert not np.allclose(training, training_with)


# Against NumPy.


def test_svdf_computes_filter_by_filter(graph):
  batch = fingerprints(3)
  logits_of('low_latency_svdf', batch)
  of = {v.op.name.partition('svdf/svdf/')[2]: v for v in tf.trainable_variables()}
  activation = graph.get_tensor_by_name('low_latency_svdf/Relu:0')
  with started(graph) as session:
    found, in_frequency, in_time, bias = session.run(
      [activation, of['kernel_frequency'], of['kernel_time'], of['bias']]
    )
  filtered = batch.reshape([3, 25, COEFFICIENTS]).dot(in_frequency)  # [batch, frames, filters]
  by_rank = (filtered * in_time).sum(axis=1).reshape([3, 1280, 2])
  expected = np.maximum(by_rank.sum(axis=2) + bias, 0)
  np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


# What users write.


@pytest.mark.parametrize(
  ('architecture', 'text', 'expected'),
  [
    ('dnn', None, (144, 144, 144)),
    ('dnn', 'M', (256, 256, 256)),
    ('dnn', '128', (128,)),
    ('dnn', '128 64', (128, 64)),
    ('lstm', ' 98,144 ', (98, 144)),
    ('lstm', '98, 144', (98, 144)),
    ('ds_cnn', '1 64 10 4 2 2', (1, 64, 10, 4, 2, 2)),
    ('single_fc', None, ()),
    ('conv', '', ()),
  ],
)
def test_sizes_are_a_preset_or_numbers(architecture, text, expected):
  assert networks.sizes(architecture, text) == expected


# (architecture, text) -> what the message must say.
WRONG_SIZES = {
  ('ds_cn', 'S'): r"must be one of ds_cnn, dnn, .*; got 'ds_cn'\. Did you mean 'ds_cnn'\?",
  ('CRNN', None): r"got 'CRNN'\. Did you mean 'crnn'\?",
  ('transformer', None): r"got 'transformer'\.$",
  ('dnn', 's'): r"sizes of dnn must be 'S', 'M', 'L' or numbers: the units of each hidden layer"
  r", each at least 1; got 's'\. Did you mean 'S'\?",
  ('dnn', ''): r"each at least 1; got ''\.$",
  ('dnn', '128 0'): r"each at least 1; got '128 0'\.$",
  ('dnn', '128 -3'): r"each at least 1; got '128 -3'\.$",
  ('dnn', '12\u00b2'): r'each at least 1; got ',
  ('basic_lstm', '118 2'): r'sizes of basic_lstm .*: units; that is 1 here, got 2: .118 2.',
  ('lstm', '98'): r'projection, units; that is 2 here, got 1: .98.',
  ('gru', '1'): r'layers, units of each; that is 2 here, got 1',
  ('cnn', '28 10 4 1 1'): r'linear units, dense units; that is 12 here, got 5',
  ('crnn', '48 10 4 2 2 2 60'): r'dense units; that is 8 here, got 7',
  ('ds_cnn', '2 64 10 4 2 2'): r'how many layers, then for each of them filters, kernel time, '
  r'kernel frequency, stride time, stride frequency; that is 11 here, got 6',
  ('single_fc', 'S'): r"single_fc has one size and takes none; got 'S'",
}  # fmt: skip


@pytest.mark.parametrize('wrong', WRONG_SIZES)
def test_wrong_sizes_are_told_with_what_must_hold(wrong):
  with pytest.raises(ValueError, match=WRONG_SIZES[wrong]) as raised:
    networks.sizes(*wrong)
  assert isinstance(raised.value, npu_adapter.OptionError)


WITHOUT_TF_KERAS = """
import sys
sys.modules['tf_keras'] = None
import tensorflow.compat.v1 as tf
from estimators.ds_cnn import networks
tf.disable_v2_behavior()
tf.train.get_or_create_global_step()
for name, network in networks.NETWORKS.items():
  network.function(tf.zeros([2, 250]), networks.sizes(name), (25, 10), 12, True, 0.5)
print('built', len(networks.NETWORKS))
"""


@pytest.mark.skipif(
  tuple(int(part) for part in tf.__version__.split('.')[:2]) < (2, 16), reason='has its own Keras'
)
def test_the_networks_need_no_tf_keras():
  repository = pathlib.Path(networks.__file__).parents[2]
  environment = {**os.environ, 'PYTHONPATH': str(repository), 'TF_USE_LEGACY_KERAS': '1'}
  command = [sys.executable, '-c', WITHOUT_TF_KERAS]
  done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
  assert done.stdout.decode().split() == ['built', '11']
