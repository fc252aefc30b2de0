#!/usr/bin/env python3
"""Tells which words are said in sound files: the best labels of each file, with their scores.

Files are converted to the sample rate of the model, mono and 16 bits, where they are not. Of a
file longer than a clip only the beginning is heard; detect_words.py listens to long ones.
A file that cannot be read is named and the others are done; the exit status is then 1.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from npu_adapter import errors, tool_command  # noqa: E402

SUFFIXES = ('.wav', '.flac', '.ogg')


def main(argv=None):
  """Runs the command; returns its exit status."""
  return tool_command.run(_parser(), _run, argv)


def _parser():
  parser = tool_command.Parser('label_wav.py', __doc__)
  source = parser.add_mutually_exclusive_group(required=True)
  add = source.add_argument
  add('--graph', metavar='FILE.pb', help='frozen graph, as freeze.py writes it')
  add('--saved_model', metavar='FOLDER', help='SavedModel, as freeze.py writes it')
  tool_command.add_checkpoint_flag(source, required=False)
  add = parser.add_argument
  add(
    '--wav', required=True, nargs='+', metavar='PATH',
    help=f'sound files, and folders with {", ".join(SUFFIXES)} in them at any depth',
  )  # fmt: skip
  add(
    '--labels', metavar='FILE',
    help='a label a line, in the order of the scores (default: those freeze.py or train.py left)',
  )  # fmt: skip
  add('--input_name', default='wav_data:0', metavar='TENSOR', help='(default: %(default)s)')
  add('--output_name', default='labels_softmax:0', metavar='TENSOR', help='(default: %(default)s)')
  add(
    '--how_many_labels', type=tool_command.number(int, 1), default=3, metavar='N',
    help='labels to print for each file, the best first (default: 3)',
  )  # fmt: skip
  add(
    '--json', type=tool_command.new_file(), metavar='FILE',
    help='all scores for machines: an object a file, one a line',
  )  # fmt: skip
  return parser


def _run(asked):
  paths = _sound_files(asked.wav)
  from estimators.ds_cnn.deployment import labelling_graph

  opened = labelling_graph.open_graph(asked)
  with opened.session:
    results = [_label(opened, path, asked.how_many_labels) for path in paths]
  if asked.json:
    tool_command.write_json(asked.json, results, lines=True)
  return 1 if any('error' in result for result in results) else 0


def _sound_files(paths):
  """Files as they are, in place of a folder what is in it."""
  found = []
  for path in paths:
    if not os.path.isdir(path):
      found.append(path)
      continue
    inside = sorted(
      os.path.join(folder, name)
      for folder, _, names in os.walk(path)
      for name in names
      if name.lower().endswith(SUFFIXES)
    )
    if not inside:
      raise errors.InputError(
        f'wav must be sound files, or folders with {", ".join(SUFFIXES)} in them; {path!r} has '
        'none.'
      )
    found += inside
  return found


def _label(opened, path, how_many):
  """Prints the best labels of a file; returns {file, scores} or {file, error}."""
  from estimators.ds_cnn.dataset import sound_file

  try:
    scores = opened.scores(path)
  except sound_file.BadSound as error:
    print(f'label_wav.py: {path} {error}', file=sys.stderr)
    return {'file': path, 'error': str(error)}
  best = sorted(scores, key=scores.get, reverse=True)
  print(path)
  for label in best[:how_many]:
    print(f'  {label} (score = {scores[label]:.5f})')
  return {'file': path, 'scores': {label: scores[label] for label in best}}


if __name__ == '__main__':
  sys.exit(main())
