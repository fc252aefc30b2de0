"""The tasks a TCN is trained on: shape, what the simplest predictor scores, and their numbers.

Nothing here needs TensorFlow; input_pipeline makes the examples.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from npu_adapter import errors

NAMES = ('adding', 'copy_memory', 'digits')
SPLITS = ('training', 'validation', 'test')
# Copy memory: so many symbols are to be remembered, of so many kinds; 0 is the blank, and the
# symbol after the last asks for them.
COPIED, KINDS = 10, 8
_DIGITS = 10
# Steps of a sequence where no flag says it: as the original and the paper have them.
_DEFAULT_STEPS = {'adding': 600, 'copy_memory': 520, 'digits': 64}


class Task(NamedTuple):
  """What the network is to do. `outputs` are numbers or classes; `is_every_step`: at each step."""

  name: str
  steps: int
  channels: int
  outputs: int
  is_every_step: bool
  is_regression: bool

  @property
  def loss(self) -> str:
    """What the loss is called where it is reported."""
    return 'mse' if self.is_regression else 'cross_entropy'

  @property
  def score(self) -> str:
    """What the best checkpoint is chosen by: the larger the better, 1 at most."""
    return 'explained' if self.is_regression else 'accuracy'


def adding(steps: int | None = None) -> Task:
  """The sum of the two marked numbers of a sequence."""
  steps = _steps('adding', steps, least=2)
  return Task('adding', steps, 2, 1, False, True)


def copy_memory(steps: int | None = None) -> Task:
  """The ten symbols at the start of a sequence, said again at its end."""
  steps = _steps('copy_memory', steps, least=2 * COPIED + 1)
  return Task('copy_memory', steps, 1, KINDS + 2, True, False)


def digits(pixels: int, steps: int | None = None) -> Task:
  """The digit in a picture that is read pixel by pixel."""
  if steps not in (None, pixels):
    raise errors.InputError(
      f'sequence_length must be the {pixels} pixels of a picture for the task digits; got {steps}. '
      'Leave it out.'
    )
  return Task('digits', pixels, 1, _DIGITS, False, False)


def _steps(name: str, steps: int | None, least: int) -> int:
  steps = _DEFAULT_STEPS[name] if steps is None else steps
  if steps < least:
    raise errors.InputError(
      f'sequence_length must be at least {least} for the task {name}; got {steps}.'
    )
  return steps


class Trivial(NamedTuple):
  """What is scored without looking at the sequence: the line below which a network learns."""

  loss: float
  score: float
  how: str


def trivial(task: Task, class_shares: tuple[float, ...] = ()) -> Trivial:
  """The simplest predictor of a task; digits take it from how often each digit is in training."""
  if task.name == 'adding':
    # The variance of the sum of two uniform numbers.
    return Trivial(1 / 6, 0.0, 'always answering 1')
  if task.name == 'copy_memory':
    entropy = COPIED * math.log(KINDS) / task.steps
    return Trivial(entropy, 1 / KINDS, 'blanks, then any symbol')
  entropy = -sum(share * math.log(share) for share in class_shares if share)
  return Trivial(entropy, max(class_shares), 'always answering the most frequent digit')
