#!/usr/bin/env python3
"""Finds the words in a long sound, with their times.

A window as long as a clip slides over the sound, --stride_ms at a time. The scores of the windows
are averaged over --average_ms. A word is reported when its average rises to --threshold, once until
it has sunk below, and at the earliest --suppression_ms after the word before, whichever that was.

The time of a word is the middle of the stretch of sound that the average is of, which is the mean
of the middles of its windows, in seconds from the beginning of the sound. As a network knows a word
as soon as the window has most of it, that is early rather than late: by up to half of what the
window is longer than the word. No window reaches beyond the sound: a word close to its beginning or
end may be in too few of them.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from npu_adapter import errors, tool_command  # noqa: E402


def main(argv=None):
  """Runs the command; returns its exit status."""
  return tool_command.run(_parser(), _run, argv)


def _parser():
  parser = tool_command.Parser('detect_words.py', __doc__)
  add, positive = parser.add_argument, tool_command.number(float, 0, above=True)
  tool_command.add_checkpoint_flag(parser)
  add('--wav', required=True, metavar='FILE', help='sound of any length, rate and format')
  add('--stride_ms', type=positive, default=100, metavar='MS', help='(default: 100)')
  add(
    '--average_ms', type=tool_command.number(float, 0), default=500, metavar='MS',
    help='0 takes each window by itself (default: 500)',
  )  # fmt: skip
  add(
    '--threshold', type=tool_command.number(float, 0, 1, above=True), default=0.7, metavar='SCORE',
    help='above 0, at most 1 (default: 0.7)',
  )  # fmt: skip
  add(
    '--suppression_ms', type=tool_command.number(float, 0), default=1000, metavar='MS',
    help='(default: 1000)',
  )  # fmt: skip
  add(
    '--ignore', default='_silence_,_unknown_', metavar='LABELS',
    help='labels that are never reported, with commas between (default: %(default)s)',
  )  # fmt: skip
  add(
    '--truth', metavar='FILE.csv',
    help='what is said in the sound: lines `word,seconds`, the time being the middle of the word; '
    'lines of ignored labels do not count',
  )  # fmt: skip
  add(
    '--tolerance_ms', type=positive, default=750, metavar='MS',
    help='how far from the truth a word counts as found (default: 750)',
  )  # fmt: skip
  add('--json', type=tool_command.new_file(), metavar='FILE', help='the same for machines')
  return parser


def _run(asked):
  from estimators.ds_cnn.deployment import sliding_window, trained_network, word_detector

  trained = trained_network.find(asked.checkpoint)
  shape, labels = trained.settings.shape, trained.settings.labels
  ignored = _ignored(asked.ignore, labels)
  stride_samples = shape.in_samples(asked.stride_ms)
  if not stride_samples:
    raise errors.InputError(
      f'stride_ms must be at least one sample of {1000 / shape.sample_rate:g} ms; got '
      f'{asked.stride_ms:g}.'
    )
  truth = None if asked.truth is None else _truth(asked.truth, labels, ignored)
  samples = _sound(asked.wav, shape.sample_rate)
  scores = sliding_window.probabilities(trained, samples, stride_samples)
  rules = word_detector.Rules(
    min(len(samples), shape.samples) / 2 / shape.sample_rate,
    stride_samples / shape.sample_rate,
    max(1, int(round(asked.average_ms / asked.stride_ms))),
    asked.threshold,
    asked.suppression_ms / 1000,
    ignored,
  )
  found = word_detector.detect(scores, labels, rules)
  compared = None
  if truth is not None:
    compared = word_detector.compare(found, truth, asked.tolerance_ms / 1000)
  report = _report(asked, trained, len(samples) / shape.sample_rate, found, compared)
  if asked.json:
    tool_command.write_json(asked.json, report)
  _show(report)


def _ignored(text, labels):
  ignored = tuple(word.strip() for word in text.split(',') if word.strip())
  for word in ignored:
    _check_label('ignore', word, labels)
  if set(ignored) >= set(labels):
    raise errors.InputError('ignore must leave a label to look for; it names them all.')
  return ignored


def _check_label(what, word, labels):
  if word not in labels:
    raise errors.InputError(
      f'{what} must be labels of the network: {", ".join(labels)}; got {word!r}.'
      f'{errors.nearest(word, labels)}'
    )


def _sound(path, sample_rate):
  from estimators.ds_cnn.dataset import sound_file

  try:
    return sound_file.read(path, sample_rate)
  except sound_file.BadSound as error:
    raise errors.InputError(f'wav must be a sound file; {path!r} {error}.') from None


def _truth(path, labels, ignored):
  """Returns [(word, seconds)] of the words that count, in their order."""
  try:
    with open(path, encoding='utf-8') as file:
      lines = file.read().splitlines()
  except (OSError, UnicodeDecodeError) as error:
    raise errors.InputError(f'truth must be a text file; {path!r}: {error}.') from None
  found = []
  for number, line in enumerate(lines, start=1):
    word, _, text = (part.strip() for part in line.partition(','))
    if not line.strip():
      continue
    try:
      seconds = float(text)
    except ValueError:
      seconds = -1.0
    if not 0 <= seconds < float('inf'):
      raise errors.InputError(
        f'every line of truth must be `word,seconds`, as yes,12.5; line {number} of {path!r} is '
        f'{line!r}.'
      )
    _check_label(f'the words of truth (here line {number})', word, labels)
    found.append((word, seconds))
  return [(word, seconds) for word, seconds in found if word not in ignored]


def _report(asked, trained, seconds, found, compared):
  """What --json holds."""
  detections = [dict(detection._asdict()) for detection in found]
  report = {
    'sound': os.path.abspath(asked.wav),
    'seconds': seconds,
    'checkpoint': os.path.abspath(trained.checkpoint),
    'stride_ms': asked.stride_ms,
    'average_ms': asked.average_ms,
    'threshold': asked.threshold,
    'suppression_ms': asked.suppression_ms,
    'detections': detections,
  }
  if compared is None:
    return report
  for detection, verdict in zip(detections, compared.verdicts):
    detection['verdict'] = verdict
  counts = {verdict: compared.verdicts.count(verdict) for verdict in ('matched', 'wrong', 'false')}
  missed = [{'word': word, 'seconds': seconds} for word, seconds in compared.missed]
  return {**report, 'missed': missed, 'counts': {**counts, 'missed': len(missed)}}


def _show(report):
  for found in report['detections']:
    verdict = f'  {found["verdict"]}' if 'verdict' in found else ''
    print(f'{found["seconds"]:9.3f} s  {found["word"]} (score = {found["score"]:.5f}){verdict}')
  print(f'{len(report["detections"])} words in {report["seconds"]:.1f} s of {report["sound"]}')
  if 'counts' in report:
    for missed in report['missed']:
      print(f'{missed["seconds"]:9.3f} s  {missed["word"]}  missed')
    print(', '.join(f'{count} {name}' for name, count in report['counts'].items()))


if __name__ == '__main__':
  sys.exit(main())
