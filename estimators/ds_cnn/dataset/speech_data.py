"""Which clips of a speech_commands folder are for training, validation, testing; their labels."""

from __future__ import annotations

import math
import os
import random
from typing import Callable, NamedTuple, Sequence

from estimators.ds_cnn.dataset import archive, speech_split
from npu_adapter import errors

SILENCE, UNKNOWN = '_silence_', '_unknown_'
NOISE_FOLDER = '_background_noise_'
WANTED_WORDS = ('yes', 'no', 'up', 'down', 'left', 'right', 'on', 'off', 'stop', 'go')
# The published data set is split and shuffled with this number: the same clips in every run.
_SHUFFLE_SEED = 59185
_SUFFIXES = ('.wav', '.flac', '.ogg')


class DataError(errors.InputError):
  """A data folder that cannot be used as it is."""


class Clip(NamedTuple):
  """One example: a sound file, or silence where there is none."""

  path: str | None  # relative to the data folder
  label: int


class Index(NamedTuple):
  """The clips of each split, in a fixed order, and what the label numbers mean."""

  folder: str
  labels: tuple[str, ...]
  clips: dict[str, list[Clip]]
  noises: list[str]


class Shares(NamedTuple):
  """How the clips are divided and mixed, in per cent."""

  validation: float = 10
  testing: float = 10
  silence: float = 10
  unknown: float = 10


def labels_of(wanted_words: Sequence[str]) -> tuple[str, ...]:
  """What the outputs of the network mean, in order."""
  return (SILENCE, UNKNOWN, *wanted_words)


def find_folder(data_path: str, show: Callable[[str], None] = print) -> str:
  """Returns the folder of words that `data_path` means: itself, or what its archive holds."""
  if archive.is_archive(data_path):
    return archive.unpack(data_path, os.path.dirname(os.path.abspath(data_path)), show)
  if not os.path.isdir(data_path):
    raise DataError(
      'data_path must be a speech_commands folder or its .tar.gz; there is none at '
      f'{data_path!r}. Without data_path train.py synthesises a stand-in.'
    )
  if any(_sound_files(folder) for folder in _word_folders(data_path)):
    return data_path
  found = [os.path.join(data_path, name) for name in _names(data_path)]
  archives = [path for path in found if archive.is_archive(path)]
  if len(archives) == 1:
    return archive.unpack(archives[0], data_path, show)
  if archives:
    raise DataError(f'data_path must name one archive; {data_path!r} holds {len(archives)}.')
  return data_path


def make_index(folder: str, wanted_words: Sequence[str], shares: Shares) -> Index:
  """Divides the files of a folder by the published rule: by a hash of the speaker's name."""
  check_shares(shares)
  by_split = _files_by_split(folder, shares)
  chance = random.Random(_SHUFFLE_SEED)
  labels = labels_of(wanted_words)
  clips = {split: _mixed(words, wanted_words, shares, chance) for split, words in by_split.items()}
  _check_complete(folder, by_split, wanted_words)
  return Index(folder, labels, clips, _noises(folder))


def check_shares(shares: Shares) -> None:
  """Raises DataError for percentages that leave no training data or make no sense."""
  for name, value in shares._asdict().items():
    if not 0 <= value <= 100:
      raise DataError(f'{name}_percentage must be from 0 to 100; got {value}.')
  if shares.validation + shares.testing >= 100:
    raise DataError(
      'validation_percentage and testing_percentage must leave something to train on; got '
      f'{shares.validation} and {shares.testing}.'
    )


def _files_by_split(folder: str, shares: Shares) -> dict[str, dict[str, list[str]]]:
  """Relative paths by split and word; in sorted order, because a file system has none."""
  found: dict[str, dict[str, list[str]]] = {split: {} for split in speech_split.SPLITS}
  for word_folder in _word_folders(folder):
    word = os.path.basename(word_folder)
    for name in _sound_files(word_folder):
      split = speech_split.which_split(name, shares.validation, shares.testing)
      found[split].setdefault(word.lower(), []).append(os.path.join(word, name))
  if not any(found.values()):
    raise DataError(
      f'data_path must hold a folder of sound files for each word, as {folder}/yes/*.wav; none '
      'was found.'
    )
  return found


def _word_folders(folder: str) -> list[str]:
  paths = [os.path.join(folder, name) for name in _names(folder) if name != NOISE_FOLDER]
  return [path for path in paths if os.path.isdir(path)]


def _sound_files(folder: str) -> list[str]:
  return [name for name in _names(folder) if name.lower().endswith(_SUFFIXES)]


def _names(folder: str) -> list[str]:
  """Sorted, without the hidden: beside each file a Mac archives stands one with `._` before it."""
  try:
    return sorted(name for name in os.listdir(folder) if not name.startswith('.'))
  except OSError as error:
    raise DataError(f'{folder!r} must be readable; got: {error.strerror}.') from None


def _mixed(
  words: dict[str, list[str]],
  wanted_words: Sequence[str],
  shares: Shares,
  chance: random.Random,
) -> list[Clip]:
  """The wanted words of one split with their share of silence and of other words, shuffled."""
  first = len(labels_of(()))
  clips = [
    Clip(path, first + number)
    for number, word in enumerate(wanted_words)
    for path in words.get(word, [])
  ]
  others = [path for word in sorted(words) if word not in wanted_words for path in words[word]]
  chance.shuffle(others)
  silences, unknowns = (
    int(math.ceil(len(clips) * share / 100)) for share in (shares.silence, shares.unknown)
  )
  mixed = clips + [Clip(None, 0)] * silences + [Clip(path, 1) for path in others[:unknowns]]
  chance.shuffle(mixed)
  return mixed


def _check_complete(
  folder: str, by_split: dict[str, dict[str, list[str]]], wanted_words: Sequence[str]
) -> None:
  have = {word for words in by_split.values() for word in words}
  missing = [word for word in wanted_words if word not in have]
  if missing:
    raise DataError(
      f'every wanted word must have sound files in {folder!r}; none for {", ".join(missing)}. '
      f'There are: {", ".join(sorted(have))}.'
    )
  lacking = [word for word in wanted_words if not by_split['training'].get(word)]
  if lacking:
    raise DataError(f'no training clip is left for {", ".join(lacking)} in {folder!r}.')


def _noises(folder: str) -> list[str]:
  """The background sounds: none when the folder is absent, an error when it is empty."""
  noise_folder = os.path.join(folder, NOISE_FOLDER)
  if not os.path.isdir(noise_folder):
    return []
  names = _sound_files(noise_folder)
  if not names:
    raise DataError(
      f'{noise_folder!r} must hold sound files; it is empty. Remove it to train without noise.'
    )
  return [os.path.join(NOISE_FOLDER, name) for name in names]
