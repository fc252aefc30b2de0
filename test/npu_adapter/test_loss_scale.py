"""Loss scaling: the vendor's arithmetic, step by step, and what a skipped step leaves alone."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import npu_adapter as npu


def training(optimizer_for, overflow_at):
  """Yields (loss scale, global step, weight) after each step; listed steps overflow."""
  with tf.Graph().as_default():
    step = tf.train.get_or_create_global_step()
    gradient = tf.placeholder(tf.float32, [])
    weight = tf.get_variable('weight', [], initializer=tf.zeros_initializer())
    manager, optimizer = optimizer_for()
    train_op = optimizer.minimize(weight * gradient, step)
    with tf.Session() as session:
      session.run(tf.global_variables_initializer())
      for number in range(1, 9):
        session.run(train_op, {gradient: np.inf if number in overflow_at else 1.0})
        yield session.run((manager.get_loss_scale(), step, weight))


def exponential(**changes):
  arguments = {
    'init_loss_scale': 1024, 'incr_every_n_steps': 3, 'decr_every_n_nan_or_inf': 2,
    'incr_ratio': 2, 'decr_ratio': 0.5, **changes,
  }  # fmt: skip
  manager = npu.ExponentialUpdateLossScaleManager(**arguments)
  return manager, npu.wrap_optimizer(tf.train.GradientDescentOptimizer(1.0), manager)


def test_the_scale_follows_the_vendors_trace():
  found = list(training(exponential, overflow_at=(4, 5)))
  assert [scale for scale, _, _ in found] == [1024, 1024, 2048, 2048, 1024, 1024, 1024, 2048]


def test_an_overflowing_step_changes_neither_weights_nor_the_global_step():
  found = list(training(exponential, overflow_at=(4, 5)))
  assert [step for _, step, _ in found] == [1, 2, 3, 3, 3, 4, 5, 6]
  assert [weight for _, _, weight in found] == [-1, -2, -3, -3, -3, -4, -5, -6]


def test_the_scale_never_falls_below_one_nor_leaves_float32():
  falling = training(lambda: exponential(init_loss_scale=1.5, decr_every_n_nan_or_inf=1),
                     overflow_at=range(1, 9))  # fmt: skip
  assert min(scale for scale, _, _ in falling) == 1
  growing = training(
    lambda: exponential(init_loss_scale=1e38, incr_every_n_steps=1), overflow_at=()
  )
  assert all(np.isfinite(scale) for scale, _, _ in growing)


def fixed(check=True):
  manager = npu.FixedLossScaleManager(128, check)
  return manager, npu.wrap_optimizer(tf.train.GradientDescentOptimizer(1.0), manager)


def test_a_fixed_scale_stays_and_skips_overflowing_steps():
  found = list(training(fixed, overflow_at=(2,)))
  assert {scale for scale, _, _ in found} == {128}
  assert [step for _, step, _ in found] == [1, 1, 2, 3, 4, 5, 6, 7]


def test_a_fixed_scale_without_the_check_takes_every_step():
  found = list(training(lambda: fixed(check=False), overflow_at=(2,)))
  assert [step for _, step, _ in found] == list(range(1, 9))
  assert not np.isfinite(found[-1][2])


def test_the_gradients_are_those_of_the_unscaled_loss_dense_and_sparse():
  with tf.Graph().as_default():
    table = tf.get_variable('table', [4, 2], initializer=tf.ones_initializer())
    loss = tf.reduce_sum(3.0 * tf.gather(table, [1, 1]))
    _, optimizer = fixed()
    (sparse, variable), = optimizer.compute_gradients(loss, [table])  # fmt: skip
    assert isinstance(sparse, tf.IndexedSlices)
    train_op = optimizer.apply_gradients([(sparse, variable)])
    with tf.Session() as session:
      session.run(tf.global_variables_initializer())
      assert session.run(sparse.values).tolist() == [[3, 3], [3, 3]]
      session.run(train_op)
      assert session.run(table).tolist() == [[1, 1], [-5, -5], [1, 1], [1, 1]]


def test_the_state_of_the_scale_is_saved_under_the_names_of_tf_contrib():
  with tf.Graph().as_default():
    exponential()
    names = {variable.op.name for variable in tf.global_variables()}
    assert {'loss_scale', 'good_steps', 'bad_steps'} <= names
    assert not {'loss_scale', 'good_steps', 'bad_steps'} & {
      variable.op.name for variable in tf.trainable_variables()
    }


def test_slots_and_other_attributes_are_the_inner_optimizers():
  with tf.Graph().as_default():
    weight = tf.get_variable('weight', [], initializer=tf.zeros_initializer())
    optimizer = npu.wrap_optimizer(tf.train.MomentumOptimizer(0.1, 0.9), 'dynamic')
    optimizer.minimize(weight * 1.0)
    assert optimizer.get_slot_names() == ['momentum']
    assert optimizer.get_slot(weight, 'momentum') in optimizer.variables()
    assert optimizer._momentum == 0.9


@pytest.mark.parametrize('value', [None, 'none'])
def test_without_loss_scale_the_optimizer_is_left_alone(value):
  optimizer = tf.train.AdamOptimizer()
  assert npu.wrap_optimizer(optimizer, value) is optimizer


@pytest.mark.parametrize('value, first', [('dynamic', 2.0**15), ('128', 128), (64, 64)])
def test_the_flags_values_make_their_managers(value, first):
  with tf.Graph().as_default(), tf.Session() as session:
    optimizer = npu.wrap_optimizer(tf.train.AdamOptimizer(), value)
    session.run(tf.global_variables_initializer())
    assert session.run(optimizer._manager.get_loss_scale()) == first


@pytest.mark.parametrize(
  'make, words',
  [
    (lambda: npu.FixedLossScaleManager(0.5), 'loss_scale must be a number of at least 1; got 0.5'),
    (lambda: npu.FixedLossScaleManager('128'), "got '128'"),
    (lambda: npu.FixedLossScaleManager(float('nan')), 'got nan'),
    (lambda: npu.ExponentialUpdateLossScaleManager(0, 3), 'init_loss_scale'),
    (lambda: npu.ExponentialUpdateLossScaleManager(1, 0), 'incr_every_n_steps'),
    (lambda: npu.ExponentialUpdateLossScaleManager(1, 3, 0), 'decr_every_n_nan_or_inf'),
    (lambda: npu.ExponentialUpdateLossScaleManager(1, 3, 2, 0.5), 'incr_ratio'),
    (lambda: npu.ExponentialUpdateLossScaleManager(1, 3, 2, 2, 1.5), 'decr_ratio'),
    (lambda: npu.wrap_optimizer(None, 'dynamik'), "Did you mean 'dynamic'"),
    (lambda: npu.wrap_optimizer(None, '0.5'), 'got 0.5'),
    (lambda: npu.wrap_optimizer(None, [3]), r'got \[3\]'),
  ],
)
def test_a_wrong_scale_is_refused_by_name(make, words):
  with pytest.raises(ValueError, match=words):
    make()
