"""How well a plain classifier finds the phases after it has seen the labels of some clips only."""

from __future__ import annotations

import math
from typing import Iterator, Sequence

import numpy as np

from estimators.tcc.evaluation import clips as clip_lists
from estimators.tcc.evaluation import phase_classifier
from estimators.tcc.evaluation.clips import Clip
from estimators.tcc.evaluation.options import EvaluationOptions
from npu_adapter import errors

_CONFIDENCE = 0.95


def drawn(clips: int, labelled: int, episode: int, seed: int) -> np.ndarray:
  """Int64 [labelled]: which clips are labelled, a function of its arguments alone."""
  chance = np.random.RandomState([seed, labelled, episode])
  return np.sort(chance.permutation(clips)[:labelled])


def evaluate(
  training: Sequence[Clip], validation: Sequence[Clip], options: EvaluationOptions
) -> dict[str, float]:
  """Mean accuracy on the validation frames over the episodes, and half the width of its interval.

  The interval is Student's, of 95 %. It tells what the choice of clips does: clips that are drawn
  in several episodes make it narrower than that of new clips would be. More labelled clips than
  there are, or than have a label, are left out. `val_accuracy`: that of the most.
  """
  clip_lists.check_splits(training, validation)
  clip_lists.labelled_frames(training, 'training')
  asked = clip_lists.labelled_frames(validation, 'validation')
  training = [clip for clip in training if np.max(clip.labels) >= 0]
  counts = [count for count in options.few_shot_num_labeled if count <= len(training)]
  if not counts:
    raise errors.InputError(
      f'few_shot_num_labeled must have a number up to the {len(training)} labelled training clips; '
      f'got {", ".join(map(str, options.few_shot_num_labeled))}.'
    )
  found: dict[str, float] = {}
  for count in counts:
    scores = list(_episodes(training, asked, count, options))
    found[f'val_accuracy_{count}'], found[f'val_interval_{count}'] = mean_and_interval(scores)
  found['val_accuracy'] = found[f'val_accuracy_{max(counts)}']
  return found


def _episodes(
  training: list[Clip],
  asked: tuple[np.ndarray, np.ndarray],
  count: int,
  options: EvaluationOptions,
) -> Iterator[float]:
  """The accuracy of every episode; the same choice of clips is fitted once."""
  known: dict[tuple[int, ...], float] = {}
  for episode in range(options.few_shot_episodes):
    chosen = tuple(drawn(len(training), count, episode, options.few_shot_seed))
    if chosen not in known:
      frames = clip_lists.labelled_frames([training[number] for number in chosen], 'training')
      known[chosen] = phase_classifier.fitted(options.classifier, *frames).accuracy(*asked)
    yield known[chosen]


def mean_and_interval(scores: Sequence[float]) -> tuple[float, float]:
  """The mean, and how far the 95 % t interval of it reaches to each side."""
  from scipy import stats

  error = np.std(scores, ddof=1) / math.sqrt(len(scores))
  reach = stats.t.ppf((1 + _CONFIDENCE) / 2, len(scores) - 1) * error
  return float(np.mean(scores)), float(reach)
