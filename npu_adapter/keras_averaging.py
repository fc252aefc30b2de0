"""SWA: the callback that averages the weights of a Keras training, for the model.fit of any Keras.

It imports no Keras, and is of the class of none: TensorFlow's own, tf_keras and Keras 3 call it by
the names of its hooks.
"""

from __future__ import annotations

import numbers
import warnings
from typing import Any

from npu_adapter import averaged_samples, errors, keras_batch_norm, keras_learning_rate
from npu_adapter.averaging_plan import SCHEDULES

_AUTO = 'auto'
# What 'auto' is: a share of the rate at the start, and of the way from the lowest rate to that.
_LOWEST, _HIGHEST = 0.1, 0.25
_FACTS = ('first_rate', 'steps')


class _Hooks:
  """What every Keras asks of a callback. A hook that is not defined does nothing."""

  # No hook looks at the logs: Keras need not wait until the device has computed them.
  async_safe = _supports_tf_logs = True
  model: Any = None
  params: Any = None

  def set_model(self, model: Any) -> None:
    """Keras tells the model that is trained."""
    self.model = model

  def set_params(self, params: Any) -> None:
    """Keras tells what fit was called with."""
    self.params = params

  def _implements_train_batch_hooks(self) -> bool:
    return True

  def _implements_test_batch_hooks(self) -> bool:
    return False

  _implements_predict_batch_hooks = _implements_test_batch_hooks

  def __getattr__(self, name: str) -> Any:
    if name.startswith('on_'):
      return _do_nothing
    raise AttributeError(f'{type(self).__name__!r} object has no attribute {name!r}')


def _do_nothing(*_: Any, **__: Any) -> None:
  pass


class SWA(_Hooks):
  """Averages the weights of the last epochs of model.fit, and leaves the average in the model.

  start_epoch: the first epoch, counted from 1, of the first cycle.
  lr_schedule: 'manual' leaves the learning rate alone. 'constant' keeps it for half of the epochs
    before, lets it fall to `swa_lr` until nine tenths of them, and stays there. 'cyclic' does so
    before, and then goes from `swa_lr2` down to `swa_lr`, which the last step of a cycle has.
  swa_lr: 'auto' is a tenth of the rate at the start. swa_lr2: 'auto' is a quarter of the way back.
  swa_freq: epochs of a cycle. At the end of each a sample is taken; all weigh the same.
  verbose: 1 prints what happens when.
  batch_size: rows at a time of `bn_data` that is an array.
  decay: lets samples fade by this factor each; the last 1 / (1 - decay) or so count.
  bn_data: training data as model.predict takes it. With it batch norm's statistics are taken after
    the training, and all epochs train; without, the last epoch takes them, and trains nothing.
  state_path: a file to keep the average in, for a training that is to go on in another process,
    with fit(initial_epoch=...).
  """

  def __init__(
    self,
    start_epoch: int,
    lr_schedule: str = 'manual',
    swa_lr: Any = _AUTO,
    swa_lr2: Any = _AUTO,
    swa_freq: int = 1,
    verbose: int = 0,
    batch_size: int | None = None,
    *,
    decay: float | None = None,
    bn_data: Any = None,
    state_path: str | None = None,
  ) -> None:
    self.start_epoch, self.swa_freq = start_epoch, swa_freq
    self.lr_schedule, self.swa_lr, self.swa_lr2 = lr_schedule, swa_lr, swa_lr2
    self.verbose, self.batch_size, self.decay = verbose, batch_size, decay
    self.bn_data, self.state_path = bn_data, state_path
    _check(self)
    self._start = start_epoch - 1
    self._samples = averaged_samples.AveragedSamples(decay)
    # {} before the first training.
    self._facts: dict[str, float] = {}
    self._pass: Any = None

  @property
  def samples(self) -> int:
    """How many samples the average is of."""
    return self._samples.count

  @property
  def swa_weights(self) -> list[Any]:
    """The average, in the order of model.get_weights(); [] before the first sample."""
    return self._samples.like(self.model.get_weights()) if self.samples else []

  def load_average(self, data: Any = None) -> None:
    """Puts the average into the model that was trained.

    data: training data as model.predict takes it, which a network with batch norm needs. Fit does
    all that by itself, unless something ended it before the last epoch.
    """
    if not self.samples:
      raise errors.InputError('SWA must have a sample to load; got none. Train with it first.')
    has_batch_norm = bool(keras_batch_norm.layers_of(self.model))
    if has_batch_norm and data is None:
      raise errors.InputError(
        'a network with batch norm must have data to take its statistics of; got none. Call '
        'load_average(data) with training data as model.predict takes it.'
      )
    self._set_average()
    if has_batch_norm:
      statistics = self._new_pass()
      statistics.over(data, self.batch_size)
      statistics.write()

  def on_train_begin(self, logs: Any = None) -> None:
    """Checks what fit was called with."""
    if self._pass is not None:
      # Of a training that was broken off.
      self._pass.end()
    self._pass, self._is_average = None, False
    self._epoch = self._batches = -1
    self._rates: list[float] = []
    self._steps = keras_learning_rate.steps_of_epoch(self.params)
    self._rate = keras_learning_rate.LearningRate(self.model)
    epochs = int(self.params['epochs'])
    has_batch_norm = bool(keras_batch_norm.layers_of(self.model))
    if has_batch_norm:
      keras_batch_norm.check(self.model)
    takes_last = has_batch_norm and self.bn_data is None
    self._pass_epoch = epochs - 1 if takes_last else -1
    if takes_last:
      self._say(
        'the model has batch norm: the last epoch has no learning rate and trains nothing, it runs '
        'the data forward for the statistics of the averaged network'
      )
    _require(
      self.start_epoch < epochs, f'start_epoch must be below the {epochs} epochs', self.start_epoch
    )
    _require(
      self._start + self.swa_freq <= epochs - takes_last,
      f'the first cycle must end by epoch {epochs - takes_last}, for a sample to be taken',
      f'start_epoch={self.start_epoch} and swa_freq={self.swa_freq}',
    )

  def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
    """Sets the rate of the epoch; the last one may be for the statistics of batch norm."""
    if self._epoch < 0:
      self._begin(epoch)
    self._epoch, self._batches = epoch, 0
    self._at_once = keras_learning_rate.steps_at_once(self.model)
    if epoch == self._start:
      self._say('starting stochastic weight averaging')
    if epoch == self._pass_epoch:
      self._set_average()
      statistics = self._new_pass()
      statistics.begin()
      self._pass = statistics
    elif self.lr_schedule != 'manual' and not self._is_in_cycles():
      self._rate.set(self._schedule.of_epoch(epoch))

  def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
    """Sets the rate of a step of a cycle, and notes that of any."""
    end = batch + self._at_once
    if self._steps:
      end = min(end, self._steps)
    if self._pass is not None:
      self._pass.announce_step()
      self._rate.known = 0.0
    elif self._is_in_cycles():
      self._rate.set(self._schedule.of_step(self._epoch, end, self._steps))
    elif self.lr_schedule == 'manual' and not self._batches:
      # Once an epoch: what other callbacks have made of it at its beginning.
      self._rate.get()
    if self._rate.known is not None:
      self._rates += [self._rate.known] * (end - batch)
    self._batches = end

  def on_test_begin(self, logs: Any = None) -> None:
    """The validation of an epoch comes before its end."""
    if self._pass is not None:
      self._pass.write()

  def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
    """Takes a sample where a cycle ends."""
    self._steps = self._steps or self._batches
    if self._pass is not None:
      self._pass.end()
      self._pass.write()
      self._pass, self._is_average = None, True
    elif self._is_due(epoch):
      self._sample(epoch)
    self._tell_rates()

  def on_train_end(self, logs: Any = None) -> None:
    """Leaves the average in the model, if the last epoch has not done so."""
    self._tell_rates()
    if self._is_average or not self.samples:
      return
    if self._pass_epoch < 0:
      self.load_average(self.bn_data)
      return
    warnings.warn(
      'training ended before the last epoch, in which SWA takes the statistics of batch norm: the '
      'model has the weights it was trained to. load_average(data) of the callback gives it the '
      'average.',
      stacklevel=2,
    )

  def _begin(self, epoch: int) -> None:
    """Finds the samples of the epochs before the first one of this fit, and what goes with them."""
    due = max(0, (epoch - self._start) // self.swa_freq)
    found = [(self._samples, self._facts)] if epoch and self._facts else []
    if epoch and self.state_path is not None:
      found += averaged_samples.read(self.state_path, self.decay, _FACTS)
    fitting = [each for each in found if self._is_of(each[0], due)]
    # The training may have been killed between the checkpoint of an epoch and its sample.
    late = [each for each in found if self._is_due(epoch - 1) and self._is_of(each[0], due - 1)]
    if due and not fitting and not late:
      raise errors.InputError(
        f'to go on at initial_epoch={epoch}, SWA must have the {due} samples of the epochs before; '
        f'got {[each.count for each, _ in found]} in this callback and its state_path. Give it the '
        'state_path of the training that is to go on, or begin at an earlier epoch.'
      )
    new = (averaged_samples.AveragedSamples(self.decay), dict.fromkeys(_FACTS, 0.0))
    self._samples, self._facts = [*fitting, *late, new][0]
    self._steps = self._steps or int(self._facts['steps'])
    # Read before the first step: the first use of a session takes its time.
    rate = self._rate.get()
    if self.lr_schedule != 'manual':
      self._begin_schedule(epoch, self._facts['first_rate'] or rate)
    if late and not fitting:
      self._sample(epoch - 1)
    else:
      self._save()

  def _is_of(self, samples: averaged_samples.AveragedSamples, due: int) -> bool:
    """Whether these are the samples of so many cycles."""
    if samples.count != due or not due:
      return samples.count == due
    is_last = samples.last_epoch == self._start + due * self.swa_freq - 1
    return is_last and samples.fits(self.model.get_weights())

  def _begin_schedule(self, epoch: int, first: float | None) -> None:
    if first is None:
      raise errors.InputError(
        f'the {self.lr_schedule} schedule needs an optimizer with a number as learning rate; got '
        f'{type(self.model.optimizer).__name__} with something else. Use the manual schedule.'
      )
    lowest = _LOWEST * first if self.swa_lr == _AUTO else self.swa_lr
    _require(lowest <= first, f'swa_lr must not be above the rate at the start, {first:g}', lowest)
    highest = lowest + _HIGHEST * (first - lowest) if self.swa_lr2 == _AUTO else self.swa_lr2
    self._facts['first_rate'] = first
    self._schedule = keras_learning_rate.Schedule(
      first, lowest, highest, self._start, self.swa_freq
    )
    if self.lr_schedule == 'cyclic' and epoch >= self._start and not self._steps:
      raise errors.InputError(
        'a training that goes on within the cycles must know its steps per epoch; got data that '
        'does not tell. Call fit with steps_per_epoch.'
      )

  def _is_due(self, epoch: int) -> bool:
    passed = epoch - self._start + 1
    return passed > 0 and passed % self.swa_freq == 0

  def _is_in_cycles(self) -> bool:
    return self.lr_schedule == 'cyclic' and self._epoch >= self._start

  def _sample(self, epoch: int) -> None:
    self._samples.add(self.model.get_weights(), epoch)
    self._save()

  def _save(self) -> None:
    self._facts['steps'] = self._steps
    if self.state_path is not None:
      averaged_samples.write(self.state_path, self._samples, self._facts)

  def _set_average(self) -> None:
    unknown = keras_batch_norm.unknown_averages(self.model)
    if unknown:
      warnings.warn(
        f'{", ".join(unknown)}: of no BatchNormalization layer of Keras. They are left as the mean '
        'of what they were at the samples; statistics of the averaged network are not taken.',
        stacklevel=2,
      )
    self.model.set_weights(self.swa_weights)
    self._say('weights set to the stochastic weight average')

  def _new_pass(self) -> Any:
    self._say('reinitialising batch norm')
    statistics = keras_batch_norm.statistics_pass(self.model)
    self._say('running the forward pass for the statistics of batch norm')
    return statistics

  def _tell_rates(self) -> None:
    history = getattr(self.model, 'history', None)
    if self._rates and history is not None:
      history.history['lr'] = list(self._rates)

  def _say(self, text: str) -> None:
    if self.verbose:
      epoch = f'Epoch {self._epoch + 1:05d}: ' if self._epoch >= 0 else ''
      print(f'\n{epoch}{text}')


def _check(asked: SWA) -> None:
  """Raises OptionError for arguments that cannot work."""
  schedule, lowest, highest = asked.lr_schedule, asked.swa_lr, asked.swa_lr2
  _require(_is_from(asked.start_epoch, 2), 'start_epoch must be 2 or above', asked.start_epoch)
  _require(schedule in SCHEDULES, f'lr_schedule must be one of {", ".join(SCHEDULES)}', schedule)
  least = 2 if schedule == 'cyclic' else 1
  _require(
    _is_from(asked.swa_freq, least),
    f'swa_freq must be {least} or above with {schedule}',
    asked.swa_freq,
  )
  for name, rate in (('swa_lr', lowest), ('swa_lr2', highest)):
    is_number = isinstance(rate, numbers.Real) and float(rate) >= 0
    _require(rate == _AUTO or is_number, f"{name} must be 'auto' or a number from 0 on", rate)
  _require(lowest != _AUTO or highest == _AUTO, "swa_lr2 must be 'auto' if swa_lr is", highest)
  if schedule == 'cyclic' and highest != _AUTO:
    _require(lowest <= highest, f'swa_lr must not be above swa_lr2, {highest}', lowest)
  _require(
    asked.batch_size is None or _is_from(asked.batch_size, 1),
    'batch_size must be 1 or above', asked.batch_size,
  )  # fmt: skip
  _require(
    asked.decay is None or 0 < asked.decay < 1, 'decay must be above 0 and below 1', asked.decay
  )


def _is_from(value: Any, least: int) -> bool:
  return isinstance(value, numbers.Integral) and int(value) >= least


def _require(holds: bool, rule: str, got: Any) -> None:
  if not holds:
    raise errors.OptionError(f'{rule}; got {got!r}.')
