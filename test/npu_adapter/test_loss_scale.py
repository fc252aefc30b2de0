"""Loss scaling: the vendor's arithmetic, step by step, and what a skipped step leaves alone."""

import copy

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
    (lambda: npu.wrap_optimizer(None, True), 'got True'),
    (lambda: npu.wrap_optimizer('adam'), "takes a tf.train.Optimizer; got 'adam'"),
    (lambda: npu.wrap_optimizer(tf.train.AdamOptimizer), 'takes a tf.train.Optimizer; got <class'),
    (lambda: npu.wrap_optimizer(None, [3]), r'got \[3\]'),
  ],
)
def test_a_wrong_scale_is_refused_by_name(make, words):
  with pytest.raises(ValueError, match=words):
    make()


def test_the_defaults_of_a_moving_scale_are_the_vendors():
  def make():
    manager = npu.ExponentialUpdateLossScaleManager(1000, 2)
    return manager, npu.wrap_optimizer(tf.train.GradientDescentOptimizer(1.0), manager)

  found = [scale for scale, _, _ in training(make, overflow_at=(3, 4, 5, 6))]
  assert found == pytest.approx([1000, 2000, 2000, 1600, 1600, 1280, 1280, 2560])


def test_only_good_steps_in_a_row_count_and_bad_ones_add_up():
  found = [scale for scale, _, _ in training(exponential, overflow_at=(3, 6))]
  assert found == [1024, 1024, 1024, 1024, 1024, 512, 512, 512]


def test_growing_forgets_the_bad_steps():
  found = [scale for scale, _, _ in training(exponential, overflow_at=(1, 5))]
  assert found == [1024, 1024, 1024, 2048, 2048, 2048, 2048, 4096]


def test_a_manager_can_be_told_the_verdict_by_hand():
  with tf.Graph().as_default(), tf.Session() as session:
    moving = npu.ExponentialUpdateLossScaleManager(1024, 1)
    constant = npu.FixedLossScaleManager(8)
    updates = [m.update_loss_scale(tf.constant(True)) for m in (moving, constant)]
    session.run(tf.global_variables_initializer())
    session.run(updates)
    assert session.run([moving.get_loss_scale(), constant.get_loss_scale()]) == [2048, 8]


def test_a_fixed_scale_checks_for_overflow_unless_told_not_to():
  def make():
    manager = npu.FixedLossScaleManager(128)
    return manager, npu.wrap_optimizer(tf.train.GradientDescentOptimizer(1.0), manager)

  assert [step for _, step, _ in training(make, overflow_at=(2,))][-1] == 7


def test_the_dynamic_scale_grows_after_2000_steps_and_halves_after_two_that_overflow():
  with tf.Graph().as_default(), tf.Session() as session:
    weight = tf.get_variable('weight', [], initializer=tf.zeros_initializer())
    optimizer = npu.wrap_optimizer(tf.train.GradientDescentOptimizer(1.0), 'dynamic')
    finite = tf.placeholder(tf.float32, [])
    train_op = optimizer.minimize(weight * finite)
    session.run(tf.global_variables_initializer())
    (good_steps,) = [v for v in tf.global_variables() if v.op.name == 'good_steps']
    scale = optimizer._manager.get_loss_scale()
    good_steps.load(1998, session)
    found = []
    for value in (1, 1, np.inf, np.inf):
      session.run(train_op, {finite: value})
      found.append(session.run(scale))
    assert found == [2.0**15, 2.0**16, 2.0**16, 2.0**15]


def test_variables_without_a_gradient_are_left_out_as_by_the_inner_optimizer():
  with tf.Graph().as_default(), tf.Session() as session:
    used = tf.get_variable('used', [], initializer=tf.zeros_initializer())
    idle = tf.get_variable('idle', [], initializer=tf.zeros_initializer())
    _, optimizer = fixed()
    pairs = optimizer.compute_gradients(used * 3.0, [used, idle])
    assert pairs[1] == (None, idle)
    train_op = optimizer.apply_gradients(pairs)
    session.run(tf.global_variables_initializer())
    session.run(train_op)
    assert session.run([used, idle]) == [-3, 0]


def test_arguments_of_the_gradients_reach_the_inner_optimizer():
  with tf.Graph().as_default(), tf.Session() as session:
    first = tf.get_variable('first', [], initializer=tf.zeros_initializer())
    second = tf.get_variable('second', [], initializer=tf.zeros_initializer())
    _, optimizer = fixed()
    loss = first * 2.0 + second
    ((gradient, variable),) = optimizer.compute_gradients(
      loss, [first], grad_loss=tf.constant(10.0), colocate_gradients_with_ops=True
    )
    session.run(tf.global_variables_initializer())
    assert variable is first
    assert session.run(gradient) == 20


def test_a_half_precision_loss_and_its_gradients_keep_their_type():
  with tf.Graph().as_default(), tf.Session() as session:
    weight = tf.get_variable('weight', [2], tf.float16, initializer=tf.zeros_initializer())
    _, optimizer = fixed()
    loss = tf.reduce_sum(weight * 3.0)
    ((gradient, _),) = optimizer.compute_gradients(loss, [weight])
    table = tf.get_variable('table', [4, 2], tf.float16, initializer=tf.ones_initializer())
    ((sparse, _),) = optimizer.compute_gradients(tf.reduce_sum(tf.gather(table, [1])), [table])
    assert (gradient.dtype, sparse.values.dtype) == (tf.float16, tf.float16)
    session.run(tf.global_variables_initializer())
    assert session.run(gradient).tolist() == [3, 3]
    assert session.run(sparse.values).tolist() == [[1, 1]]


def test_a_loss_may_be_a_function():
  with tf.Graph().as_default(), tf.Session() as session:
    # TensorFlow 1.15 itself takes a function only for resource variables.
    weight = tf.get_variable('weight', [], initializer=tf.zeros_initializer(), use_resource=True)
    _, optimizer = fixed()
    ((gradient, _),) = optimizer.compute_gradients(lambda: weight * 3.0, [weight])
    session.run(tf.global_variables_initializer())
    assert session.run(gradient) == 3


def test_overflow_in_one_row_of_a_sparse_gradient_skips_the_step():
  with tf.Graph().as_default(), tf.Session() as session:
    table = tf.get_variable('table', [4, 2], initializer=tf.ones_initializer())
    factor = tf.placeholder(tf.float32, [])
    _, optimizer = fixed()
    train_op = optimizer.minimize(tf.reduce_sum(factor * tf.gather(table, [1])))
    session.run(tf.global_variables_initializer())
    session.run(train_op, {factor: np.inf})
    assert session.run(table).tolist() == [[1, 1]] * 4


def test_the_training_op_has_the_name_that_was_asked_for():
  with tf.Graph().as_default():
    weight = tf.get_variable('weight', [], initializer=tf.zeros_initializer())
    _, optimizer = fixed()
    assert optimizer.minimize(weight * 1.0, name='my_step').name == 'my_step'


def test_an_optimizer_can_be_copied():
  with tf.Graph().as_default():
    _, optimizer = fixed()
    assert copy.copy(optimizer)._optimizer is optimizer._optimizer


@pytest.mark.parametrize('ratio', [0, -0.5, 1.5])
def test_a_scale_shrinks_to_a_positive_part(ratio):
  with pytest.raises(npu.OptionError, match='decr_ratio must lie above 0 and up to 1; got'):
    npu.ExponentialUpdateLossScaleManager(8, 3, 2, 2, ratio)
  with tf.Graph().as_default():
    assert npu.ExponentialUpdateLossScaleManager(8, 3, 2, 2, 1)


@pytest.mark.parametrize('scale', [True, float('inf'), float('nan'), None])
def test_what_is_no_number_of_at_least_one_is_no_scale(scale):
  with pytest.raises(npu.OptionError, match='loss_scale must be a number of at least 1; got'):
    npu.FixedLossScaleManager(scale)


def test_a_scale_of_a_wrong_type_is_told_in_words_of_the_flag():
  with pytest.raises(npu.OptionError, match="must be 'none', 'dynamic', a number .* got {}"):
    npu.wrap_optimizer(None, {})
