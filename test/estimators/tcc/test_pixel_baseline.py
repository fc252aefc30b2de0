"""Raw pixels as embeddings: area means in plain loops, sizes, the tasks run on them."""

import numpy as np
import pytest

from estimators.tcc.evaluation import pixel_baseline, tasks
from estimators.tcc.evaluation.clips import Clip
from npu_adapter import errors


def frames_of(number, frames=4, height=12, width=18):
  shape = [frames, height, width, 3]
  return np.random.RandomState(number).randint(0, 256, shape).astype(np.uint8)


def test_a_pixel_is_the_mean_of_the_area_it_covers():
  frames = frames_of(0)
  found = pixel_baseline.raw_pixels(frames, 6, is_gray=False).reshape(4, 6, 6, 3)
  assert found.dtype == np.float32
  for frame in range(4):
    for row in range(6):
      for column in range(6):
        area = frames[frame, 2 * row : 2 * row + 2, 3 * column : 3 * column + 3]
        mean = area.astype(float).mean(axis=(0, 1)) / 255
        assert found[frame, row, column] == pytest.approx(mean, abs=1e-6)


@pytest.mark.parametrize('side', [1, 5, 7, 30])
def test_areas_that_cut_pixels_weigh_them_by_what_they_cover(side):
  """Against frames in which every pixel is `side` times `side` equal ones."""
  frames = frames_of(1)
  fine = np.repeat(np.repeat(frames, side, axis=1), side, axis=2)
  found = pixel_baseline.raw_pixels(frames, side)
  np.testing.assert_allclose(found, pixel_baseline.raw_pixels(fine, side), atol=1e-5)
  height, width = fine.shape[1] // side, fine.shape[2] // side
  corner = fine[0, :height, :width].reshape(-1, 3).mean(axis=0) / 255
  assert found[0, 0] == pytest.approx(corner @ [0.299, 0.587, 0.114], abs=1e-5)


def test_white_is_1_and_black_is_0():
  for is_gray in (True, False):
    white = pixel_baseline.raw_pixels(np.full([1, 9, 9, 3], 255, np.uint8), 4, is_gray)
    np.testing.assert_allclose(white, np.ones([1, 16 if is_gray else 48]), atol=1e-5)
    assert not pixel_baseline.raw_pixels(np.zeros([1, 9, 9, 3], np.uint8), 4, is_gray).any()


def test_clips_keep_all_but_their_embeddings_and_can_be_judged():
  """A square that crosses the picture: even pixels tell its place."""
  clips, frames = [], []
  for number, count in enumerate((20, 25, 30, 35)):
    pictures = np.zeros([count, 40, 40, 3], np.uint8)
    for place in range(count):
      left = round(30 * place / (count - 1))
      pictures[place, 15:25, left : left + 10] = 255
    labels = np.arange(count) * 3 // count
    clips.append(Clip(f'{number}', np.zeros([count, 2], np.float32), labels))
    frames.append(pictures)
  found = pixel_baseline.pixel_clips(clips, frames)
  assert [clip.name for clip in found] == ['0', '1', '2', '3']
  assert all(one.labels is other.labels for one, other in zip(found, clips))
  assert found[3].embeddings.shape == (35, 256)
  scores = tasks.evaluate(
    list(tasks.TASKS), found[:2], found[2:], tasks.EvaluationOptions(kendalls_tau_stride=2)
  )
  assert scores['kendalls_tau']['val_kendalls_tau'] > 0.95
  assert scores['classification']['val_accuracy'] > 0.8


@pytest.mark.parametrize('shape', [(0, 9, 9, 3), (2, 9, 9), (2, 9, 9, 1)])
def test_what_is_no_picture_is_refused(shape):
  with pytest.raises(errors.InputError, match=r'frames must be uint8 \[frames, .*; got'):
    pixel_baseline.raw_pixels(np.zeros(shape, np.uint8))


def test_clips_without_frames_are_refused():
  clip = Clip('a', np.zeros([4, 2], np.float32), np.zeros(4, int))
  with pytest.raises(errors.InputError, match='frames for each of the 2 clips; got those of 1'):
    pixel_baseline.pixel_clips([clip, clip], [frames_of(0)])
