"""Reading one sound file: rates and forms, and what is said of a bad one."""

import sys

import numpy as np
import pytest
import soundfile

from estimators.ds_cnn.dataset import sound_file
from npu_adapter import errors

RATE = 16000


def write(path, samples, rate=RATE, kind='PCM_16'):
  soundfile.write(str(path), samples, rate, kind)
  return path


def int16_noise(count):
  return np.random.RandomState(0).randint(-32768, 32768, count).astype(np.int16)


def tone(seconds, rate, hz=440, level=0.5):
  return level * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)


def read(path):
  return sound_file.read(str(path), RATE)


@pytest.mark.parametrize('kind', ['FLOAT', 'PCM_16'])
@pytest.mark.parametrize('rate', [8000, 22050, 44100, 48000])
def test_another_rate_is_resampled(tmp_path, rate, kind):
  path = write(tmp_path / 'a.wav', tone(1, rate), rate, kind)
  found = read(path)
  assert len(found) == RATE
  inner = slice(800, -800)
  np.testing.assert_allclose(found[inner], tone(1, RATE)[inner], atol=2e-3)


def test_what_a_lower_rate_cannot_hold_is_not_heard(tmp_path):
  path = write(tmp_path / 'a.wav', tone(1, 44100, hz=15000), 44100, 'FLOAT')
  assert np.abs(read(path)[800:-800]).max() < 1e-3


def test_a_long_sound_is_read_to_its_end(tmp_path):
  samples = int16_noise(200000)
  found = read(write(tmp_path / 'a.flac', samples))
  np.testing.assert_array_equal(found * 32768, samples)


def test_samples_beyond_full_scale_are_cut_to_it_before_channels_are_averaged(tmp_path):
  samples = np.array([[3e38, 3e38], [-9, -9], [2, -1], [0.5, 0]])
  found = read(write(tmp_path / 'a.wav', samples, kind='FLOAT'))
  assert found.dtype == np.float32
  assert found.tolist() == [1, -1, 0, 0.25]


@pytest.mark.parametrize('length', [0x7FFFF000, 0xFFFFFFFF])
def test_a_clip_written_into_a_pipe_has_no_length_and_is_read(tmp_path, length):
  path = write(tmp_path / 'a.wav', int16_noise(100))
  data = bytearray(path.read_bytes())
  for at, told in ((4, min(length + 36, 0xFFFFFFFF)), (40, length)):
    data[at : at + 4] = told.to_bytes(4, 'little')
  path.write_bytes(bytes(data))
  np.testing.assert_array_equal(read(path) * 32768, int16_noise(100))


def test_a_padding_byte_that_was_counted_and_not_written_does_not_matter(tmp_path):
  path = write(tmp_path / 'a.wav', int16_noise(100))
  data = bytearray(path.read_bytes())
  data[4:8] = (len(data) - 8 + 1).to_bytes(4, 'little')
  path.write_bytes(bytes(data))
  assert len(read(path)) == 100


# Bad files.


def broken(path, data):
  path.write_bytes(data)


def cut_short(path):
  whole = path.read_bytes()
  path.write_bytes(whole[: len(whole) * 2 // 3])


def damaged_header(path):
  """A flac that says it has as many samples as its header can say."""
  data = bytearray(write(path, int16_noise(900)).read_bytes())
  data[21] |= 0x0F
  data[22:26] = b'\xff' * 4
  path.write_bytes(bytes(data))


BAD = {
  'cut.wav': (
    lambda p: cut_short(write(p, int16_noise(900))),
    'is cut short: it should have 1844',
  ),
  'cut.flac': (lambda p: cut_short(write(p, int16_noise(9000))), 'cannot be read'),
  'empty.wav': (lambda p: broken(p, b''), 'is empty'),
  'folder.wav': (lambda p: p.mkdir(), 'cannot be read: Is a directory'),
  'head.wav': (lambda p: broken(p, b'RIFF'), 'is cut short'),
  'infinite.wav': (
    lambda p: write(p, [0, np.inf], kind='FLOAT'),
    'holds samples that are no num',
  ),
  'length.flac': (damaged_header, 'cannot be read'),
  'link.wav': (lambda p: p.symlink_to('nowhere'), 'cannot be read: No such file'),
  'nan.wav': (lambda p: write(p, [0, np.nan], kind='FLOAT'), 'holds samples that are no numbers'),
  'none.wav': (lambda p: write(p, np.zeros(0)), 'holds no samples'),
  'rate.wav': (lambda p: write(p, np.zeros(9), 10), 'has 10 samples a second'),
  'text.wav': (lambda p: broken(p, b'<html>404</html>' * 9), 'cannot be read'),
}


@pytest.mark.parametrize('name', BAD)
def test_what_is_wrong_with_a_bad_file_is_said(tmp_path, name):
  make, words = BAD[name]
  make(tmp_path / name)
  with pytest.raises(sound_file.BadSound) as told:
    read(tmp_path / name)
  assert str(told.value).startswith(words)


@pytest.mark.parametrize('package', ['soundfile', 'soxr'])
def test_a_missing_package_is_told_with_how_to_install_it(tmp_path, monkeypatch, package):
  path = write(tmp_path / 'a.wav', int16_noise(100), 8000)
  monkeypatch.setitem(sys.modules, package, None)
  with pytest.raises(errors.InputError, match=rf'needs the package {package}; .*pip install'):
    read(path)
