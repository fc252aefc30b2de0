"""Batch norm of a model_fn: by the batch in training, by its averages else; what they are of."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import npu_adapter
from npu_adapter import batch_statistics
from npu_adapter.runtime import tf1

tf1.enable()
SHAPES = [(12, 3), (4, 2, 5, 3), (2, 3, 2, 2, 3)]


def numbers(shape):
  return np.random.RandomState(1).normal(2.0, 3.0, shape).astype(np.float32)


def flat(values):
  return values.reshape(-1, values.shape[-1]).astype(np.float64)


@pytest.mark.parametrize('shape', SHAPES)
def test_in_training_a_channel_is_normalised_by_the_batch_and_its_averages_move(shape):
  values = numbers(shape)
  with tf.Graph().as_default(), tf.Session() as session:
    out = npu_adapter.batch_norm(tf.constant(values), True, decay=0.9, epsilon=0.01)
    assert out.shape.as_list() == list(shape)
    kept = batch_statistics.find(tf.get_default_graph())
    session.run(tf.global_variables_initializer())
    found, statistics, _ = session.run([
      out, [(each.mean, each.variance, each.count) for each in kept],
      tf.get_collection(tf.GraphKeys.UPDATE_OPS),
    ])  # fmt: skip
    averages = {each.op.name: session.run(each) for each in tf.global_variables()}
  plain = flat(values)
  mean, variance, count = plain.mean(axis=0), plain.var(axis=0), len(plain)
  np.testing.assert_allclose(
    flat(found), (plain - mean) / np.sqrt(variance + 0.01), rtol=1e-4, atol=1e-5
  )
  np.testing.assert_allclose(averages['moving_mean'], 0.1 * mean, rtol=1e-4)
  unbiased = variance * count / (count - 1)
  np.testing.assert_allclose(averages['moving_variance'], 0.9 + 0.1 * unbiased, rtol=1e-4)
  [(kept_mean, kept_variance, kept_count)] = statistics
  np.testing.assert_allclose(kept_mean, mean, rtol=1e-4)
  np.testing.assert_allclose(kept_variance, variance, rtol=1e-4)
  assert kept_count == count


@pytest.mark.parametrize('shape', SHAPES)
def test_outside_of_training_it_is_normalised_by_the_averages(shape):
  values = numbers(shape)
  with tf.Graph().as_default(), tf.Session() as session:
    out = npu_adapter.batch_norm(tf.constant(values), False, epsilon=0.01)
    session.run(tf.global_variables_initializer())
    by_name = {each.op.name: each for each in tf.global_variables()}
    for name, value in (('gamma', 2), ('beta', 1), ('moving_mean', 3), ('moving_variance', 4)):
      session.run(by_name[name].assign(np.full(3, value, np.float32)))
    found = session.run(out)
    assert not tf.get_collection(tf.GraphKeys.UPDATE_OPS)
  np.testing.assert_allclose(found, (values - 3) / np.sqrt(4.01) * 2 + 1, rtol=1e-4, atol=1e-5)


def test_scale_and_shift_can_be_kept_from_training():
  with tf.Graph().as_default():
    npu_adapter.batch_norm(tf.ones([2, 3]), True, trainable=False)
    assert not tf.trainable_variables()
