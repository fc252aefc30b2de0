"""What evaluation is to measure, and how; the defaults are the published ones."""

from __future__ import annotations

import math
from typing import NamedTuple

from estimators.tcc.evaluation import frame_distances, phase_classifier
from npu_adapter import errors

# What NumPy takes as a seed.
_MOST_SEED = 2**32 - 1


class EvaluationOptions(NamedTuple):
  """Checked by `check`."""

  classifier: str = 'svm'  # or 'logistic'
  # Shares of the training clips whose labels a classifier may see.
  classification_fractions: tuple[float, ...] = (0.1, 0.5, 1.0)
  # Every how manieth frame is matched; published: 2 for Penn Action, whose clips are shorter.
  kendalls_tau_stride: int = 5
  kendalls_tau_distance: str = 'sqeuclidean'
  # Labelled clips that a classifier is fitted to, and how many times they are drawn.
  few_shot_num_labeled: tuple[int, ...] = tuple(range(1, 11))
  few_shot_episodes: int = 50
  few_shot_seed: int = 42
  # How many phases there are; None for as many as the labels tell apart.
  phases: int | None = None


def check(options: EvaluationOptions) -> EvaluationOptions:
  """Returns `options`, or raises InputError for what cannot be measured."""
  _check_word('classifier', options.classifier, phase_classifier.KINDS)
  _check_word('kendalls_tau_distance', options.kendalls_tau_distance, frame_distances.METRICS)
  fractions = options.classification_fractions
  if not fractions or not all(0 < fraction <= 1 for fraction in fractions):
    raise errors.InputError(
      'classification_fractions must be shares above 0 and up to 1, at least one; got '
      f'{list(fractions)}.'
    )
  if not options.few_shot_num_labeled:
    raise errors.InputError('few_shot_num_labeled must be at least one number; got none.')
  for count in options.few_shot_num_labeled:
    _check_count('few_shot_num_labeled', count, 1)
  _check_count('kendalls_tau_stride', options.kendalls_tau_stride, 1)
  # An interval needs two.
  _check_count('few_shot_episodes', options.few_shot_episodes, 2)
  _check_count('few_shot_seed', options.few_shot_seed, 0, _MOST_SEED)
  if options.phases is not None:
    _check_count('phases', options.phases, 2)
  return options


def _check_word(name: str, word: str, known: tuple[str, ...]) -> None:
  if word not in known:
    raise errors.InputError(
      f'{name} must be one of {", ".join(known)}; got {word!r}.{errors.nearest(word, known)}'
    )


def _check_count(name: str, value: int, least: int, most: float = math.inf) -> None:
  if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
    bounds = f'of at least {least}' + (f' and at most {most}' if most < math.inf else '')
    raise errors.InputError(f'{name} must be a whole number {bounds}; got {value!r}.')
