"""Labels of frames from segments that people have marked in a video; read from JSON.

The file holds: name of the video -> who marked it -> number of the segment -> [start, end] in
microseconds. No TensorFlow.
"""

from __future__ import annotations

import json
from typing import Any, Mapping, NamedTuple, Sequence

import numpy as np

from npu_adapter import errors

_MICROSECONDS = 1e6


class Segment(NamedTuple):
  """A part of a video."""

  label: int
  start_s: float
  end_s: float


class LabelFile:
  """The segments of all videos of a label file."""

  def __init__(self, path: str):
    self.path = path
    try:
      with open(path, encoding='utf-8') as file:
        self._videos = json.load(file)
    except (OSError, ValueError) as error:
      raise errors.InputError(
        f'label_file must be a JSON file; {path!r} is none: {error}.'
      ) from None
    if not isinstance(self._videos, dict):
      raise errors.InputError(
        f'label_file must hold a JSON object with an entry for each video; {path!r} does not.'
      )

  def segments(self, video: str, expected: int = -1) -> list[Segment]:
    """Returns what the annotators of a video mean on average, without gaps, in order of time.

    With `expected` above 0 every annotator must have marked so many.
    """
    marks = self._videos.get(video)
    if marks is None:
      hint = errors.nearest(video, self._videos)
      raise errors.InputError(
        f'{self.path!r} must have an entry for each video; {video!r} has none.{hint}'
      )
    try:
      return merged(marks, expected)
    except ValueError as error:
      raise errors.InputError(f'{self.path!r}, video {video!r}: {error}') from None


def merged(marks: Mapping[str, Mapping[str, Sequence[float]]], expected: int = -1) -> list[Segment]:
  """Returns the segments of one video: averaged over annotators, gaps closed at their middles.

  Raises ValueError where the annotators do not tell the same segments.
  """
  times = [_times(who, found) for who, found in _items(marks)]
  labels = sorted(times[0])
  for (who, _), found in zip(_items(marks), times):
    if sorted(found) != labels:
      raise ValueError(
        f'all annotators must have marked the same segments; {who!r} has {sorted(found)}, '
        f'another {labels}.'
      )
  if 0 < expected != len(labels):
    raise ValueError(f'there must be {expected} segments; there are {len(labels)}.')
  means = {label: np.mean([found[label] for found in times], axis=0) for label in labels}
  return _without_gaps(sorted((tuple(means[label]), label) for label in labels))


def _items(marks: Any) -> list[tuple[str, Any]]:
  if not isinstance(marks, Mapping) or not marks:
    raise ValueError('there must be an entry for each annotator, at least one.')
  return list(marks.items())


def _times(who: str, found: Any) -> dict[int, tuple[float, float]]:
  """Start and end in seconds of each segment that one annotator has marked."""
  try:
    times = {int(label): (float(start), float(end)) for label, (start, end) in found.items()}
  except (TypeError, ValueError, AttributeError):
    raise ValueError(
      f'{who!r} must have marked segments as {{"0": [start, end], ...}}; got {found!r:.100}.'
    ) from None
  wrong = [label for label, (start, end) in times.items() if not start <= end or label < 0]
  if wrong or not times:
    raise ValueError(
      f'{who!r} must have marked at least one segment, numbered from 0, each with an end behind '
      f'its start; got {found!r:.100}.'
    )
  return {
    label: (start / _MICROSECONDS, end / _MICROSECONDS) for label, (start, end) in times.items()
  }


def _without_gaps(found: list[tuple[tuple[float, ...], int]]) -> list[Segment]:
  starts = [start for (start, _), _ in found]
  ends = [end for (_, end), _ in found]
  # In order also where one segment lies within another.
  borders = np.maximum.accumulate([(end + start) / 2 for end, start in zip(ends, starts[1:])])
  return [
    Segment(label, start, end)
    for (_, label), start, end in zip(found, [starts[0], *borders], [*borders, ends[-1]])
  ]


def labels_at(times_s: Sequence[float], segments: Sequence[Segment]) -> list[int]:
  """Returns the label at each time; before the first segment it is that of the first."""
  borders = [segment.start_s for segment in segments[1:]]
  found = np.searchsorted(borders, times_s, side='right')
  return [segments[number].label for number in found]
