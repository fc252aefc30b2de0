"""What a run of the model is made of: task, network, schedule; written beside its checkpoints.

No device words. The tools of the model read it back: they take a checkpoint and nothing else.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from estimators.swa import presets
from npu_adapter import averaging_plan, errors, run_settings

SCHEDULES = ('constant', 'falling')
# What NumPy, TensorFlow and the order of the examples all take as a seed.
_MOST_SEED = 2**31 - 1


class Settings(NamedTuple):
  """Checked by `check`; every field is a plain value, so that it can be written down."""

  task: str
  network: str
  classes: int
  shape: tuple[int, ...]
  mean: tuple[float, ...]
  deviation: tuple[float, ...]
  batch_size: int
  steps_per_epoch: int
  steps: int  # the training step that ends the run
  learning_rate: float
  schedule: str  # where averaging has none of its own
  momentum: float
  weight_decay: float
  seed: int
  # Where files are from: an absolute path, None for what needs none.
  data_path: str | None = None
  averaging: averaging_plan.Averaging | None = None

  @property
  def title(self) -> str:
    """For people."""
    return f'{self.network} on {self.task}'

  def params(self, loss_scale: Any = 'none') -> dict[str, Any]:
    """What model_fn takes."""
    return {
      'network': self.network,
      'classes': self.classes,
      'mean': self.mean,
      'deviation': self.deviation,
      'learning_rate': self.learning_rate,
      'schedule': self.schedule,
      'last_step': self.steps,
      'momentum': self.momentum,
      'weight_decay': self.weight_decay,
      'loss_scale': loss_scale,
      'averaging': self.averaging,
    }


def check(settings: Settings) -> Settings:
  """Returns `settings`, or raises InputError for a run that cannot be made."""
  if settings.network not in presets.NETWORKS[settings.task]:
    raise errors.InputError(
      f'network must be one of {", ".join(presets.NETWORKS[settings.task])} for the task '
      f'{settings.task}; got {settings.network}.'
    )
  if not 0 < settings.learning_rate < math.inf:
    raise errors.InputError(f'learning_rate must be above 0; got {settings.learning_rate}.')
  if settings.schedule not in SCHEDULES:
    raise errors.InputError(
      f'schedule must be one of {", ".join(SCHEDULES)}; got {settings.schedule!r}.'
    )
  if not 0 <= settings.momentum < 1:
    raise errors.InputError(f'momentum must be from 0 to below 1; got {settings.momentum}.')
  if not 0 <= settings.weight_decay < math.inf:
    raise errors.InputError(f'weight_decay must be 0 or above; got {settings.weight_decay}.')
  if not 0 <= settings.seed <= _MOST_SEED:
    raise errors.InputError(f'seed must be from 0 to {_MOST_SEED}; got {settings.seed}.')
  plan = settings.averaging
  if plan and averaging_plan.check(plan).first_step + plan.every_steps > settings.steps:
    raise errors.InputError(
      f'the first sample must be taken before the training ends at step {settings.steps}; it would '
      f'be at {plan.first_step + plan.every_steps}. Train longer, or begin earlier.'
    )
  return settings


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
    if values.get('averaging'):
      values['averaging'] = averaging_plan.Averaging(**values['averaging'])
    return check(Settings(**values))
  except (KeyError, TypeError, AttributeError) as error:
    path = run_settings.path_for(checkpoint)
    raise errors.InputError(f'{path!r} is not what train.py writes: {error}') from None
