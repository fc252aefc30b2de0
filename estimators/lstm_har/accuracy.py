#!/usr/bin/env python3
"""Tells how many answers of a device are right: files <i>_output_0.bin against a file of labels.

Each of the files holds the answer to window i of data_bin.py, an int32, the activity from 0. The
labels are a number a line, from 1: labels.txt of data_bin.py, or y_test.txt of UCI HAR.
"""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from npu_adapter import errors, tool_command  # noqa: E402

_ANSWER = re.compile(r'(\d+)_output_0\.bin')
_ANSWER_BYTES = 4


def main(argv=None):
  """Runs the command; returns its exit status."""
  return tool_command.run(_parser(), _run, argv)


def _parser():
  parser = tool_command.Parser('accuracy.py', __doc__)
  add = parser.add_argument
  add('--answers', required=True, metavar='DIR', help='folder with <i>_output_0.bin')
  add('--labels', required=True, metavar='FILE', help='labels.txt or y_test.txt')
  add('--json', type=tool_command.new_file(), metavar='FILE', help='the same numbers for machines')
  return parser


def _run(asked):
  from estimators.lstm_har import scores
  from estimators.lstm_har.dataset import uci_text

  labels = uci_text.read_numbers(asked.labels, 'a label', 1) - 1
  answers = _read(asked.answers, len(labels))
  classes = 1 + max(labels.max(), answers.max())
  matrix = scores.matrix_of(labels, answers, classes)
  found = scores.of_matrix(matrix)
  right = int((labels == answers).sum())
  print(scores.table(matrix, [str(number + 1) for number in range(classes)]))
  print(f'macro F1 = {found.macro_f1:.4f}, weighted F1 = {found.weighted_f1:.4f}')
  print(f'total = {len(labels)}, right = {right}, top-1 accuracy = {100 * found.accuracy:.2f}%')
  if asked.json:
    values = {
      'total': len(labels),
      'right': right,
      'accuracy': found.accuracy,
      'macro_f1': found.macro_f1,
      'weighted_f1': found.weighted_f1,
    }
    tool_command.write_json(asked.json, values)


def _read(folder, count):
  """The answers int32 [windows] in their order; an error where one is missing or no answer."""
  import numpy as np

  if not os.path.isdir(folder):
    raise errors.InputError(f'answers must be a folder; got {folder!r}.')
  numbers = {int(found.group(1)) for found in map(_ANSWER.fullmatch, os.listdir(folder)) if found}
  if numbers != set(range(count)):
    odd = sorted(numbers.symmetric_difference(range(count)))[0]
    problem = f'there is no {odd}_output_0.bin' if odd < count else f'there is {odd}_output_0.bin'
    raise errors.InputError(
      f'answers must hold a file for each of the {count} labels, 0_output_0.bin to '
      f'{count - 1}_output_0.bin; {problem} in {folder!r}.'
    )
  answers = np.empty([count], np.int64)
  for number in range(count):
    path = os.path.join(folder, f'{number}_output_0.bin')
    if os.path.getsize(path) != _ANSWER_BYTES:
      raise errors.InputError(
        f'an answer must be one int32 of {_ANSWER_BYTES} bytes; {path!r} has '
        f'{os.path.getsize(path)}.'
      )
    answers[number] = np.fromfile(path, '<i4')[0]
    if answers[number] < 0:
      raise errors.InputError(f'an answer must be at least 0; {path!r} is {answers[number]}.')
  return answers


if __name__ == '__main__':
  sys.exit(main())
