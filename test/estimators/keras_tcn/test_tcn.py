"""The network: all forms of it give the same answers and gradients, and none looks ahead."""

import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from estimators.keras_tcn import architecture as tcn_architecture
from estimators.keras_tcn import convolution, positions, tcn
from npu_adapter import errors
from npu_adapter.runtime import tf1

_HERE = pathlib.Path(__file__).resolve().parent
_spec = importlib.util.spec_from_file_location('networks', str(_HERE / 'networks.py'))
networks = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(networks)

NORMS = ('none', 'weight', 'layer', 'batch')
SEED = tcn_architecture.Architecture(
  filters=(24,) * 9, kernel_size=8, dilations=tuple(2**level for level in range(9)),
  skip_connections=False, dropout_rate=0.1, norm='batch',
)  # fmt: skip
# Doubling, with a dilation left in some grid, two stacks, and longer ago than the sequence.
DILATIONS = ((1, 2, 4, 8), (4, 1, 6), (2, 3), (1, 64))


@pytest.fixture(autouse=True, scope='module')
def _graph_mode():
  tf1.enable()


def changed(**options):
  if 'dilations' in options:
    options.setdefault('filters', (5,) * len(options['dilations']))
  return tcn_architecture.check(networks.SMALL._replace(**options))


def reference(x, kernel, dilation, padding):
  """A dilated convolution by its definition, in double precision."""
  taps = kernel.shape[0]
  zeros = (taps - 1) * dilation
  before = zeros if padding == 'causal' else zeros // 2
  x = np.pad(x.astype(np.float64), [(0, 0), (before, zeros - before), (0, 0)])
  steps = x.shape[1] - zeros
  return sum(x[:, tap * dilation :][:, :steps] @ kernel[tap] for tap in range(taps))


def test_the_seeds_network_has_80977_parameters_and_sees_7155_steps():
  sizes = {
    is_trained: sum(
      int(np.prod(weight.shape))
      for weight in tcn_architecture.weights(SEED, 2)
      if weight.is_trained == is_trained
    )
    for is_trained in (True, False)
  }
  assert sizes == {True: 80113 - 25, False: 864}
  assert SEED.receptive_field == 7155


@pytest.mark.parametrize('padding', ['causal', 'same'])
@pytest.mark.parametrize('dilation', [1, 3, 8, 40])
@pytest.mark.parametrize('number', range(2))
def test_every_form_of_convolution_is_the_definition(number, dilation, padding):
  forms = [convolution.by_view, convolution.by_native_dilation]
  kernel = np.random.RandomState(1).normal(size=[4, 2, 3]).astype(np.float32)
  own = changed(kernel_size=4, dilations=(dilation,), padding=padding)
  x = networks.sequences()
  how = positions.whole(own, networks.STEPS).blocks[0][0]
  with tf.Graph().as_default(), tf.Session() as session:
    found = session.run(forms[number](tf.constant(x), tf.constant(kernel), how))
  np.testing.assert_allclose(found, reference(x, kernel, dilation, padding), atol=1e-5)


@pytest.mark.parametrize('norm', NORMS)
def test_every_form_has_the_same_answers_and_gradients(norm):
  own = changed(norm=norm, dropout_rate=0.3)
  expected = networks.run(own)
  for form in networks.forms():
    networks.assert_same(networks.run(own, convolve=form), expected)


@pytest.mark.parametrize('norm', ['none', 'weight', 'layer'])
@pytest.mark.parametrize('dilations', DILATIONS)
def test_the_last_step_alone_has_the_answers_and_gradients_of_all_steps(norm, dilations):
  own = changed(norm=norm, dilations=dilations, dropout_rate=0.3)
  for form in networks.forms():
    found = networks.run(own, 'last step', form)
    networks.assert_same(found, networks.run(own, 'whole', form))


@pytest.mark.parametrize('options', [{'skip_connections': True}, {'stacks': 2}, {'kernel_size': 1}])
def test_so_it_has_with_other_options(options):
  own = changed(**options)
  networks.assert_same(networks.run(own, 'last step'), networks.run(own))


def test_outside_of_training_the_last_step_alone_is_exact_with_batch_norm_too():
  own = changed(norm='batch')
  found = networks.run(own, 'last step', is_training=False)
  networks.assert_same(found, networks.run(own, is_training=False))


def test_in_training_batch_norm_of_fewer_positions_is_another_network():
  own = changed(norm='batch')
  assert np.abs(networks.run(own, 'last step')[0] - networks.run(own)[0]).max() > 1e-3


def test_with_doubling_dilations_no_dilation_is_left_for_the_last_step():
  plan = positions.last_step(SEED, 600)
  assert plan.read == positions.Grid(1, 600)
  assert [pair[1].outputs for pair in plan.blocks] == [300, 150, 75, 38, 19, 10, 5, 3, 1]
  assert {how.dilation for pair in plan.blocks for how in pair} == {1}


def test_what_is_further_back_than_the_network_sees_is_not_computed():
  own = changed(kernel_size=2, dilations=(1, 2))
  assert own.receptive_field == 7
  assert positions.last_step(own, 100).read == positions.Grid(1, 7)


@pytest.mark.parametrize('norm', NORMS)
def test_what_is_computed_twice_has_the_same_answers_gradients_and_averages(norm):
  own = changed(norm=norm, dropout_rate=0.3, skip_connections=True)
  for form in networks.forms():
    found = networks.run(own, convolve=form, is_forgetful=True)
    expected = networks.run(own, convolve=form)
    networks.assert_same(found, expected)
    for name, value in expected[2].items():
      np.testing.assert_allclose(found[2][name], value, rtol=1e-5)


def test_batch_norm_moves_its_averages_by_a_hundredth_and_counts_the_bias():
  own = changed(norm='batch', dilations=(1,))
  weights = networks.weights(own)
  _, slopes, averages = networks.run(own)
  x = reference(networks.sequences(), weights['block_0/conv_0/kernel'], 1, 'causal')
  mean = x.mean((0, 1)) + weights['block_0/conv_0/bias']
  before = weights['block_0/conv_0/moving_mean']
  np.testing.assert_allclose(
    averages['block_0/conv_0/moving_mean'], 0.99 * before + 0.01 * mean, atol=1e-5
  )
  assert not slopes['block_0/conv_0/bias'].any()


@pytest.mark.parametrize('norm', NORMS)
def test_the_future_does_not_change_the_past(norm):
  own = changed(norm=norm)
  x = networks.sequences()
  later = x.copy()
  later[:, 20:] += 1
  found = []
  for values in (x, later):
    with tf.Graph().as_default(), tf.Session() as session:
      weights = {name: tf.constant(v) for name, v in networks.weights(own).items()}
      network = tcn.Network(own, weights, False, networks.mask, convolution.fastest())
      plan = positions.whole(own, networks.STEPS)
      found.append(session.run(tcn.apply(tf.constant(values), network, plan).features))
  np.testing.assert_array_equal(found[0][:, :20], found[1][:, :20])
  assert np.abs(found[0][:, 20:] - found[1][:, 20:]).max() > 1e-3


def test_the_last_step_sees_as_far_as_its_receptive_field_and_no_further():
  own = changed(kernel_size=2, dilations=(1, 2, 4), activation='linear')
  first = networks.STEPS - own.receptive_field
  expected = networks.run(own)[0]
  for step, is_seen in ((first, True), (first - 1, False)):
    x = networks.sequences()
    x[:, step] += 1
    assert (np.abs(networks.run(own, x=x)[0] - expected).max() > 1e-6) == is_seen


def test_a_list_with_a_number_that_is_no_power_of_two_is_one_of_exponents():
  assert tcn_architecture.doubled([1, 2, 4]) == (1, 2, 4)
  assert tcn_architecture.doubled([0, 1, 3]) == (1, 2, 8)


@pytest.mark.parametrize(
  'options, message',
  [
    ({'padding': 'casual'}, "padding must be one of causal, same; got 'casual'. Did you mean"),
    ({'kernel_size': 0}, 'kernel_size must be whole numbers of at least 1; got \\[0\\]'),
    ({'dropout_rate': 1.0}, 'dropout_rate must be from 0 to below 1; got 1.0'),
    ({'filters': (5, 6, 7, 8), 'skip_connections': True}, 'all blocks must have the same'),
    ({'filters': (5, 6)}, 'one for each dilation; got \\[5, 6\\]'),
    ({'norm': 'bath'}, "norm must be one of none, weight, layer, batch; got 'bath'. Did you"),
  ],
)
def test_what_cannot_be_built_is_said(options, message):
  with pytest.raises(errors.InputError, match=message):
    tcn_architecture.check(networks.SMALL._replace(**options))
