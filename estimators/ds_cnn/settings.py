"""What a run of the model is made of: sizes, data, schedule; written beside its checkpoints.

No device words. The tools of the model read it back: they take a checkpoint and nothing else.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Sequence

from estimators.ds_cnn import clip_shape, input_pipeline, networks
from estimators.ds_cnn.dataset import speech_data
from npu_adapter import averaging_plan, errors, run_settings

# What NumPy, TensorFlow and the synthesis of speech all take as a seed.
_MOST_SEED = 2**31 - 1


class Settings(NamedTuple):
  """Checked by `check`; every field is a plain value, so that it can be written down."""

  architecture: str
  sizes: tuple[int, ...]
  wanted_words: tuple[str, ...]
  shape: clip_shape.ClipShape
  shares: speech_data.Shares
  augmentation: input_pipeline.Augmentation
  batch_size: int
  learning_rates: tuple[float, ...]
  steps: tuple[int, ...]
  dropout_rate: float
  check_nans: bool
  # Where the clips are from: an absolute path, or None for synthesised speech.
  data_path: str | None = None
  clips_per_word: int = 240  # of synthesised speech
  averaging: averaging_plan.Averaging | None = None

  @property
  def labels(self) -> tuple[str, ...]:
    """What the outputs of the network mean."""
    return speech_data.labels_of(self.wanted_words)

  @property
  def last_step(self) -> int:
    """The training step that ends the schedule."""
    return sum(self.steps)

  def params(self, loss_scale: Any = 'none') -> dict[str, Any]:
    """What model_fn takes."""
    return {
      'architecture': self.architecture,
      'sizes': self.sizes,
      'frames': self.shape.frames,
      'coefficients': self.shape.coefficients,
      'classes': len(self.labels),
      'dropout_rate': self.dropout_rate,
      'learning_rates': self.learning_rates,
      'step_boundaries': self.steps,
      'check_nans': self.check_nans,
      'averaging': self.averaging,
      'loss_scale': loss_scale,
    }


def check(settings: Settings) -> Settings:
  """Returns `settings`, or raises InputError for a run that cannot be made."""
  clip_shape.check(settings.shape)
  speech_data.check_shares(settings.shares)
  if len(settings.learning_rates) != len(settings.steps):
    raise errors.InputError(
      'learning_rate must have a rate for each number of how_many_training_steps; got '
      f'{list(settings.learning_rates)} and {list(settings.steps)}.'
    )
  _positive('learning_rate', settings.learning_rates)
  _positive('how_many_training_steps', settings.steps)
  _positive('batch_size', [settings.batch_size])
  _share('dropout_rate', settings.dropout_rate, below_one=True)
  _share('background_frequency', settings.augmentation.background_frequency)
  _share('background_volume', settings.augmentation.background_volume)
  if not 0 <= settings.augmentation.time_shift_ms < settings.shape.clip_ms:
    raise errors.InputError(
      f'time_shift_ms must be from 0 to below clip_duration_ms ({settings.shape.clip_ms:g}); got '
      f'{settings.augmentation.time_shift_ms:g}.'
    )
  if not 0 <= settings.augmentation.seed <= _MOST_SEED:
    raise errors.InputError(
      f'seed must be from 0 to {_MOST_SEED}; got {settings.augmentation.seed}.'
    )
  _check_words(settings.wanted_words)
  return settings


def _check_words(words: Sequence[str]) -> None:
  reserved = speech_data.labels_of(())
  if not words or '' in words or len({*words, *reserved}) < len(words) + len(reserved):
    raise errors.InputError(
      f'wanted_words must be different words with commas between, none of {", ".join(reserved)}; '
      f'got {",".join(words)!r}.'
    )


def _positive(name: str, values: Sequence[float]) -> None:
  if not values or any(not 0 < value < math.inf for value in values):
    raise errors.InputError(f'{name} must be above 0; got {list(values)}.')


def _share(name: str, value: float, below_one: bool = False) -> None:
  if not 0 <= value <= 1 or (below_one and value == 1):
    raise errors.InputError(
      f'{name} must be from 0 to {"below " if below_one else ""}1; got {value}.'
    )


def window_stride_ms(architecture: str, size: Any) -> float:
  """The stride an architecture of a named size was published with."""
  presets = networks.NETWORKS[architecture].presets if architecture in networks.NETWORKS else {}
  found = presets.get(size or 'S')
  return found.window_stride_ms if found else clip_shape.ClipShape().stride_ms


def numbers(name: str, words: Sequence[str], kind: Any) -> list[Any]:
  """Turns the words of a comma-separated flag into numbers."""
  try:
    return [kind(word) for word in words]
  except ValueError:
    raise errors.InputError(
      f'{name} must be numbers with commas between, as 10000,3000; got {",".join(words)!r}.'
    ) from None


def write(settings: Settings, folder: str) -> None:
  """Writes the settings into a model folder."""
  values = {
    name: value._asdict() if hasattr(value, '_asdict') else value
    for name, value in settings._asdict().items()
  }
  run_settings.write(values, folder)


def read(checkpoint: str) -> Settings:
  """Returns the settings a checkpoint was trained with, from its folder or the one above."""
  return _parsed(run_settings.path_for(checkpoint), run_settings.read(checkpoint))


def _parsed(path: str, values: dict[str, Any]) -> Settings:
  kinds = {
    'shape': clip_shape.ClipShape,
    'shares': speech_data.Shares,
    'augmentation': input_pipeline.Augmentation,
    'averaging': averaging_plan.Averaging,
  }
  try:
    values = {
      name: kinds[name](**value) if name in kinds and value is not None else _as_tuple(value)
      for name, value in values.items()
    }
    found = check(Settings(**values))
    sizes = networks.sizes(found.architecture, ' '.join(map(str, found.sizes)))
    return found._replace(sizes=sizes)
  except (TypeError, ValueError, AttributeError) as error:
    raise errors.InputError(f'{path!r} is not what train.py writes: {error}') from None


def _as_tuple(value: Any) -> Any:
  return tuple(value) if isinstance(value, list) else value
