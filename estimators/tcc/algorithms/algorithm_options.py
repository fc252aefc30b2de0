"""The training algorithms by name, their options with the published values, and what these must be.

No TensorFlow.
"""

from __future__ import annotations

import math
import numbers
from typing import Any, Callable, NamedTuple

from npu_adapter import errors

LOSS_TYPES = ('classification', 'regression_mse', 'regression_mse_var', 'regression_huber')
SIMILARITY_TYPES = ('l2', 'cosine')
# Frames that a triplet of Shuffle and Learn is made from.
FRAMES_OF_A_TRIPLET = 5
_ORDERS = 2  # in order, shuffled


class Alignment(NamedTuple):
  """Options of temporal cycle-consistency, under the names of the published configuration."""

  loss_type: str = 'regression_mse_var'
  similarity_type: str = 'l2'
  softmax_temperature: float = 0.1
  label_smoothing: float = 0.1  # of loss_type classification
  variance_lambda: float = 0.001  # of regression_mse_var: weight of the log-variance
  huber_delta: float = 0.1  # of regression_huber: the error from where on it counts linearly
  normalize_indices: bool = True  # times are shares of the video, not frame numbers
  stochastic_matching: bool = False  # some cycles, drawn each step, not all pairs of clips
  fraction: float = 1.0  # of stochastic matching: cycles for each frame of the batch
  cycle_length: int = 2  # of stochastic matching: clips in a cycle


class ShuffleAndLearn(NamedTuple):
  """Options of Shuffle and Learn."""

  num_samples: int = 8  # triplets of a clip
  shuffle_fraction: float = 0.75
  # (units, whether a ReLU follows) of each layer of the classifier.
  fc_layers: tuple[tuple[int, bool], ...] = ((128, True), (64, True), (_ORDERS, False))
  dropout_rate: float = 0.0
  label_smoothing: float = 0.0


class TimeContrastive(NamedTuple):
  """Options of time-contrastive networks; which frames are positives is the input's."""

  reg_lambda: float = 0.002  # weight of the embeddings' squares


class Classification(NamedTuple):
  """Options of supervised training on the labels of frames."""

  num_classes: int = 5  # phases of pouring
  dropout_rate: float = 0.0
  label_smoothing: float = 0.0


class AlignmentSalTcn(NamedTuple):
  """Options of the weighted sum of three algorithms, and of these."""

  alignment_loss_weight: float = 0.33
  sal_loss_weight: float = 0.33
  alignment: Alignment = Alignment()
  sal: ShuffleAndLearn = ShuffleAndLearn()
  tcn: TimeContrastive = TimeContrastive()

  @property
  def tcn_loss_weight(self) -> float:
    """What the other two leave of 1."""
    return 1 - (self.alignment_loss_weight + self.sal_loss_weight)


class Algorithm(NamedTuple):
  """What is to be known of an algorithm before a graph is built."""

  options: Any  # the published ones; their type is what the algorithm takes
  # Whether each chosen frame comes with one from shortly before it, which stands ahead of it.
  needs_positives: bool


ALGORITHMS = {
  'alignment': Algorithm(Alignment(), needs_positives=False),
  'sal': Algorithm(ShuffleAndLearn(), needs_positives=False),
  'tcn': Algorithm(TimeContrastive(), needs_positives=True),
  'classification': Algorithm(Classification(), needs_positives=False),
  'alignment_sal_tcn': Algorithm(AlignmentSalTcn(), needs_positives=True),
}
# Where the published configuration has the options.
SECTIONS = {
  Alignment: 'ALIGNMENT',
  ShuffleAndLearn: 'SAL',
  TimeContrastive: 'TCN',
  Classification: 'CLASSIFICATION',
  AlignmentSalTcn: 'ALIGNMENT_SAL_TCN',
}


def named(name: str) -> Algorithm:
  """Returns the algorithm of a name, or raises InputError."""
  if name not in ALGORITHMS:
    raise errors.InputError(
      f'TRAINING_ALGO must be one of {", ".join(ALGORITHMS)}; got {name!r}.'
      f'{errors.nearest(name, ALGORITHMS)}'
    )
  return ALGORITHMS[name]


def check(name: str, options: Any, batch_size: int, num_frames: int) -> Any:
  """Returns the options, or raises InputError where the algorithm cannot be run with them.

  num_frames: chosen frames of a clip, positives not counted.
  """
  expected = type(named(name).options)
  if not isinstance(options, expected):
    raise errors.InputError(
      f'the options of {name} must be {expected.__name__}; got {type(options).__name__}.'
    )
  for part in _parts(options):
    for field, rule in _RULES[type(part)].items():
      _check_field(part, field, rule)
    _CHECKS.get(type(part), _anything)(part, batch_size, num_frames)
  return options


class _Rule(NamedTuple):
  words: str
  holds: Callable[[Any], bool]
  choices: tuple[str, ...] = ()


def _number(words: str, holds: Callable[[Any], bool]) -> _Rule:
  def is_so(value: Any) -> bool:
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and holds(value)

  return _Rule(words, is_so)


def _one_of(choices: tuple[str, ...]) -> _Rule:
  return _Rule('one of ' + ', '.join(choices), lambda value: value in choices, choices)


def _is_whole(value: Any) -> bool:
  return isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= 1


def _are_layers(value: Any) -> bool:
  """Whether these are layers of Shuffle and Learn's classifier."""
  try:
    layers = [(units, is_rectified) for units, is_rectified in value]
  except (TypeError, ValueError):
    return False
  is_each = all(_is_whole(units) and isinstance(relu, bool) for units, relu in layers)
  return is_each and bool(layers) and layers[-1][0] == _ORDERS


_ABOVE_0 = _number('a number above 0', lambda value: value > 0)
_NOT_BELOW_0 = _number('a number of at least 0', lambda value: value >= 0)
_SHARE = _number('a number from 0 to 1', lambda value: 0 <= value <= 1)
_PART = _number('a number from 0 to below 1', lambda value: 0 <= value < 1)
_WHOLE = _Rule('a whole number of at least 1', _is_whole)
_TRUTH = _Rule('true or false', lambda value: isinstance(value, bool))
_LAYERS = _Rule(
  f'(units, whether a ReLU follows) of each layer, the last of {_ORDERS} units, which tell frames '
  'in order from shuffled ones',
  _are_layers,
)

_RULES: dict[Any, dict[str, _Rule]] = {
  Alignment: {
    'loss_type': _one_of(LOSS_TYPES),
    'similarity_type': _one_of(SIMILARITY_TYPES),
    'softmax_temperature': _ABOVE_0,
    'label_smoothing': _PART,
    'variance_lambda': _NOT_BELOW_0,
    'huber_delta': _ABOVE_0,
    'normalize_indices': _TRUTH,
    'stochastic_matching': _TRUTH,
    'fraction': _ABOVE_0,
    'cycle_length': _WHOLE,
  },
  ShuffleAndLearn: {
    'num_samples': _WHOLE,
    'shuffle_fraction': _SHARE,
    'fc_layers': _LAYERS,
    'dropout_rate': _PART,
    'label_smoothing': _PART,
  },
  TimeContrastive: {'reg_lambda': _NOT_BELOW_0},
  Classification: {'num_classes': _WHOLE, 'dropout_rate': _PART, 'label_smoothing': _PART},
  AlignmentSalTcn: {'alignment_loss_weight': _SHARE, 'sal_loss_weight': _SHARE},
}


def _parts(options: Any) -> list[Any]:
  """The options, and of a sum those of the algorithms that count in it."""
  if not isinstance(options, AlignmentSalTcn):
    return [options]
  weighted = [
    (options.alignment_loss_weight, options.alignment),
    (options.sal_loss_weight, options.sal),
    (1, options.tcn),
  ]
  return [options, *(part for weight, part in weighted if weight)]


def _check_field(options: Any, field: str, rule: _Rule) -> None:
  value = getattr(options, field)
  if not rule.holds(value):
    nearest = errors.nearest(value, rule.choices) if rule.choices else ''
    raise errors.InputError(
      f'{SECTIONS[type(options)]}.{field.upper()} must be {rule.words}; got {value!r}.{nearest}'
    )


def _anything(options: Any, batch_size: int, num_frames: int) -> None:
  """Nothing more to check."""


def _check_alignment(options: Alignment, batch_size: int, num_frames: int) -> None:
  if not options.stochastic_matching:
    if batch_size < 2:
      raise errors.InputError(
        f'BATCH_SIZE must be at least 2, because clips are aligned to each other; got {batch_size}.'
      )
    return
  if options.cycle_length > batch_size:
    raise errors.InputError(
      'ALIGNMENT.CYCLE_LENGTH must be at most BATCH_SIZE, because a cycle goes through so many '
      f'clips of a batch; got {options.cycle_length} and {batch_size}.'
    )
  if cycles(options, batch_size, num_frames) < 1:
    raise errors.InputError(
      'ALIGNMENT.FRACTION x BATCH_SIZE x NUM_FRAMES, the cycles of a step, must be at least 1; got '
      f'{options.fraction} x {batch_size} x {num_frames}.'
    )


def cycles(options: Alignment, batch_size: int, num_frames: int) -> int:
  """How many cycles stochastic matching draws in a step."""
  return int(batch_size * num_frames * options.fraction)


def _check_sal(options: ShuffleAndLearn, batch_size: int, num_frames: int) -> None:
  if num_frames < FRAMES_OF_A_TRIPLET:
    raise errors.InputError(
      f'NUM_FRAMES must be at least {FRAMES_OF_A_TRIPLET} for Shuffle and Learn, which makes a '
      f'triplet from so many frames; got {num_frames}.'
    )


def _check_tcn(options: TimeContrastive, batch_size: int, num_frames: int) -> None:
  if num_frames < 2:
    raise errors.InputError(
      'NUM_FRAMES must be at least 2 for tcn, which tells one pair of frames from the others; got '
      f'{num_frames}.'
    )


def _check_weights(options: AlignmentSalTcn, batch_size: int, num_frames: int) -> None:
  if options.tcn_loss_weight < 0:
    raise errors.InputError(
      'ALIGNMENT_LOSS_WEIGHT and SAL_LOSS_WEIGHT of ALIGNMENT_SAL_TCN must be at most 1 together, '
      f'tcn has the rest; got {options.alignment_loss_weight} and {options.sal_loss_weight}.'
    )


_CHECKS: dict[Any, Callable[[Any, int, int], None]] = {
  Alignment: _check_alignment,
  ShuffleAndLearn: _check_sal,
  TimeContrastive: _check_tcn,
  AlignmentSalTcn: _check_weights,
}
