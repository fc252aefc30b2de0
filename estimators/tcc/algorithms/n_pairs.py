"""Time-contrastive networks: frames shortly after one another are alike, all others are not.

Sermanet et al., arXiv 1704.06888, with the n-pairs loss of Sohn (NIPS 2016).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from estimators.tcc.algorithms import batch_of_clips, cross_entropy
from estimators.tcc.algorithms.algorithm_options import TimeContrastive
from estimators.tcc.algorithms.batch_of_clips import Clips
from estimators.tcc.algorithms.draws import Draws


def loss(
  clips: Clips, options: TimeContrastive, draws: Draws, is_training: bool
) -> tuple[Any, dict[str, Any]]:
  """The mean over clips, and the share of frames that are most like their own partner.

  As in the original the first frame of a pair, the input's positive, looks for the second among the
  second ones of its clip.
  """
  batch, frames, _ = batch_of_clips.shape_of(clips)
  first, second = clips.embeddings[:, 0::2], clips.embeddings[:, 1::2]
  logits = tf.reshape(tf.matmul(first, second, transpose_b=True), [-1, frames // 2])
  labels = tf.constant(np.tile(np.arange(frames // 2, dtype=np.int32), batch))
  rows = cross_entropy.of_rows(logits, labels, 0.0)
  found = tf.reduce_mean(rows) + options.reg_lambda * _quarter_of_squares(first, second)
  right = cross_entropy.are_right(logits, labels)
  return found, {'tcn_accuracy': tf.reduce_mean(right)}


def _quarter_of_squares(first: Any, second: Any) -> Any:
  """A quarter of the mean squared length of the first and of the second frames."""
  squares = [tf.reduce_mean(tf.reduce_sum(tf.square(x), axis=-1)) for x in (first, second)]
  return 0.25 * (squares[0] + squares[1])
