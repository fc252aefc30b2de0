"""Who says what in the synthetic data set: words, accents and voices of each split. No audio."""

from __future__ import annotations

import hashlib
import random
from typing import NamedTuple

from estimators.ds_cnn.dataset import speech_split

WORDS = (
  'backward', 'bed', 'bird', 'cat', 'dog', 'down', 'eight', 'five', 'follow', 'forward', 'four',
  'go', 'happy', 'house', 'learn', 'left', 'marvin', 'nine', 'no', 'off', 'on', 'one', 'right',
  'seven', 'sheila', 'six', 'stop', 'three', 'tree', 'two', 'up', 'visual', 'wow', 'yes', 'zero',
)  # fmt: skip

BACKGROUND_FOLDER = '_background_noise_'
# Its files, without .wav.
BACKGROUNDS = (
  'babble', 'white_noise', 'pink_noise', 'running_water', 'mains_hum', 'clattering_dishes',
)  # fmt: skip

# eSpeak's English accents, file name -> what it is. Each has phonemes of its own: New York says
# bird as [bəɪd], Lancaster go as [goː] and up with the vowel of put.
ACCENTS = {
  'training': {
    'en-US': 'America',
    'en-029': 'Caribbean',
    'en-GB-x-rp': 'Received Pronunciation',
    'en-GB-scotland': 'Scotland',
    'en-GB-x-gbcwmd': 'West Midlands',
  },
  'validation': {'en': 'Great Britain'},
  'testing': {'en-GB-x-gbclan': 'Lancaster', 'en-US-nyc': 'New York City'},
}

# eSpeak's voice variants. Those that share their formants (f2 and f5, rob and robert) stand in one
# split. Left out: whispers (whisper, whisperf, caleb), robots and effects (robosoft*, RicishayMax*,
# UniRobot, anikaRobot, Demonic, announcer, fast), formants no throat has (Tweaky, zac, kaukovalta,
# travis, boris, Lee, norbert, ian) and AnxiousAndy, which is Andy.
VARIANTS = {
  'training': (
    'm1', 'm4', 'm5', 'm6', 'm7', 'm8', 'Nguyen', 'f3', 'f4', 'linda', 'belinda', 'aunty',
    'steph', 'steph2', 'steph3', 'Alicia', 'anika', 'Diogo', 'Henrique', 'Hugo', 'michel', 'miguel',
    'shelby', 'croak', 'john', 'pablo', 'pedro', 'grandpa', 'Mario', 'Michael', 'gustave',
    'marcelo', 'max', 'paul', 'Andy', 'Jacky', 'Denis', 'victor', 'Storm', 'Marco', 'sandro', 'ed',
    'iven', 'iven2', 'iven3', 'iven4', 'klatt', 'klatt2', 'klatt3', 'klatt4', 'klatt5', 'klatt6',
    'adam', 'benjamin', 'david', 'Reed',
  ),
  'validation': ('m2', 'f1', 'Alex', 'Andrea', 'grandma', 'antonio', 'mike2'),
  'testing': (
    'm3', 'Mike', 'f2', 'f5', 'Annie', 'Gene', 'Gene2', 'rob', 'robert', 'quincy', 'edward',
    'edward2',
  ),
}  # fmt: skip

# Training speakers differ more in what numbers can say, so that the others lie between them.
_SPREAD = {'training': 2.0, 'validation': 1.0, 'testing': 1.0}
# The mark at the end of a text changes the melody: statement, command, question, unfinished.
_ENDINGS = ('', '.', '!', '?', ',')


class Speaker(NamedTuple):
  """One voice setting, in one room."""

  id: str
  split: str
  accent: str
  variant: str
  rate_wpm: float
  pitch: float
  pitch_range: int
  throat: float  # scales all formants and the pitch as a shorter (> 1) or longer throat does
  tilt_db: float  # of the microphone, per octave
  noise_dbfs: float  # of the room


class Utterance(NamedTuple):
  """One clip."""

  speaker: Speaker
  take: int
  text: str
  rate_wpm: int
  pitch: int
  level_dbfs: float


def split_counts(clips_per_word: int) -> dict[str, int]:
  """80/10/10 of the clips of a word; at least one each."""
  held_out = max(1, (clips_per_word + 5) // 10)
  return {
    'training': clips_per_word - 2 * held_out,
    'validation': held_out,
    'testing': held_out,
  }


def file_name(utterance: Utterance) -> str:
  return f'{utterance.speaker.id}{speech_split.TAKE_MARK}{utterance.take}.wav'


def utterances(word: str, clips_per_word: int, seed: int) -> list[Utterance]:
  """The clips of one word, split by split."""
  found = []
  for split, count in split_counts(clips_per_word).items():
    cast = speakers(split, clips_per_word, seed)
    for number in range(count):
      index = _speaker_index(number)
      take = number > 0 and _speaker_index(number - 1) == index
      found.append(_utterance(word, cast[index], int(take), seed))
  return found


def _speaker_index(number: int) -> int:
  """Every third speaker says a word twice: 0, 0, 1, 2, 3, 3, 4, 5, ..."""
  return 3 * number // 4


def speakers(split: str, clips_per_word: int, seed: int) -> list[Speaker]:
  """The speakers of a split; they say every word."""
  count = _speaker_index(split_counts(clips_per_word)[split] - 1) + 1
  accents = _deal(sorted(ACCENTS[split]), count, f'{seed}/{split}/accents')
  variants = _deal(sorted(VARIANTS[split]), count, f'{seed}/{split}/variants')
  ids = _ids(split, count, seed)
  return [_speaker(split, *traits, seed=seed) for traits in zip(ids, accents, variants)]


def _deal(cards: list[str], count: int, seed: str) -> list[str]:
  """`count` cards: each once in shuffled order, then all of them again, as often as needed."""
  generator = random.Random(seed)
  dealt: list[str] = []
  while len(dealt) < count:
    dealt.extend(generator.sample(cards, len(cards)))
  return dealt[:count]


def _ids(split: str, count: int, seed: int) -> list[str]:
  """Ids whose hash falls into the split: readers sort clips by nothing else."""
  found: dict[str, None] = {}
  attempt = 0
  while len(found) < count:
    candidate = hashlib.sha256(f'{seed}/{attempt}'.encode('ascii')).hexdigest()[:8]
    if speech_split.which_split(candidate) == split:
      found[candidate] = None
    attempt += 1
  return list(found)


def _speaker(split: str, speaker_id: str, accent: str, variant: str, seed: int) -> Speaker:
  generator = random.Random(f'{seed}/{speaker_id}')
  spread = _SPREAD[split]
  return Speaker(
    id=speaker_id,
    split=split,
    accent=accent,
    variant=variant,
    rate_wpm=round(generator.uniform(120, 190), 1),
    pitch=round(50 + spread * generator.uniform(-20, 20), 1),
    pitch_range=round(generator.uniform(30, 75)),
    throat=round(1 + spread * generator.uniform(-0.07, 0.07), 3),
    tilt_db=round(spread * generator.uniform(-2.5, 2.5), 2),
    noise_dbfs=round(generator.uniform(-70, -52), 1),
  )


def _utterance(word: str, speaker: Speaker, take: int, seed: int) -> Utterance:
  generator = random.Random(f'{seed}/{speaker.id}/{word}/{take}')
  return Utterance(
    speaker=speaker,
    take=take,
    text=word + generator.choice(_ENDINGS),
    rate_wpm=round(speaker.rate_wpm * generator.uniform(0.9, 1.1)),
    pitch=round(speaker.pitch + generator.uniform(-8, 8)),
    level_dbfs=generator.uniform(-28, -15),
  )
