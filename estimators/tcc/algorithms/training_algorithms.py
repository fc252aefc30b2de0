"""The loss of each training algorithm by its name."""

from __future__ import annotations

from typing import Any

from estimators.tcc.algorithms import (
  algorithm_options,
  alignment,
  alignment_sal_tcn,
  batch_of_clips,
  draws,
  frame_classifier,
  n_pairs,
  shuffle_and_learn,
)

_LOSSES = {
  'alignment': alignment.loss,
  'sal': shuffle_and_learn.loss,
  'tcn': n_pairs.loss,
  'classification': frame_classifier.loss,
  'alignment_sal_tcn': alignment_sal_tcn.loss,
}


def loss(
  name: str, embeddings: Any, steps: Any, lengths: Any, frame_labels: Any, options: Any,
  is_training: bool, seed: int,
) -> tuple[Any, dict[str, Any]]:  # fmt: skip
  """Returns the loss of a batch, a scalar, and {name: scalar} of what else is worth watching.

  embeddings: float32 [batch, frames, size], steps: int32 [batch, frames], lengths: int32 [batch],
  frame_labels: int32 [batch, frames], which only classification reads. Where the algorithm needs
  positives, frames are positive, anchor, positive, anchor. options: of the algorithm's type in
  algorithm_options. What is drawn depends on the seed and the global step in training, on nothing
  in evaluation.
  """
  batch = batch_of_clips.Clips(embeddings, steps, lengths, frame_labels)
  count, frames, _ = batch_of_clips.shape_of(batch)
  chosen = frames // 2 if algorithm_options.named(name).needs_positives else frames
  algorithm_options.check(name, options, count, chosen)
  return _LOSSES[name](batch, options, draws.of_step(is_training, seed), is_training)
