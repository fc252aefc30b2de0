"""A plain classifier from embeddings of frames to phases, and how often it is right.

Embeddings are moved by their mean and divided by one number, the root of the mean variance of their
features, both of the frames it is fitted to. That keeps the shape of the cloud, which is what
training has made: dividing each feature by its own deviation would blow up those that mean nothing.
So scores do not depend on where the cloud lies, how large it is or how it is turned, and nets can
be put beside raw pixels. (The original fits to embeddings as they are. With scikit-learn's own
choice of gamma its SVC does not depend on their size either, but on where the cloud lies.)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from npu_adapter import errors

KINDS = ('svm', 'logistic')
_MOST_ITERATIONS = 1000


class PhaseClassifier(NamedTuple):
  """Made by `fitted`."""

  mean: np.ndarray  # [size]
  deviation: float
  estimator: Any  # of scikit-learn

  def accuracy(self, embeddings: np.ndarray, labels: np.ndarray) -> float:
    """The share of frames, embeddings [frames, size], whose phase int [frames] it finds."""
    guesses = self.estimator.predict((embeddings - self.mean) / self.deviation)
    return float((guesses == labels).mean())


def fitted(kind: str, embeddings: np.ndarray, labels: np.ndarray) -> PhaseClassifier:
  """Fits one of KINDS to embeddings [frames, size] and phases int [frames].

  'svm': radial basis functions of scikit-learn's SVC with C 1; 'logistic': multinomial logistic
  regression with C 1. Of frames that are all of one phase it learns to answer that.
  """
  embeddings = embeddings.astype(np.float64)
  mean = embeddings.mean(axis=0)
  deviation = float(np.sqrt(embeddings.var(axis=0).mean())) or 1.0
  estimator = _new(kind if labels.min() < labels.max() else 'constant', embeddings.shape[1])
  estimator.fit((embeddings - mean) / deviation, labels)
  return PhaseClassifier(mean, deviation, estimator)


def _new(kind: str, size: int) -> Any:
  from sklearn.dummy import DummyClassifier
  from sklearn.linear_model import LogisticRegression
  from sklearn.svm import SVC

  if kind == 'constant':
    return DummyClassifier(strategy='most_frequent')
  if kind == 'logistic':
    return LogisticRegression(max_iter=_MOST_ITERATIONS)
  # 1 / (size * variance), where the variance is 1.
  return SVC(kernel='rbf', gamma=1 / size)


def require() -> None:
  """Raises an error when scikit-learn is missing: before a training, not after it."""
  try:
    _new('svm', 1)
  except ImportError as error:
    raise errors.AdapterError(
      f"evaluation needs scikit-learn; {error}. Install it: pip install '.[models]'"
    ) from None
