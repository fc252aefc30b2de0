"""From the scores of sliding windows to words and their times, and how right those are."""

from __future__ import annotations

from typing import NamedTuple, Sequence

import numpy as np

_ROUNDING_S = 1e-9


class Detection(NamedTuple):
  """A word, when it was said (or heard), and the averaged score it was reported with."""

  word: str
  seconds: float
  score: float


class Rules(NamedTuple):
  """When a word is reported."""

  first_s: float  # the middle of the first window
  stride_s: float
  averaged_windows: int
  threshold: float
  suppression_s: float
  ignored: tuple[str, ...]


class Comparison(NamedTuple):
  """A verdict for each detection ('matched', 'wrong' or 'false'), and what was not found."""

  verdicts: list[str]
  missed: list[tuple[str, float]]


def detect(scores: np.ndarray, labels: Sequence[str], rules: Rules) -> list[Detection]:
  """Finds words in scores [windows, labels] of windows whose middles are a stride apart.

  A word is reported when its average rises to the threshold, or later, when the suppression after
  the word before it ends and it is still as high. Once reported it must sink below the threshold
  first: a word that lasts is one word.
  """
  averaged_windows = min(rules.averaged_windows, len(scores))
  averages = _moving_average(scores, averaged_windows)
  words = [number for number, label in enumerate(labels) if label not in rules.ignored]
  found: list[Detection] = []
  reported: set[int] = set()
  # Windows k to k + averaged_windows - 1 are in average k.
  middle = (averaged_windows - 1) / 2
  for place, row in enumerate(averages):
    reported = {word for word in reported if row[word] >= rules.threshold}
    best = max(words, key=row.__getitem__)
    seconds = rules.first_s + (place + middle) * rules.stride_s
    is_early = found and seconds - found[-1].seconds < rules.suppression_s - _ROUNDING_S
    if row[best] >= rules.threshold and best not in reported and not is_early:
      reported.add(best)
      found.append(Detection(labels[best], seconds, float(row[best])))
  return found


def _moving_average(scores: np.ndarray, count: int) -> np.ndarray:
  """float [rows, labels] -> [rows - count + 1, labels]."""
  sums = np.cumsum(np.pad(scores.astype(np.float64), ((1, 0), (0, 0)), 'constant'), axis=0)
  return (sums[count:] - sums[:-count]) / count


def compare(
  found: Sequence[Detection], truth: Sequence[tuple[str, float]], tolerance_s: float
) -> Comparison:
  """Pairs each detection with the nearest word that was said and no other detection has.

  First those of the same word, within the tolerance: matched. Then the others: wrong, something
  was said there. A detection without a partner is false, a word without one missed.
  """
  verdicts = ['false'] * len(found)
  left = list(truth)
  for verdict in ('matched', 'wrong'):
    for number, detection in enumerate(found):
      near = [
        (abs(seconds - detection.seconds), word, seconds)
        for word, seconds in left
        if abs(seconds - detection.seconds) <= tolerance_s
        and (word == detection.word or verdict == 'wrong')
      ]
      if near and verdicts[number] == 'false':
        left.remove(min(near)[1:])
        verdicts[number] = verdict
  return Comparison(verdicts, left)
