"""What an algorithm is given of a batch: the embeddings of its clips, and where they are from."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from npu_adapter import errors


class Clips(NamedTuple):
  """A batch. With positives, `frames` is twice the chosen: positive, anchor, positive, anchor."""

  embeddings: Any  # float32 [batch, frames, size]
  steps: Any  # int32 [batch, frames], numbers of the frames in their videos
  lengths: Any  # int32 [batch], frames of the videos
  frame_labels: Any = None  # int32 [batch, frames], -1 where there are none


def shape_of(clips: Clips) -> tuple[int, int, int]:
  """(clips, frames, size of an embedding) of a batch, known when the graph is built."""
  shape = clips.embeddings.shape.as_list()
  if None in shape:
    raise errors.InputError(
      f'embeddings must have a known shape [batch, frames, size]; got {shape}. Give batches one '
      'size: batch(..., drop_remainder=True).'
    )
  batch, frames, size = shape
  return batch, frames, size


def frames_at(embeddings: Any, clip_numbers: Any, frame_numbers: Any) -> Any:
  """The embeddings of frames: [batch, frames, size] at int32 [...] each -> [..., size]."""
  _, frames, size = embeddings.shape.as_list()
  return tf.gather(tf.reshape(embeddings, [-1, size]), clip_numbers * frames + frame_numbers)
