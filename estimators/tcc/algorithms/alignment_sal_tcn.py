"""Temporal cycle-consistency, Shuffle and Learn and time-contrastive networks in one loss."""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as tf

from estimators.tcc.algorithms import alignment, batch_of_clips, n_pairs, shuffle_and_learn
from estimators.tcc.algorithms.algorithm_options import AlignmentSalTcn
from estimators.tcc.algorithms.batch_of_clips import Clips
from estimators.tcc.algorithms.draws import Draws


def loss(
  clips: Clips, options: AlignmentSalTcn, draws: Draws, is_training: bool
) -> tuple[Any, dict[str, Any]]:
  """The weighted sum, each of its losses, and what these tell; one of weight 0 is left out."""
  half = draw_halves(clips, draws)
  parts = (
    ('alignment', options.alignment_loss_weight, alignment.loss, half, options.alignment),
    ('sal', options.sal_loss_weight, shuffle_and_learn.loss, half, options.sal),
    ('tcn', options.tcn_loss_weight, n_pairs.loss, clips, options.tcn),
  )
  weighted, metrics = [], {}
  for name, weight, loss_of, given, own in parts:
    if weight:
      part, told = loss_of(given, own, draws, is_training)
      weighted.append(weight * part)
      metrics.update(told, **{f'{name}_loss': part})
  return tf.add_n(weighted), metrics


def draw_halves(clips: Clips, draws: Draws) -> Clips:
  """Each clip's anchors or its positives, whichever a coin says.

  So does the original: both are frames of the clip in order, and cycles see more of them.
  """
  batch = batch_of_clips.shape_of(clips)[0]
  are_anchors = draws.coins('alignment_sal_tcn/half', batch)

  def half_of(each: Any) -> Any:
    return None if each is None else tf.where(are_anchors, each[:, 1::2], each[:, 0::2])

  return Clips(
    half_of(clips.embeddings), half_of(clips.steps), clips.lengths, half_of(clips.frame_labels)
  )
