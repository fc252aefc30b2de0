"""What a confusion matrix says: accuracy, precision, recall and F1. No TensorFlow."""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence

import numpy as np


class Scores(NamedTuple):
  """Shares from 0 to 1. A class that never is, or is never answered, has an F1 of 0."""

  accuracy: float
  macro_f1: float  # every class counts the same
  weighted_f1: float  # every window does
  precision: tuple[float, ...]
  recall: tuple[float, ...]
  f1: tuple[float, ...]


def of_matrix(matrix: Any) -> Scores:
  """`matrix` is [classes, classes]: how many of the row's class were taken for the column's."""
  counts = np.asarray(matrix, np.float64)
  right, was, answered = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
  precision, recall = _share(right, answered), _share(right, was)
  f1 = _share(2 * right, was + answered)
  total = max(1.0, counts.sum())
  return Scores(
    float(right.sum() / total),
    float(f1.mean()),
    float((f1 * was).sum() / total),
    *(tuple(each.tolist()) for each in (precision, recall, f1)),
  )


def matrix_of(labels: Any, guesses: Any, classes: int) -> np.ndarray:
  """The confusion matrix int64 [classes, classes] of two lists of class numbers."""
  found = np.zeros([classes, classes], np.int64)
  np.add.at(found, (np.asarray(labels), np.asarray(guesses)), 1)
  return found


def table(matrix: Any, labels: Sequence[str]) -> str:
  """Precision, recall and F1 of each class, as lines of text."""
  found, counts = of_matrix(matrix), np.asarray(matrix).sum(axis=1)
  width = max(len('class'), *(len(label) for label in labels))
  lines = [f'{"class".ljust(width)}  precision  recall      F1  windows']
  for number, label in enumerate(labels):
    values = found.precision[number], found.recall[number], found.f1[number]
    lines.append(
      f'{label.ljust(width)}     {values[0]:6.4f}  {values[1]:6.4f}  {values[2]:6.4f}  '
      f'{counts[number]:7d}'
    )
  return '\n'.join(lines)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
  return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
