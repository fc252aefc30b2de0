"""Batch norm's statistics of a Keras network: over all data, each number counted once."""

import importlib.util
import inspect
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.keras_averaging import SWA

_HERE = pathlib.Path(__file__)
_spec = importlib.util.spec_from_file_location(
  'keras_of_line', str(_HERE.with_name('keras_of_line.py'))
)
line = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(line)
keras, layers = line.keras, line.layers

ROWS, BATCH = 10, 4
EPSILON = 1e-3


@pytest.fixture(autouse=True)
def new_names():
  keras.backend.clear_session()


def points(rows=ROWS, shape=(3,), seed=0):
  # Far from 0: a mean squared that is taken from a sum of squares would be seen.
  return (np.random.RandomState(seed).randn(rows, *shape) * 2 + 5).astype(np.float32)


def inner():
  # Without an input shape Keras 3 builds it when it is called.
  return keras.Sequential(
    [
      layers.Dense(4, bias_initializer='ones', input_shape=(4,)),
      layers.BatchNormalization(name='high'),
    ]
  )


def functional():
  """Two layers of batch norm, one in a model of its own. The rest is linear."""
  inputs = layers.Input((3,))
  x = layers.Dense(4, name='below')(inputs)
  x = layers.BatchNormalization(name='low', epsilon=EPSILON)(x)
  x = inner()(x)
  return keras.Model(inputs, layers.Dense(2)(x))


class Subclassed(keras.Model):
  """The same network, in code."""

  def __init__(self):
    super().__init__()
    self.below = layers.Dense(4, name='below')
    self.low = layers.BatchNormalization(name='low', epsilon=EPSILON)
    self.inner = [layers.Dense(4, bias_initializer='ones'), layers.BatchNormalization(name='high')]
    self.last = layers.Dense(2)

  def call(self, inputs, training=None):
    x = self.low(self.below(inputs), training=training)
    x = self.inner[1](self.inner[0](x), training=training)
    return self.last(x)


def weights_of(model, name):
  """{gamma, beta, moving_mean, moving_variance, kernel, bias: value} of a layer."""
  # By position: the names of weights differ from Keras to Keras.
  layer = next(each for each in every_layer(model) if each.name == name)
  names = ['gamma', 'beta', 'moving_mean', 'moving_variance']
  if name not in ('low', 'high'):
    names = ['kernel', 'bias']
  return dict(zip(names, layer.get_weights()))


def every_layer(model):
  for each in getattr(model, 'layers', ()):
    yield each
    yield from every_layer(each)
  yield from getattr(model, 'inner', ()) if isinstance(getattr(model, 'inner', None), list) else ()


def batches(x, size=BATCH):
  return [x[first : first + size] for first in range(0, len(x), size)]


def normalised(x, low):
  return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + EPSILON) * low['gamma'] + low['beta']


def assert_statistics(model, x, size=BATCH):
  """Both layers have the statistics of x, for the weights that the model has."""
  below, low, high = (weights_of(model, name) for name in ('below', 'low', 'high'))
  given = [np.float64(part) @ below['kernel'] + below['bias'] for part in batches(x, size)]
  assert_averages(low, given)
  kernel, bias = dense_below_high(model)
  assert_averages(high, [normalised(part, low) @ kernel + bias for part in given])


def assert_averages(layer, parts):
  """parts: what the layer is given, batch by batch."""
  rows = np.concatenate(parts).astype(np.float64)
  spread = rows.std(axis=0)
  # A mean may be near 0.
  np.testing.assert_allclose(layer['moving_mean'] / spread, rows.mean(axis=0) / spread, atol=1e-5)
  np.testing.assert_allclose(layer['moving_variance'], rows.var(axis=0), rtol=1e-5)


def dense_below_high(model):
  found = list(every_layer(model))
  place = next(number for number, each in enumerate(found) if each.name == 'high')
  return found[place - 1].get_weights()


def fit(model, data, *callbacks, epochs=5, **given):
  arrays = {'batch_size': BATCH, 'shuffle': False} if isinstance(data, tuple) else {}
  x, y = data if isinstance(data, tuple) else (data, None)
  return model.fit(x, y, epochs=epochs, verbose=0, callbacks=list(callbacks), **arrays, **given)


def targets(x):
  return x[:, :2] * 0.1


def dataset(x):
  return tf.data.Dataset.from_tensor_slices((x, targets(x))).batch(BATCH)


class Batches(keras.utils.Sequence):
  def __init__(self, x):
    super().__init__()
    self.x = x

  def __len__(self):
    return len(batches(self.x))

  def __getitem__(self, number):
    part = batches(self.x)[number]
    return part, targets(part)


def endless(x):
  while True:
    for part in batches(x):
      yield part, targets(part)


@line.in_every_keras
def test_all_of_this_holds_in(mode):
  line.run_again(__file__, mode)


@pytest.mark.parametrize('make', [functional, Subclassed])
def test_the_last_epoch_takes_the_statistics_of_all_rows(make):
  x, model = points(), line.compiled(make())
  fit(model, (x, targets(x)), SWA(2))
  assert_statistics(model, x)


@pytest.mark.parametrize('given', ['dataset', 'sequence', 'generator'])
def test_it_does_so_with_whatever_fit_is_given(given):
  x, model = points(), line.compiled(functional())
  if given == 'generator':
    fit(model, endless(x), SWA(2), steps_per_epoch=3)
  else:
    fit(model, {'dataset': dataset, 'sequence': Batches}[given](x), SWA(2))
  assert_statistics(model, x)


@pytest.mark.parametrize('make', [functional, Subclassed])
@pytest.mark.parametrize('data', [lambda x: x, dataset, Batches])
def test_data_of_ones_own_cost_no_epoch(make, data):
  x, other, spy = points(), points(14, seed=1), line.Spy()
  model = line.compiled(make())
  swa = SWA(2, batch_size=BATCH, bn_data=data(other))
  model.fit(x, targets(x), batch_size=BATCH, epochs=4, verbose=0, callbacks=[swa, spy])
  assert swa.samples == 3
  assert_statistics(model, other)
  average = line.mean_of(spy.weights[1:])
  line.assert_close(trained(model, model.get_weights()), trained(model, average))


def trained(model, weights):
  """Those of the weights that are not batch norm's averages."""
  names = [getattr(each, 'path', each.name) for each in model.weights]
  return [weight for name, weight in zip(names, weights) if 'moving_' not in name]


def has_trained(model, before, after):
  pairs = zip(trained(model, before), trained(model, after))
  return any(np.abs(one - other).max() > 1e-4 for one, other in pairs)


@pytest.mark.parametrize('given', ['arrays', 'dataset'])
def test_the_last_epoch_trains_nothing_and_leaves_the_optimizer_alone(given):
  x, spy = points(), line.Spy()
  model = line.compiled(functional(), line.sgd(0.01, momentum=0.9))
  data = (x, targets(x)) if given == 'arrays' else dataset(x)
  fit(model, data, SWA(3), spy, epochs=6)
  line.assert_close(spy.optimizer[-1], spy.optimizer[-2], rtol=0, atol=0)
  average = line.mean_of(spy.weights[2:5])
  line.assert_close(trained(model, model.get_weights()), trained(model, average))


def test_a_training_that_follows_trains_again():
  x, spy = points(), line.Spy()
  model = line.compiled(functional())
  fit(model, (x, targets(x)), epochs=1)
  function, its_class = model.train_function, type(model.train_function)
  fit(model, (x, targets(x)), SWA(2))
  assert model.train_function is function
  assert type(function) is its_class
  before = model.get_weights()
  fit(model, (x, targets(x)), spy, epochs=1)
  assert has_trained(model, before, spy.weights[0])
  # Its statistics are moved as ever: by a hundredth of the way in each of three steps.
  low, moved = before[4:6], model.get_weights()[4:6]
  assert not np.allclose(low, moved, rtol=1e-4)


class Broken(keras.callbacks.Callback):
  """Ends a training in the middle of an epoch, counted from 0."""

  def __init__(self, epoch):
    super().__init__()
    self._epoch, self._now = epoch, 0

  def on_epoch_begin(self, epoch, logs=None):
    self._now = epoch

  def on_train_batch_end(self, batch, logs=None):
    if self._now == self._epoch and batch:
      raise KeyboardInterrupt


def test_after_one_that_was_broken_off_in_the_last_epoch_the_next_trains():
  x, spy, swa = points(), line.Spy(), SWA(2)
  model = line.compiled(functional())
  with pytest.raises(KeyboardInterrupt):
    fit(model, (x, targets(x)), swa, Broken(3), epochs=4)
  average = model.get_weights()
  fit(model, (x, targets(x)), spy, epochs=1)
  assert has_trained(model, average, spy.weights[0])
  fit(model, (x, targets(x)), swa, epochs=4)
  assert_statistics(model, x)


def test_the_validation_of_the_last_epoch_is_of_the_averaged_network():
  x, other = points(), points(6, seed=1)
  model = line.compiled(functional())
  history = fit(model, (x, targets(x)), SWA(2), validation_data=(other, targets(other))).history
  loss = model.evaluate(other, targets(other), verbose=0)
  np.testing.assert_allclose(history['val_loss'][-1], loss, rtol=1e-5)


def test_images_are_counted_by_their_pixels():
  # Keras' fused operator divides the variance of these by one less.
  x = points(shape=(3, 3, 2))
  model = keras.Sequential([
    layers.BatchNormalization(input_shape=(3, 3, 2)), layers.Flatten(), layers.Dense(2)
  ])  # fmt: skip
  fit(line.compiled(model), (x, targets(x[:, 0, 0])), SWA(2))
  mean, variance = model.layers[0].get_weights()[2:]
  np.testing.assert_allclose(mean, x.mean(axis=(0, 1, 2)), rtol=1e-5)
  np.testing.assert_allclose(variance, np.float64(x).var(axis=(0, 1, 2)), rtol=1e-5)


def test_a_layer_inside_of_another_layer_is_found():
  x = points(shape=(5, 3))
  model = keras.Sequential([
    layers.TimeDistributed(layers.BatchNormalization(), input_shape=(5, 3)),
    layers.Flatten(), layers.Dense(2),
  ])  # fmt: skip
  fit(line.compiled(model), (x, targets(x[:, 0])), SWA(2))
  mean, variance = model.layers[0].get_weights()[2:]
  np.testing.assert_allclose(mean, x.mean(axis=(0, 1)), rtol=1e-5)
  np.testing.assert_allclose(variance, np.float64(x).var(axis=(0, 1)), rtol=1e-5)


def test_a_frozen_layer_keeps_its_statistics():
  x, model = points(), functional()
  low = next(each for each in every_layer(model) if each.name == 'low')
  low.trainable = False
  before = [np.array(each) for each in low.get_weights()]
  fit(line.compiled(model), (x, targets(x)), SWA(2))
  line.assert_close(low.get_weights(), before)
  assert not np.allclose(weights_of(model, 'high')['moving_mean'], 0)


@pytest.mark.skipif(line.IS_GRAPH, reason='sessions run a graph, a step at a time')
@pytest.mark.parametrize(
  'how', [{'steps_per_execution': 2}, {'jit_compile': True}, {'run_eagerly': True}]
)
def test_each_batch_counts_however_steps_are_run(how):
  x, model = points(), functional()
  model.compile(line.sgd(), 'mse', **how)
  fit(model, (x, targets(x)), SWA(2))
  assert_statistics(model, x)


@pytest.mark.skipif(line.IS_GRAPH, reason='sessions have one device here')
def test_each_of_several_devices_counts_its_part():
  x = points(12)
  with tf.distribute.MirroredStrategy(['/cpu:0', '/cpu:1']).scope():
    model = line.compiled(functional())
  fit(model, (x, targets(x)), SWA(2))
  # Each takes half of a batch.
  assert_statistics(model, x, BATCH // 2)


def counts_mask():
  return 'mask' in inspect.signature(layers.BatchNormalization.call).parameters


@pytest.mark.skipif(not counts_mask(), reason='it normalises with what is masked, too')
def test_what_is_masked_does_not_count():
  x = points(shape=(5, 3))
  x[:4, 3:] = 0
  model = keras.Sequential([
    layers.Masking(input_shape=(5, 3)), layers.BatchNormalization(), layers.Lambda(last_step),
    layers.Dense(2),
  ])  # fmt: skip
  fit(line.compiled(model), (x, targets(x[:, 0])), SWA(2))
  mean, variance = model.layers[1].get_weights()[2:]
  rows = np.float64(x)[(x != 0).all(axis=-1)]
  np.testing.assert_allclose(mean, rows.mean(axis=0), rtol=1e-5)
  np.testing.assert_allclose(variance, rows.var(axis=0), rtol=1e-5)


def last_step(x):
  return x[:, -1]


@pytest.mark.skipif(not line.IS_GRAPH, reason='elsewhere there are no updates to write down')
@pytest.mark.parametrize('make', [functional, Subclassed])
def test_the_graph_of_the_training_is_as_before(make):
  x, model = points(), line.compiled(make())
  fit(model, (x, targets(x)), epochs=1)
  updates, losses = list(model.updates), list(model.losses)
  fit(model, (x, targets(x)), SWA(2), epochs=3)
  assert model.updates == updates
  assert model.losses == losses


class OwnNorm(layers.Layer):
  """Averages of its own, of which nothing is known."""

  def build(self, input_shape):
    self.moving_mean = self.add_weight(
      name='moving_mean', shape=(input_shape[-1],), initializer='zeros', trainable=False
    )

  def call(self, inputs):
    return inputs - self.moving_mean


def test_averages_of_a_layer_of_ones_own_are_told():
  x = points()
  model = keras.Sequential([layers.Dense(3, input_shape=(3,)), OwnNorm(), layers.Dense(2)])
  with pytest.warns(UserWarning, match='moving_mean.*: of no BatchNormalization layer'):
    fit(line.compiled(model), (x, targets(x)), SWA(2))
