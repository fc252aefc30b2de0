"""Supervised training: a linear classifier of the embeddings learns the labels of the frames."""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as tf

from estimators.tcc.algorithms import batch_of_clips, classifier_head, cross_entropy
from estimators.tcc.algorithms.algorithm_options import Classification
from estimators.tcc.algorithms.batch_of_clips import Clips
from estimators.tcc.algorithms.draws import Draws

SCOPE = 'classification'


def loss(
  clips: Clips, options: Classification, draws: Draws, is_training: bool
) -> tuple[Any, dict[str, Any]]:
  """Cross entropy and accuracy over the frames that have a label; both 0 where none has."""
  size = batch_of_clips.shape_of(clips)[2]
  labels = tf.reshape(clips.frame_labels, [-1])
  counts = tf.cast(labels >= 0, tf.float32)
  labels = tf.maximum(labels, 0)
  with tf.variable_scope(SCOPE):
    logits = classifier_head.classify(
      tf.reshape(clips.embeddings, [-1, size]), [(options.num_classes, False)],
      options.dropout_rate, is_training,
    )  # fmt: skip
  rows = cross_entropy.of_rows(logits, labels, options.label_smoothing)
  right = cross_entropy.are_right(logits, labels)
  return _mean(rows, counts), {'classification_accuracy': _mean(right, counts)}


def _mean(rows: Any, counts: Any) -> Any:
  return tf.div_no_nan(tf.reduce_sum(rows * counts), tf.reduce_sum(counts))
