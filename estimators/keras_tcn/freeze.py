#!/usr/bin/env python3
"""Writes a checkpoint of train.py as a frozen graph for inference, tcn.pb.

It has a placeholder input_1, float32 [batch, steps, channels], and the node output. Its answers are
compared with those of the checkpoint before it is written. For ATC fix the batch: --batch_size=1
goes with --input_shape="input_1:1,600,2".
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
    '--output', required=True, type=tool_command.new_file('.pb'), metavar='FILE.pb',
    help='what to write',
  )  # fmt: skip
  add(
    '--batch_size', type=tool_command.number(int, 1), metavar='N',
    help='sequences at a time (default: any number)',
  )  # fmt: skip
  add('--overwrite', action='store_true', help='replace an --output that is there')
  return parser


def _run(asked):
  output = os.path.realpath(asked.output)
  if os.path.exists(output) and not asked.overwrite:
    raise errors.InputError(
      f'output must be new; {output!r} is there. Name another, or replace it with --overwrite.'
    )
  from estimators.keras_tcn import frozen_graph, settings
  from npu_adapter import best_checkpoint
  from npu_adapter.runtime import tf1

  tf1.enable()
  checkpoint = best_checkpoint.find(asked.checkpoint)
  definition = frozen_graph.freeze(settings.read(checkpoint), checkpoint, asked.batch_size)
  tool_command.write_whole(output, definition.SerializeToString())
  print(f'wrote {output}: {len(definition.node)} nodes, {definition.ByteSize()} bytes')
  print(f'its answers are those of {checkpoint}')


if __name__ == '__main__':
  sys.exit(main())
