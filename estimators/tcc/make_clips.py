#!/usr/bin/env python3
"""Makes clips of somebody who pours, drawn by the computer, as TFRecords with labelled phases.

train.py makes and keeps them by itself; this is for a look at them, for others than the default,
and for trying out what reads the published pouring data where it is not at hand.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Sequence

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from npu_adapter import errors, tool_command  # noqa: E402


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command; returns its exit status."""
  return tool_command.run(_parser(), _run, argv)


def _parser() -> tool_command.Parser:
  parser = tool_command.Parser('make_clips.py', __doc__)
  add, number = parser.add_argument, tool_command.number
  add('--out', required=True, metavar='DIR', help='folder to write; new or empty')
  add(
    '--seed', type=number(int, 0, 2**31 - 1), default=1, metavar='S',
    help='chooses how every clip moves and looks (default: 1)',
  )  # fmt: skip
  add(
    '--image_size', type=number(int, 16, 1024), default=64, metavar='PX',
    help='height and width of a frame (default: 64)',
  )  # fmt: skip
  for split, count in (('train', 70), ('val', 14), ('test', 32)):
    add(
      f'--{split}', type=number(int, 1, 100000), default=count, metavar='N',
      help=f'clips of the split {split} (default: {count}, as of the published videos)',
    )  # fmt: skip
  return parser


def _run(asked: Any) -> None:
  from estimators.tcc.dataset import pouring_clips

  if os.path.exists(asked.out) and not (os.path.isdir(asked.out) and not os.listdir(asked.out)):
    raise errors.InputError(f'out must be a new or an empty folder; got {asked.out!r}.')
  request = pouring_clips.Request(asked.seed, asked.image_size, asked.train, asked.val, asked.test)
  os.makedirs(asked.out, exist_ok=True)
  pouring_clips.write(asked.out, request)
  print(f'wrote {asked.out}')


if __name__ == '__main__':
  sys.exit(main())
