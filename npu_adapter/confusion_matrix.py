"""confusion_matrix: a metric for EstimatorSpec(eval_metric_ops=...)."""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as tf


def confusion_matrix(labels: Any, guesses: Any, weights: Any, classes: int) -> tuple[Any, Any]:
  """A metric: int32 [classes, classes], how many of the row's label were taken for the column's.

  labels, guesses: int32 [batch]; weights: float32 [batch], whole numbers.
  """
  total = tf.get_variable(
    'confusion_matrix', [classes, classes], tf.int32, tf.zeros_initializer(), trainable=False,
    collections=[tf.GraphKeys.LOCAL_VARIABLES, tf.GraphKeys.METRIC_VARIABLES],
  )  # fmt: skip
  cells = tf.stack([labels, guesses], axis=1)  # [batch, 2]
  batch = tf.scatter_nd(cells, tf.cast(weights, tf.int32), [classes, classes])
  return tf.identity(total), tf.assign_add(total, batch)
