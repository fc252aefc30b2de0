#!/usr/bin/env python3
"""Makes a synthetic stand-in for speech_commands v0.02: eSpeak NG says the 35 words.

The voices and accents of the validation and test clips are never heard in training. The same
arguments give the same bytes, whatever the number of processes.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from typing import Any, Callable, NoReturn, Sequence

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from estimators.ds_cnn.speech import (  # noqa: E402
  speech_folder,
  speech_manifest,
  speech_voices,
  speech_workers,
)
from npu_adapter import command_line, cores, errors, progress, tool_command  # noqa: E402  # noqa: E402

Show = Callable[[str], Any]

MAX_SEED = 2**31 - 1
_PACKAGES = ('espeakng_loader', 'numpy', 'soxr')


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command; returns its exit status."""
  return tool_command.run(_parser(), _run, argv)


def _parser() -> tool_command.Parser:
  parser = tool_command.Parser('make_speech.py', __doc__)
  add = parser.add_argument
  add('--out', required=True, metavar='DIR', help='folder to make; kept when it is made already')
  add(
    '--clips_per_word', type=tool_command.number(int, 3), default=240, metavar='N',
    help='clips of each word, 80/10/10 for training, validation and test (default: 240)',
  )  # fmt: skip
  add(
    '--seed', type=tool_command.number(int, 0, MAX_SEED), default=1, metavar='S',
    help='chooses the speakers, and how they say each word (default: 1)',
  )  # fmt: skip
  add(
    '--processes', type=tool_command.number(int, 1), metavar='P',
    help='workers at a time (default: one a core)',
  )  # fmt: skip
  return parser


def _run(asked: Any) -> None:
  ensure(asked.out, asked.clips_per_word, asked.seed, processes=asked.processes)


def _say(line: str) -> None:
  """Prints a line at once; makes the data set even when the reader of the lines has enough."""
  try:
    print(line, flush=True)
  except BrokenPipeError:
    command_line.drop_output()


def ensure(
  folder: str,
  clips_per_word: int,
  seed: int,
  show: Show = _say,
  processes: int | None = None,
  words: Sequence[str] = speech_voices.WORDS,
) -> str:
  """Makes the data set in `folder` unless it is there already; returns the folder's full path.

  `show` takes lines for people. Several processes may ask for one folder: the first makes it.
  """
  processes = cores.usable() if processes is None else processes
  request = speech_manifest.Request(clips_per_word, seed, tuple(words))
  _check(folder, request, processes)
  folder = os.path.realpath(os.path.expanduser(folder))
  with speech_folder.explained(folder):
    ready = speech_manifest.holds(folder, request)
  if not ready:
    _check_packages()
    with speech_folder.claimed(folder, show) as claim:
      # Another process may have made it while this one waited for the claim.
      ready = speech_manifest.holds(folder, request)
      if not ready:
        _make(request, claim, processes, show)
  if ready:
    show(f'{folder} holds this speech already: seed {seed}, {clips_per_word} clips of each word')
  return folder


def _check(folder: str, request: speech_manifest.Request, processes: int) -> None:
  if not folder:
    raise errors.OptionError('the folder for the speech must have a name; got an empty one.')
  limits = (
    ('clips_per_word', request.clips_per_word, 3, float('inf'), 'of at least 3'),
    ('seed', request.seed, 0, MAX_SEED, f'from 0 to {MAX_SEED}'),
    ('processes', processes, 1, float('inf'), 'of at least 1'),
  )
  for name, value, least, most, meaning in limits:
    if not isinstance(value, int) or not least <= value <= most:
      raise errors.OptionError(f'{name} must be a whole number {meaning}; got {value!r}.')
  words = list(request.words)
  good = [word for word in dict.fromkeys(words) if word.islower() and word.isalpha()]
  if not words or good != words:
    raise errors.OptionError(f'words must be different words in small letters; got {words}.')


def _check_packages() -> None:
  missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
  if missing:
    raise errors.OptionError(
      f'speech is made with the packages {", ".join(_PACKAGES)}; not installed here: '
      f"{', '.join(missing)}. Run: pip install 'tf1-ascend[speech]' (in a clone: "
      "pip install '.[speech]')."
    )


def _make(
  request: speech_manifest.Request, claim: speech_folder.Claim, processes: int, show: Show
) -> None:
  clips = request.clips_per_word * len(request.words)
  show(f'making {clips} clips of {len(request.words)} words in {claim.folder}')
  jobs = _jobs(request, claim.path)
  with speech_workers.Workers(min(processes, len(jobs)), claim.lock) as workers:
    coming = workers.start(jobs)
    reports = [future.result() for future in progress.shown(coming, 'parts')]
  with speech_folder.explained(claim.folder):
    speech_manifest.describe(claim.path, request, [report for report in reports if report])
  claim.publish()
  for line in speech_manifest.summary(claim.folder):
    show(line)


def _jobs(request: speech_manifest.Request, folder: str) -> list[dict[str, Any]]:
  """A job for every background file, babble first as it takes longest, and for every word."""
  jobs = [
    _job('background', os.path.join(folder, speech_voices.BACKGROUND_FOLDER), request, sound=sound)
    for sound in speech_voices.BACKGROUNDS
  ]
  for word in request.words:
    clips = {'word': word, 'clips_per_word': request.clips_per_word}
    jobs.append(_job('word', os.path.join(folder, word), request, **clips))
  return jobs


def _job(
  kind: str, folder: str, request: speech_manifest.Request, **arguments: Any
) -> dict[str, Any]:
  with speech_folder.explained(folder):
    os.makedirs(folder, exist_ok=True)
  return {'kind': kind, 'arguments': {'folder': folder, 'seed': request.seed, **arguments}}


def _terminate(*_: object) -> NoReturn:
  """Ends as Ctrl-C does: workers stopped, the unfinished folder removed."""
  sys.exit(128 + signal.SIGTERM)


if __name__ == '__main__':
  signal.signal(signal.SIGTERM, _terminate)
  sys.exit(main())
