"""make_speech: the layout, the voices of each split, the same bytes again, whole or not at all."""

import collections
import hashlib
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
import wave

import numpy as np
import pytest

from estimators.ds_cnn import make_speech
from estimators.ds_cnn.dataset import speech_split
from estimators.ds_cnn.speech import speech_voices
from npu_adapter import errors

ROOT = pathlib.Path(__file__).resolve().parents[3]
SCRIPT = ROOT / 'estimators' / 'ds_cnn' / 'make_speech.py'
WORDS = ('go', 'stop')
CLIPS_PER_WORD = 20
BACKGROUNDS = {
  'babble.wav', 'white_noise.wav', 'pink_noise.wav', 'running_water.wav', 'mains_hum.wav',
  'clattering_dishes.wav',
}  # fmt: skip

pytestmark = pytest.mark.skipif(
  importlib.util.find_spec('espeakng_loader') is None, reason='espeakng-loader is not installed'
)


def make(folder, clips_per_word=CLIPS_PER_WORD, seed=1, **others):
  """Returns the lines it showed."""
  lines = []
  arguments = {'show': lines.append, 'words': WORDS, 'processes': 2, **others}
  found = make_speech.ensure(str(folder), clips_per_word, seed, **arguments)
  assert found == os.path.realpath(str(folder))
  return lines


def command(*arguments, **others):
  return subprocess.run(
    [sys.executable, str(SCRIPT), *map(str, arguments)],
    capture_output=True,
    text=True,
    **others,
  )


def digests(folder):
  """Relative path -> hash of every file."""
  return {
    path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted(folder.rglob('*'))
    if path.is_file()
  }


def read(path):
  """Samples of -1..1, after a check of the format."""
  with wave.open(str(path)) as file:
    assert file.getparams()[:3] == (1, 2, 16000)
    return np.frombuffer(file.readframes(file.getnframes()), '<i2') / 32768.0


def dbfs(samples):
  return 20 * np.log10(np.sqrt(np.mean(samples**2)))


@pytest.fixture
def one_noise(monkeypatch):
  """For tests that are not about the background files, which take longest."""
  monkeypatch.setattr(speech_voices, 'BACKGROUNDS', ('white_noise',))


@pytest.fixture(scope='module')
def made(tmp_path_factory):
  """A finished data set; tests must not change it."""
  folder = tmp_path_factory.mktemp('speech') / 'set with space'
  Made = collections.namedtuple('Made', 'folder lines')
  return Made(folder, make(folder))


@pytest.fixture(scope='module')
def voices(made):
  return json.loads((made.folder / 'voices.json').read_text(encoding='utf-8'))


def clips(folder):
  return sorted(path for word in WORDS for path in (folder / word).iterdir())


def test_the_layout_is_that_of_speech_commands(made):
  names = {path.name for path in made.folder.iterdir()}
  texts = {'README.txt', 'LICENSE', 'voices.json', 'manifest.json'}
  lists = {'validation_list.txt', 'testing_list.txt'}
  assert names == {*WORDS, '_background_noise_', *texts, *lists}
  for word in WORDS:
    assert len(list((made.folder / word).iterdir())) == CLIPS_PER_WORD
  for path in clips(made.folder):
    speaker, mark, take = path.stem.partition('_nohash_')
    assert mark and len(speaker) == 8 and int(speaker, 16) >= 0 and take in ('0', '1')
  assert len({path.stem.partition('_')[0] for path in clips(made.folder)}) < CLIPS_PER_WORD
  assert 'eSpeak NG 1.' in (made.folder / 'README.txt').read_text()


def test_a_clip_is_a_second_of_a_word_in_a_room_that_is_never_silent(made):
  starts = []
  for path in clips(made.folder):
    samples = read(path)
    assert len(samples) == 16000
    loudness = [dbfs(frame) for frame in samples.reshape(100, 160)]
    assert -76 < min(loudness) < -45
    assert -40 < dbfs(samples) < -14 and max(loudness) > min(loudness) + 15
    assert np.abs(samples).max() < 0.99
    starts.append(np.argmax(np.array(loudness) > max(loudness) - 20))
  # Words stand early and late, not all in the middle.
  assert min(starts) < 20 and max(starts) > 40


def test_no_two_clips_are_equal(made):
  hashes = [hashlib.sha256(path.read_bytes()).digest() for path in clips(made.folder)]
  assert len(set(hashes)) == len(hashes)


def test_the_background_files_are_long_and_as_loud_as_they_should_be(made):
  folder = made.folder / '_background_noise_'
  assert {path.name for path in folder.iterdir()} == BACKGROUNDS
  for path in folder.iterdir():
    samples = read(path)
    assert 20 <= len(samples) / 16000 <= 60
    assert -30 < dbfs(samples) < -19 and np.abs(samples).max() < 1


def test_the_background_noises_have_their_colours(made):
  slopes = {}
  for name in ('white_noise', 'pink_noise'):
    samples = read(made.folder / '_background_noise_' / f'{name}.wav')
    power = np.abs(np.fft.rfft(samples)) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / 16000)
    low, high = (power[(hz > a) & (hz < 2 * a)].mean() for a in (200, 3200))
    slopes[name] = 10 * np.log10(low / high) / 4  # decibel an octave
  assert abs(slopes['white_noise']) < 0.3
  assert abs(slopes['pink_noise'] - 3) < 0.3


def test_each_word_is_divided_80_10_10_and_the_hash_agrees_with_the_voice(made, voices):
  split_of = {
    speaker['id']: split
    for split, heard in voices['splits'].items()
    for speaker in heard['speakers']
  }
  for word in WORDS:
    names = [path.name for path in (made.folder / word).iterdir()]
    by_hash = [speech_split.which_split(name) for name in names]
    assert by_hash == [split_of[name[:8]] for name in names]
    assert collections.Counter(by_hash) == {'training': 16, 'validation': 2, 'testing': 2}


def test_the_lists_name_the_clips_of_their_split(made):
  for split in ('validation', 'testing'):
    listed = (made.folder / f'{split}_list.txt').read_text().split()
    names = [path.relative_to(made.folder).as_posix() for path in clips(made.folder)]
    assert listed == [name for name in names if speech_split.which_split(name) == split]


@pytest.mark.parametrize('trait', ['accent', 'variant', 'id'])
def test_the_splits_share_no_accent_no_voice_and_no_speaker(voices, trait):
  everyone = [
    {getattr(speaker, trait) for speaker in speech_voices.speakers(split, 2000, 1)}
    for split in speech_voices.ACCENTS
  ]
  heard = [{speaker[trait] for speaker in split['speakers']} for split in voices['splits'].values()]
  for groups in (everyone, heard):
    assert len(set().union(*groups)) == sum(map(len, groups))


def test_every_accent_and_voice_of_the_tables_is_heard_in_a_large_set():
  for split in speech_voices.ACCENTS:
    speakers = speech_voices.speakers(split, 240, 1)
    assert {speaker.accent for speaker in speakers} == set(speech_voices.ACCENTS[split])
    assert {speaker.variant for speaker in speakers} == set(speech_voices.VARIANTS[split])


def test_the_accents_of_the_test_split_pronounce_words_as_none_in_training_does(voices):
  sounds = voices['pronunciations']['go']
  assert sounds['en-GB-x-gbclan'] == 'ɡˈoː' and sounds['en-US'] == 'ɡˈoʊ'
  assert len(set(sounds.values())) >= 4


def test_the_split_of_a_word_is_80_10_10_with_at_least_one_each():
  counts = {number: tuple(speech_voices.split_counts(number).values()) for number in range(3, 300)}
  assert counts[3] == (1, 1, 1) and counts[10] == (8, 1, 1) and counts[240] == (192, 24, 24)
  for number, (training, validation, testing) in counts.items():
    assert training + validation + testing == number and min(training, validation) >= 1
    assert validation == testing and abs(validation - number / 10) <= 0.7


def test_the_list_of_voices_is_shown_at_the_end(made, voices):
  for split, heard in voices['splits'].items():
    (line,) = [line for line in made.lines if line.startswith(f'{split}: ')]
    for word in [*heard['accents'].values(), *heard['variants']]:
      assert word in line


def test_the_same_seed_gives_the_same_bytes_with_one_process_in_another_folder(made, tmp_path):
  make(tmp_path / 'b', processes=1)
  assert digests(tmp_path / 'b') == digests(made.folder)


def test_another_seed_gives_other_speakers_and_noises(made, tmp_path):
  make(tmp_path / 'b', clips_per_word=3, seed=2)
  first, second = digests(made.folder), digests(tmp_path / 'b')
  names = [name for name in second if name.endswith('.wav')]
  assert [name for name in names if second[name] == first.get(name)] == []
  assert {name for name in names if name in first} == {
    f'_background_noise_/{name}' for name in BACKGROUNDS
  }


@pytest.mark.parametrize(
  'arguments, words',
  [
    ({'clips_per_word': 2}, 'clips_per_word must be a whole number of at least 3; got 2'),
    ({'clips_per_word': 3.5}, 'clips_per_word must be a whole number .* got 3.5'),
    ({'seed': -1}, 'seed must be a whole number from 0 to 2147483647; got -1'),
    ({'seed': 2**31}, 'seed must be a whole number from 0 to 2147483647; got 2147483648'),
    ({'processes': 0}, 'processes must be a whole number of at least 1; got 0'),
    ({'words': ()}, r'words must be different words in small letters; got \[\]'),
    ({'words': ('go', 'go')}, r"words must be different .* got \['go', 'go'\]"),
    ({'words': ('../go',)}, r"words must be different .* got \['../go'\]"),
  ],
)
def test_an_argument_that_cannot_work_is_named(tmp_path, arguments, words):
  with pytest.raises(errors.OptionError, match=words):
    make(tmp_path / 'a', **arguments)
  assert not list(tmp_path.iterdir())


def test_a_word_that_fits_into_no_second_is_an_error_that_leaves_nothing(tmp_path, one_noise):
  word = 'antidisestablishmentarianism' * 3
  with pytest.raises(errors.AdapterError, match=r"must fit into 0.95 s; '\w+.?' does not"):
    make(tmp_path / 'a', clips_per_word=3, words=(word,))
  assert not list(tmp_path.iterdir())


def test_a_long_word_is_said_faster_instead_of_cut(tmp_path, one_noise):
  word = 'incomprehensibilities'
  lines = make(tmp_path / 'a', clips_per_word=10, words=(word,))
  facts = json.loads((tmp_path / 'a' / 'manifest.json').read_text())
  assert facts['said_faster_to_fit'] > 0
  assert f'{facts["said_faster_to_fit"]} clips were said faster to fit into a second' in lines


def test_missing_packages_are_named_with_the_command_that_installs_them(tmp_path, monkeypatch):
  monkeypatch.setattr(make_speech, '_PACKAGES', ('numpy', 'no_such_package'))
  with pytest.raises(errors.OptionError, match=r"here: no_such_package. Run: pip install 'tf1-a"):
    make(tmp_path / 'a')
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  'arguments, words',
  [
    (['--clips_per_word=2', '--out=a'], 'clips_per_word: must be a whole number of at least 3'),
    (['--clips_per_word=many', '--out=a'], "must be a whole number of at least 3; got 'many'"),
    (['--seed=-1', '--out=a'], 'seed: must be a whole number of at least 0'),
    (['--processes=0', '--out=a'], 'processes: must be a whole number of at least 1'),
    (['--out='], 'the folder for the speech must have a name'),
    (['--out=file/a'], 'file/a must be a folder that can be made and written here'),
    (['--out=file'], 'the speech needs a folder; .*file is none'),
    (['--out=/'], 'holds other files'),
    (['--outt=a'], 'there is no flag --outt. Did you mean .--out'),
    ([], 'required: --out'),
  ],
)
def test_the_command_exits_2_and_says_why(tmp_path, arguments, words):
  (tmp_path / 'file').write_text('')
  done = command(*arguments, cwd=str(tmp_path))
  assert done.returncode == 2
  assert re.search(words, done.stderr)
  assert 'Traceback' not in done.stderr
  assert os.listdir(str(tmp_path)) == ['file']


def test_help_needs_no_numpy_and_no_speech():
  done = command('--help')
  assert done.returncode == 0 and '--clips_per_word' in done.stdout
  code = f'import runpy, sys; sys.argv = ["x", "--help"]; runpy.run_path({str(SCRIPT)!r})'
  check = '; print(sorted({"numpy", "tensorflow", "espeakng_loader", "soxr"} & set(sys.modules)))'
  output = subprocess.check_output([sys.executable, '-c', code + check], text=True)
  assert output == '[]\n'
