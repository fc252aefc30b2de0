#!/usr/bin/env python3
"""One part of the synthetic data set, made in a fresh process: a JSON job in, a JSON report out.

make_speech starts it, once for every part, because eSpeak repeats itself only in a fresh process.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import time
import wave
from typing import Any, Callable

sys.path.insert(
  0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
)

import numpy as np  # noqa: E402 - needs the line above
import soxr  # noqa: E402

from estimators.ds_cnn.speech import espeak, noise, speech_voices  # noqa: E402

CLIP_SAMPLES = noise.SAMPLE_RATE_HZ
# Leaves the word some room to stand now earlier, now later in its second.
LONGEST_SPEECH_S = 0.95
FASTEST_WPM = 450
BACKGROUND_S = 30

# Nobody in the babble says a word of the data set.
_BABBLE = (
  'The train to the coast leaves from platform twelve at half past ten.',
  'Could somebody please close that window, it is getting rather cold in here.',
  'My neighbour has been painting his fence green since early this morning.',
  'We bought apples, bread and a large piece of cheese at the market.',
  'She told me that the meeting was moved to Thursday afternoon.',
  'Most of these paintings were made during a very long winter.',
)
# The speakers who talk there are the training speakers of a data set of this size: fifteen.
_BABBLE_CLIPS_PER_WORD = 24


def make_word(word: str, clips_per_word: int, seed: int, folder: str) -> dict[str, Any]:
  """Writes all clips of a word."""
  engine = espeak.Engine(seed)
  faster = 0
  utterances = speech_voices.utterances(word, clips_per_word, seed)
  for utterance in utterances:
    name = speech_voices.file_name(utterance)
    speech, rate_wpm = speak(engine, utterance)
    faster += rate_wpm > utterance.rate_wpm
    clip = record(speech, utterance, _generator(seed, word, name))
    write_wav(os.path.join(folder, name), clip)
  accents = sorted(accent for names in speech_voices.ACCENTS.values() for accent in names)
  # After the clips: the order of the calls to eSpeak is part of what they sound like.
  sounds = {accent: engine.phonemes(word, accent) for accent in accents}
  return {'said_faster': faster, 'espeak': engine.version, 'sounds': {word: sounds}}


def make_background(sound: str, seed: int, folder: str) -> dict[str, Any]:
  """Writes one file of _background_noise_."""
  generator = _generator(seed, speech_voices.BACKGROUND_FOLDER, sound)
  count = BACKGROUND_S * noise.SAMPLE_RATE_HZ
  if sound == 'babble':
    samples = _babble(count, seed, generator)
  else:
    samples = noise.SOUNDS[sound](count, generator)
  write_wav(os.path.join(folder, f'{sound}.wav'), noise.background(samples))
  return {}


def _babble(count: int, seed: int, generator: np.random.RandomState) -> np.ndarray:
  """Training voices at once: nothing of the other splits is heard while training."""
  engine = espeak.Engine(seed)
  mixed = np.zeros(count)
  for speaker in speech_voices.speakers('training', _BABBLE_CLIPS_PER_WORD, seed):
    said: list[np.ndarray] = []
    while sum(map(len, said)) < count:
      text = _BABBLE[generator.randint(len(_BABBLE))]
      speech = _say(engine, text, speaker, round(speaker.rate_wpm), round(speaker.pitch))
      said.append(speech / np.sqrt(np.mean(speech**2)))
    mixed += np.concatenate(said)[:count]
  return mixed


def speak(engine: espeak.Engine, utterance: speech_voices.Utterance) -> tuple[np.ndarray, int]:
  """Returns speech [time] at 16 kHz without silence around it, and the rate that made it fit."""
  rate_wpm = utterance.rate_wpm
  while True:
    speech = _say(engine, utterance.text, utterance.speaker, rate_wpm, utterance.pitch)
    excess = len(speech) / (LONGEST_SPEECH_S * noise.SAMPLE_RATE_HZ)
    if excess <= 1:
      return speech, rate_wpm
    if rate_wpm == FASTEST_WPM:
      raise espeak.EspeakError(
        f'a word must fit into {LONGEST_SPEECH_S} s; {utterance.text!r} does not, not even at '
        f'{FASTEST_WPM} words a minute. Choose a shorter one.'
      )
    rate_wpm = min(FASTEST_WPM, int(rate_wpm * excess) + 5)


def _say(
  engine: espeak.Engine, text: str, speaker: speech_voices.Speaker, rate_wpm: int, pitch: int
) -> np.ndarray:
  voice = espeak.Voice(speaker.accent, speaker.variant, rate_wpm, pitch, speaker.pitch_range)
  samples = engine.say(text, voice).astype(np.float64)
  # Far below the weakest consonant: only eSpeak's own pauses at both ends go.
  heard = np.flatnonzero(np.abs(samples) > 0.003 * np.abs(samples).max())
  trimmed = samples[heard[0] : heard[-1] + 1]
  return soxr.resample(trimmed, espeak.SAMPLE_RATE_HZ * speaker.throat, noise.SAMPLE_RATE_HZ)


def record(
  speech: np.ndarray, utterance: speech_voices.Utterance, generator: np.random.RandomState
) -> np.ndarray:
  """Puts speech somewhere into a second of a quiet room; float64 [CLIP_SAMPLES]."""
  start = generator.randint(0, CLIP_SAMPLES - len(speech) + 1)
  end = start + len(speech)
  clip = np.zeros(CLIP_SAMPLES)
  clip[start:end] = speech
  clip = noise.tilted(clip, utterance.speaker.tilt_db)
  loudness = np.sqrt(np.mean(clip[start:end] ** 2))
  clip *= min(_amplitude(utterance.level_dbfs) / loudness, 0.95 / np.abs(clip).max())
  room = noise.coloured(CLIP_SAMPLES, generator.uniform(0, 1.5), generator)
  return clip + _amplitude(utterance.speaker.noise_dbfs) * room


def write_wav(path: str, clip: np.ndarray) -> None:
  """Writes float samples in -1..1 as 16-bit mono; what is louder is clipped."""
  pcm = np.clip(np.round(clip * 32767), -32768, 32767).astype('<i2')
  with wave.open(path, 'wb') as file:
    file.setnchannels(1)
    file.setsampwidth(2)
    file.setframerate(noise.SAMPLE_RATE_HZ)
    file.writeframes(pcm.tobytes())


def _amplitude(dbfs: float) -> float:
  return 10 ** (dbfs / 20)


def _generator(*names: object) -> np.random.RandomState:
  """Random numbers that depend on these names alone; the legacy kind never changes them."""
  digest = hashlib.sha256('/'.join(map(str, names)).encode('utf-8')).digest()
  return np.random.RandomState(np.frombuffer(digest, '<u4'))


_MAKERS: dict[str, Callable[..., dict[str, Any]]] = {
  'word': make_word,
  'background': make_background,
}


def _end_with(parent: int) -> None:
  """Ends this process soon after `parent` was killed: nobody would rename what it writes."""
  while os.getppid() == parent:
    time.sleep(0.2)
  os._exit(1)


def main() -> int:
  job = json.load(sys.stdin)
  threading.Thread(target=_end_with, args=[job['parent']], daemon=True).start()
  try:
    report = _MAKERS[job['kind']](**job['arguments'])
  except (espeak.EspeakError, OSError) as error:
    print(error, file=sys.stderr)
    return 1
  print(json.dumps(report))
  return 0


if __name__ == '__main__':
  sys.exit(main())
