"""What happens to a training clip: shift, background noise, full scale."""

import importlib.util
import pathlib

import numpy as np
import pytest

from estimators.ds_cnn.input_pipeline import Augmentation
from npu_adapter.runtime import tf1

_spec = importlib.util.spec_from_file_location(
  'small_store', str(pathlib.Path(__file__).with_name('small_store.py'))
)
small_store = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(small_store)

LENGTH = small_store.LENGTH
NOTHING = Augmentation(background_volume=0, background_frequency=0, time_shift_ms=0, seed=3)
SHIFT_ONLY = NOTHING._replace(time_shift_ms=25)
MARGIN = 400
NOISE_ONLY = NOTHING._replace(background_volume=0.1, background_frequency=0.8)


@pytest.fixture(autouse=True, scope='module')
def tf1_behaviour():
  tf1.enable()


@pytest.fixture
def store(tmp_path):
  """Seven clips of noise and three rows of background noise."""
  return small_store.make(tmp_path, small_store.noise_of(7), small_store.noise_of(3, 2 * LENGTH, 1))


@pytest.mark.parametrize('augmentation', [SHIFT_ONLY, NOISE_ONLY._replace(background_frequency=1)])
def test_every_clip_of_every_step_has_its_own_shift_and_noise_by_the_seed(store, augmentation):
  rows = np.full(6, 3)
  first, other, again = (
    small_store.samples_of(store, augmentation._replace(seed=seed), rows, steps=3)
    for seed in (3, 4, 3)
  )
  np.testing.assert_array_equal(first, again)
  # Of 36 shifts out of 800 a few may be equal by chance.
  assert len({clip.tobytes() for clip in np.concatenate([first, other])}) > 30


def test_without_shift_and_noise_the_samples_are_those_of_the_file(store):
  expected = np.concatenate([np.zeros([1, LENGTH]), small_store.noise_of(7)]) / 32768
  np.testing.assert_array_equal(small_store.samples_of(store, NOTHING, np.arange(8)), expected)


def test_a_clip_is_shifted_both_ways_within_the_bounds_and_filled_with_zeros(tmp_path):
  clip = small_store.noise_of(1)
  store = small_store.make(tmp_path, clip)
  shifts = []
  for samples in small_store.samples_of(store, SHIFT_ONLY, np.ones(500, np.int32), steps=2):
    shift = find_shift(samples * 32768, clip[0])
    expected = np.zeros(LENGTH)
    kept = LENGTH - abs(shift)
    expected[max(0, shift) :][:kept] = clip[0, max(0, -shift) :][:kept]
    np.testing.assert_array_equal(samples * 32768, expected)
    shifts.append(shift)
  assert -MARGIN <= min(shifts) < -0.98 * MARGIN
  assert MARGIN >= max(shifts) > 0.98 * MARGIN
  # As in a uniform distribution; each bound is four standard deviations wide.
  assert abs(np.mean(shifts)) < 4 * MARGIN / np.sqrt(3 * 1000)
  assert abs(np.mean(np.abs(shifts)) / MARGIN - 0.5) < 4 * 0.29 / np.sqrt(1000)
  assert len(set(shifts)) > 500


def find_shift(samples, clip):
  """How many samples later than in `clip` its middle stands in `samples`."""
  middle = clip[MARGIN:-MARGIN]
  windows = np.lib.stride_tricks.as_strided(
    samples, [2 * MARGIN + 1, len(middle)], 2 * samples.strides
  )
  found = np.flatnonzero((windows == middle).all(axis=1))
  assert len(found) == 1
  return int(found[0]) - MARGIN


def test_a_shift_of_one_millisecond_moves_by_samples(tmp_path):
  click = np.zeros([1, LENGTH])
  click[0, 800] = 30000
  samples = small_store.samples_of(
    small_store.make(tmp_path, click), SHIFT_ONLY._replace(time_shift_ms=1), np.ones(400, np.int32)
  )
  assert (np.count_nonzero(samples, axis=1) == 1).all()
  places = set(samples.argmax(axis=1) - 800)
  assert places <= set(range(-16, 17))
  assert len(places) >= 32


def test_clips_of_silence_have_no_foreground(store):
  labels = np.array([0, 1, 0, 2])
  samples = small_store.samples_of(store, SHIFT_ONLY, np.array([1, 1, 2, 2]), labels)
  assert (samples.any(axis=1) == (labels != 0)).all()


def constant(value, rows, length):
  return np.full([rows, length], value)


def test_noise_is_heard_as_often_and_as_loudly_as_asked_also_in_silence(tmp_path):
  store = small_store.make(tmp_path, constant(0, 2, LENGTH), constant(16384, 3, 2 * LENGTH))
  labels = np.arange(1000) % 2
  samples = small_store.samples_of(store, NOISE_ONLY, 1 + labels, labels, steps=4)
  assert (samples.min(axis=1) == samples.max(axis=1)).all()
  volume = 2 * samples[:, 0]
  for of_label in (volume[0::2], volume[1::2]):
    heard = of_label[of_label > 0]
    # Four standard deviations.
    assert abs(len(heard) / 2000 - 0.8) < 4 * 0.4 / np.sqrt(2000)
    assert 0.099 < heard.max() <= 0.1
    assert heard.min() < 0.001
    assert abs(heard.mean() - 0.05) < 4 * 0.1 / np.sqrt(12 * 1600)


@pytest.mark.parametrize(('frequency', 'share'), [(0, 0), (1, 1)])
def test_noise_may_be_heard_never_or_always(tmp_path, frequency, share):
  store = small_store.make(tmp_path, constant(0, 1, LENGTH), constant(-32768, 1, 2 * LENGTH))
  augmentation = NOISE_ONLY._replace(background_frequency=frequency)
  samples = small_store.samples_of(store, augmentation, np.ones(1000, np.int32))
  assert abs(np.mean(samples[:, 0] < 0) - share) < 0.002


def test_noise_comes_from_every_row_at_every_offset_and_is_added(tmp_path):
  clip = small_store.noise_of(1)
  noises = np.arange(2 * LENGTH) + 4000 * np.arange(1, 5)[:, np.newaxis]
  store = small_store.make(tmp_path, clip, noises)
  augmentation = NOISE_ONLY._replace(background_volume=1, background_frequency=1)
  samples = small_store.samples_of(store, augmentation, np.ones(1000, np.int32))
  background = samples * 32768 - clip
  # A row is a ramp: its steepness is the volume, and divided by that it tells where it begins.
  volume = (background[:, -1] - background[:, 0]) / (LENGTH - 1)
  loud = volume > 0.2
  start = np.round(background[loud, 0] / volume[loud]).astype(int)
  row, offset = start // 4000 - 1, start % 4000
  assert set(row) == {0, 1, 2, 3}
  assert 0 <= offset.min() < 0.02 * LENGTH
  assert 0.98 * LENGTH < offset.max() <= LENGTH
  np.testing.assert_allclose(
    background[loud],
    volume[loud, np.newaxis] * (start[:, np.newaxis] + np.arange(LENGTH)),
    atol=0.1,
  )


def test_the_sum_is_cut_to_full_scale(tmp_path):
  clips = np.concatenate([constant(32767, 1, LENGTH), constant(-32768, 1, LENGTH)])
  noises = np.concatenate([constant(32767, 1, 2 * LENGTH), constant(-32768, 1, 2 * LENGTH)])
  store = small_store.make(tmp_path, clips, noises)
  augmentation = NOISE_ONLY._replace(background_volume=1)
  samples = small_store.samples_of(store, augmentation, np.repeat([1, 2], 100))
  assert samples.max() == 1
  assert samples.min() == -1


def test_a_store_without_noise_trains(tmp_path):
  store = small_store.make(tmp_path, small_store.noise_of(4))
  samples = small_store.samples_of(store, NOISE_ONLY, np.arange(1, 5))
  np.testing.assert_array_equal(samples, small_store.noise_of(4) / 32768)
