"""A clip as evaluation sees it: an embedding and a phase for each of its frames. No TensorFlow."""

from __future__ import annotations

from typing import NamedTuple, Sequence

import numpy as np

from npu_adapter import errors


class Clip(NamedTuple):
  """What is known of a video, frame by frame."""

  name: str
  embeddings: np.ndarray  # float32 [frames, size]
  labels: np.ndarray  # int [frames]: the phase, from 0; -1 where there is none


def check(clips: Sequence[Clip], split: str, least: int = 1) -> None:
  """Raises InputError where the clips of a split ('training', ...) cannot be evaluated."""
  if len(clips) < least:
    raise errors.InputError(
      f'the {split} split must have at least {least} clip{"s" if least > 1 else ""}; got '
      f'{len(clips)}. Add clips, or leave this task out.'
    )
  for clip in clips:
    _check_clip(clip, split, clips[0])


def check_splits(training: Sequence[Clip], validation: Sequence[Clip], least: int = 1) -> None:
  """The same for two splits that are to be compared."""
  check(training, 'training', least)
  check(validation, 'validation', least)
  sizes = [clips[0].embeddings.shape[1] for clips in (training, validation)]
  if sizes[0] != sizes[1]:
    raise errors.InputError(
      f'both splits must have embeddings of one size; got {sizes[0]} for training and {sizes[1]} '
      'for validation. Extract both with the same checkpoint.'
    )


def _check_clip(clip: Clip, split: str, first: Clip) -> None:
  shape, labels = np.shape(clip.embeddings), np.asarray(clip.labels)
  problem = None
  if len(shape) != 2 or 0 in shape:
    problem = f'must have embeddings [frames, size] of at least one frame; got {list(shape)}'
  elif shape[1] != first.embeddings.shape[1]:
    problem = f'must have embeddings as long as {first.name!r}, {first.embeddings.shape[1]}; ' + (
      f'got {shape[1]}'
    )
  elif labels.shape != shape[:1]:
    problem = f'must have a label for each of its {shape[0]} frames; got {list(labels.shape)}'
  elif not np.issubdtype(labels.dtype, np.integer) or labels.min() < -1:
    problem = 'must have whole numbers as labels, -1 where a frame has none; got ' + (
      f'{labels.dtype} from {labels.min()}'
    )
  elif not np.isfinite(clip.embeddings).all():
    problem = 'must have finite embeddings; got NaN or infinity: has the training diverged?'
  if problem:
    raise errors.InputError(f'clip {clip.name!r} of the {split} split {problem}.')


def phases_of(clips: Sequence[Clip]) -> int:
  """How many phases the labels tell apart: one more than the last."""
  return 1 + max(int(np.max(clip.labels)) for clip in clips)


def labelled_frames(clips: Sequence[Clip], split: str) -> tuple[np.ndarray, np.ndarray]:
  """Embeddings float32 [frames, size] and phases int [frames] of all frames that have a label."""
  labels = np.concatenate([clip.labels for clip in clips])
  if (labels < 0).all():
    raise errors.InputError(
      f'the {split} split must have labelled frames; got {len(labels)} frames, none of them with a '
      'label. Write frame labels into the records, or leave this task out.'
    )
  embeddings = np.concatenate([clip.embeddings for clip in clips])
  return embeddings[labels >= 0], labels[labels >= 0]
