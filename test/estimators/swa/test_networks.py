"""The networks: their sizes, and what training and evaluation make of them."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from estimators.swa import networks
from npu_adapter.runtime import tf1

tf1.enable()


def build(name, shape, classes, is_training=True):
  x = tf.placeholder(tf.float32, [2, *shape])
  return x, networks.TABLE[name](x, classes, is_training)


def sizes(variables):
  return sum(each.shape.num_elements() for each in variables)


def preresnet164_numbers(classes):
  """Counted by hand: convolutions without bias, gamma and beta before each, one dense layer."""
  total, channels = 3 * 16 * 9, 16
  for filters in (16, 32, 64):
    for _ in range(18):
      out = 4 * filters
      total += 2 * channels + 2 * filters + 2 * filters
      total += channels * filters + 9 * filters * filters + filters * out
      total += channels * out if channels != out else 0
      channels = out
  return total + 2 * channels + channels * classes + classes


@pytest.mark.parametrize(
  'name, shape, classes, trained, all_numbers',
  [
    ('dense', (2,), 3, 403, 503),
    ('vgg16', (32, 32, 3), 10, 15245130, 15245130),
    ('vgg16', (32, 32, 3), 100, 15291300, 15291300),
    ('preresnet164', (32, 32, 3), 10, preresnet164_numbers(10), None),
    ('preresnet164', (32, 32, 3), 100, preresnet164_numbers(100), None),
  ],
)
def test_a_network_has_as_many_numbers_as_its_publication(
  name, shape, classes, trained, all_numbers
):
  with tf.Graph().as_default():
    tf.train.get_or_create_global_step()
    _, logits = build(name, shape, classes)
    assert logits.shape.as_list() == [2, classes]
    assert sizes(tf.trainable_variables()) == trained
    if all_numbers:
      assert sizes(tf.global_variables()) - 1 == all_numbers


def test_preresnet164_has_1_7_million_numbers():
  assert round(preresnet164_numbers(10) / 1e6, 1) == 1.7


@pytest.mark.parametrize('name, shape', [('conv', (8, 8, 1)), ('preresnet164', (32, 32, 3))])
def test_evaluation_normalises_with_the_moving_averages(name, shape):
  pictures = np.random.RandomState(0).normal(size=[2, *shape]).astype(np.float32)
  with tf.Graph().as_default(), tf.Session() as session:
    tf.train.get_or_create_global_step()
    x, logits = build(name, shape, 10, is_training=False)
    session.run(tf.global_variables_initializer())
    together = session.run(logits, {x: pictures})
    other = session.run(logits, {x: np.stack([pictures[0], 5 * pictures[1]])})
  # What stands beside a picture in its batch does not matter.
  np.testing.assert_allclose(together[0], other[0], rtol=1e-4, atol=1e-5)


def test_a_stride_halves_the_map_around_the_same_middle_as_the_publication():
  # A single 1 in the corner: with a margin on both sides the kernel's middle is on it.
  picture = np.zeros([1, 4, 4, 1], np.float32)
  picture[0, 0, 0] = 1
  kernel = np.arange(9, dtype=np.float32).reshape(3, 3, 1, 1)
  from estimators.swa import layers

  with tf.Graph().as_default(), tf.Session() as session:
    out = layers.conv(tf.constant(picture), 'c', 1, 3, stride=2)
    session.run(tf.global_variables_initializer())
    found = session.run(out, {tf.global_variables()[0]: kernel})
  assert found.shape == (1, 2, 2, 1)
  assert found[0, 0, 0, 0] == 4
