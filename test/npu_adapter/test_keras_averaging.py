"""SWA in model.fit: which weights are averaged, at which rates, what is said, how it goes on."""

import functools
import importlib.util
import pathlib

import numpy as np
import pytest

from npu_adapter.keras_averaging import SWA

_HERE = pathlib.Path(__file__)
_spec = importlib.util.spec_from_file_location(
  'keras_of_line', str(_HERE.with_name('keras_of_line.py'))
)
line = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(line)
keras, layers = line.keras, line.layers

STEPS = 3
X = np.random.RandomState(0).randn(10, 3).astype(np.float32)
Y = X[:, :2] * 0.5


@pytest.fixture(autouse=True)
def new_names():
  keras.backend.clear_session()


def network(optimizer=None, with_batch_norm=False):
  """Starts from the same weights each time."""
  middle = [layers.BatchNormalization()] if with_batch_norm else []
  model = keras.Sequential([layers.Dense(4, input_shape=(3,)), *middle, layers.Dense(2)])
  random = np.random.RandomState(1)
  start = [random.rand(*np.shape(each)).astype(np.float32) for each in model.get_weights()]
  model.set_weights(start)
  return line.compiled(model, optimizer)


def fit(model, *callbacks, epochs=12, **given):
  return model.fit(
    X, Y, batch_size=4, shuffle=False, epochs=epochs, verbose=0, callbacks=list(callbacks), **given
  )


@line.in_every_keras
def test_all_of_this_holds_in(mode):
  line.run_again(__file__, mode)


@pytest.mark.parametrize(
  'every, sampled', [(1, range(4, 24)), (3, (6, 9, 12, 15, 18, 21)), (7, (10, 17))]
)
def test_the_weights_left_are_the_mean_of_those_at_the_end_of_each_cycle(every, sampled):
  spy, swa, model = line.Spy(), SWA(5, swa_freq=every), network()
  fit(model, swa, spy, epochs=24)
  assert swa.samples == len(sampled)
  average = line.mean_of([spy.weights[epoch] for epoch in sampled])
  line.assert_close(model.get_weights(), average)
  line.assert_close(swa.swa_weights, average)
  # Until then it was trained on, with its own weights.
  assert not np.allclose(spy.weights[-1][0], average[0], atol=1e-4)


def test_with_a_decay_later_samples_weigh_more():
  spy, model = line.Spy(), network()
  fit(model, SWA(3, decay=0.75), spy)
  expected = 0.0
  for number, weights in enumerate(spy.weights[2:], 1):
    expected += (np.float64(weights[0]) - expected) * max(1 / number, 0.25)
  np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-6)


class Rates(keras.callbacks.Callback):
  """Notes the rate that each step is done with."""

  def __init__(self):
    super().__init__()
    self.rates = []

  def on_train_batch_begin(self, batch, logs=None):
    rate = self.model.optimizer.get_config()['learning_rate']
    self.rates.append(float(rate))


def rates_of(swa, epochs, **given):
  """The rate of each step: as the optimizer has it, and as the history tells."""
  noted = Rates()
  history = fit(network(), swa, noted, epochs=epochs, **given).history
  np.testing.assert_allclose(history['lr'], noted.rates, rtol=1e-6)
  return np.array(noted.rates)


def test_the_constant_schedule_falls_from_half_to_nine_tenths_of_the_epochs_before():
  found = rates_of(SWA(21, 'constant', 0.02), 24)
  expected = [0.1] * 11 + [0.1 - 0.01 * number for number in range(1, 8)] + [0.02] * 6
  np.testing.assert_allclose(found, np.repeat(expected, STEPS), rtol=1e-5)


def test_the_cyclic_schedule_ends_each_cycle_at_its_lowest():
  found = rates_of(SWA(11, 'cyclic', 0.01, 0.07, swa_freq=2), 15)
  np.testing.assert_allclose(found[: 6 * STEPS], 0.1, rtol=1e-6)
  np.testing.assert_allclose(found[9 * STEPS : 10 * STEPS], 0.01, rtol=1e-6)
  cycle = [0.06, 0.05, 0.04, 0.03, 0.02, 0.01]
  np.testing.assert_allclose(found[10 * STEPS :], cycle + cycle + cycle[:3], rtol=1e-5)


def test_rates_of_auto_are_a_tenth_and_a_quarter_of_the_way_back():
  found = rates_of(SWA(3, 'cyclic', swa_freq=2), 6)
  np.testing.assert_allclose(found[-1], 0.01, rtol=1e-6)
  highest = 0.01 + 0.25 * 0.09
  np.testing.assert_allclose(found[2 * STEPS], highest - (highest - 0.01) / 6, rtol=1e-5)


def test_the_manual_schedule_tells_the_rate_that_others_set():
  def falling(epoch, rate=None):
    return 0.1 / (epoch + 1)

  noted = Rates()
  scheduler = keras.callbacks.LearningRateScheduler(falling)
  history = fit(network(), SWA(2), scheduler, noted, epochs=4).history
  np.testing.assert_allclose(noted.rates, np.repeat([0.1, 0.05, 0.1 / 3, 0.025], STEPS), rtol=1e-6)
  np.testing.assert_allclose(history['lr'], noted.rates, rtol=1e-6)


def test_the_epoch_of_the_statistics_has_no_rate():
  history = fit(network(with_batch_norm=True), SWA(3, 'constant', 0.02), epochs=6).history
  assert history['lr'][-STEPS:] == [0.0] * STEPS
  assert len(history['lr']) == 6 * STEPS
  assert np.isfinite(history['loss']).all()


def test_the_length_of_an_epoch_is_counted_where_keras_does_not_know_it():
  def endless():
    while True:
      for first in (0, 4, 8):
        yield X[first : first + 4], Y[first : first + 4]

  noted = Rates()
  network().fit(
    endless(), steps_per_epoch=STEPS, epochs=4, verbose=0,
    callbacks=[SWA(3, 'cyclic', 0.01, 0.07, swa_freq=2), noted],
  )  # fmt: skip
  np.testing.assert_allclose(noted.rates[-6:], [0.06, 0.05, 0.04, 0.03, 0.02, 0.01], rtol=1e-5)


@pytest.mark.skipif(line.IS_GRAPH, reason='sessions run a step at a time')
def test_of_several_steps_at_once_the_last_one_decides():
  model = network()
  model.compile(line.sgd(), 'mse', steps_per_execution=2)
  history = fit(model, SWA(3, 'cyclic', 0.01, 0.07, swa_freq=2), epochs=4).history
  np.testing.assert_allclose(history['lr'][-6:], [0.05, 0.05, 0.04, 0.02, 0.02, 0.01], rtol=1e-5)


def test_a_schedule_of_keras_is_for_manual_alone():
  schedule = keras.optimizers.schedules.PiecewiseConstantDecay([5, 9], [0.1, 0.05, 0.02])
  spy, model = line.Spy(), network(line.sgd(schedule))
  history = fit(model, SWA(9), spy).history
  line.assert_close(model.get_weights(), line.mean_of(spy.weights[8:]))
  assert 'lr' not in history
  with pytest.raises(
    ValueError, match='cyclic schedule needs .* a number as learning rate; got SGD'
  ):
    fit(network(line.sgd(schedule)), SWA(9, 'cyclic', swa_freq=2))


def test_what_happens_is_said_when_it_happens(capsys):
  class Marks(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
      print(f'<{epoch + 1}>')

  fit(network(with_batch_norm=True), Marks(), SWA(3, verbose=1), epochs=5)
  said = [each for each in capsys.readouterr().out.splitlines() if each]
  expected = [
    'the last epoch has no learning rate and trains nothing', '<1>', '<2>', '<3>',
    'Epoch 00003: starting stochastic weight averaging', '<4>', '<5>',
    'Epoch 00005: weights set to the stochastic weight average',
    'Epoch 00005: reinitialising batch norm',
    'Epoch 00005: running the forward pass for the statistics of batch norm',
  ]  # fmt: skip
  assert len(said) == len(expected)
  for one, other in zip(said, expected):
    assert other in one
  fit(network(with_batch_norm=True), SWA(3), epochs=5)
  assert capsys.readouterr().out == ''


@pytest.mark.parametrize(
  'given, message',
  [
    ((1,), 'start_epoch must be 2 or above; got 1'),
    ((2.5,), 'start_epoch must be 2 or above; got 2.5'),
    ((2, 'manual', 'auto', 'auto', 1, 0, 0), 'batch_size must be 1 or above; got 0'),
    ((2, 'daily'), "one of manual, constant, cyclic; got 'daily'"),
    ((2, 'cyclic'), 'swa_freq must be 2 or above with cyclic; got 1'),
    ((2, 'manual', 'auto', 'auto', 0), 'swa_freq must be 1 or above with manual; got 0'),
    ((2, 'constant', 'auto', 0.1), "swa_lr2 must be 'auto' if swa_lr is; got 0.1"),
    ((2, 'cyclic', 0.1, 0.05, 2), 'swa_lr must not be above swa_lr2, 0.05; got 0.1'),
    ((2, 'constant', 'low'), "swa_lr must be 'auto' or a number from 0 on; got 'low'"),
    ((2, 'constant', -1), "swa_lr must be 'auto' or a number from 0 on; got -1"),
  ],
)
def test_arguments_that_cannot_work_are_refused_at_once(given, message):
  with pytest.raises(ValueError, match=message):
    SWA(*given)


@pytest.mark.parametrize('decay', [0, 1.0])
def test_a_decay_is_between_0_and_1(decay):
  with pytest.raises(ValueError, match=f'decay must be above 0 and below 1; got {decay}'):
    SWA(2, decay=decay)


@pytest.mark.parametrize(
  'given, with_batch_norm, message',
  [
    ((12,), False, 'start_epoch must be below the 12 epochs; got 12'),
    ((11, 'manual', 'auto', 'auto', 3), False, 'end by epoch 12, for a sample .* got .*swa_freq=3'),
    ((11, 'manual', 'auto', 'auto', 2), True, 'end by epoch 11, for a sample .* got .*swa_freq=2'),
    ((5, 'constant', 0.2), False, 'swa_lr must not be above the rate at the start, 0.1; got 0.2'),
  ],
)
def test_what_does_not_fit_the_training_is_refused_as_it_begins(given, with_batch_norm, message):
  spy = line.Spy()
  with pytest.raises(ValueError, match=message):
    fit(network(with_batch_norm=with_batch_norm), SWA(*given), spy)
  assert not spy.weights


def go_on(weights, path, first):
  """What a new process does: a new network with the weights of a checkpoint, a new callback."""
  # With the rate that the optimizer had in its checkpoint.
  model = network(line.sgd(0.02), with_batch_norm=True)
  model.set_weights(weights)
  swa = SWA(4, 'cyclic', 0.01, 0.05, swa_freq=2, state_path=path)
  fit(model, swa, initial_epoch=first)
  return model, swa


@functools.lru_cache(maxsize=None)
def whole():
  """The weights that a training leaves which was never stopped."""
  model = network(with_batch_norm=True)
  fit(model, SWA(4, 'cyclic', 0.01, 0.05, swa_freq=2))
  return model.get_weights()


@pytest.mark.parametrize(
  'last, saved_first', [(1, True), (4, True), (4, False), (5, True), (10, True), (10, False)]
)
def test_a_training_that_was_killed_goes_on_to_the_same_average(tmp_path, last, saved_first):
  """last: the last epoch with a checkpoint; its sample, if one is due, comes before or after it."""
  path = str(tmp_path / 'swa.npz')
  spy, stop = line.Spy(), line.Stop(last, by_error=True)
  swa = SWA(4, 'cyclic', 0.01, 0.05, swa_freq=2, state_path=path)
  callbacks = (spy, swa, stop) if saved_first else (spy, stop, swa)
  with pytest.raises(KeyboardInterrupt):
    fit(network(with_batch_norm=True), *callbacks)
  model, swa = go_on(spy.weights[last], path, last + 1)
  assert swa.samples == 4
  line.assert_close(model.get_weights(), whole(), rtol=1e-5, atol=1e-6)


def test_a_checkpoint_of_one_sample_before_goes_on_too(tmp_path):
  path = str(tmp_path / 'swa.npz')
  spy, stop = line.Spy(), line.Stop(8, by_error=True)
  swa = SWA(4, 'cyclic', 0.01, 0.05, swa_freq=2, state_path=path)
  with pytest.raises(KeyboardInterrupt):
    fit(network(with_batch_norm=True), spy, swa, stop)
  model, _ = go_on(spy.weights[7], path, 8)
  line.assert_close(model.get_weights(), whole(), rtol=1e-5, atol=1e-6)
  with pytest.raises(ValueError, match='initial_epoch=6.* must have the 1 samples'):
    go_on(spy.weights[5], path, 6)


def test_a_training_without_its_samples_does_not_go_on(tmp_path):
  with pytest.raises(ValueError, match=r'initial_epoch=8, SWA must have the 2 samples.* got \[\]'):
    fit(network(), SWA(4, swa_freq=2), initial_epoch=8)
  path = tmp_path / 'swa.npz'
  path.write_bytes(b'text')
  with pytest.raises(ValueError, match='swa.npz.* must be a file that SWA wrote'):
    fit(network(), SWA(4, swa_freq=2, state_path=str(path)), initial_epoch=8)


def test_samples_of_another_network_are_not_taken(tmp_path):
  path = str(tmp_path / 'swa.npz')
  fit(network(), SWA(4, swa_freq=2, state_path=path), line.Stop(5))
  with pytest.raises(ValueError, match=r'SWA must have the 1 samples.* got \[1'):
    fit(network(with_batch_norm=True), SWA(4, swa_freq=2, state_path=path), initial_epoch=6)


def test_one_callback_serves_several_calls_of_fit():
  spy, swa, model = line.Spy(), SWA(3, swa_freq=2), network()
  fit(model, swa, spy, epochs=6)
  first = model.get_weights()
  line.assert_close(first, line.mean_of([spy.weights[3], spy.weights[5]]))
  # Longer.
  fit(model, swa, spy, epochs=8, initial_epoch=6)
  line.assert_close(
    model.get_weights(), line.mean_of([spy.weights[3], spy.weights[5], spy.weights[7]])
  )
  # And from the start.
  spy.weights.clear()
  fit(model, swa, spy, epochs=5)
  line.assert_close(model.get_weights(), spy.weights[3])


def test_a_training_that_ends_early_keeps_its_weights_until_data_are_given():
  spy, swa, model = line.Spy(), SWA(3), network(with_batch_norm=True)
  with pytest.warns(UserWarning, match='ended before the last epoch'):
    fit(model, swa, spy, line.Stop(4))
  line.assert_close(model.get_weights(), spy.weights[-1])
  with pytest.raises(ValueError, match='must have data to take its statistics of'):
    swa.load_average()
  swa.load_average(X)
  found, average = model.get_weights(), line.mean_of(spy.weights[2:])
  line.assert_close(found[:2], average[:2])
  np.testing.assert_allclose(found[4], (X @ found[0] + found[1]).mean(axis=0), rtol=1e-5)


def test_without_batch_norm_it_gets_its_average():
  spy, model = line.Spy(), network()
  fit(model, SWA(3), spy, line.Stop(4))
  line.assert_close(model.get_weights(), line.mean_of(spy.weights[2:]))
  with pytest.raises(ValueError, match='SWA must have a sample to load; got none'):
    SWA(3).load_average()
