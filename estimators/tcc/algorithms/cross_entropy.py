"""Cross entropy with smoothed labels, and the share of answers that are right."""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as tf


def of_rows(logits: Any, labels: Any, smoothing: float) -> Any:
  """float32 [rows] of logits [rows, classes] and labels int32 [rows].

  Of the label's probability the share `smoothing` goes to all classes alike.
  """
  sharp = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
  if not smoothing:
    return sharp
  even = -tf.reduce_mean(tf.nn.log_softmax(logits), axis=-1)
  return (1 - smoothing) * sharp + smoothing * even


def are_right(logits: Any, labels: Any) -> Any:
  """float32 [rows]: 1 where the largest of logits [rows, classes] is the label's, 0 elsewhere."""
  return tf.cast(tf.equal(tf.argmax(logits, -1, output_type=tf.int32), labels), tf.float32)
