#!/usr/bin/env python3
"""Writes folders of pictures, each the frames of a video, as the TFRecords that train.py reads.

images_to_tfrecords.py --name=squats_val --dir=frames --vid_list=val.txt --output_dir=tfrecords
"""

from __future__ import annotations

import functools
import os
import sys
from typing import Any, Sequence

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from estimators.tcc import preparation_flags  # noqa: E402
from estimators.tcc.dataset import video_frames  # noqa: E402
from npu_adapter import errors, tool_command  # noqa: E402


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command; returns its exit status."""
  return tool_command.run(_parser(), _run, argv)


def _parser() -> tool_command.Parser:
  parser = tool_command.Parser('images_to_tfrecords.py', __doc__)
  add = parser.add_argument
  add('--dir', required=True, help='folder with the folders of pictures')
  add('--vid_list', required=True, metavar='FILE', help='names of those folders, one a line')
  add('--extension', default='jpg', help='what the names of the pictures end with (default: jpg)')
  add(
    '--vids_per_shard', type=tool_command.number(int, 1), default=1, metavar='N',
    help='videos in a TFRecord file (default: 1)',
  )  # fmt: skip
  add(
    '--fps', type=tool_command.number(float, 0, above=True), default=30.0, metavar='N',
    help='pictures that make a second, for the times of --label_file (default: 30)',
  )  # fmt: skip
  preparation_flags.add_to(parser)
  return parser


def _run(asked: Any) -> None:
  form = preparation_flags.form(asked)
  sources = [
    (
      os.path.basename(name),
      functools.partial(
        video_frames.read_folder, os.path.join(asked.dir, name), asked.extension, form, asked.fps
      ),
    )
    for name in _listed(asked.vid_list)
  ]
  preparation_flags.write(asked, sources, asked.vids_per_shard)


def _listed(path: str) -> list[str]:
  try:
    with open(path, encoding='utf-8') as file:
      names = [line.strip().rstrip('/') for line in file]
  except (OSError, ValueError) as error:
    raise errors.InputError(f'vid_list must be a text file; {path!r} is none: {error}.') from None
  names = [name for name in names if name]
  if not names:
    raise errors.InputError(f'vid_list must name folders, one a line; {path!r} names none.')
  return names


if __name__ == '__main__':
  sys.exit(main())
