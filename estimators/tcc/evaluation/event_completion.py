"""How well a linear regression tells from a frame how far it is from the end of each phase."""

from __future__ import annotations

from typing import NamedTuple, Sequence

import numpy as np

from estimators.tcc.evaluation import clips as clip_lists
from estimators.tcc.evaluation.clips import Clip
from estimators.tcc.evaluation.options import EvaluationOptions
from npu_adapter import errors


class _Regression(NamedTuple):
  slopes: np.ndarray  # float64 [size]
  intercept: float


def completion(labels: np.ndarray, phase: int) -> np.ndarray | None:
  """Float64 [frames]: (frame - last frame of the phase) / frames; None for a clip without it."""
  inside = np.flatnonzero(labels == phase)
  if not len(inside):
    return None
  return (np.arange(len(labels)) - inside[-1]) / len(labels)


def evaluate(
  training: Sequence[Clip], validation: Sequence[Clip], options: EvaluationOptions
) -> dict[str, float]:
  """R^2 of the regression for the end of every phase but the last, and their mean.

  A clip without a phase is left out of the regression for its end, in fitting and in scoring:
  `train_ends_missing` and `val_ends_missing` count such pairs. An end that no training or no
  validation clip has, or whose validation frames are all as far from it, has no R^2 and no part in
  the mean.
  """
  clip_lists.check_splits(training, validation)
  splits = {'train': training, 'val': validation}
  clip_lists.labelled_frames(training, 'training')
  clip_lists.labelled_frames(validation, 'validation')
  ends = (options.phases or clip_lists.phases_of([*training, *validation])) - 1
  found: dict[str, float] = {}
  for end, regression in sorted(_regressions(training, ends).items()):
    scores = {split: _r2(clips, end, regression) for split, clips in splits.items()}
    if not np.isnan(scores['val']):
      found.update({f'{split}_r2_end_{end}': score for split, score in scores.items()})
  if not found:
    raise errors.InputError(
      f'the clips must have a phase before the last that both splits share; got {ends + 1} '
      'phase(s) and no such. Check the frame labels, or leave this task out.'
    )
  means = {f'{split}_r2': _mean(found, f'{split}_r2_end_') for split in splits}
  missing = {
    f'{split}_ends_missing': sum(
      completion(clip.labels, end) is None for clip in clips for end in range(ends)
    )
    for split, clips in splits.items()
  }
  return {**found, **means, **missing}


def _regressions(training: Sequence[Clip], ends: int) -> dict[int, _Regression]:
  """Those of all ends that a training clip has; ends that the same clips have are fitted at once.

  Least squares, the shortest slopes where several are as good. The intercept goes through the
  means, so that it is no part of what is kept short.
  """
  groups: dict[tuple[int, ...], list[int]] = {}
  for end in range(ends):
    having = (number for number, clip in enumerate(training) if (clip.labels == end).any())
    groups.setdefault(tuple(having), []).append(end)
  groups.pop((), None)
  found = {}
  for numbers, together in groups.items():
    kept = [training[number] for number in numbers]
    embeddings = np.concatenate([clip.embeddings for clip in kept]).astype(np.float64)
    far = np.stack([_completions(kept, end) for end in together], axis=1)
    mean, mean_far = embeddings.mean(axis=0), far.mean(axis=0)
    slopes = np.linalg.lstsq(embeddings - mean, far - mean_far, rcond=None)[0]
    for column, end in enumerate(together):
      intercept = float(mean_far[column] - mean @ slopes[:, column])
      found[end] = _Regression(slopes[:, column], intercept)
  return found


def _completions(clips: Sequence[Clip], end: int) -> np.ndarray:
  return np.concatenate([completion(clip.labels, end) for clip in clips])


def _r2(clips: Sequence[Clip], end: int, regression: _Regression) -> float:
  """1 - squared error / squared error of the mean of these frames; NaN where that is 0."""
  kept = [clip for clip in clips if (clip.labels == end).any()]
  if not kept:
    return float('nan')
  far = _completions(kept, end)
  embeddings = np.concatenate([clip.embeddings for clip in kept])
  error = far - (embeddings @ regression.slopes + regression.intercept)
  spread = ((far - far.mean()) ** 2).sum()
  return float(1 - (error**2).sum() / spread) if spread > 0 else float('nan')


def _mean(found: dict[str, float], start: str) -> float:
  return float(np.mean([value for name, value in found.items() if name.startswith(start)]))
