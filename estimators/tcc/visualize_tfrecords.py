#!/usr/bin/env python3
"""Draws what is in TFRecords of clips: some frames of each, with their numbers and labels."""

from __future__ import annotations

import glob
import os
import sys
from typing import Any, Sequence

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from npu_adapter import errors, tool_command  # noqa: E402

_COLUMNS = 10
_INCHES = 1.2  # of a frame, both ways
_DOTS_PER_INCH = 100


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command; returns its exit status."""
  return tool_command.run(_parser(), _run, argv)


def _parser() -> tool_command.Parser:
  parser = tool_command.Parser('visualize_tfrecords.py', __doc__)
  add = parser.add_argument
  add(
    '--path_to_tfrecord', required=True, metavar='PATTERN', help='files, as tfrecords/pouring_val*'
  )
  add(
    '--output', required=True, type=tool_command.new_file('.png'), metavar='PNG',
    help='picture to write',
  )  # fmt: skip
  add(
    '--num_vids', type=tool_command.number(int, 1), default=1, metavar='N',
    help='clips to draw (default: 1)',
  )  # fmt: skip
  add(
    '--num_skip_frames', type=tool_command.number(int, 1), default=10, metavar='N',
    help='every so many frames one is drawn (default: 10)',
  )  # fmt: skip
  return parser


def _run(asked: Any) -> None:
  from estimators.tcc.dataset import record_index

  paths = sorted(path for path in glob.glob(asked.path_to_tfrecord) if os.path.isfile(path))
  if not paths:
    raise errors.InputError(
      f'path_to_tfrecord must match files; got {asked.path_to_tfrecord!r}, which matches none.'
    )
  records = record_index.records_of(paths)[: asked.num_vids]
  clips = [record_index.read_clip(record) for record in records]
  for clip in clips:
    print(f'{clip.name}: {len(clip.frames)} frames, label {clip.label}')
  _draw(clips, asked.num_skip_frames, asked.output)
  print(f'wrote {asked.output}')


def _draw(clips: Sequence[Any], skip: int, path: str) -> None:
  """Writes a sheet of pictures: each clip begins a line, and goes on in the lines below."""
  import matplotlib.figure

  from npu_adapter import whole_file

  lines = [
    (clip, numbers[at : at + _COLUMNS])
    for clip in clips
    for numbers in [range(0, len(clip.frames), skip)]
    for at in range(0, len(numbers), _COLUMNS)
  ]
  size = (_COLUMNS * _INCHES, len(lines) * _INCHES * 1.25)
  figure = matplotlib.figure.Figure(size)
  for row, (clip, numbers) in enumerate(lines):
    for column, number in enumerate(numbers):
      axes = figure.add_subplot(len(lines), _COLUMNS, row * _COLUMNS + column + 1)
      _draw_frame(axes, clip, number)
  with whole_file.replacing(path) as partial:
    figure.savefig(partial, format='png', dpi=_DOTS_PER_INCH)


def _draw_frame(axes: Any, clip: Any, number: int) -> None:
  from estimators.tcc.dataset import clip_records

  axes.imshow(clip_records.decode_frame(clip.frames[number]))
  title = f'{clip.name}' if number == 0 else f'{number}'
  if clip.frame_labels is not None:
    label = clip.frame_labels[number]
    title += f': {label}'
  axes.set_title(title, fontsize=6)
  axes.set_axis_off()


if __name__ == '__main__':
  sys.exit(main())
