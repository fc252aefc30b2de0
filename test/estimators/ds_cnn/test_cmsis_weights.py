"""The C header: the weights in the order CMSIS-NN reads them, and all a device needs to compute."""

import importlib.util
import itertools
import pathlib

import numpy as np
import pytest

from estimators.ds_cnn.deployment import cmsis_weights, fixed_point, folded_network
from npu_adapter.runtime import tf1

_spec = importlib.util.spec_from_file_location(
  'random_network', str(pathlib.Path(__file__).with_name('random_network.py'))
)
random_network = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(random_network)


@pytest.fixture(autouse=True, scope='session')
def tf1_behaviour():
  tf1.enable()


@pytest.fixture(params=random_network.SMALL, scope='session')
def network(request, tmp_path_factory):
  return random_network.calibrated(tmp_path_factory.mktemp('random'), request.param)


def names_of(rows):
  return [name[: -len('_WT')] for name in rows if name.endswith('_WT')]


def test_the_header_holds_the_weights_in_the_order_of_cmsis_nn(network):
  chosen, layers, ranges, _ = network
  integers = fixed_point.fixed(layers, ranges)
  header = cmsis_weights.text(integers, chosen.shape, 'a */ title')
  assert header.count('*/') == header.count('/*')
  rows = random_network.header_rows(header)
  kernels = [layer for layer in layers if layer.kernel is not None]
  assert len(names_of(rows)) == len(kernels)
  for name, layer in zip(names_of(rows), kernels):
    bits = 7 - int(np.ceil(np.log2(np.abs(layer.kernel).max())))
    weights = np.clip(np.round(layer.kernel * 2.0**bits), -128, 127)
    if layer.kind == 'conv':
      weights = np.stack([weights[..., out] for out in range(weights.shape[-1])])
    if layer.kind == 'dense':
      weights = weights.T
    np.testing.assert_array_equal(rows[f'{name}_WT'], weights.ravel())
    assert rows[f'{name}_BIAS'].shape == layer.bias.shape
    assert np.abs(np.concatenate([rows[f'{name}_WT'], rows[f'{name}_BIAS']])).max() <= 128


def test_layers_have_the_names_of_arms_examples(tmp_path):
  def rows(name):
    chosen, layers, ranges, _ = random_network.calibrated(tmp_path / name, name)
    header = cmsis_weights.text(fixed_point.fixed(layers, ranges), chosen.shape, 'title')
    return random_network.header_rows(header)

  ds_cnn = rows('ds_cnn')
  assert names_of(ds_cnn) == ['CONV1', 'CONV2_DS', 'CONV2_PW', 'CONV3_DS', 'CONV3_PW', 'FINAL_FC']
  assert {'MFCC_DEC_BITS', 'AVG_POOL_OUT_LSHIFT'} <= set(ds_cnn)
  assert names_of(rows('dnn')) == ['IP1', 'IP2', 'IP3']


def places(sizes, kernel, strides):
  """Yields a place of the map that results, one of the input it sees, and that in the kernel."""
  out = [-(-size // stride) for size, stride in zip(sizes, strides)]
  before = [
    max(0, (count - 1) * stride + length - size) // 2
    for count, stride, length, size in zip(out, strides, kernel, sizes)
  ]
  for y, x, m, n in itertools.product(*map(range, (*out, *kernel))):
    row, column = strides[0] * y + m - before[0], strides[1] * x + n - before[1]
    if 0 <= row < sizes[0] and 0 <= column < sizes[1]:
      yield (y, x), (row, column), m * kernel[1] + n


def device_layer(x, rows, name, strides, kernel, channels):
  """A convolution as a device computes it: flat arrays of the header, 32-bit sums, shifts."""
  height, width, inputs = x.shape
  out = [-(-size // stride) for size, stride in zip((height, width), strides)]
  weights = rows[f'{name}_WT'].astype(np.int32)
  total = np.zeros([*out, channels], np.int32) + (
    rows[f'{name}_BIAS'].astype(np.int32) << rows[f'{name}_BIAS_LSHIFT']
  )
  for to, source, at in places((height, width), kernel, strides):
    for o in range(channels):
      if name.endswith('_DS'):
        total[to][o] += x[source][o] * weights[at * channels + o]
      else:
        start = (o * kernel[0] * kernel[1] + at) * inputs
        total[to][o] += x[source] @ weights[start : start + inputs]
  shift = rows[f'{name}_OUT_RSHIFT']
  return np.clip((total + (1 << shift >> 1)) >> shift, 0, 127)


def test_a_device_gets_the_rounded_activations_from_the_header_alone(tmp_path):
  chosen, layers, ranges, x = random_network.calibrated(tmp_path, 'ds_cnn')
  integers = fixed_point.fixed(layers, ranges)
  rows = random_network.header_rows(cmsis_weights.text(integers, chosen.shape, ''))
  clip = np.clip(np.floor(x[0] * 2.0 ** rows['MFCC_DEC_BITS'] + 0.5), -128, 127).astype(np.int32)
  got = clip.reshape(chosen.shape.frames, chosen.shape.coefficients, 1)
  for count, (name, strides, kernel) in enumerate(
    [('CONV1', (2, 1), (10, 4)), ('CONV2_DS', (2, 2), (3, 3)), ('CONV2_PW', (1, 1), (1, 1))],
    start=1,
  ):
    got = device_layer(got, rows, name, strides, kernel, channels=8)
    # The network up to this layer, in floats that stand for integers.
    found = fixed_point.formats(layers[:count], ranges[: count + 1])
    part = fixed_point.rounded(layers[:count], found)
    with folded_network.Evaluation(part, chosen.shape) as evaluation:
      wanted = evaluation.logits(x[:1], ranges[: count + 1])[0] * 128 / ranges[count]
    assert len(np.unique(got)) > 10
    np.testing.assert_array_equal(got, wanted)
