"""How far from its start a frame came back: the losses of temporal cycle-consistency."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from estimators.tcc.algorithms import cross_entropy
from estimators.tcc.algorithms.algorithm_options import Alignment

# The square of a ten-thousandth: of a video of 300 frames, 0.03 frames, less than any match is
# sure. Below it the variance could vanish in float32, and with it the logarithm and its gradient.
LEAST_VARIANCE = 1e-8


class Matches(NamedTuple):
  """Frames that went to other clips and came back, a row each."""

  logits: Any  # float32 [rows, frames], similarity to the frames of the clip it started in
  labels: Any  # int32 [rows], the frame it started at
  clips: Any  # int32 [rows], the clip it started in


class _Return(NamedTuple):
  """When frames started, and the distribution of when they came back; float32 [rows] each."""

  start: Any
  mean: Any
  variance: Any


def loss(matches: Matches, steps: Any, lengths: Any, options: Alignment) -> Any:
  """The mean over all rows; steps int32 [batch, frames], lengths int32 [batch]."""
  if options.loss_type == 'classification':
    rows = cross_entropy.of_rows(matches.logits, matches.labels, options.label_smoothing)
  else:
    times = _times(steps, lengths, options.normalize_indices)
    rows = _REGRESSIONS[options.loss_type](_returned(matches, times), options)
  return tf.reduce_mean(rows)


def _times(steps: Any, lengths: Any, are_shares: bool) -> Any:
  """Frame numbers, or which share of the video is over; float32 [batch, frames]."""
  times = tf.cast(steps, tf.float32)
  return times / tf.cast(lengths, tf.float32)[:, None] if are_shares else times


def _returned(matches: Matches, times: Any) -> _Return:
  times = tf.gather(times, matches.clips)  # [rows, frames]
  chances = tf.nn.softmax(matches.logits)
  is_start = tf.one_hot(matches.labels, matches.logits.shape.as_list()[-1])
  mean = tf.reduce_sum(times * chances, axis=1)
  variance = tf.reduce_sum(tf.square(times - mean[:, None]) * chances, axis=1)
  return _Return(tf.reduce_sum(times * is_start, axis=1), mean, variance)


def _mse(returned: _Return, options: Alignment) -> Any:
  return tf.square(returned.start - returned.mean)


def _mse_var(returned: _Return, options: Alignment) -> Any:
  """Squared errors in units of the variance, and the log-variance: unsure frames count less."""
  variance = tf.maximum(returned.variance, LEAST_VARIANCE)
  return _mse(returned, options) / variance + options.variance_lambda * tf.math.log(variance)


def _huber(returned: _Return, options: Alignment) -> Any:
  error = tf.abs(returned.start - returned.mean)
  small = tf.minimum(error, options.huber_delta)
  return 0.5 * tf.square(small) + options.huber_delta * (error - small)


_REGRESSIONS = {'regression_mse': _mse, 'regression_mse_var': _mse_var, 'regression_huber': _huber}
