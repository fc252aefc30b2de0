"""The sizes of a clip and of its fingerprint."""

import pytest

from estimators.ds_cnn import clip_shape
from estimators.ds_cnn.clip_shape import ClipShape
from npu_adapter import errors


def test_a_clip_is_by_default_a_second_cut_into_49_frames_of_10_numbers():
  shape = clip_shape.check(ClipShape())
  assert (shape.samples, shape.window_samples, shape.stride_samples) == (16000, 640, 320)
  assert (shape.frames, shape.fingerprint_size) == (49, 490)


@pytest.mark.parametrize(
  ('shape', 'frames'),
  [
    (ClipShape(stride_ms=40), 25),
    (ClipShape(window_ms=30, stride_ms=10), 98),
    (ClipShape(window_ms=1000), 1),
    (ClipShape(stride_ms=961), 1),
    (ClipShape(stride_ms=960), 2),
    (ClipShape(44100, 500, 40, 7.5), 62),
    (ClipShape(8000, 0.25, 0.25, 0.125, 40), 1),
  ],
)
def test_frames_are_as_many_as_fit(shape, frames):
  assert clip_shape.check(shape) is shape
  ends = range(shape.window_samples, shape.samples + 1, shape.stride_samples)
  assert shape.frames == len(ends) == frames
  assert shape.fingerprint_size == frames * shape.coefficients


def test_a_duration_that_is_no_whole_number_of_samples_is_cut():
  assert ClipShape(11025).in_samples(40) == 441
  assert ClipShape(11025).in_samples(30) == 330


NAN, INFINITE = float('nan'), float('inf')


@pytest.mark.parametrize(
  ('shape', 'words'),
  [
    (ClipShape(7999), r'sample_rate must be at least 8000 Hz; got 7999\.'),
    (ClipShape(clip_ms=NAN), r'clip_duration_ms must be a number of milliseconds; got nan'),
    (ClipShape(window_ms=INFINITE), r'window_size_ms must be a number .* got inf'),
    (ClipShape(stride_ms=NAN), r'window_stride_ms must be a number .* got nan'),
    (ClipShape(stride_ms=0), r'window_stride_ms must be at least one sample; got 0 ms'),
    (ClipShape(stride_ms=-20), r'window_stride_ms must be at least one sample; got -20 ms'),
    (ClipShape(stride_ms=0.06), r'window_stride_ms must be at least one sample; got 0\.06 ms'),
    (
      ClipShape(window_ms=1001),
      r'window_size_ms .* at most clip_duration_ms \(1000 ms\); got 1001',
    ),
    (ClipShape(window_ms=0), r'window_size_ms must be at least two samples .* got 0 ms'),
    (ClipShape(clip_ms=-1), r'at most clip_duration_ms \(-1 ms\); got 40 ms'),
    (ClipShape(11025, window_ms=25), r'even number of samples; 25 ms at 11025 Hz are 275\.'),
    (ClipShape(coefficients=0), r'dct_coefficient_count must be from 1 to 40; got 0\.'),
    (ClipShape(coefficients=41), r'dct_coefficient_count must be from 1 to 40; got 41\.'),
  ],
)
def test_a_shape_without_a_fingerprint_is_told(shape, words):
  with pytest.raises(errors.InputError, match=words):
    clip_shape.check(shape)
