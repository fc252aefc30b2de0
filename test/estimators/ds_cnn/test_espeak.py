"""The binding of eSpeak NG: voices that exist, samples that repeat, data in a deep folder."""

import importlib.util
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.skipif(
  importlib.util.find_spec('espeakng_loader') is None, reason='espeakng-loader is not installed'
)

# In a process of its own, always: eSpeak remembers, and the test process must not load it.
START = f"""
import hashlib, sys
sys.path.insert(0, {str(ROOT)!r})
from estimators.ds_cnn.speech import espeak
engine = espeak.Engine(5)
def voice(accent='en-US', variant='f2', rate_wpm=150):
  return espeak.Voice(accent, variant, rate_wpm, 50, 50)
"""


def run(code, folder=''):
  environment_path = f'import sys; sys.path.insert(0, {folder!r})\n' if folder else ''
  return subprocess.run(
    [sys.executable, '-c', environment_path + START + code], capture_output=True, text=True
  )


def output(code, folder=''):
  done = run(code, folder)
  assert done.returncode == 0, done.stderr
  return done.stdout.split()


def test_the_same_calls_in_a_fresh_process_give_the_same_samples():
  # f2 breathes: random noise is part of its voice.
  code = 'print(*(hashlib.md5(engine.say("yes", voice())).hexdigest() for _ in range(3)))'
  assert output(code) == output(code)


def test_a_faster_rate_makes_a_word_shorter():
  slow, fast = map(int, output('print(*(len(engine.say("yes", voice("en", "m1", rate)))'
                               ' for rate in (120, 240)))'))  # fmt: skip
  assert 0.1 * 22050 < fast < 0.7 * slow < 22050


@pytest.mark.parametrize('accent, variant', [('en-US', 'nobody'), ('en-XX', 'm1'), ('en-XX', '')])
def test_a_voice_that_does_not_exist_is_an_error_not_the_plain_voice(accent, variant):
  done = run(f'engine.say("yes", voice({accent!r}, {variant!r}))')
  assert done.returncode == 1
  assert f'gmw/{accent}' in done.stderr.splitlines()[-1]


def test_every_voice_of_the_tables_exists():
  code = """
from estimators.ds_cnn.speech import speech_voices
for split, variants in speech_voices.VARIANTS.items():
  for variant in variants:
    for accent in speech_voices.ACCENTS[split]:
      assert len(engine.say('yes', voice(accent, variant))) > 2000, (accent, variant)
"""
  assert output(code) == []


def test_an_environment_in_a_deep_folder_works(tmp_path):
  deep = tmp_path / ('a' * 100) / ('b' * 100)
  package = pathlib.Path(importlib.util.find_spec('espeakng_loader').origin).parent
  shutil.copytree(str(package), str(deep / 'espeakng_loader'))
  code = 'import espeakng_loader; print(espeakng_loader.__file__, len(engine.say("no", voice())))'
  where, length = output(code, str(deep))
  assert where.startswith(str(deep)) and int(length) > 2000


def test_only_this_file_loads_espeak():
  needle = 'import espeakng_' + 'loader'
  sources = [*(ROOT / 'estimators').rglob('*.py'), *(ROOT / 'npu_adapter').rglob('*.py')]
  found = {path.name for path in sources if needle in path.read_text(encoding='utf-8')}
  assert found == {'espeak.py'}
