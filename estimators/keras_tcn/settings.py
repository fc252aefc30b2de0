"""What a run of the model is made of: task, network, schedule; written beside its checkpoints.

No device words. The tools of the model read it back: they take a checkpoint and nothing else.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from estimators.keras_tcn import architecture as tcn_architecture
from estimators.keras_tcn import tasks
from estimators.keras_tcn.architecture import Architecture
from npu_adapter import errors, run_settings

SCHEDULES = ('constant', 'cosine')
LAST_STEP_FORMS = ('auto', 'always', 'never')
INITIALIZERS = ('he_normal', 'glorot_uniform', 'small_normal')
# What NumPy, TensorFlow and the keys of the data all take as a seed.
_MOST_SEED = 2**30
# Two convolutions, each with its result, its normalised result and that without what is dropped.
_BYTES_KEPT_OF_A_FILTER = 2 * 3 * 4


class Settings(NamedTuple):
  """Checked by `check`; every field is a plain value, so that it can be written down."""

  task: tasks.Task
  architecture: Architecture
  # 'auto': the form that computes the positions alone which the last step depends on, where that is
  # the same; 'always': with batch norm too, whose statistics then are of fewer positions.
  last_step_form: str
  batch_size: int
  steps: int
  learning_rate: float
  schedule: str
  clip_norm: float
  seed: int
  validation_data_n: int
  test_data_n: int
  # Where pictures are from: an absolute path, or None for those of scikit-learn.
  data_path: str | None = None
  # Where activations would take more, they are computed twice.
  kept_activations_mb: int = 512

  @property
  def uses_last_step_form(self) -> bool:
    """Whether training computes the positions alone that the last step depends on."""
    if self.last_step_form == 'auto':
      return self.architecture.norm != 'batch'
    return self.last_step_form == 'always'

  @property
  def is_forgetful(self) -> bool:
    """Whether activations are computed twice, because keeping them would take too much memory."""
    filters = sum(filters for _, filters in self.architecture.blocks)
    kept_bytes = self.batch_size * self.task.steps * filters * _BYTES_KEPT_OF_A_FILTER
    return not self.uses_last_step_form and kept_bytes > self.kept_activations_mb * 2**20

  def params(self, loss_scale: Any = 'none') -> dict[str, Any]:
    """What model_fn takes."""
    return {
      'architecture': self.architecture,
      'outputs': self.task.outputs,
      'is_every_step': self.task.is_every_step,
      'is_regression': self.task.is_regression,
      'scored_steps': tasks.COPIED,
      'last_step_form': self.uses_last_step_form,
      'is_forgetful': self.is_forgetful,
      'learning_rate': self.learning_rate,
      'schedule': self.schedule,
      'last_step': self.steps,
      'clip_norm': self.clip_norm,
      'loss_scale': loss_scale,
    }


def check(settings: Settings) -> Settings:
  """Returns `settings`, or raises InputError for a run that cannot be made."""
  tcn_architecture.check(settings.architecture)
  _positive('learning_rate', settings.learning_rate)
  for name in ('steps', 'batch_size', 'validation_data_n', 'test_data_n', 'kept_activations_mb'):
    _positive(name, getattr(settings, name))
  if not 0 <= settings.clip_norm < math.inf:
    raise errors.InputError(f'clip_norm must be 0, for none, or more; got {settings.clip_norm}.')
  if not 0 <= settings.seed <= _MOST_SEED:
    raise errors.InputError(f'seed must be from 0 to {_MOST_SEED}; got {settings.seed}.')
  if settings.last_step_form == 'always' and settings.task.is_every_step:
    raise errors.InputError(
      f'last_step_form must not be always for the task {settings.task.name}, which has an answer '
      'at every step. Leave it out.'
    )
  return settings


def _positive(name: str, value: float) -> None:
  if not 0 < value < math.inf:
    raise errors.InputError(f'{name} must be above 0; got {value}.')


def write(settings: Settings, folder: str) -> None:
  """Writes the settings into a model folder."""
  values = {
    name: value._asdict() if hasattr(value, '_asdict') else value
    for name, value in settings._asdict().items()
  }
  run_settings.write(values, folder)


def read(checkpoint: str) -> Settings:
  """Returns the settings a checkpoint was trained with, from its folder or the one above."""
  path, values = run_settings.path_for(checkpoint), run_settings.read(checkpoint)
  try:
    shape = {
      name: tuple(value) if isinstance(value, list) else value
      for name, value in values['architecture'].items()
    }
    values = {
      **values, 'task': tasks.Task(**values['task']), 'architecture': Architecture(**shape)
    }  # fmt: skip
    return check(Settings(**values))
  except (KeyError, TypeError, ValueError, AttributeError) as error:
    raise errors.InputError(f'{path!r} is not what train.py writes: {error}') from None
