"""From videos and their labels to the TFRecord files of a data set's split."""

from __future__ import annotations

import glob
import os
import tempfile
from typing import Any, Callable, Iterator, NamedTuple, Sequence

from estimators.tcc.dataset import clip_records, frame_labels, video_frames
from npu_adapter import errors, progress


class Source(NamedTuple):
  """A video that is read when its turn comes: a file may hold more than goes into memory."""

  name: str
  read: Callable[[], video_frames.Video]


class Labels(NamedTuple):
  """What is known of the videos."""

  file: frame_labels.LabelFile | None = None
  expected_segments: int = -1  # of each video; -1: any number
  frame_label_names: Sequence[str] = ()
  action_label: int = clip_records.NO_LABEL  # of all videos


def write(
  output_dir: str,
  name: str,
  sources: Sequence[Source],
  per_file: int,
  labels: Labels,
  show: Callable[[str], Any] = print,
) -> list[str]:
  """Writes <name>-<number>-of-<files>.tfrecord, all of them or none; returns their paths."""
  _check_new(output_dir, name)
  if labels.file:
    # All of them before the first video is read, which takes long.
    for source in sources:
      _segments(source.name, labels)
  os.makedirs(output_dir, exist_ok=True)
  # All files or none: half a split cannot be told from a whole one by who reads it.
  with tempfile.TemporaryDirectory(prefix='.partial-', dir=output_dir) as scratch:
    names = _file_names(name, -(-len(sources) // per_file))
    for number, file_name in enumerate(progress.shown(names, 'files')):
      chosen = sources[number * per_file : (number + 1) * per_file]
      clip_records.write(os.path.join(scratch, file_name), _clips(chosen, labels, show))
    paths = [os.path.join(output_dir, file_name) for file_name in names]
    for file_name, path in zip(names, paths):
      os.replace(os.path.join(scratch, file_name), path)
  return paths


def _file_names(name: str, count: int) -> list[str]:
  digits = len(str(count))
  return [f'{name}-{number:0{digits}}-of-{count:0{digits}}.tfrecord' for number in range(count)]


def _check_new(output_dir: str, name: str) -> None:
  """Files of another writing would be read together with those of this one."""
  found = glob.glob(os.path.join(glob.escape(output_dir), f'{glob.escape(name)}-*-of-*.tfrecord*'))
  if found:
    raise errors.InputError(
      f'output_dir must hold no files {name}-*-of-* yet; {output_dir!r} holds {len(found)}. Remove '
      'them, or name another folder.'
    )


def _segments(video: str, labels: Labels) -> list[frame_labels.Segment]:
  assert labels.file
  found = labels.file.segments(video, labels.expected_segments)
  most = max(segment.label for segment in found)
  if labels.frame_label_names and most >= len(labels.frame_label_names):
    raise errors.InputError(
      f'frame_labels must name every segment; {video!r} has a segment {most}, and there are '
      f'{len(labels.frame_label_names)} names, for 0 and on.'
    )
  return found


def _clips(
  sources: Sequence[Source], labels: Labels, show: Callable[[str], Any]
) -> Iterator[clip_records.Clip]:
  for source in sources:
    video = source.read()
    found = None
    if labels.file:
      found = frame_labels.labels_at(video.times_s, _segments(source.name, labels))
    height, width = video.frames[0].shape[:2]
    show(f'{source.name}: {len(video.frames)} frames of {width}x{height}')
    yield clip_records.Clip(
      source.name,
      [clip_records.encode_frame(frame) for frame in video.frames],
      found,
      labels.action_label,
      frame_label_names=labels.frame_label_names,
    )
