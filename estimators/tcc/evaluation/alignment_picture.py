"""Clips side by side in step with a reference clip: an animated GIF, or a PNG of some moments.

A picture of a clip is uint8 [height, width, 3] with its number and frame above it. An order says
which frame of each clip is shown at each moment: int [clips, moments], the reference first.
"""

from __future__ import annotations

import math
import os
from typing import Any, Iterator, NamedTuple, Sequence

import numpy as np

from npu_adapter import errors, whole_file

ENDINGS = ('.gif', '.png')
# A GIF tells its time in hundredths of a second.
LEAST_INTERVAL_MS = 10
_MOST_TILE_PX = 128
_MOST_WIDTH_PX = 1280
_CAPTION_PX = 14
_GAP_PX = 4
_SHEET_MOMENTS = 8
_PAPER, _INK, _REFERENCE_INK = (255, 255, 255), (0, 0, 0), (200, 0, 0)


class Shown(NamedTuple):
  """A clip that is part of a picture."""

  number: int  # in its file
  frames: np.ndarray  # uint8 [frames, height, width, 3]
  order: np.ndarray  # int64 [moments]: which frame is shown when


def check_path(path: str) -> str:
  """Returns the name of a picture to write, or raises InputError where it has another ending."""
  if os.path.splitext(path)[1].lower() not in ENDINGS:
    raise errors.InputError(
      f'a picture of an alignment must end with {" or ".join(ENDINGS)}; got {path!r}.'
    )
  return path


def write_grid(path: str, clips: Sequence[Shown], interval_ms: int) -> None:
  """All clips at once, the reference first and in red. As PNG: a row a clip, a column a moment."""
  if path.lower().endswith('.png'):
    _save_png(path, _sheet(clips))
    return
  columns = math.ceil(math.sqrt(len(clips)))
  size = _tile_size(clips, columns)
  moments = range(len(clips[0].order))
  rows = [clips[start : start + columns] for start in range(0, len(clips), columns)]
  pictures = (
    _table([[_tile(clip, moment, size, clip is clips[0]) for clip in row] for row in rows])
    for moment in moments
  )
  _save_gif(path, pictures, interval_ms)


def write_turns(
  path: str, reference: Shown, candidates: Sequence[Shown], each: int, interval_ms: int
) -> None:
  """The reference, and beside it a candidate, the next one after `each` moments."""
  size = _tile_size([reference, *candidates], 2)
  moments = len(reference.order)
  turns = [candidates[moment // each % len(candidates)] for moment in range(moments)]
  pictures = (
    _table([[_tile(reference, moment, size, True), _tile(clip, moment, size)]])
    for moment, clip in enumerate(turns)
  )
  if path.lower().endswith('.png'):
    chosen = set(_moments(moments))
    kept = [picture for moment, picture in enumerate(pictures) if moment in chosen]
    _save_png(path, _table([kept]))
  else:
    _save_gif(path, pictures, interval_ms)


def _moments(count: int) -> list[int]:
  """Some moments from the first to the last."""
  return sorted(set(np.linspace(0, count - 1, min(count, _SHEET_MOMENTS)).round().astype(int)))


def _sheet(clips: Sequence[Shown]) -> Any:
  moments = _moments(len(clips[0].order))
  size = _tile_size(clips, len(moments))
  return _table(
    [[_tile(clip, moment, size, clip is clips[0]) for moment in moments] for clip in clips]
  )


def _tile_size(clips: Sequence[Shown], columns: int) -> tuple[int, int]:
  """Width and height of a frame: that of the reference, or less where the picture gets too wide."""
  height, width = clips[0].frames.shape[1:3]
  room = min(_MOST_TILE_PX, max(16, _MOST_WIDTH_PX // columns - _GAP_PX))
  scale = min(1, room / width)
  return max(1, round(width * scale)), max(1, round(height * scale))


def _tile(clip: Shown, moment: int, size: tuple[int, int], is_reference: bool = False) -> Any:
  from PIL import Image, ImageDraw

  frame = int(clip.order[moment])
  picture = Image.fromarray(clip.frames[frame]).resize(size, Image.BOX)
  tile = Image.new('RGB', (size[0], size[1] + _CAPTION_PX), _PAPER)
  tile.paste(picture, (0, _CAPTION_PX))
  ink = _REFERENCE_INK if is_reference else _INK
  ImageDraw.Draw(tile).text((1, 1), f'{clip.number}: {frame}', fill=ink)
  return tile


def _table(rows: Sequence[Sequence[Any]]) -> Any:
  """One picture of rows of pictures, all of one size."""
  from PIL import Image

  width, height = rows[0][0].size
  columns = max(len(row) for row in rows)
  size = (columns * (width + _GAP_PX) + _GAP_PX, len(rows) * (height + _GAP_PX) + _GAP_PX)
  table = Image.new('RGB', size, _PAPER)
  for row, tiles in enumerate(rows):
    for column, tile in enumerate(tiles):
      place = (_GAP_PX + column * (width + _GAP_PX), _GAP_PX + row * (height + _GAP_PX))
      table.paste(tile, place)
  return table


def _save_png(path: str, picture: Any) -> None:
  with whole_file.replacing(path) as partial:
    picture.save(partial, format='PNG')


def _save_gif(path: str, pictures: Iterator[Any], interval_ms: int) -> None:
  """Writes pictures one by one, each with 256 colours of its own; shown over and over."""
  from PIL import Image

  # As near to the colours as Pillow's own choice, which takes 70 times as long.
  frames = (picture.quantize(256, method=Image.FASTOCTREE) for picture in pictures)
  with whole_file.replacing(path) as partial:
    next(frames).save(
      partial, format='GIF', save_all=True, append_images=frames, duration=interval_ms, loop=0
    )
