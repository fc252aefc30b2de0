#!/usr/bin/env python3
"""Writes videos as the TFRecords that train.py reads: frames as JPEG, with labels where given.

videos_to_tfrecords.py --name=pouring_train --input_dir=videos/train --output_dir=tfrecords
"""

from __future__ import annotations

import functools
import glob
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
  parser = tool_command.Parser('videos_to_tfrecords.py', __doc__)
  add = parser.add_argument
  add('--input_dir', required=True, metavar='DIR', help='folder with the videos')
  add('--file_pattern', default='*.mp4', help='which files in it (default: *.mp4)')
  add(
    '--files_per_shard', type=tool_command.number(int, 1), default=1, metavar='N',
    help='videos in a TFRecord file (default: 1)',
  )  # fmt: skip
  add(
    '--fps', type=tool_command.number(float, 0), default=0.0, metavar='N',
    help='frames of a second to keep (default: 0, all)',
  )  # fmt: skip
  preparation_flags.add_to(parser)
  return parser


def _run(asked: Any) -> None:
  pattern = os.path.join(glob.escape(asked.input_dir), asked.file_pattern)
  paths = sorted(path for path in glob.glob(pattern) if os.path.isfile(path))
  if not paths:
    raise errors.InputError(
      f'input_dir must hold videos {asked.file_pattern}; {asked.input_dir!r} holds none. Name the '
      'folder, or other files with --file_pattern.'
    )
  names = [os.path.splitext(os.path.basename(path))[0] for path in paths]
  form = preparation_flags.form(asked)
  sources = [
    (name, functools.partial(video_frames.read_video, path, form, asked.fps))
    for name, path in zip(names, paths)
  ]
  preparation_flags.write(asked, sources, asked.files_per_shard)


if __name__ == '__main__':
  sys.exit(main())
