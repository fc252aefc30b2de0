"""The decoded clips of a folder: what a row holds, bad files, and when decoding is done again."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from estimators.ds_cnn.clip_shape import ClipShape
from estimators.ds_cnn.dataset import clip_store, sound_file, speech_data
from npu_adapter import errors

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
SHAPE = ClipShape(clip_ms=200)
LENGTH, RATE = 3200, 16000
LABELS = ('_silence_', '_unknown_', 'yes')
NOISE = '_background_noise_'
# Opens the store of the folder in the current folder, whose clips are those of `index_of`; the
# second clip is not decoded before a line comes in.
SLOW = f"""
import os, sys
sys.path.insert(0, {str(REPOSITORY)!r})
from estimators.ds_cnn import clip_shape
from estimators.ds_cnn.dataset import clip_store, sound_file, speech_data
read, done = sound_file.read, []
def slow(*arguments):
  done.append(read(*arguments))
  if len(done) == 2:
    print('decoded', flush=True)
    sys.stdin.readline()
  return done[-1]
sound_file.read = slow
paths = sorted(os.path.join('yes', name) for name in os.listdir('data/yes'))
clips = {{'training': [speech_data.Clip(path, 2) for path in paths]}}
index = speech_data.Index('data', {LABELS!r}, clips, [])
store = clip_store.open_store(index, clip_shape.ClipShape(clip_ms=200), 'cache')
print(store.folder, store.row_count, flush=True)
"""


def write(path, samples, rate=RATE, kind='PCM_16', **options):
  path.parent.mkdir(exist_ok=True)
  soundfile.write(str(path), samples, rate, kind, **options)
  return path


def int16_noise(count, seed=0):
  return np.random.RandomState(seed).randint(-32768, 32768, count).astype(np.int16)


@pytest.fixture
def data(tmp_path):
  """Three clips of noise of the right rate and length."""
  folder = tmp_path / 'data'
  folder.mkdir()
  for seed, name in enumerate('abc'):
    write(folder / 'yes' / f'{name}.wav', int16_noise(LENGTH, seed))
  return folder


def index_of(data, silent=1, noises=()):
  paths = sorted(os.path.join('yes', name) for name in os.listdir(str(data / 'yes')))
  clips = [speech_data.Clip(None, 0)] * silent + [speech_data.Clip(path, 2) for path in paths]
  clips = {'training': clips, 'validation': clips[-2:], 'testing': []}
  return speech_data.Index(str(data), LABELS, clips, [f'{NOISE}/{name}' for name in noises])


def opened(data, index=None, on_bad_clip='error', shape=SHAPE, lines=None):
  lines = [] if lines is None else lines
  cache = str(data.parent / 'a cache' / 'ds_cnn')
  return clip_store.open_store(index or index_of(data), shape, cache, on_bad_clip, lines.append)


def rows_of(store):
  return np.fromfile(store.samples_path, '<i2').reshape([-1, store.shape.samples])


def noise_rows(store):
  return np.fromfile(store.noises_path, '<i2').reshape([-1, 2 * store.shape.samples])


# What a row holds.


def test_rows_hold_the_clips_and_the_splits_name_them(data):
  index = index_of(data, silent=2)
  store = opened(data, index)
  rows = rows_of(store)
  assert store.row_count == len(rows) == 4
  assert not rows[0].any()
  assert store.labels == LABELS
  assert store.source == str(data)
  assert store.noise_count == 0 == os.path.getsize(store.noises_path)
  for split, clips in index.clips.items():
    chosen = store.splits[split]
    assert chosen.rows.dtype == chosen.labels.dtype == np.int32
    assert chosen.labels.tolist() == [clip.label for clip in clips]
    for row, clip in zip(chosen.rows, clips):
      expected = (
        np.zeros(LENGTH) if clip.path is None else int16_noise(LENGTH, 'abc'.index(clip.path[4]))
      )
      np.testing.assert_array_equal(rows[row], expected)


def test_16_bit_samples_of_the_right_rate_are_kept_to_the_bit(data):
  samples = np.array([-32768, -32767, -1, 0, 1, 32767] * 600, np.int16)
  write(data / 'yes' / 'a.wav', samples)
  np.testing.assert_array_equal(rows_of(opened(data))[1], samples[:LENGTH])


def test_the_same_sound_in_another_form_is_the_same_row(data):
  samples = int16_noise(LENGTH)
  exact = samples.astype(np.int32) << 16
  write(data / 'yes' / 'b24.wav', exact, kind='PCM_24')
  write(data / 'yes' / 'b32.wav', samples / 32768.0, kind='FLOAT')
  write(data / 'yes' / 'b64.wav', samples / 32768.0, kind='DOUBLE')
  write(data / 'yes' / 'bf.flac', samples)
  write(data / 'yes' / 'bs.wav', np.stack([samples, samples], axis=1))
  for row in rows_of(opened(data))[3:8]:
    np.testing.assert_array_equal(row, samples)


def test_channels_are_averaged(data):
  left, right = int16_noise(LENGTH, 8), int16_noise(LENGTH, 9)
  write(data / 'yes' / 'a.wav', np.stack([left, right], axis=1))
  expected = (left.astype(float) + right) / 2
  assert np.abs(rows_of(opened(data))[1] - expected).max() <= 0.5


def test_a_short_clip_is_filled_with_silence_and_a_long_one_cut(data):
  long = int16_noise(2 * LENGTH)
  write(data / 'yes' / 'a.wav', long[:100])
  write(data / 'yes' / 'b.wav', long)
  rows = rows_of(opened(data))
  np.testing.assert_array_equal(rows[1], np.pad(long[:100], (0, LENGTH - 100), 'constant'))
  np.testing.assert_array_equal(rows[2], long[:LENGTH])


def test_samples_beyond_full_scale_are_cut_to_it(data):
  write(data / 'yes' / 'a.wav', np.array([1.5, -1.5, 3e38, 1.0]), kind='FLOAT')
  assert rows_of(opened(data))[1][:4].tolist() == [32767, -32768, 32767, 32767]


# Bad clips.


def broken(path, data):
  path.write_bytes(data)


def cut_short(path):
  whole = path.read_bytes()
  path.write_bytes(whole[: len(whole) * 2 // 3])


BAD = {
  'b_cut.wav': (lambda p: cut_short(write(p, int16_noise(900))), 'is cut short'),
  'b_empty.wav': (lambda p: broken(p, b''), 'is empty'),
  'b_link.wav': (lambda p: p.symlink_to('nowhere'), 'cannot be read: No such file'),
  'b_nan.wav': (lambda p: write(p, [0, np.nan], kind='FLOAT'), 'holds samples that are no numbers'),
  'b_text.flac': (lambda p: broken(p, b'<html>404</html>' * 9), 'cannot be read'),
}


@pytest.mark.parametrize('name', BAD)
def test_a_bad_clip_is_named_or_left_out_with_what_is_wrong(data, name):
  make, reason = BAD[name]
  make(data / 'yes' / name)
  with pytest.raises(speech_data.DataError) as told:
    opened(data)
  assert '1 are not:\n' in str(told.value)
  assert f'yes/{name}: it {reason}' in str(told.value)
  assert '--on_bad_clip=skip' in str(told.value)
  lines = []
  store = opened(data, on_bad_clip='skip', lines=lines)
  assert store.bad_clips == [f'yes/{name}']
  assert f'left out 1 clips that cannot be read:\n  yes/{name}: it {reason}' in lines[-1]
  rows = rows_of(store)
  assert len(rows) == store.row_count == 4
  expected = [np.zeros(LENGTH)] + [int16_noise(LENGTH, seed) for seed in range(3)]
  np.testing.assert_array_equal(rows[store.splits['training'].rows], expected)


def test_bad_clips_are_counted_and_ten_of_them_named_also_from_a_cached_store(data):
  for number in range(12):
    broken(data / 'yes' / f'x{number:02}.wav', b'')
  for _ in range(2):
    lines = []
    store = opened(data, on_bad_clip='skip', lines=lines)
    assert len(store.bad_clips) == 12
    assert lines[-1].startswith('left out 12 clips')
    assert lines[-1].endswith('yes/x09.wav: it is empty\n  and 2 more')
  assert len(lines) == 1
  with pytest.raises(speech_data.DataError, match='12 are not'):
    opened(data)


def test_a_clip_that_was_repaired_is_read_again(data):
  broken(data / 'yes' / 'd.wav', b'')
  assert opened(data, on_bad_clip='skip').row_count == 4
  write(data / 'yes' / 'd.wav', int16_noise(LENGTH))
  assert opened(data).row_count == 5


def test_a_word_that_has_bad_clips_only_is_told_even_when_they_are_left_out(data):
  for path in (data / 'yes').iterdir():
    broken(path, b'')
  with pytest.raises(speech_data.DataError, match='no readable training clip is left for yes'):
    opened(data, on_bad_clip='skip')


# When decoding is done.


def test_a_store_is_made_once_and_reused_without_writing_anything(data, monkeypatch):
  lines = []
  first = opened(data, lines=lines)
  assert lines == [f'decoding 3 clips of {data} into {first.folder} (once)']
  monkeypatch.setattr(sound_file, 'read', None)
  monkeypatch.setattr(clip_store, 'claim', None)
  second = opened(data, lines=lines)
  assert len(lines) == 1
  assert second._replace(splits=None) == first._replace(splits=None)
  np.testing.assert_array_equal(second.splits['training'].rows, first.splits['training'].rows)


def test_other_labels_and_splits_of_the_same_clips_share_a_store(data):
  index = index_of(data)
  clips = index.clips
  first = opened(data, index)
  swapped = {'training': clips['training'], 'validation': [], 'testing': clips['validation']}
  second = opened(data, index._replace(clips=swapped))
  assert second.folder == first.folder
  assert len(second.splits['validation'].rows) == 0
  np.testing.assert_array_equal(second.splits['testing'].rows, first.splits['validation'].rows)


CHANGES = {
  'another content': lambda data: write(data / 'yes' / 'a.wav', int16_noise(LENGTH, 7)),
  'another length': lambda data: write(data / 'yes' / 'a.wav', int16_noise(LENGTH - 1)),
  'a new clip': lambda data: write(data / 'yes' / 'd.wav', int16_noise(LENGTH)),
  'a removed clip': lambda data: (data / 'yes' / 'a.wav').unlink(),
}


@pytest.mark.parametrize('change', CHANGES)
def test_a_store_is_made_anew_when_a_file_changes(data, change):
  before = opened(data)
  CHANGES[change](data)
  after = opened(data)
  assert after.folder != before.folder
  assert rows_of(after).tobytes() != rows_of(before).tobytes()


def test_a_store_is_made_anew_when_a_background_sound_changes(data):
  before = opened(data, noisy(data, 2 * LENGTH))
  after = opened(data, noisy(data, 3 * LENGTH))
  assert (before.noise_count, after.noise_count) == (1, 2)


def test_a_file_replaced_by_one_of_the_same_size_and_time_is_seen(data):
  before = opened(data)
  path = data / 'yes' / 'a.wav'
  times = path.stat().st_atime_ns, path.stat().st_mtime_ns
  write(path, int16_noise(LENGTH, 7))
  os.utime(str(path), ns=times)
  np.testing.assert_array_equal(rows_of(opened(data))[1], int16_noise(LENGTH, 7))
  np.testing.assert_array_equal(rows_of(before)[1], int16_noise(LENGTH, 0))


def test_another_rate_or_length_of_clips_has_a_store_of_its_own(data):
  shapes = (SHAPE, ClipShape(clip_ms=100), ClipShape(8000, 200), ClipShape(8000, 400))
  stores = [opened(data, shape=shape) for shape in shapes]
  assert len({store.folder for store in stores}) == 4
  assert opened(data, shape=SHAPE._replace(stride_ms=40)).folder == stores[0].folder
  for store in stores:
    assert rows_of(store).shape == (4, store.shape.samples)


DAMAGES = {
  'clips.int16': lambda path: os.truncate(str(path), 100),
  'noises.int16': lambda path: path.write_bytes(b'xx'),
  'store.json': lambda path: path.write_bytes(b''),
}


@pytest.mark.parametrize('name', DAMAGES)
@pytest.mark.parametrize('missing', [False, True])
def test_a_store_that_lost_something_is_made_again(data, name, missing):
  store = opened(data)
  expected = rows_of(store)
  path = pathlib.Path(store.folder) / name
  path.unlink() if missing else DAMAGES[name](path)
  again = opened(data)
  assert again.folder == store.folder
  np.testing.assert_array_equal(rows_of(again), expected)
  assert sorted(os.listdir(os.path.dirname(store.folder))) == [os.path.basename(store.folder)]


def start(data):
  return subprocess.Popen(
    [sys.executable, '-c', SLOW],
    cwd=str(data.parent),
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    universal_newlines=True,
  )


def test_a_killed_process_leaves_no_store_and_the_next_clears_up(data):
  process = start(data)
  while 'decoded' not in process.stdout.readline():
    assert process.poll() is None
  process.kill()
  process.communicate()
  cache = data.parent / 'cache'
  assert [path.name[0] for path in cache.iterdir()] == ['.']
  out, _ = start(data).communicate('\n')
  folder, row_count = out.splitlines()[-1].split()
  assert row_count == '4'
  assert 'decoding' in out
  assert [path.name for path in cache.iterdir()] == [os.path.basename(folder)]


def test_of_two_processes_one_decodes_and_the_other_waits(data):
  processes = [start(data) for _ in range(2)]
  for process in processes:
    process.stdin.write('\n')
    process.stdin.flush()
  ends = [process.communicate()[0] for process in processes]
  assert len({end.splitlines()[-1] for end in ends}) == 1
  assert ''.join(ends).count('decoding 3 clips') == 1
  assert len(list((data.parent / 'cache').iterdir())) == 1


def test_an_error_on_the_way_leaves_nothing(data, monkeypatch):
  def read(path, rate):
    raise KeyboardInterrupt

  monkeypatch.setattr(sound_file, 'read', read)
  with pytest.raises(KeyboardInterrupt):
    opened(data)
  assert os.listdir(str(data.parent / 'a cache' / 'ds_cnn')) == []


def test_a_cache_that_cannot_be_written_is_told_with_the_flag(data):
  (data.parent / 'a cache').write_bytes(b'')
  with pytest.raises(errors.InputError, match=r"a cache/ds_cnn': .* with --cache_path\."):
    opened(data)


# Background noise.


def noisy(data, *lengths):
  names = []
  for number, length in enumerate(lengths):
    names.append(f'{number}.wav')
    # No two samples of a sound are equal, so that a row tells where it is from.
    write(data / NOISE / names[-1], (np.arange(length) - 20000 + 1000 * number).astype(np.int16))
  return index_of(data, noises=names)


@pytest.mark.parametrize(
  'length', [2 * LENGTH, 2 * LENGTH + 1, 3 * LENGTH, 3 * LENGTH + 1234, 4 * LENGTH]
)
def test_any_stretch_of_a_sound_as_long_as_a_clip_lies_in_one_row(data, length):
  store = opened(data, noisy(data, length))
  rows = noise_rows(store)
  assert store.noise_count == len(rows)
  starts = rows[:, 0].astype(int) + 20000
  np.testing.assert_array_equal(rows, np.arange(2 * LENGTH) + starts[:, np.newaxis] - 20000)
  covered = {start + offset for start in starts for offset in range(LENGTH + 1)}
  assert covered == set(range(length - LENGTH + 1))
  # Half of each row is the row before: no more of them than it takes.
  assert len(rows) <= length // LENGTH


def test_rows_of_noise_come_from_every_sound_and_from_one_only(data):
  rows = noise_rows(opened(data, noisy(data, 3 * LENGTH, 2 * LENGTH)))
  assert rows[:, 0].tolist() == [-20000, -20000 + LENGTH, -19000]
  np.testing.assert_array_equal(np.diff(rows), 1)


def test_noise_that_is_too_short_is_told(data):
  with pytest.raises(
    speech_data.DataError, match=r'must last at least 400 ms; .*/1\.wav. lasts 399 ms'
  ):
    opened(data, noisy(data, 2 * LENGTH, 2 * LENGTH - 1))


def test_noise_that_cannot_be_read_is_told_and_never_left_out(data, monkeypatch):
  index = noisy(data, 2 * LENGTH)
  broken(data / NOISE / '0.wav', b'RIFFxxxx')
  with pytest.raises(speech_data.DataError, match=r"background sound '_background_noise_/0\.wav' "):
    opened(data, index, on_bad_clip='skip')
