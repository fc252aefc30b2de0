"""Raw pixels in the place of embeddings: what a net has to be better than. No TensorFlow."""

from __future__ import annotations

from typing import Sequence

import numpy as np

from estimators.tcc.evaluation.clips import Clip
from npu_adapter import errors

# How much of red, green and blue the eye takes for brightness (Rec. 601).
_BRIGHTNESS = np.array([0.299, 0.587, 0.114], np.float32)


def pixel_clips(
  clips: Sequence[Clip], frames: Sequence[np.ndarray], side: int = 16, is_gray: bool = True
) -> list[Clip]:
  """The same clips with the pixels of their frames, uint8 [frames, height, width, 3] of each."""
  if len(frames) != len(clips):
    raise errors.InputError(
      f'there must be frames for each of the {len(clips)} clips; got those of {len(frames)}.'
    )
  return [
    clip._replace(embeddings=raw_pixels(pictures, side, is_gray))
    for clip, pictures in zip(clips, frames)
  ]


def raw_pixels(frames: np.ndarray, side: int = 16, is_gray: bool = True) -> np.ndarray:
  """Float32 [frames, side * side], or three times as many with colours, from 0 to 1.

  A pixel is the mean of the area of uint8 [frames, height, width, 3] that it covers.
  """
  if np.ndim(frames) != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
    raise errors.InputError(
      f'frames must be uint8 [frames, height, width, 3]; got {list(np.shape(frames))}.'
    )
  rows, columns = _area_means(frames.shape[1], side), _area_means(frames.shape[2], side)
  found = np.empty([len(frames), side, side, 1 if is_gray else 3], np.float32)
  # One by one: as float32 a clip would take four times the memory of its bytes.
  for place, frame in enumerate(frames):
    shown = frame.astype(np.float32) / 255
    shown = shown @ _BRIGHTNESS[:, None] if is_gray else shown
    found[place] = np.tensordot(rows, np.tensordot(columns, shown, (1, 1)), (1, 1))
  return found.reshape(len(frames), -1)


def _area_means(pixels: int, side: int) -> np.ndarray:
  """Float32 [side, pixels]: the share that each of `pixels` has in each of `side` equal parts."""
  edges = np.arange(side + 1) * (pixels / side)
  place = np.arange(pixels)
  upper = np.minimum(edges[1:, None], place + 1)
  lower = np.maximum(edges[:-1, None], place)
  return (np.maximum(upper - lower, 0) / (pixels / side)).astype(np.float32)
