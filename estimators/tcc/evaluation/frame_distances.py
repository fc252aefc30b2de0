"""How far the frames of two clips are from each other. No TensorFlow."""

from __future__ import annotations

import numpy as np

from npu_adapter import errors

# Those of scipy's cdist that need no further argument.
METRICS = (
  'sqeuclidean', 'euclidean', 'cityblock', 'chebyshev', 'cosine', 'correlation', 'braycurtis',
  'canberra',
)  # fmt: skip
DEFAULT = 'sqeuclidean'


def between(queries: np.ndarray, candidates: np.ndarray, metric: str = DEFAULT) -> np.ndarray:
  """Float64 [queries, candidates] for embeddings [queries, size] and [candidates, size].

  Differences are taken before they are squared, so that near ties of embeddings that all lie far
  from 0 are not decided by rounding.
  """
  from scipy.spatial import distance

  found = distance.cdist(queries, candidates, metric)
  if np.isnan(found).any():
    raise errors.InputError(
      f'the distance {metric} must exist between all frames; got an embedding that it is not '
      'defined for, as one of zeros for cosine, or of equal numbers for correlation. Take '
      'sqeuclidean.'
    )
  return found


def normalized(embeddings: np.ndarray) -> np.ndarray:
  """The same embeddings [frames, size] with length 1; one of zeros stays as it is."""
  lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
  return embeddings / np.where(lengths > 0, lengths, 1)
