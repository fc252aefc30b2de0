#!/usr/bin/env python3
"""Writes the recordings of a watch as UCI HAR is published: the same folders, files and format.

For trying out what reads UCI HAR where it is not at hand. Six of the seven exercises stand for its
six activities; what a watch measures is no phone at the hip, so figures of the one say nothing of
the other. body_acc is total_acc without what is slower than 0.3 Hz, as in the published data.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from npu_adapter import errors, tool_command  # noqa: E402

EXERCISES = ('PEN', 'ABD', 'FEL', 'IR', 'ER', 'TRAP', 'ROW')


def main(argv=None):
  """Runs the command; returns its exit status."""
  return tool_command.run(_parser(), _run, argv)


def _parser():
  parser = tool_command.Parser('make_uci_data.py', __doc__)
  add = parser.add_argument
  add('--out', required=True, metavar='DIR', help='folder to write; new or empty')
  add(
    '--windows', type=tool_command.number(int, 1), metavar='N',
    help='windows of each person and exercise, at most (default: all)',
  )  # fmt: skip
  add(
    '--without', type=tool_command.one_of(*EXERCISES), default='ROW', metavar='EXERCISE',
    help=f'the exercise to leave out, of {", ".join(EXERCISES)} (default: ROW)',
  )  # fmt: skip
  return parser


def _run(asked):
  from estimators.lstm_har.dataset import uci_folder

  if os.path.exists(asked.out) and not (os.path.isdir(asked.out) and not os.listdir(asked.out)):
    raise errors.InputError(f'out must be a new or an empty folder; got {asked.out!r}.')
  counts = uci_folder.write(asked.out, asked.without, asked.windows)
  for half, count in counts.items():
    print(f'{half}: {count} windows')
  print(f'wrote {asked.out}')


if __name__ == '__main__':
  sys.exit(main())
