"""Which split a clip of speech_commands belongs to: decided by its file name alone, for ever."""

from __future__ import annotations

import hashlib
import os

SPLITS = ('training', 'validation', 'testing')
# What flags, logs and messages say -> what the data set calls it.
SAID = {'training': 'training', 'validation': 'validation', 'test': 'testing'}
# What follows this mark is the number of the take: all takes of a speaker stay in one split.
TAKE_MARK = '_nohash_'
# The published split depends on this number; it limits nothing any more.
_MAX_CLIPS_PER_WORD = 2**27 - 1


def which_split(
  file_name: str, validation_percentage: float = 10, testing_percentage: float = 10
) -> str:
  """Returns 'training', 'validation' or 'testing' for `<speaker>_nohash_<take>.wav`."""
  held_out = validation_percentage + testing_percentage
  if min(validation_percentage, testing_percentage) < 0 or held_out > 100:
    raise ValueError(
      'the percentages must not be negative and at most 100 together; got '
      f'{validation_percentage} for validation and {testing_percentage} for testing'
    )
  percentile = _percentile(os.path.basename(file_name).partition(TAKE_MARK)[0])
  if percentile < validation_percentage:
    return 'validation'
  return 'testing' if percentile < held_out else 'training'


def _percentile(speaker: str) -> float:
  """0 to 100, evenly spread over the speakers."""
  digest = hashlib.sha1(speaker.encode('utf-8')).hexdigest()
  return int(digest, 16) % (_MAX_CLIPS_PER_WORD + 1) * (100.0 / _MAX_CLIPS_PER_WORD)
