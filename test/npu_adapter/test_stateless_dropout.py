"""dropout: what goes and what stays, and that a restarted training drops the same."""

import zlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from npu_adapter import backends, errors
from npu_adapter.runtime import tf1, unsavable
from npu_adapter.stateless_dropout import dropout


@pytest.fixture(autouse=True)
def step(monkeypatch):
  """A graph with a seed and a global step, on the host."""
  monkeypatch.setenv('NPU_ADAPTER_BACKEND', 'host')
  tf1.enable()
  with tf.Graph().as_default():
    tf.set_random_seed(7)
    yield tf.train.get_or_create_global_step()


def ones(count=1000, dtype=tf.float32, name='ones'):
  return tf.ones([count], dtype, name=name)


def at_step(number, fetches, feed=None):
  with tf.Session() as session:
    tf.train.get_global_step().initializer.run(session=session)
    tf.train.get_global_step().load(number, session)
    return session.run(fetches, feed)


def built_again(number, **options):
  """What a new graph with the same layer gives at a step."""
  with tf.Graph().as_default():
    tf.set_random_seed(options.pop('graph_seed', 7))
    tf.train.get_or_create_global_step()
    name = options.pop('of', 'ones')
    return at_step(number, dropout(ones(name=name), 0.3, **options))


@pytest.mark.parametrize('rate', [0.1, 0.5, 0.9])
def test_the_share_goes_and_the_rest_makes_up_for_it(rate):
  values = at_step(1, dropout(ones(100000), rate))
  assert abs(np.mean(values == 0) - rate) < 0.01
  kept = values[values != 0]
  np.testing.assert_allclose(kept, 1 / (1 - rate), rtol=1e-6)


def test_the_numbers_are_those_of_the_formula():
  # Not a constant: TensorFlow divides that before anything is dropped, in one graph or the other.
  x = tf.placeholder(tf.float32, [20, 5], name='maps')
  seed = tf.stack([7 ^ zlib.crc32(b'maps') % 2**31, 3])
  noise = tf.random.stateless_uniform(tf.shape(x), seed)
  expected = x * tf.cast(noise >= 0.3, tf.float32) / (1 - 0.3)
  values = np.random.RandomState(0).randn(20, 5)
  found, expected = at_step(3, [dropout(x, 0.3), expected], {x: values})
  assert found.tobytes() == expected.tobytes()


def test_a_new_graph_drops_the_same_at_the_same_step():
  expected = at_step(5, dropout(ones(), 0.3))
  assert np.array_equal(built_again(5), expected)


@pytest.mark.parametrize(
  'changed', [{'number': 6}, {'graph_seed': 8}, {'of': 'others'}, {'seed': 1}], ids=str
)
def test_another_step_seed_or_place_drops_others(changed):
  assert not np.array_equal(built_again(**{'number': 5, **changed}), built_again(5))


def test_operations_made_before_change_nothing():
  expected = built_again(5)
  tf.random.uniform([])
  assert np.array_equal(at_step(5, dropout(ones(), 0.3)), expected)


def test_the_name_changes_nothing_but_names():
  named = dropout(ones(), 0.3, name='thinned')
  assert named.op.name == 'thinned'
  assert np.array_equal(at_step(5, named), built_again(5))


def test_two_calls_on_one_tensor_drop_different_ones():
  x = ones()
  first, second = at_step(1, [dropout(x, 0.5), dropout(x, 0.5)])
  assert not np.array_equal(first, second)


def test_two_calls_with_one_seed_drop_the_same():
  first, second = at_step(1, [dropout(ones(name=name), 0.5, seed=3) for name in 'ab'])
  assert np.array_equal(first, second)


def test_the_graph_needs_no_seed():
  assert not np.array_equal(built_again(1, graph_seed=None), built_again(1))
  assert np.array_equal(built_again(1, graph_seed=None), built_again(1, graph_seed=None))


def test_a_graph_seed_beyond_32_bits_is_taken():
  assert not np.array_equal(built_again(1, graph_seed=2**40 + 7), built_again(2, graph_seed=2**40))


@pytest.mark.parametrize('dtype', [tf.float16, tf.bfloat16, tf.float32, tf.float64])
def test_every_float_type_keeps_its_type_and_drops_the_same(dtype):
  dropped = dropout(ones(dtype=dtype), 0.3)
  assert dropped.dtype == dtype
  found = at_step(5, tf.cast(dropped, tf.float32))
  assert np.array_equal(found == 0, built_again(5) == 0)
  np.testing.assert_allclose(found[found != 0], 1 / 0.7, rtol=1e-2)


def test_a_double_keeps_its_digits():
  found = at_step(5, dropout(ones(dtype=tf.float64), 0.3))
  np.testing.assert_allclose(found[found != 0], 1 / 0.7, rtol=1e-14)


@pytest.mark.parametrize('dtype', [tf.float16, tf.float32, tf.float64])
def test_the_rate_may_be_a_tensor(dtype):
  rate = tf.placeholder(tf.float32, [])
  found = at_step(5, dropout(ones(dtype=dtype), rate), {rate: 0.3})
  assert np.array_equal(found == 0, built_again(5) == 0)


def test_an_unknown_shape_stays_as_it_is():
  x = tf.placeholder(tf.float32, [None, 4], name='ones')
  dropped = dropout(x, 0.5)
  assert dropped.shape.as_list() == [None, 4]
  assert at_step(1, dropped, {x: np.ones([3, 4])}).shape == (3, 4)
  assert dropout(tf.placeholder(tf.float32), 0.5).shape.dims is None


def test_the_gradient_goes_through_what_stays():
  x = ones()
  dropped = dropout(x, 0.5)
  values, gradient = at_step(1, [dropped, tf.gradients(dropped, x)[0]])
  assert np.array_equal(values, gradient)


@pytest.mark.parametrize('rate', [0, 0.0])
def test_a_rate_of_zero_returns_the_tensor_itself(rate):
  x = ones()
  assert dropout(x, rate) is x


@pytest.mark.parametrize('rate', [1, 1.5, -0.1, float('nan'), 'half', None])
def test_a_rate_that_is_no_share_is_an_error(rate):
  with pytest.raises(errors.OptionError, match=r'from 0 to below 1, or a tensor; got'):
    dropout(ones(), rate)


def test_whole_numbers_are_an_error():
  with pytest.raises(errors.OptionTypeError, match='takes floats; got ones:0 of int32'):
    dropout(tf.ones([3], tf.int32, name='ones'), 0.5)


def test_a_graph_without_a_global_step_is_an_error():
  with tf.Graph().as_default():
    with pytest.raises(errors.OptionError, match='needs the global step in the graph'):
      dropout(ones(), 0.5)


def test_a_training_with_it_can_go_on_exactly():
  assert unsavable.find(dropout(ones(), 0.5)) == []


def test_a_device_with_an_operation_of_its_own_uses_that(monkeypatch):
  class Device:
    def dropout(self, *arguments):
      return arguments

  monkeypatch.setattr(backends, 'choose', Device)
  x = ones()
  assert dropout(x, 0.25, 'thinned', seed=3) == (x, 0.75, 3, 'thinned')
