"""What a network hears in windows that slide over a long sound; each frame is computed once."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from estimators.ds_cnn import clip_shape, features
from estimators.ds_cnn.deployment import trained_network
from npu_adapter import progress

# Windows in a session.run: at most some 40 MB of frames, and little to gain above.
_BATCH = 256


def probabilities(
  trained: trained_network.Trained, samples: np.ndarray, stride_samples: int
) -> np.ndarray:
  """Returns float32 [windows, labels]; window k begins at sample k * stride_samples.

  A window is as long as a clip and never reaches beyond the sound: to a network, sound that breaks
  off into nothing may be a word. A sound shorter than a clip is put in the middle of one.
  """
  shape = trained.settings.shape
  lacking = max(0, shape.samples - len(samples))
  samples = np.pad(samples, (lacking // 2, lacking - lacking // 2), 'constant')
  count = 1 + (len(samples) - shape.samples) // stride_samples
  with tf.Graph().as_default() as graph:
    frames = tf.placeholder(tf.float32, [None, shape.window_samples])
    places = tf.placeholder(tf.int32, [None, shape.frames])
    scores = trained_network.probabilities(_fingerprints(frames, places, shape), trained.settings)
  found = []
  with tf.Session(graph=graph) as session:
    trained_network.restore(session, trained)
    for first in progress.shown(range(0, count, _BATCH), f'times {_BATCH} windows'):
      windows = np.arange(first, min(first + _BATCH, count))
      cut, where = _frames(samples, windows * stride_samples, shape)
      found.append(session.run(scores, {frames: cut, places: where}))
  return np.concatenate(found)


def _fingerprints(frames: Any, places: Any, shape: clip_shape.ClipShape) -> Any:
  """Frames [count, window], places [windows, frames] -> [windows, frames * coefficients]."""
  one_frame = shape._replace(clip_ms=shape.window_ms)
  coefficients = features.fingerprints(frames, one_frame)  # [count, coefficients]
  return tf.reshape(tf.gather(coefficients, places), [-1, shape.fingerprint_size])


def _frames(
  samples: np.ndarray, starts: np.ndarray, shape: clip_shape.ClipShape
) -> tuple[np.ndarray, np.ndarray]:
  """Returns each frame of the windows once, and which of them each window is made of."""
  begins = starts[:, np.newaxis] + shape.stride_samples * np.arange(shape.frames)
  once, where = np.unique(begins.ravel(), return_inverse=True)
  cut = samples[once[:, np.newaxis] + np.arange(shape.window_samples)]
  return cut, where.reshape(begins.shape).astype(np.int32)
