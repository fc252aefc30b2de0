"""The 8-bit network: formats, rounding as a device does, integer arithmetic, calibrated ranges."""

import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from estimators.ds_cnn.deployment import fixed_point, folded_network
from npu_adapter import errors
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


def rounded_logits(chosen, layers, ranges, x):
  """By the graph that stands for integers with floats."""
  found = fixed_point.rounded(layers, fixed_point.formats(layers, ranges))
  with folded_network.Evaluation(found, chosen.shape) as evaluation:
    return evaluation.logits(x, ranges)


# Numbers.


@pytest.mark.parametrize(
  'peak, bits', [(0.3, 8), (0.5, 8), (0.51, 7), (1.0, 7), (-1.01, 6), (2.0, 6), (100, 0), (0, 7)]
)
def test_a_tensor_has_as_many_integer_bits_as_its_largest_magnitude_needs(peak, bits):
  assert fixed_point.fraction_bits(np.array([0, peak, peak / 3])) == bits


def test_numbers_are_rounded_to_the_nearest_and_saturate():
  values = np.array([0.0, 0.26, 0.24, -0.26, 0.25, 0.75, 63.4, 63.9, 64.0, -64.0, -64.4])
  wanted = [0, 1, 0, -1, 0, 2, 127, 127, 127, -128, -128]
  assert fixed_point.as_integers(values, 1).tolist() == wanted


@pytest.mark.parametrize('value, bits', [(1, 7), (32, 2), (128, 0), (256, -1), (0.25, 9)])
def test_the_range_of_an_activation_fixes_its_fraction_bits(value, bits):
  assert fixed_point.range_bits(value) == bits


@pytest.mark.parametrize('value', [0, 3, 20.5])
def test_a_range_that_is_no_power_of_two_has_no_fraction_bits(value):
  assert fixed_point.range_bits(value) is None


def unchanged(x, limit):
  """What a layer that changes nothing gives, its output being in a range."""
  size = x.shape[1]
  kernel, bias = np.eye(size, dtype=np.float32), np.zeros(size, np.float32)
  layer = folded_network.Layer('logits', 'dense', False, kernel=kernel, bias=bias)
  with folded_network.Evaluation([layer], shape_of(size)) as evaluation:
    return evaluation.logits(x, np.array([0, limit]))


def shape_of(size):
  """Fingerprints of a single frame."""
  return random_network.settings_of('dnn', 'S').shape._replace(clip_ms=40, coefficients=size)


@pytest.mark.parametrize('limit', [8.0, 3.0, 0.5])
def test_activations_are_rounded_as_fake_quantisation_does(limit):
  x = np.random.RandomState(0).normal(scale=limit / 2, size=[100, 5]).astype(np.float32)
  with tf.Graph().as_default(), tf.Session() as session:
    fake = tf.quantization.fake_quant_with_min_max_args(x, -limit, limit - limit / 128)
    wanted = session.run(fake)
  got = unchanged(x, limit)
  assert (got.min(), got.max()) == (-limit, limit - limit / 128)
  np.testing.assert_allclose(got, wanted, atol=1e-5 * limit)


def test_a_range_of_0_leaves_an_activation_as_it_is():
  x = np.array([[0.1, -1000.3]], np.float32)
  np.testing.assert_array_equal(unchanged(x, 0), x)


def test_halves_are_rounded_up_as_a_device_does():
  x = np.array([[0.5, -0.5, 1.5, -1.5]], np.float32)
  assert unchanged(x, 128).tolist() == [[1, 0, 2, -1]]


# Integers.


def test_integer_arithmetic_gives_the_very_numbers_of_the_rounded_network(network):
  chosen, layers, ranges, x = network
  integers = fixed_point.fixed(layers, ranges)
  for count in range(1, len(layers) + 1):
    got = fixed_point.integer_logits(integers[:count], chosen.shape, x)
    logits = rounded_logits(chosen, layers[:count], ranges[: count + 1], x)
    assert len(np.unique(got)) > 10
    np.testing.assert_array_equal(got, logits * 128 / ranges[count])


def test_a_mean_halfway_between_two_numbers_is_rounded_up():
  kernel = np.full([1, 1, 1, 1], 0.75, np.float32)
  layers = [
    folded_network.Layer('conv_0', 'conv', kernel=kernel, bias=np.zeros(1, np.float32)),
    folded_network.Layer('pool', 'pool', relu=False),
  ]
  x = np.array([[4, 4, 8, 8]], np.float32)
  ranges = np.array([128.0, 128.0, 128.0])
  shape = shape_of(4)
  integers = fixed_point.fixed(layers, ranges)
  assert fixed_point.integer_logits(integers[:1], shape, x).ravel().tolist() == [3, 3, 6, 6]
  assert fixed_point.integer_logits(integers, shape, x).tolist() == [[5]]
  with folded_network.Evaluation(layers, shape) as evaluation:
    assert evaluation.logits(x, ranges).tolist() == [[5]]


def test_a_bias_has_no_finer_steps_than_the_sum_it_is_added_to():
  kernel, bias = np.full([2, 2], 50.0), np.array([0.3, 0.1])
  layer = folded_network.Layer('logits', 'dense', False, kernel=kernel, bias=bias)
  assert fixed_point.formats([layer], [64, 0])[0] == (1, 2, 1, None)
  assert fixed_point.formats([layer], [0, 64])[0] == (1, 8, None, 1)
  (fixed,) = fixed_point.fixed([layer], [64, 128])
  assert (fixed.bias_shift, fixed.out_shift) == (0, 2)
  assert fixed.layer.bias.tolist() == [1, 0]


def test_integers_need_powers_of_two_and_shifts_that_a_device_has(network):
  _, layers, ranges, _ = network
  for place, value, complaint in (
    (1, 3.0, 'a power of two as the range of every activation; that of .*_[01] is 3'),
    (-1, 0.0, 'that of logits is 0'),
    (0, 256.0, 'input range of at most 128; got 256'),
    (1, 2.0**-30, 'shifts of 0 to 30 bits'),
  ):
    wrong = np.array(ranges)
    wrong[place] = value
    with pytest.raises(errors.InputError, match=complaint):
      fixed_point.fixed(layers, wrong)


# Ranges.


def probabilities(logits):
  odds = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
  return odds / odds.sum(axis=1, keepdims=True)


@pytest.mark.parametrize('count', [2, 20])
def test_calibration_takes_the_range_that_changes_the_answers_least(network, count):
  chosen, layers, _, x = network
  x = x[:count]
  ranges = fixed_point.calibrated(layers, chosen.shape, x)
  own = fixed_point.rounded(layers, fixed_point.formats(layers, np.zeros(len(ranges))))
  with folded_network.Evaluation(layers, chosen.shape) as evaluation:
    wanted = probabilities(evaluation.logits(x))
  tried = np.zeros(len(ranges))
  with folded_network.Evaluation(own, chosen.shape) as evaluation:
    # Those before are found already, those behind are not rounded yet.
    for place, peak in enumerate(evaluation.peaks(x)):
      distances = {}
      for value in fixed_point.candidates(layers, ranges, place, peak):
        tried[place] = value
        got = probabilities(evaluation.logits(x, tried))
        distances[value] = (wanted * np.log(wanted / got)).sum(axis=1).mean()
      assert distances[ranges[place]] == pytest.approx(min(distances.values()))
      tried[place] = ranges[place]


def test_calibration_tries_what_integers_can_have():
  layers = [
    folded_network.Layer('conv_0', 'conv', kernel=np.full([1, 1, 1, 1], 60.0), bias=np.zeros(1)),
    folded_network.Layer('pool', 'pool', relu=False),
  ]
  ranges = np.array([16.0, 2.0, 0.0])
  tried = [fixed_point.candidates(layers, ranges, place, 200.0) for place in range(3)]
  # The input has 0 fraction bits or more, the sum 3 + 1 of them, a mean lies within its map.
  assert tried[0] == [128, 64, 32, 16, 8, 4]
  assert tried[1] == [256, 128, 64, 32, 16, 8]
  assert tried[2][0] == 2
  assert fixed_point.candidates(layers, ranges, 1, 0.0) == [8]


def test_calibrated_ranges_are_powers_of_two_that_integers_can_have(network):
  _, layers, ranges, _ = network
  assert all(np.log2(ranges) == np.round(np.log2(ranges)))
  assert len(fixed_point.fixed(layers, ranges)) == len(layers)
