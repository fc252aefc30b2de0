"""What a synthetic data set says about itself, and whether a folder holds the one asked for."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

from estimators.ds_cnn.speech import speech_voices
from npu_adapter import errors

# Counted up whenever the same request gives other clips than before.
FORMAT_VERSION = 1
MANIFEST = 'manifest.json'
VOICES = 'voices.json'


class Request(NamedTuple):
  """What the data set is made from."""

  clips_per_word: int
  seed: int
  words: tuple[str, ...]


def holds(folder: str, request: Request) -> bool:
  """True for the finished data set of `request`, False for nothing; anything else is an error."""
  if not os.path.lexists(folder):
    return False
  if not os.path.isdir(folder):
    raise errors.OptionError(f'the speech needs a folder; {folder} is none. Name another path.')
  names = sorted(os.listdir(folder))
  if not names:
    return False
  if MANIFEST not in names:
    raise errors.OptionError(
      f'the speech needs a new or an empty folder; {folder} holds other files, as {names[0]!r}. '
      'Name another folder.'
    )
  _check_same(folder, request)
  _check_complete(folder, request)
  return True


def _check_same(folder: str, request: Request) -> None:
  found = _read(os.path.join(folder, MANIFEST))
  for name, value in _key(request).items():
    if found.get(name) != value:
      raise errors.OptionError(
        f'{folder} must be empty or hold the speech that was asked for, with {name} '
        f'{_short(value)}; it holds some with {name} {_short(found.get(name))}. Name another '
        'folder, or remove this one.'
      )


def _check_complete(folder: str, request: Request) -> None:
  for word in request.words:
    clips = os.path.join(folder, word)
    names = os.listdir(clips) if os.path.isdir(clips) else []
    count = sum(name.endswith('.wav') for name in names)
    if count != request.clips_per_word:
      raise errors.OptionError(
        f'{clips} must hold {request.clips_per_word} clips; it holds {count}. Remove {folder}: '
        'the next run makes it again.'
      )


def _key(request: Request) -> dict[str, Any]:
  """What two data sets must have in common to be the same."""
  return {
    'format_version': FORMAT_VERSION,
    'seed': request.seed,
    'clips_per_word': request.clips_per_word,
    'words': list(request.words),
  }


def _read(path: str) -> dict[str, Any]:
  try:
    with open(path, encoding='utf-8') as file:
      found = json.load(file)
  except ValueError:
    found = None
  return found if isinstance(found, dict) else {}


def _short(value: object) -> str:
  text = json.dumps(value)
  return text if len(text) <= 60 else text[:57] + '...'


def describe(folder: str, request: Request, reports: list[dict[str, Any]]) -> None:
  """Writes the files beside the clips, the manifest last; `reports` are those of the words."""
  facts = {
    **_key(request),
    'clips_per_split': speech_voices.split_counts(request.clips_per_word),
    'said_faster_to_fit': sum(report['said_faster'] for report in reports),
    'espeak': reports[0]['espeak'],
  }
  sounds = {word: accents for report in reports for word, accents in report['sounds'].items()}
  voices = {split: _voices(request, split) for split in speech_voices.ACCENTS}
  texts = {
    'README.txt': _README.format(**facts),
    'LICENSE': _LICENSE,
    'validation_list.txt': _file_list(request, 'validation'),
    'testing_list.txt': _file_list(request, 'testing'),
    VOICES: _json({'splits': voices, 'pronunciations': sounds}),
    MANIFEST: _json(facts),
  }
  for name, text in texts.items():
    with open(os.path.join(folder, name), 'w', encoding='utf-8') as file:
      file.write(text)


def summary(folder: str) -> list[str]:
  """Lines for people: who is heard in which split."""
  facts = _read(os.path.join(folder, MANIFEST))
  lines = [
    f'{split}: {facts["clips_per_split"][split]} clips of each word by {len(heard["speakers"])} '
    f'speakers; accents: {", ".join(heard["accents"].values())}; voices: '
    f'{", ".join(heard["variants"])}'
    for split, heard in _read(os.path.join(folder, VOICES))['splits'].items()
  ]
  return [*lines, f'{facts["said_faster_to_fit"]} clips were said faster to fit into a second']


def _voices(request: Request, split: str) -> dict[str, Any]:
  speakers = speech_voices.speakers(split, request.clips_per_word, request.seed)
  names = speech_voices.ACCENTS[split]
  return {
    'accents': {name: names[name] for name in sorted({speaker.accent for speaker in speakers})},
    'variants': sorted({speaker.variant for speaker in speakers}),
    'speakers': [speaker._asdict() for speaker in speakers],
  }


def _json(value: dict[str, Any]) -> str:
  return json.dumps(value, indent=2, ensure_ascii=False) + '\n'


def _file_list(request: Request, split: str) -> str:
  """As in the published archive: `word/file` of each clip of a split."""
  lines = [
    f'{word}/{speech_voices.file_name(utterance)}\n'
    for word in request.words
    for utterance in speech_voices.utterances(word, request.clips_per_word, request.seed)
    if utterance.speaker.split == split
  ]
  return ''.join(sorted(lines))


_README = """\
Synthetic speech in the layout of speech_commands v0.02

Nobody recorded these clips: eSpeak NG {espeak} spoke them. They are there so that keyword spotting
can be tried without a download. Accuracies on them say nothing about people's voices; do not
compare them with published ones.

Made by estimators/ds_cnn/make_speech.py of tf1-ascend with
  --clips_per_word {clips_per_word} --seed {seed}

<word>/<speaker>_nohash_<take>.wav   16 kHz, mono, 16 bit, 1 s
_background_noise_/*.wav             the same, 30 s: computed noises, babble of training voices
validation_list.txt testing_list.txt the clips of these splits; all others are for training
voices.json                          accents, voices and speakers of each split, and how each
                                     accent pronounces the words
manifest.json                        what was asked for, and how many clips it gave

A clip's split follows from the SHA-1 of its name up to _nohash_, with 10 % for validation and 10 %
for testing. Speakers of different splits share neither accent nor voice; with other percentages
they do.
"""

_LICENSE = """\
The clips are output of the program eSpeak NG and of make_speech.py; they hold no recording of a
person. As far as the authors of tf1-ascend have rights in them, they are dedicated to the public
domain under CC0 1.0 (https://creativecommons.org/publicdomain/zero/1.0/).
eSpeak NG itself is licensed under GPL-3.0-or-later; no part of the program is in this folder.
"""
