"""The checkpoint of an averaged network: its weights, and batch norm's statistics for them."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import npu_adapter
from npu_adapter import averaged_checkpoint, batch_statistics, errors
from npu_adapter.averaging_plan import Averaging
from npu_adapter.runtime import tf1

tf1.enable()

_CHANCE = np.random.RandomState(5)
# Far from 0 and of different widths, so that a mean of means would show.
DATA = (_CHANCE.standard_normal([50, 4, 3]) * [1, 5, 0.3] + [1, -3, 6]).astype(np.float32)


def moved(name, start, value, share=0.1):
  average = tf.get_variable(name, value.shape, tf.float32, start, trainable=False)
  update = tf.assign_sub(average, (average - value) * share)
  tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, update)
  return average


def by_moments(x):
  """As tf.layers and Keras do for a layer that is not fused."""
  mean, variance = tf.nn.moments(x, [0, 1])
  moved('moving_mean', tf.zeros_initializer(), mean)
  moved('moving_variance', tf.ones_initializer(), variance)
  return (x - mean) * tf.rsqrt(variance + 1e-3)


def by_fused_operator(x):
  """The operator returns a variance that is divided by one less."""
  image, mean, variance = tf.nn.fused_batch_norm(x[:, None], tf.ones([3]), tf.zeros([3]))
  moved('moving_mean', tf.zeros_initializer(), mean)
  moved('moving_variance', tf.ones_initializer(), variance)
  return image[:, 0]


def by_its_own_word(x):
  """Moves in a way that nothing could be read off, and by a mean that a bias is added to."""
  mean, variance = tf.nn.moments(x, [0, 1])
  averages = [
    tf.get_variable(name, [3], tf.float32, tf.zeros_initializer(), trainable=False)
    for name in ('moving_mean', 'moving_variance')
  ]
  for average, value in zip(averages, (mean + 7.0, variance)):
    tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, tf.assign(average, value * 0.5))
  npu_adapter.keep_batch_statistics(*averages, mean + 7.0, variance, tf.size(x) / 3)
  return (x - mean) * tf.rsqrt(variance + 1e-3)


def model_fn(features, labels, mode, params):
  # Outside of training batch norm takes no statistics.
  assert mode == npu_adapter.ModeKeys.TRAIN
  weight = tf.get_variable('weight', [3], tf.float32, tf.ones_initializer())
  x = features * weight
  with tf.variable_scope('outer/inner'):
    x = params['norm'](x) if params['norm'] else x
  loss = tf.reduce_mean(
    tf.square(x * tf.get_variable('scale', [], initializer=tf.ones_initializer()) - 1)
  )
  step = tf.train.get_global_step()
  train_op = tf.train.MomentumOptimizer(0.005, 0.5).minimize(loss, step)
  train_op = tf.group(train_op, *tf.get_collection(tf.GraphKeys.UPDATE_OPS))
  if params['plan']:
    train_op = npu_adapter.average_weights(train_op, params['plan'])
  return npu_adapter.EstimatorSpec(mode, loss=loss, train_op=train_op)


def once():
  """All data, the last batch smaller."""
  return tf.data.Dataset.from_tensor_slices(DATA).batch(16)


def trained(folder, norm, plan, steps=9):
  params = {'norm': norm, 'plan': plan}
  estimator = npu_adapter.NPUEstimator(model_fn, str(folder), params=params, progress=False)
  return estimator.train(lambda: once().repeat(), max_steps=steps)


def values(checkpoint):
  reader = tf.train.load_checkpoint(checkpoint)
  return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


@pytest.mark.parametrize('norm', [by_moments, by_fused_operator, by_its_own_word])
def test_statistics_are_those_of_all_data_under_the_averaged_weights(tmp_path, norm):
  estimator = trained(tmp_path, norm, Averaging(4, 1))
  path = npu_adapter.write_averaged_checkpoint(estimator, once)
  found, before = values(path), values(estimator.latest_checkpoint())
  np.testing.assert_array_equal(found['weight'], before['weight_average/weight'])
  assert np.abs(found['weight'] - before['weight']).max() > 1e-4
  seen = (DATA.astype(np.float64) * found['weight']).reshape(-1, 3)
  bias = 7 if norm is by_its_own_word else 0
  np.testing.assert_allclose(found['outer/inner/moving_mean'], seen.mean(0) + bias, rtol=1e-5)
  np.testing.assert_allclose(found['outer/inner/moving_variance'], seen.var(0), rtol=1e-5)


def test_all_but_weights_and_statistics_is_as_it_was(tmp_path):
  estimator = trained(tmp_path, by_moments, Averaging(4, 1))
  path = npu_adapter.write_averaged_checkpoint(estimator, once)
  found, before = values(path), values(estimator.latest_checkpoint())
  assert set(found) == set(before)
  changed = {name for name in found if not np.array_equal(found[name], before[name])}
  assert changed == {
    'weight', 'scale', 'outer/inner/moving_mean', 'outer/inner/moving_variance'
  }  # fmt: skip
  assert {each.dtype for each in found.values()} == {each.dtype for each in before.values()}


def test_training_goes_on_as_if_no_average_had_been_written(tmp_path):
  plan = Averaging(4, 1)
  trained(tmp_path / 'whole', None, plan, 12)
  npu_adapter.write_averaged_checkpoint(trained(tmp_path / 'cut', None, plan, 12), once)
  assert averaged_checkpoint.folder_of(str(tmp_path / 'cut')) == str(tmp_path / 'cut' / 'average')
  last = trained(tmp_path / 'cut', None, plan, 12).latest_checkpoint()
  assert last == str(tmp_path / 'cut' / 'model.ckpt-12')
  assert not list((tmp_path / 'cut').glob('.average-*'))


def test_a_later_average_takes_the_place_of_the_one_before(tmp_path):
  plan = Averaging(4, 1)
  npu_adapter.write_averaged_checkpoint(trained(tmp_path, None, plan, 6), once)
  path = npu_adapter.write_averaged_checkpoint(trained(tmp_path, None, plan, 9), once)
  assert path == str(tmp_path / 'average' / 'model.ckpt-9')
  assert [each.name for each in (tmp_path / 'average').glob('*.index')] == ['model.ckpt-9.index']


def test_so_many_batches_are_taken_of_data_without_end(tmp_path):
  estimator = trained(tmp_path, by_moments, Averaging(4, 1))
  path = npu_adapter.write_averaged_checkpoint(estimator, lambda: once().repeat(), batches=1)
  seen = (DATA[:16].astype(np.float64) * values(path)['weight']).reshape(-1, 3)
  np.testing.assert_allclose(values(path)['outer/inner/moving_mean'], seen.mean(0), rtol=1e-5)


def test_what_cannot_be_averaged_is_refused_and_nothing_is_left(tmp_path):
  from_before = trained(tmp_path / 'before', None, Averaging(4, 9))
  with pytest.raises(errors.InputError, match='of step 9 is from before the first one'):
    npu_adapter.write_averaged_checkpoint(from_before, once)
  without = trained(tmp_path / 'without', None, None)
  with pytest.raises(errors.InputError, match='of a training that averages its weights'):
    npu_adapter.write_averaged_checkpoint(without, once)
  estimator = trained(tmp_path / 'empty', by_moments, Averaging(4, 1))
  with pytest.raises(errors.InputError, match='at least one batch'):
    npu_adapter.write_averaged_checkpoint(estimator, lambda: once().take(0))
  for folder in tmp_path.iterdir():
    assert not (folder / 'average').exists() and not list(folder.glob('.average-*'))


def test_a_layer_of_no_known_form_is_refused_by_name(tmp_path):
  def by_assignment(x):
    mean = tf.reduce_mean(x, [0, 1])
    average = tf.get_variable(
      'moving_mean', [3], tf.float32, tf.zeros_initializer(), trainable=False
    )
    tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, tf.assign(average, mean))
    return x - mean

  estimator = trained(tmp_path, by_assignment, Averaging(4, 1))
  with pytest.raises(npu_adapter.OptionError, match='what outer/inner/moving_mean is the average'):
    npu_adapter.write_averaged_checkpoint(estimator, once)


@pytest.mark.skipif(tf1.layers_problem() is not None, reason='this TensorFlow has no tf.layers')
@pytest.mark.parametrize('shape', [[-1, 3], [-1, 2, 2, 3]])
def test_layers_of_tf_layers_are_found_fused_or_not(shape):
  with tf.Graph().as_default() as graph, tf.Session() as session:
    x = tf.reshape(tf.constant(DATA), shape)
    tf.layers.batch_normalization(tf.layers.batch_normalization(x, training=True), training=True)
    found = batch_statistics.find(graph)
    assert [each.moving_mean for each in found] == [
      'batch_normalization/moving_mean', 'batch_normalization_1/moving_mean'
    ]  # fmt: skip
    session.run(tf.global_variables_initializer())
    values_found = batch_statistics.over_batches(session, found, 1)
  flat = DATA.reshape(-1, 3).astype(np.float64)
  mean = values_found['batch_normalization/moving_mean']
  np.testing.assert_allclose(mean, flat.mean(0), rtol=1e-5)
  np.testing.assert_allclose(
    values_found['batch_normalization/moving_variance'], flat.var(0), rtol=1e-4
  )
  assert np.abs(values_found['batch_normalization_1/moving_mean']).max() < 1e-2
