"""What a run of the model is made of: network, data, schedule; written beside its checkpoints.

No device words. The tools of the model read it back: they take a checkpoint and nothing else.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from estimators.lstm_har import architecture as networks
from estimators.lstm_har.dataset import har_data
from npu_adapter import averaging_plan, errors, run_settings

# What NumPy, TensorFlow and the order of the windows all take as a seed.
_MOST_SEED = 2**31 - 1
# Digits of a mean that are kept: what differs between two machines' sums is beyond them.
_DIGITS = 6


class Settings(NamedTuple):
  """Checked by `check`; every field is a plain value, so that it can be written down."""

  architecture: networks.Architecture
  channels: tuple[str, ...]
  labels: tuple[str, ...]
  mean: tuple[float, ...]  # of each channel, in the windows that were trained on
  deviation: tuple[float, ...]
  validation_people: tuple[int, ...]
  batch_size: int
  steps_per_epoch: int  # with those of the replay
  steps: int  # the training step that ends the run
  learning_rate: float
  learning_rate_decay: float
  dropout_rate: float
  replay_hardest: int  # batches
  seed: int
  # Where the windows are from: an absolute path, or None for the recordings of a watch.
  data_path: str | None = None
  averaging: averaging_plan.Averaging | None = None

  @property
  def window_shape(self) -> list[int]:
    """Steps and channels of a window."""
    return [har_data.STEPS, len(self.channels)]

  def params(self, loss_scale: Any = 'none') -> dict[str, Any]:
    """What model_fn takes."""
    return {
      'architecture': self.architecture,
      'classes': len(self.labels),
      'mean': self.mean,
      'deviation': self.deviation,
      'dropout_rate': self.dropout_rate,
      'learning_rate': self.learning_rate,
      'learning_rate_decay': self.learning_rate_decay,
      'steps_per_epoch': self.steps_per_epoch,
      'replayed_of': self.steps_per_epoch - self.replay_hardest if self.replay_hardest else 0,
      'loss_scale': loss_scale,
      'averaging': self.averaging,
    }


def check(settings: Settings) -> Settings:
  """Returns `settings`, or raises InputError for a run that cannot be made."""
  networks.check(settings.architecture)
  for name in ('learning_rate', 'learning_rate_decay'):
    value = getattr(settings, name)
    if not 0 < value < math.inf:
      raise errors.InputError(f'{name} must be above 0; got {value}.')
  if settings.learning_rate_decay > 1:
    raise errors.InputError(
      'learning_rate_decay must be at most 1: the rate is multiplied with it in each epoch; got '
      f'{settings.learning_rate_decay}.'
    )
  if not 0 <= settings.dropout_rate < 1:
    raise errors.InputError(
      f'dropout_rate must be from 0 to below 1; got {settings.dropout_rate}. It is the share that '
      'goes, not the share that stays.'
    )
  batches = settings.steps_per_epoch - settings.replay_hardest
  if not 0 <= settings.replay_hardest <= batches:
    raise errors.InputError(
      f'replay_hardest must be from 0 to the batches of an epoch, {batches}; got '
      f'{settings.replay_hardest}.'
    )
  if not 0 <= settings.seed <= _MOST_SEED:
    raise errors.InputError(f'seed must be from 0 to {_MOST_SEED}; got {settings.seed}.')
  return settings


def standard(data: har_data.HarData) -> tuple[tuple[float, ...], tuple[float, ...]]:
  """Mean and deviation of each channel in the training windows; a constant channel has 1."""
  windows = data.windows('training').reshape(-1, len(data.channels)).astype(np.float64)
  mean, deviation = windows.mean(axis=0), windows.std(axis=0)
  deviation[deviation == 0] = 1.0
  return _rounded(mean), _rounded(deviation)


def _rounded(values: np.ndarray) -> tuple[float, ...]:
  return tuple(float(f'{value:.{_DIGITS}g}') for value in values.tolist())


def write(settings: Settings, folder: str) -> None:
  """Writes the settings into a model folder."""
  values = {
    name: dict(value._asdict()) if hasattr(value, '_asdict') else value
    for name, value in settings._asdict().items()
  }
  run_settings.write(values, folder)


def read(checkpoint: str) -> Settings:
  """Returns the settings a checkpoint was trained with, from its folder or the one above."""
  values = run_settings.read(checkpoint)
  try:
    values = {
      name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    values['architecture'] = networks.Architecture(**values['architecture'])
    if values.get('averaging'):
      values['averaging'] = averaging_plan.Averaging(**values['averaging'])
    return check(Settings(**values))
  except (KeyError, TypeError, AttributeError) as error:
    path = run_settings.path_for(checkpoint)
    raise errors.InputError(f'{path!r} is not what train.py writes: {error}') from None
