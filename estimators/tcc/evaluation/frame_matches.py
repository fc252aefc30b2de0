"""Which frame of a clip goes with each frame of another: the nearest, or by time warping."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from estimators.tcc.evaluation import dynamic_time_warping, frame_distances


class Matches(NamedTuple):
  """Of a reference clip and a candidate."""

  distances: np.ndarray  # float64 [reference frames, candidate frames]
  # The way through them: int64 [steps] each.
  rows: np.ndarray
  columns: np.ndarray
  frames: np.ndarray  # int64 [reference frames]: the frame of the candidate for each


def match(
  reference: np.ndarray,
  candidate: np.ndarray,
  use_dtw: bool,
  metric: str = frame_distances.DEFAULT,
) -> Matches:
  """Matches embeddings [frames, size]; warped, frames that are matched never step back in time."""
  distances = frame_distances.between(reference, candidate, metric)
  if use_dtw:
    path = dynamic_time_warping.cheapest_path(distances)
    frames = dynamic_time_warping.matched_columns(path)
    return Matches(distances, path.rows, path.columns, frames)
  frames = distances.argmin(axis=1)
  return Matches(distances, np.arange(len(reference)), frames, frames)
