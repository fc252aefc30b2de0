"""Embeddings of every frame of clips, by a checkpoint."""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence

import numpy as np

from estimators.tcc import input_pipeline
from estimators.tcc.dataset import record_index
from estimators.tcc.evaluation.clips import Clip


class Pieces(NamedTuple):
  """How clips go through the network."""

  frames_per_batch: int = 25
  stride: int = 1  # every how manieth frame


def embed(
  estimator: Any,
  records: Sequence[record_index.Record],
  frames: input_pipeline.Frames,
  pieces: Pieces,
  checkpoint: str | None = None,
) -> list[Clip]:
  """Returns the clips in their order; by the last checkpoint where none is named."""
  input_fn = input_pipeline.every_frame_input_fn(
    records, frames, pieces.frames_per_batch, pieces.stride
  )
  parts: list[tuple[Any, Any]] = []
  lengths = [-(-record.frames // pieces.stride) for record in records]
  for found in estimator.predict(input_fn, checkpoint_path=checkpoint):
    is_shown = found['weight'] > 0
    parts.append((found['embeddings'][is_shown], found['frame_labels'][is_shown]))
  embeddings, labels = (np.concatenate(each) for each in zip(*parts))
  ends = np.cumsum(lengths)[:-1]
  return [
    Clip(record.name, embedded, label)
    for record, embedded, label in zip(
      records, np.split(embeddings, ends), np.split(labels, ends)
    )
  ]  # fmt: skip


def pictures(record: record_index.Record, stride: int = 1) -> np.ndarray:
  """The frames of a clip, uint8 [frames, height, width, 3]."""
  from estimators.tcc.dataset import clip_records

  jpegs = record_index.read_clip(record).frames[::stride]
  return np.stack([clip_records.decode_frame(jpeg) for jpeg in jpegs])
