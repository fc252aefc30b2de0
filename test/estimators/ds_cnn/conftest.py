"""A data set of words that are two tones each, and a network trained on it within seconds."""

import collections
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

DS_CNN = pathlib.Path(__file__).resolve().parents[3] / 'estimators' / 'ds_cnn'
RATE = 16000
TONES_HZ = (350, 700, 1400, 2800)
WANTED = ('yes', 'no', 'up', 'down', 'left', 'right', 'on', 'off', 'stop', 'go')
# The order of the tones tells `yes` from `down`: a word is a first and a second tone.
WORDS = dict(zip((*WANTED, 'bed', 'cat'), [(a, b) for a in TONES_HZ for b in TONES_HZ if a != b]))
SPEAKERS = 30
FLAGS = {
  'model_size_info': '3 24 10 4 2 2 24 3 3 1 1 24 3 3 1 1',
  # Small rates last: the moving averages of batch norm lag behind weights that change fast.
  'how_many_training_steps': '200,100',
  'learning_rate': '0.006,0.001',
  'batch_size': '48',
  'eval_step_interval': '150',
  # Where a shifted clip is filled with zeros, features are far from any sound's; noise hides it.
  'background_frequency': '1',
  'backend': 'host',
}

Trained = collections.namedtuple('Trained', 'folder cache')
Frozen = collections.namedtuple('Frozen', 'pb saved_model')


def _tone_word(word, speaker=0):
  """Float samples [16000] of a word in the middle of a second; a speaker has a pitch and a pace."""
  chance = np.random.RandomState(speaker)
  pitch, pace, level = chance.uniform([0.95, 0.9, 0.2], [1.05, 1.1, 0.5])
  time_s = np.arange(int(0.2 * pace * RATE)) / RATE
  fade = np.minimum(1, np.minimum(time_s, time_s[::-1]) / 0.02)
  said = [level * fade * np.sin(2 * np.pi * pitch * hz * time_s) for hz in WORDS[word]]
  samples = np.concatenate(said)
  before = (RATE - len(samples)) // 2
  after = RATE - before - len(samples)
  hiss = 0.01 * chance.standard_normal(RATE)
  return np.pad(samples, (before, after), 'constant') + hiss


@pytest.fixture(scope='session')
def tone_word():
  """The function (word, speaker) -> samples; speakers of 1000 and more are in no data set."""
  return _tone_word


@pytest.fixture(scope='session')
def tone_data(tmp_path_factory):
  """A folder as speech_commands is, with a space in its name: 30 speakers who say 12 words."""
  import soundfile

  folder = tmp_path_factory.mktemp('tone data')
  for word in WORDS:
    (folder / word).mkdir()
    for speaker in range(SPEAKERS):
      path = folder / word / f'{speaker:08x}_nohash_0.wav'
      soundfile.write(str(path), _tone_word(word, speaker), RATE, 'PCM_16')
  (folder / '_background_noise_').mkdir()
  hiss = 0.1 * np.random.RandomState(0).standard_normal(4 * RATE)
  soundfile.write(str(folder / '_background_noise_' / 'hiss.wav'), hiss, RATE, 'PCM_16')
  return folder


@pytest.fixture(scope='session')
def trained(tone_data, tmp_path_factory):
  """The model folder that train.py leaves after some steps on `tone_data`, and its cache folder."""
  found = Trained(tmp_path_factory.mktemp('a model'), tmp_path_factory.mktemp('cache'))
  paths = {'data_path': tone_data, 'output_path': found.folder, 'cache_path': found.cache}
  flags = [f'--{name}={value}' for name, value in {**FLAGS, **paths}.items()]
  done = subprocess.run(
    [sys.executable, str(DS_CNN / 'train.py'), *flags],
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )
  assert done.returncode == 0, done.stdout
  return found


@pytest.fixture(scope='session')
def frozen(trained, tmp_path_factory):
  """What freeze.py makes of `trained`: the paths of a pb and of a SavedModel."""
  from estimators.ds_cnn import freeze

  paths = Frozen(*(tmp_path_factory.mktemp('frozen') / name for name in ('kws.pb', 'kws')))
  for path in paths:
    assert freeze.main(['--checkpoint', str(trained.folder), '--output', str(path)]) == 0
  return paths


@pytest.fixture
def run_tool(tmp_path):
  """Runs a script of the model as a user would, in another folder: (name, *words) -> its end."""

  def run(script, *words):
    environment = {name: text for name, text in os.environ.items() if name != 'PYTHONPATH'}
    return subprocess.run(
      [sys.executable, str(DS_CNN / script), *(str(word) for word in words)],
      cwd=str(tmp_path),
      env=environment,
      capture_output=True,
      text=True,
    )

  return run
