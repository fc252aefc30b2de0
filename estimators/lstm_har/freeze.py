#!/usr/bin/env python3
"""Writes a checkpoint of train.py as one file for inference: windows in, numbers of activities out.

The graph has a placeholder X (float32 [any number, 128, channels], as measured: it standardises
them itself) and gives output, int32, the activity of each window from 0; dropout is gone. Before it
is written it is asked, and must answer as the checkpoint does.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from npu_adapter import errors, tool_command  # noqa: E402


def main(argv=None):
  """Runs the command; returns its exit status."""
  return tool_command.run(_parser(), _run, argv)


def _parser():
  parser = tool_command.Parser('freeze.py', __doc__)
  add = parser.add_argument
  tool_command.add_checkpoint_flag(parser)
  add(
    '--output', default='lstm_har.pb', type=tool_command.new_file('.pb'), metavar='FILE.pb',
    help='what to write (default: lstm_har.pb in the working directory)',
  )  # fmt: skip
  add('--overwrite', action='store_true', help='replace an --output that is there')
  add(
    '--unrolled', action='store_true',
    help='build the LSTMs of plain operators, step after step, for converters that know no '
    'operator for one; takes minutes for a 3x3 network',
  )  # fmt: skip
  return parser


def _run(asked):
  if os.path.exists(asked.output) and not asked.overwrite:
    raise errors.InputError(
      f'output must be new; {asked.output!r} is there. Name another, or replace it with '
      '--overwrite.'
    )
  from estimators.lstm_har import architecture, trained_network

  trained = trained_network.find(asked.checkpoint)
  print(f'{architecture.title(trained.settings.architecture)} of {trained.checkpoint}')
  definition = trained_network.frozen(trained, asked.unrolled)
  count = trained_network.check_frozen(definition, trained)
  print(f'{count} windows have the answers of the checkpoint')
  tool_command.write_whole(asked.output, definition.SerializeToString())
  print(f'wrote {asked.output}: {len(definition.node)} nodes, {definition.ByteSize()} bytes')
  names = ', '.join(f'{number} {label}' for number, label in enumerate(trained.settings.labels))
  print(f'output is one of {names}')


if __name__ == '__main__':
  sys.exit(main())
