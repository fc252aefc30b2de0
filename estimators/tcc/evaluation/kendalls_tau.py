"""Kendall's tau: whether frames that follow each other are nearest to frames that do so too.

It needs no labels. 1: the frames of each clip lead through every other clip in order; -1: in the
opposite order; about 0: in none.
"""

from __future__ import annotations

from typing import Sequence

import numpy as np

from estimators.tcc.evaluation import clips as clip_lists
from estimators.tcc.evaluation import frame_distances
from estimators.tcc.evaluation.clips import Clip
from estimators.tcc.evaluation.options import EvaluationOptions


def evaluate(
  training: Sequence[Clip], validation: Sequence[Clip], options: EvaluationOptions
) -> dict[str, float]:
  """The mean over all ordered pairs of a split, and how many pairs have no tau.

  A pair has none where all frames are nearest to one frame: such pairs are no part of the mean,
  which is NaN where there is no other (embeddings that have collapsed to a point).
  """
  clip_lists.check_splits(training, validation, least=2)
  found: dict[str, float] = {}
  for split, clips in (('train', training), ('val', validation)):
    taus = pairwise(clips, options.kendalls_tau_stride, options.kendalls_tau_distance)
    known = taus[~np.isnan(taus)]
    found[f'{split}_kendalls_tau'] = float(known.mean()) if len(known) else float('nan')
    found[f'{split}_pairs_without_tau'] = len(clips) * (len(clips) - 1) - len(known)
  return found


def pairwise(
  clips: Sequence[Clip], stride: int = 1, metric: str = frame_distances.DEFAULT
) -> np.ndarray:
  """Float64 [clips, clips]: tau of a clip (row) in another (column); NaN where there is none.

  Of both clips every stride-th frame is taken, from the first, as in the original.
  """
  embeddings = [clip.embeddings[::stride] for clip in clips]
  ends = np.cumsum([len(frames) for frames in embeddings])
  # One call for all candidates: with some thousand pairs, calls would cost more than distances.
  candidates = np.concatenate(embeddings)
  taus = np.full([len(clips), len(clips)], np.nan)
  for row, queries in enumerate(embeddings):
    distances = frame_distances.between(queries, candidates, metric)
    nearest = [part.argmin(axis=1) for part in np.split(distances, ends[:-1], axis=1)]
    taus[row] = in_order(np.stack(nearest))
  np.fill_diagonal(taus, np.nan)
  return taus


def in_order(places: np.ndarray) -> np.ndarray:
  """Kendall's tau-b, float64 [rows], of each row of `places` int [rows, frames] against time.

  Time has no ties; a row of one value has no tau (NaN). All pairs of frames that are as far apart
  are compared at once, for all rows: ten times as fast as a call of scipy for each row.
  """
  frames = places.shape[1]
  rising, untied = np.zeros(len(places)), np.zeros(len(places))
  for apart in range(1, frames):
    signs = np.sign(places[:, apart:] - places[:, :-apart])
    rising += signs.sum(axis=1)
    untied += np.abs(signs).sum(axis=1)
  pairs = frames * (frames - 1) / 2
  with np.errstate(invalid='ignore'):
    return rising / np.sqrt(pairs * untied)
