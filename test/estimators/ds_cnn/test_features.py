"""Fingerprints of whole batches, by FFT and by products, against the audio ops and NumPy."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from estimators.ds_cnn import clip_shape, features
from estimators.ds_cnn.clip_shape import ClipShape
from npu_adapter.runtime import tf1

# Windows of a power of two samples and of others; strides equal to half a window, longer than a
# window, and with no common divisor; all coefficients and one; one frame.
SHAPES = (
  ClipShape(),
  ClipShape(stride_ms=40),
  ClipShape(window_ms=30, stride_ms=10, coefficients=40),
  ClipShape(window_ms=32, stride_ms=16, coefficients=13),
  ClipShape(clip_ms=300, stride_ms=0.8125),
  ClipShape(clip_ms=500, window_ms=20, stride_ms=31.25, coefficients=1),
  ClipShape(clip_ms=60, window_ms=60, stride_ms=500),
  ClipShape(clip_ms=100, window_ms=3, stride_ms=1),
  ClipShape(8000),
  ClipShape(11025, 700, 40.1, 15.3),
  ClipShape(22050, 500),
  ClipShape(44100, 300),
  ClipShape(48000, 300, 25, 10, 12),
)


@pytest.fixture(autouse=True, scope='module')
def tf1_behaviour():
  tf1.enable()


# TensorFlow 1's FFT is not only slow: its rounding is three times that of the products.
FORMULATIONS = ['products'] if tf.__version__.startswith('1.') else ['fft', 'products']


@pytest.fixture(autouse=True, params=FORMULATIONS)
def formulation(request, monkeypatch):
  monkeypatch.setattr(features, '_HAS_FAST_FFT', request.param == 'fft')
  return request.param


def batch_fingerprints(clips, shape):
  with tf.Graph().as_default(), tf.Session() as session:
    return session.run(features.fingerprints(tf.constant(clips, tf.float32), shape))


def op_fingerprints(clips, shape):
  with tf.Graph().as_default(), tf.Session() as session:
    clip = tf.placeholder(tf.float32, [shape.samples, 1])
    fingerprint = features.audio_op_fingerprint(clip, shape)
    return np.concatenate([session.run(fingerprint, {clip: x[:, np.newaxis]}) for x in clips])


def sounds(shape):
  """Loud and quiet noise, tones and a chirp over a hiss, a click, a square wave, a step."""
  chance = np.random.RandomState(0)
  time_s = np.arange(shape.samples) / shape.sample_rate
  noise = chance.standard_normal([3, shape.samples])
  click = np.zeros(shape.samples)
  click[shape.samples // 2] = 1
  found = [
    np.clip(noise[0], -1, 1),
    1e-4 * noise[1],
    0.5 * np.sin(2 * np.pi * 440 * time_s) + 5e-3 * noise[2],
    0.2 * np.sin(2 * np.pi * 3333 * time_s) + 5e-3 * noise[2],
    0.3 * np.sin(2 * np.pi * (50 + 3000 * time_s) * time_s) + 5e-3 * noise[2],
    click,
    np.sign(np.sin(2 * np.pi * 310 * time_s)),
    0.2 * (time_s > time_s.mean()) + 5e-3 * noise[2],
  ]
  return np.array(found, np.float32)


@pytest.mark.parametrize('shape', SHAPES)
def test_a_batch_gives_what_the_audio_ops_give(shape):
  clip_shape.check(shape)
  clips = sounds(shape)
  found = batch_fingerprints(clips, shape)
  assert found.shape == (len(clips), shape.fingerprint_size)
  assert found.dtype == np.float32
  np.testing.assert_allclose(found, op_fingerprints(clips, shape), rtol=0, atol=1e-4)


def test_beside_a_tone_without_any_noise_both_are_equal_to_a_tenth():
  # Rounding decides about a band without sound: the same float32 products, summed in other orders
  # as other processors do, are 0.003 to 0.08 off here.
  time_s = np.arange(16000) / 16000
  clips = [
    np.round(9000 * np.sin(2 * np.pi * hz * time_s)) / 32768 for hz in (100, 440, 1000, 3900)
  ]
  clips = np.array(clips, np.float32)
  found, expected = (f(clips, ClipShape()) for f in (batch_fingerprints, op_fingerprints))
  np.testing.assert_allclose(found, expected, rtol=0, atol=0.1)


@pytest.mark.parametrize('shape', SHAPES)
def test_digital_silence_lies_on_the_floor_of_the_logarithm(shape):
  clips = np.zeros([2, shape.samples], np.float32)
  found = batch_fingerprints(clips, shape).reshape([-1, shape.coefficients])
  floor = 40 * np.sqrt(2 / 40) * np.log(1e-12)
  assert round(floor, 1) == -247.1
  np.testing.assert_allclose(found[:, 0], floor, atol=1e-4)
  np.testing.assert_allclose(found[:, 1:], 0, atol=1e-4)
  np.testing.assert_allclose(found.reshape([2, -1]), op_fingerprints(clips, shape), atol=1e-4)


def mel(hz):
  return 1127 * np.log(1 + hz / 700)


def mfcc_of_frame(frame, rate, coefficients):
  """The published definition in float64, band after band."""
  count = len(frame)
  fft_length = 2 ** int(np.ceil(np.log2(count)))
  hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(count) / count)
  magnitude = np.abs(np.fft.rfft(frame * hann, fft_length))
  bin_hz = rate / fft_length
  first, last = int(1.5 + 20 / bin_hz), int(4000 / bin_hz)
  edges = mel(20) + (mel(4000) - mel(20)) / 41 * np.arange(42)
  bands = np.zeros(40)
  for band in range(40):
    low, centre, high = edges[band : band + 3]
    for number in range(first, last + 1):
      at = mel(number * bin_hz)
      weight = min((at - low) / (centre - low), (high - at) / (high - centre))
      bands[band] += max(0, weight) * magnitude[number]
  logs = np.log(np.maximum(bands, 1e-12))
  angles = [np.pi / 40 * order * (np.arange(40) + 0.5) for order in range(coefficients)]
  return np.array([np.sqrt(2 / 40) * np.sum(logs * np.cos(angle)) for angle in angles])


@pytest.mark.parametrize(
  'shape', [ClipShape(clip_ms=200), ClipShape(8000, 200, 32, 12, 40), ClipShape(44100, 200, 40, 7)]
)
def test_every_frame_is_the_mfcc_of_its_samples_one_frame_after_the_other(shape):
  clips = 0.3 * np.random.RandomState(1).uniform(-1, 1, [2, shape.samples])
  found = batch_fingerprints(clips, shape)
  found = found.reshape([2, shape.frames, shape.coefficients])
  for clip, frames in zip(clips, found):
    for number, frame in enumerate(frames):
      start = number * shape.stride_samples
      expected = mfcc_of_frame(
        clip[start : start + shape.window_samples], shape.sample_rate, shape.coefficients
      )
      np.testing.assert_allclose(frame, expected, rtol=0, atol=1e-4)


def test_a_batch_may_be_of_any_size():
  with tf.Graph().as_default(), tf.Session() as session:
    clips = tf.placeholder(tf.float32, [None, 16000])
    found = features.fingerprints(clips, ClipShape())
    assert found.shape.as_list() == [None, 490]
    for count in (1, 3):
      assert session.run(found, {clips: np.zeros([count, 16000])}).shape == (count, 490)


def test_each_formulation_is_really_the_one_that_was_asked_for(formulation):
  with tf.Graph().as_default() as graph:
    features.fingerprints(tf.zeros([2, 16000]), ClipShape())
    assert any(op.type == 'RFFT' for op in graph.get_operations()) == (formulation == 'fft')
