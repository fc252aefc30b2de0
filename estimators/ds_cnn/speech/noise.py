"""Noise without a microphone: coloured, and the sounds of _background_noise_ except voices."""

from __future__ import annotations

import numpy as np

SAMPLE_RATE_HZ = 16000
BACKGROUND_RMS = 0.1


def coloured(count: int, exponent: float, generator: np.random.RandomState) -> np.ndarray:
  """Float64 noise [time] of RMS 1 with power as 1 / frequency^exponent above 20 Hz."""
  spectrum = np.fft.rfft(generator.standard_normal(count))
  spectrum *= np.maximum(_frequencies_hz(count), 20.0) ** (-exponent / 2)
  spectrum[0] = 0
  return _unit_rms(np.fft.irfft(spectrum, count))


def white(count: int, generator: np.random.RandomState) -> np.ndarray:
  return coloured(count, 0, generator)


def pink(count: int, generator: np.random.RandomState) -> np.ndarray:
  return coloured(count, 1, generator)


def running_water(count: int, generator: np.random.RandomState) -> np.ndarray:
  """A hiss whose loudness wanders, and bubbles: short tones that rise."""
  swell = 1 + 0.3 * np.clip(_slow(count, 2.0, generator), -2, 2)
  sound = coloured(count, 0.7, generator) * swell
  for start in _onsets(count, 25.0, generator):
    length_s = generator.uniform(0.01, 0.04)
    time_s = _time_s(min(count - start, int(length_s * SAMPLE_RATE_HZ)))
    pitch_hz = generator.uniform(400, 1800)
    phase = 2 * np.pi * pitch_hz * (time_s + 4 * time_s**2)
    envelope = np.sin(np.pi * time_s / length_s)
    sound[start : start + len(time_s)] += generator.uniform(0.5, 3) * envelope * np.sin(phase)
  return sound


def mains_hum(count: int, generator: np.random.RandomState) -> np.ndarray:
  """50 Hz and its overtones over a little pink noise."""
  time_s = _time_s(count)
  sound = 0.3 * pink(count, generator)
  for overtone in range(1, 13):
    phase = generator.uniform(0, 2 * np.pi)
    sound += generator.uniform(0.3, 1) / overtone * np.sin(100 * np.pi * overtone * time_s + phase)
  return sound


def clattering_dishes(count: int, generator: np.random.RandomState) -> np.ndarray:
  """Knocks of a few ringing tones each, over the hiss of a kitchen."""
  sound = 0.15 * coloured(count, 0.5, generator)
  for start in _onsets(count, 4.0, generator):
    time_s = _time_s(min(count - start, SAMPLE_RATE_HZ // 3))
    knock = np.zeros(len(time_s))
    for _ in range(5):
      tone = np.sin(2 * np.pi * generator.uniform(500, 6500) * time_s)
      knock += tone * np.exp(-time_s * generator.uniform(20, 150))
    sound[start : start + len(time_s)] += generator.uniform(0.3, 2) * knock
  return sound


# All files of _background_noise_ but babble, which is made of voices, elsewhere.
SOUNDS = {
  'white_noise': white,
  'pink_noise': pink,
  'running_water': running_water,
  'mains_hum': mains_hum,
  'clattering_dishes': clattering_dishes,
}


def background(sound: np.ndarray) -> np.ndarray:
  """Scales a sound to the loudness of a background file, peaks below full scale."""
  scaled = BACKGROUND_RMS * _unit_rms(sound)
  return scaled * min(1.0, 0.98 / np.abs(scaled).max())


def tilted(sound: np.ndarray, db_per_octave: float) -> np.ndarray:
  """The sound through a microphone that favours high (+) or low (-) frequencies around 1 kHz."""
  octaves = np.log2(np.maximum(_frequencies_hz(len(sound)), 50.0) / 1000.0)
  return np.fft.irfft(np.fft.rfft(sound) * 10 ** (db_per_octave * octaves / 20), len(sound))


def _slow(count: int, limit_hz: float, generator: np.random.RandomState) -> np.ndarray:
  spectrum = np.fft.rfft(generator.standard_normal(count))
  spectrum[_frequencies_hz(count) > limit_hz] = 0
  return _unit_rms(np.fft.irfft(spectrum, count))


def _onsets(count: int, per_second: float, generator: np.random.RandomState) -> np.ndarray:
  return generator.randint(0, count - 1, int(per_second * count / SAMPLE_RATE_HZ))


def _unit_rms(sound: np.ndarray) -> np.ndarray:
  return sound / np.sqrt(np.mean(sound**2))


def _frequencies_hz(count: int) -> np.ndarray:
  return np.fft.rfftfreq(count, 1.0 / SAMPLE_RATE_HZ)


def _time_s(count: int) -> np.ndarray:
  return np.arange(count) / SAMPLE_RATE_HZ
