"""Data and flags of a training of a few steps: a few speakers of noise, who say every word."""

import wave

import numpy as np

WORDS = ('yes', 'no', 'up', 'down', 'left', 'right', 'on', 'off', 'stop', 'go', 'bed')
SPEAKERS = 12


def flags(folder):
  """Makes the clips below `folder` and returns the flags that train on them."""
  data = folder / 'speech'
  if not data.exists():
    make(data)
  return [
    f'--data_path={data}',
    f'--cache_path={folder / "cache"}',
    '--how_many_training_steps=2,2',
    '--learning_rate=0.001,0.0001',
    '--batch_size=10',
    '--eval_step_interval=2',
    '--log_step_interval=1',
    '--validation_percentage=30',
    '--testing_percentage=30',
  ]


def make(data):
  """Writes the clips."""
  chance = np.random.RandomState(0)
  for word in WORDS:
    (data / word).mkdir(parents=True)
    for speaker in range(SPEAKERS):
      samples = chance.randint(-3000, 3000, 16000)
      write_wav(data / word / f'speaker{speaker}_nohash_0.wav', samples)


def write_wav(path, samples, rate=16000):
  """Writes 16-bit mono samples."""
  with wave.open(str(path), 'wb') as file:
    file.setnchannels(1)
    file.setsampwidth(2)
    file.setframerate(rate)
    file.writeframes(np.asarray(samples, '<i2').tobytes())
