"""Weight averaging in a training graph: what is sampled when, at which rate, after a restart."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import npu_adapter
from npu_adapter import averaging_plan, backends, weight_averaging
from npu_adapter.averaging_plan import Averaging
from npu_adapter.runtime import tf1

tf1.enable()


def model_fn(features, labels, mode, params):
  """One weight, which each step adds its own number to: after step n it is the sum of 1 to n."""
  weight = tf.get_variable('layer/weight', [2], tf.float32, tf.zeros_initializer())
  step = tf.train.get_global_step()
  with tf.control_dependencies([tf.assign_add(weight, features)]):
    train_op = tf.assign_add(step, 1)
  train_op = npu_adapter.average_weights(train_op, params['plan'])
  return npu_adapter.EstimatorSpec(mode, loss=tf.reduce_sum(weight), train_op=train_op)


def numbers_from(first):
  def input_fn():
    data = tf.data.Dataset.range(first + 1, 1000)
    return data.map(lambda number: tf.cast(tf.stack([number, 2 * number]), tf.float32))

  return input_fn


def train(folder, plan, *stops):
  """Trains up to each of the steps in turn, by a new estimator; returns the last checkpoint."""
  first = 0
  for last in stops:
    estimator = npu_adapter.NPUEstimator(
      model_fn, str(folder), params={'plan': plan}, progress=False
    )
    estimator.train(numbers_from(first), max_steps=last)
    first = last
  return tf.train.load_checkpoint(str(folder))


def weights_after(*steps):
  return [np.array([1.0, 2.0]) * step * (step + 1) / 2 for step in steps]


@pytest.mark.parametrize(
  'every, sampled', [(1, range(5, 22)), (3, (7, 10, 13, 16, 19)), (7, (11, 18))]
)
def test_every_sample_weighs_the_same(tmp_path, every, sampled):
  found = train(tmp_path, Averaging(4, every), 21)
  average = found.get_tensor('weight_average/layer/weight')
  np.testing.assert_allclose(average, np.mean(weights_after(*sampled), axis=0), rtol=1e-6)
  assert found.get_tensor('weight_average/samples') == len(sampled)
  np.testing.assert_array_equal(found.get_tensor('layer/weight'), weights_after(21)[0])


def test_a_training_that_was_stopped_goes_on_to_the_same_bits(tmp_path):
  whole = train(tmp_path / 'whole', Averaging(4, 3), 21)
  # Between two samples, and right after one.
  cut = train(tmp_path / 'cut', Averaging(4, 3), 6, 8, 10, 21)
  names = set(whole.get_variable_to_shape_map())
  assert names == set(cut.get_variable_to_shape_map())
  for name in names:
    np.testing.assert_array_equal(cut.get_tensor(name), whole.get_tensor(name), err_msg=name)


def test_with_a_decay_later_samples_weigh_more(tmp_path):
  found = train(tmp_path, Averaging(0, 1, decay=0.75), 7)
  expected = 0.0
  for number, weight in enumerate(weights_after(*range(1, 8)), 1):
    expected += (weight - expected) * max(1 / number, 0.25)
  np.testing.assert_allclose(found.get_tensor('weight_average/layer/weight'), expected, rtol=1e-6)


def rates(plan, steps, initial=0.1):
  """The rate of each step."""
  with tf.Graph().as_default(), tf.Session() as session:
    step = tf.train.create_global_step()
    rate = npu_adapter.averaging_rate(initial, plan)
    session.run(tf.global_variables_initializer())
    found = []
    for _ in range(steps):
      found.append(session.run(rate))
      session.run(tf.assign_add(step, 1))
  return np.array(found)


def test_the_constant_schedule_falls_from_half_to_nine_tenths_of_the_time_before():
  found = rates(Averaging(20, 5, 'constant', 0.02), 30)
  expected = [0.1] * 11 + [0.1 - 0.01 * number for number in range(1, 8)] + [0.02] * 12
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_cyclic_schedule_is_lowest_at_the_step_a_sample_is_taken_after(tmp_path):
  plan = Averaging(20, 4, 'cyclic', 0.01, 0.05)
  found = rates(plan, 32)
  np.testing.assert_allclose(found[20:], [0.04, 0.03, 0.02, 0.01] * 3, rtol=1e-5)
  np.testing.assert_allclose(found[:11], 0.1, rtol=1e-6)
  # A step is numbered from 0 before it, and from 1 after it.
  lowest = [number + 1 for number in range(20, 32) if found[number] < 0.011]
  average = train(tmp_path, plan, 32).get_tensor('weight_average/layer/weight')
  np.testing.assert_allclose(average, np.mean(weights_after(*lowest), axis=0), rtol=1e-6)


def test_the_manual_schedule_leaves_the_rate_alone():
  np.testing.assert_allclose(rates(Averaging(2, 1), 5), 0.1, rtol=1e-6)


def test_a_step_that_a_loss_scale_skips_is_not_sampled_twice():
  with tf.Graph().as_default(), tf.Session() as session:
    step = tf.train.create_global_step()
    weight = tf.get_variable('weight', initializer=3.0)
    sampled = npu_adapter.average_weights(tf.assign(step, 5), Averaging(4, 1))
    session.run(tf.global_variables_initializer())
    for _ in range(3):
      session.run(sampled)
    assert session.run([f'{weight_averaging.SAMPLES}:0', 'weight_average/weight:0']) == [1, 3.0]
    assert session.run(weight) == 3.0


@pytest.mark.parametrize(
  'plan, message',
  [
    (Averaging(-1, 1), 'first_step must be 0 or above; got -1'),
    (Averaging(0, 0), 'every_steps must be 1 or above; got 0'),
    (Averaging(0, 1, 'daily'), "one of manual, constant, cyclic; got 'daily'"),
    (Averaging(0, 1, 'constant'), 'rate must be above 0; got None'),
    (Averaging(0, 1, 'cyclic', 0.1, 0.2), 'a cycle must have 2 steps or more; got 1'),
    (Averaging(0, 2, 'cyclic', 0.1, 0.01), 'rate2 must be the rate, 0.1, or above; got 0.01'),
    (Averaging(0, 1, 'manual', 0.1), 'left out with the manual schedule'),
    (Averaging(0, 1, 'constant', 0.1, 0.2), 'left out with the constant schedule'),
    (Averaging(0, 1, decay=1.0), 'decay must be above 0 and below 1; got 1.0'),
  ],
)
def test_a_plan_that_cannot_work_is_refused_with_what_must_hold(plan, message):
  with pytest.raises(npu_adapter.OptionError, match=message):
    averaging_plan.check(plan)


def test_it_is_refused_inside_of_a_variable_scope():
  with tf.Graph().as_default(), tf.variable_scope('network'):
    tf.train.create_global_step()
    with pytest.raises(npu_adapter.OptionError, match="outside of any variable scope; got 'netw"):
      npu_adapter.average_weights(tf.no_op(), Averaging(0, 1))


def test_a_device_without_a_form_of_its_own_averages_the_same(tmp_path, monkeypatch):
  host = train(tmp_path / 'host', Averaging(4, 3), 21)
  monkeypatch.setattr(backends.choose(), 'only_when', lambda condition, make: None)
  other = train(tmp_path / 'other', Averaging(4, 3), 21)
  for name in ('weight_average/layer/weight', 'weight_average/samples'):
    np.testing.assert_array_equal(host.get_tensor(name), other.get_tensor(name))
