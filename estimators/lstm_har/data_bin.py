#!/usr/bin/env python3
"""Writes the windows of a split as files for inference on a device: one a window, and the labels.

input/<i>.bin is window i, float32 [1, 128, channels]; labels.txt has the number of its activity in
its line, from 1, as y_test.txt of UCI HAR has it. accuracy.py reads the labels again.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from estimators.lstm_har import data_flags  # noqa: E402
from npu_adapter import errors, tool_command  # noqa: E402

SPLITS = ('training', 'validation', 'test')
_FOLDER, _LABELS = 'input', 'labels.txt'


def main(argv=None):
  """Runs the command; returns its exit status."""
  return tool_command.run(_parser(), _run, argv)


def _parser():
  parser = tool_command.Parser('data_bin.py', __doc__)
  add = parser.add_argument
  add('--out', required=True, metavar='DIR', help='folder for input/ and labels.txt')
  add(
    '--split', type=tool_command.one_of(*SPLITS), default='test', metavar='SPLIT',
    help=f'{", ".join(SPLITS)} (default: test)',
  )  # fmt: skip
  data_flags.add_data_flags(parser)
  return parser


def _run(asked):
  from estimators.lstm_har import data_source
  from estimators.lstm_har.dataset import uci_text

  folder = os.path.join(asked.out, _FOLDER)
  if os.path.isdir(folder) and os.listdir(folder):
    raise errors.InputError(
      f'out must be a folder without windows; there are some in {folder!r}. Name another: windows '
      'of two splits in one folder would be taken for one.'
    )
  data = data_source.open_data(asked.data_path, asked.cache_path)
  os.makedirs(folder, exist_ok=True)
  windows = data.windows(asked.split)
  for number, window in enumerate(windows):
    window.tofile(os.path.join(folder, f'{number}.bin'))
  labels = uci_text.numbers_text(data.splits[asked.split].labels + 1)
  tool_command.write_whole(os.path.join(asked.out, _LABELS), labels)
  print(f'wrote {len(windows)} windows of {windows[0].nbytes} bytes into {folder}')
  print(f'wrote {os.path.join(asked.out, _LABELS)}')


if __name__ == '__main__':
  sys.exit(main())
