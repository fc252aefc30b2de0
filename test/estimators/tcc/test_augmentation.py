"""What a training clip goes through: one decision for all its frames, within the limits given."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from estimators.tcc.dataset import augmentation
from npu_adapter import errors

NONE = augmentation.NONE
FRAMES = np.random.RandomState(0).uniform(0.3, 0.7, (3, 6, 8, 3)).astype(np.float32)


def changed(options, count, frames=FRAMES, seed=0):
  """What becomes of the same frames as the clips 0, 1, ... of a training."""
  with tf.Graph().as_default(), tf.Session() as session:
    number = tf.placeholder(tf.int64, [])
    decisions = augmentation.Decisions(options, tf.stack([np.int64(seed), number]))
    found = decisions.moved(tf.constant(frames))
    found = decisions.coloured(found) if frames.dtype == np.float32 else found
    return [session.run(found, {number: clip}) for clip in range(count)]


def test_nothing_changes_when_all_is_off():
  for found in changed(NONE, 3):
    np.testing.assert_array_equal(found, FRAMES)


def test_the_published_ones_are_on():
  assert augmentation.Augmentation() == augmentation.Augmentation(
    random_flip=True, random_crop=False, crop_min_scale=0.8, brightness=True,
    brightness_max_delta=32 / 255, contrast=True, contrast_lower=0.5, contrast_upper=1.5,
    hue=False, hue_max_delta=0.2, saturation=False, saturation_lower=0.5, saturation_upper=1.5,
  )  # fmt: skip


def test_half_of_the_clips_are_flipped_left_to_right_as_a_whole():
  flips = 0
  for found in changed(NONE._replace(random_flip=True), 60):
    is_flipped = not np.array_equal(found, FRAMES)
    np.testing.assert_array_equal(found, FRAMES[:, :, ::-1] if is_flipped else FRAMES)
    flips += is_flipped
  assert 15 < flips < 45


def test_brightness_moves_all_pixels_of_a_clip_alike_within_its_limits():
  deltas = []
  for found in changed(NONE._replace(brightness=True, brightness_max_delta=0.2), 60):
    delta = found - FRAMES
    np.testing.assert_allclose(delta, delta.flat[0], atol=1e-6)
    deltas.append(delta.flat[0])
  assert -0.2 <= min(deltas) < -0.15
  assert 0.15 < max(deltas) <= 0.2


def test_contrast_stretches_around_the_mean_of_each_channel_of_a_frame():
  factors = []
  options = NONE._replace(contrast=True, contrast_lower=0.5, contrast_upper=1.2)
  mean = FRAMES.mean(axis=(1, 2), keepdims=True)
  for found in changed(options, 60):
    factor = (found - mean) / (FRAMES - mean)
    np.testing.assert_allclose(factor, np.median(factor), rtol=1e-2)
    factors.append(np.median(factor))
  assert 0.5 <= min(factors) < 0.57
  assert 1.13 < max(factors) <= 1.2


@pytest.mark.parametrize('name', ['hue', 'saturation'])
def test_hue_and_saturation_change_colours_and_leave_grey(name):
  grey = np.full((2, 4, 4, 3), 0.4, np.float32)
  options = NONE._replace(**{name: True})
  for found in changed(options, 3, grey):
    np.testing.assert_allclose(found, grey, atol=1e-6)
  first, second = changed(options, 2)
  assert np.abs(first - FRAMES).max() > 0.01
  assert np.abs(first - second).max() > 0.01
  if name == 'hue':
    # It turns colours: the strongest and the weakest of the three channels stay as strong.
    np.testing.assert_allclose(first.max(-1), FRAMES.max(-1), atol=1e-5)
    np.testing.assert_allclose(first.min(-1), FRAMES.min(-1), atol=1e-5)


def test_what_leaves_the_range_is_clipped():
  options = NONE._replace(brightness=True, brightness_max_delta=1.0)
  found = np.stack(changed(options, 20))
  assert found.min() == 0.0
  assert found.max() == 1.0


def places(height, width):
  """Frames whose pixels tell where they were: row, column, frame."""
  grid = np.stack(np.meshgrid(range(height), range(width), range(3), indexing='ij'), -1)
  return np.moveaxis(grid, 2, 0).astype(np.uint8)


def test_a_random_crop_is_one_square_of_all_frames_anywhere():
  options = NONE._replace(random_crop=True, crop_min_scale=0.5)
  tops, lefts, sides = set(), set(), set()
  for found in changed(options, 300, places(10, 14)):
    side = found.shape[1]
    assert found.shape == (3, side, side, 3)
    top, left, _ = found[0, 0, 0]
    expected = places(10, 14)[:, top : top + side, left : left + side]
    np.testing.assert_array_equal(found, expected)
    tops.add(top)
    lefts.add(left)
    sides.add(side)
  assert sides == {5, 6, 7, 8, 9, 10}
  assert tops >= set(range(5))
  assert lefts >= set(range(9))


def test_the_middle_square_is_cut_out_for_evaluation():
  with tf.Graph().as_default(), tf.Session() as session:
    found = session.run(augmentation.central_square(tf.constant(places(10, 14))))
    high = session.run(augmentation.central_square(tf.constant(places(9, 4))))
  np.testing.assert_array_equal(found, places(10, 14)[:, :, 2:12])
  np.testing.assert_array_equal(high, places(9, 4)[:, 2:6])


def test_decisions_are_a_function_of_seed_and_number():
  everything = augmentation.Augmentation(hue=True, saturation=True)
  first = np.stack(changed(everything, 4, seed=1))
  np.testing.assert_array_equal(np.stack(changed(everything, 4, seed=1)), first)
  other = np.stack(changed(everything, 4, seed=2))
  assert (np.abs(other - first).reshape(4, -1).max(axis=1) > 0.01).all()


def test_switching_one_on_leaves_the_others_as_they_were():
  brighter = NONE._replace(brightness=True)
  for plain, flipped in zip(changed(brighter, 6), changed(brighter._replace(random_flip=True), 6)):
    assert plain.mean() == pytest.approx(flipped.mean(), abs=1e-6)


@pytest.mark.parametrize(
  'options, message',
  [
    ({'crop_min_scale': 0.0}, 'crop_min_scale must be from 0.01 to 1; got 0.0'),
    ({'brightness_max_delta': -0.1}, 'brightness_max_delta must be from 0 to 1'),
    ({'hue_max_delta': 0.6}, 'hue_max_delta must be from 0 to 0.5; got 0.6'),
    ({'contrast_lower': 2.0}, 'contrast_lower must be from 0 to 1.5; got 2.0'),
    ({'saturation_lower': -1}, 'saturation_lower must be from 0'),
    ({'brightness_max_delta': float('nan')}, 'brightness_max_delta must be'),
  ],
)
def test_what_cannot_be_done_to_a_picture_is_told(options, message):
  assert augmentation.check(augmentation.Augmentation()) == augmentation.Augmentation()
  with pytest.raises(errors.InputError, match=message):
    augmentation.check(augmentation.Augmentation(**options))
