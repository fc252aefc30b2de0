"""Shuffle and Learn: a classifier tells from three embeddings whether their frames are in order.

Misra, Zitnick and Hebert, arXiv 1603.08561.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from estimators.tcc.algorithms import batch_of_clips, classifier_head, cross_entropy
from estimators.tcc.algorithms.algorithm_options import FRAMES_OF_A_TRIPLET, ShuffleAndLearn
from estimators.tcc.algorithms.batch_of_clips import Clips
from estimators.tcc.algorithms.draws import Draws

SCOPE = 'sal'


class Triplets(NamedTuple):
  """Three frames of a clip, in order (or exactly backwards) or not."""

  clips: Any  # int32 [triplets]
  frames: Any  # int32 [triplets, 3]
  are_shuffled: Any  # int32 [triplets], 0 or 1


def loss(
  clips: Clips, options: ShuffleAndLearn, draws: Draws, is_training: bool
) -> tuple[Any, dict[str, Any]]:
  """The classifier's cross entropy, and the share of triplets that it tells rightly."""
  batch, frames, size = batch_of_clips.shape_of(clips)
  triplets = draw_triplets(batch, frames, options, draws)
  seen = batch_of_clips.frames_at(clips.embeddings, triplets.clips[:, None], triplets.frames)
  with tf.variable_scope(SCOPE):
    logits = classifier_head.classify(
      tf.reshape(seen, [-1, 3 * size]), options.fc_layers, options.dropout_rate, is_training
    )
  rows = cross_entropy.of_rows(logits, triplets.are_shuffled, options.label_smoothing)
  right = cross_entropy.are_right(logits, triplets.are_shuffled)
  return tf.reduce_mean(rows), {'sal_accuracy': tf.reduce_mean(right)}


def draw_triplets(batch: int, frames: int, options: ShuffleAndLearn, draws: Draws) -> Triplets:
  """Draws frames a..e of a clip, in order or backwards, for each triplet.

  In order is b, c, d; shuffled is b, a, d or b, e, d. Exactly the asked share is shuffled, rounded
  down. The original tosses one coin a step for the direction of all; here each triplet has its own.
  """
  count = batch * options.num_samples
  chosen = draws.distinct('sal/frames', frames, FRAMES_OF_A_TRIPLET, count)
  backwards = tf.nn.top_k(chosen, FRAMES_OF_A_TRIPLET).values
  in_order = tf.reverse(backwards, [1])
  five = tf.where(draws.coins('sal/direction', count), backwards, in_order)
  a, b, c, d, e = tf.unstack(five, axis=1)
  ranks = draws.distinct('sal/shuffled', count, count, 1)[0]
  are_shuffled = ranks < int(options.shuffle_fraction * count)
  middle = tf.where(are_shuffled, tf.where(draws.coins('sal/outside', count), a, e), c)
  numbers = tf.constant(np.arange(count, dtype=np.int32) % batch)
  return Triplets(numbers, tf.stack([b, middle, d], axis=1), tf.cast(are_shuffled, tf.int32))
