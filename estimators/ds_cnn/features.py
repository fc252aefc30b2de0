"""Audio samples to MFCC fingerprints, twice: for whole batches, and as TensorFlow's audio ops."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from estimators.ds_cnn import clip_shape

_MEL_BANDS = 40
_LOWEST_HZ, _HIGHEST_HZ = 20.0, 4000.0
_FLOOR = 1e-12
# Raise it when the numbers of a fingerprint change: cached ones are then computed anew.
FORMAT = 1


# An FFT in a training pipeline: TensorFlow 2's takes half the time of the matrix products, that of
# TensorFlow 1 thirty times as long.
_HAS_FAST_FFT = not tf.__version__.startswith('1.')


def fingerprints(samples: Any, shape: clip_shape.ClipShape) -> Any:
  """Maps samples float32 [batch, samples] in [-1, 1] to float32 [batch, frames * coefficients].

  What `audio_op_fingerprint` gives, to the rounding of float32, in a fraction of its time. The op
  computes in float64: the two differ in bands that are 10^5 times weaker than the frame, as beside
  a pure tone without any noise.
  """
  bins = _bins(shape)
  magnitudes = _by_fft if _HAS_FAST_FFT else _by_products
  magnitude = magnitudes(samples, shape, bins)  # [batch * frames, bins]
  mel = tf.matmul(magnitude, _mel_bands(bins * _bin_hz(shape)).astype(np.float32))
  log_mel = tf.log(tf.maximum(mel, _FLOOR))
  coefficients = tf.matmul(log_mel, _dct(shape.coefficients).astype(np.float32))
  return tf.reshape(coefficients, [-1, shape.fingerprint_size])


def audio_op_fingerprint(samples: Any, shape: clip_shape.ClipShape) -> Any:
  """Maps samples float32 [samples, 1] of one clip to float32 [1, frames * coefficients]."""
  spectrogram = tf.raw_ops.AudioSpectrogram(
    input=samples,
    window_size=shape.window_samples,
    stride=shape.stride_samples,
    magnitude_squared=True,
  )
  mfcc = tf.raw_ops.Mfcc(
    spectrogram=spectrogram,
    sample_rate=shape.sample_rate,
    lower_frequency_limit=_LOWEST_HZ,
    upper_frequency_limit=_HIGHEST_HZ,
    filterbank_channel_count=_MEL_BANDS,
    dct_coefficient_count=shape.coefficients,
  )
  return tf.reshape(mfcc, [1, shape.fingerprint_size])


def _fft_length(shape: clip_shape.ClipShape) -> int:
  return 1 << (shape.window_samples - 1).bit_length()


def _bin_hz(shape: clip_shape.ClipShape) -> float:
  return shape.sample_rate / _fft_length(shape)


def _bins(shape: clip_shape.ClipShape) -> np.ndarray:
  """Numbers of the frequencies that the mel bands take in."""
  bin_hz = _bin_hz(shape)
  first, last = int(1.5 + _LOWEST_HZ / bin_hz), int(_HIGHEST_HZ / bin_hz)
  return np.arange(first, min(last, _fft_length(shape) // 2) + 1)


def _by_fft(samples: Any, shape: clip_shape.ClipShape, bins: np.ndarray) -> Any:
  """The magnitudes float32 [batch * frames, bins] of the frames, windowed."""
  window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(shape.window_samples) / shape.window_samples)
  frames = _frame(samples, shape.window_samples, shape.stride_samples) * window.astype(np.float32)
  spectrum = tf.signal.rfft(frames, [_fft_length(shape)])[:, bins[0] : bins[-1] + 1]
  # tf.abs takes twice as long.
  return tf.sqrt(tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum)))


def _by_products(samples: Any, shape: clip_shape.ClipShape, bins: np.ndarray) -> Any:
  """The same as products with the cosines and sines of the bins alone.

  The window is symmetric, so both halves of a frame meet before the product: half the work.
  """
  half = shape.window_samples // 2
  offset = np.arange(half)
  window = 0.5 + 0.5 * np.cos(np.pi * offset / half)
  # The middle sample is in both halves, so each half carries one half of it.
  window[0] /= 2
  angle = 2 * np.pi * np.outer(offset, bins) / _fft_length(shape)  # [window / 2, bins]
  later, earlier = _half_frames(samples, shape)
  real = tf.matmul(later + earlier, (np.cos(angle) * window[:, np.newaxis]).astype(np.float32))
  imaginary = tf.matmul(later - earlier, (np.sin(angle) * window[:, np.newaxis]).astype(np.float32))
  return tf.sqrt(tf.square(real) + tf.square(imaginary))


def _half_frames(samples: Any, shape: clip_shape.ClipShape) -> tuple[Any, Any]:
  """Each frame's second half, and its first half read backwards from the middle sample.

  Both are [batch * frames, window / 2]. The middle sample stands in both, the frame's first sample
  in neither: the window is zero there.
  """
  half, stride, frames = shape.window_samples // 2, shape.stride_samples, shape.frames
  reach = (frames - 1) * stride + half
  later = _frame(samples[:, half : half + reach], half, stride)
  earlier = _frame(samples[:, 1 : 1 + reach], half, stride)
  return later, tf.reverse(earlier, [1])


def _frame(samples: Any, length: int, stride: int) -> Any:
  if length == stride:
    whole = samples.shape.as_list()[1] // length * length
    return tf.reshape(samples[:, :whole], [-1, length])
  return tf.reshape(tf.signal.frame(samples, length, stride), [-1, length])


def _mel(hz: Any) -> Any:
  return 1127.0 * np.log1p(np.asarray(hz) / 700.0)


def _mel_bands(bin_hz: np.ndarray) -> np.ndarray:
  """Triangles over the bins [bins, mel bands]: a bin is shared by the two bands it lies between."""
  lowest, highest = _mel(_LOWEST_HZ), _mel(_HIGHEST_HZ)
  edges = np.linspace(lowest, highest, _MEL_BANDS + 2)
  mel = _mel(bin_hz)
  above = np.clip(np.searchsorted(edges, mel, side='left'), 1, _MEL_BANDS + 1)
  to_lower = (edges[above] - mel) / (edges[above] - edges[above - 1])
  weights = np.zeros((len(bin_hz), _MEL_BANDS + 2))
  rows = np.arange(len(bin_hz))
  weights[rows, above - 1] = to_lower
  weights[rows, above] = 1 - to_lower
  return weights[:, 1:-1]


def _dct(coefficients: int) -> np.ndarray:
  """Cosines [mel bands, coefficients], all of one scale, as TensorFlow's op has them."""
  band, order = np.arange(_MEL_BANDS) + 0.5, np.arange(coefficients)
  return np.sqrt(2.0 / _MEL_BANDS) * np.cos(np.pi / _MEL_BANDS * np.outer(band, order))
