"""The frames of a video file, or of a folder of pictures, as records hold them. No TensorFlow."""

from __future__ import annotations

import glob
import os
from typing import NamedTuple

import numpy as np

from npu_adapter import errors


class Form(NamedTuple):
  """What is done to each frame."""

  width: int | None = 224  # None leaves both sides as they are
  height: int | None = 224
  is_rotated: bool = False  # clockwise by 90 degrees, after it was resized


def check(form: Form) -> Form:
  """Returns `form`, or raises InputError for frames that cannot be made."""
  for name in ('width', 'height'):
    value = getattr(form, name)
    if value is not None and not 1 <= value <= 65500:  # the most that JPEG can say
      raise errors.InputError(f'{name} must be from 1 to 65500; got {value}.')
  return form


class Video(NamedTuple):
  """A video in memory."""

  frames: list[np.ndarray]  # uint8 [height, width, 3]
  times_s: list[float]  # when each is shown


def read_video(path: str, form: Form, fps: float = 0) -> Video:
  """Returns the frames of a video file; with `fps` above 0 every n-th, so that about so many stay.

  Like the published tool it takes whole steps: 30 frames a second for 20 are all 30.
  """
  import imageio_ffmpeg

  reader = imageio_ffmpeg.read_frames(path)
  try:
    facts = next(reader)
    step = _step(path, facts['fps'], fps)
    width, height = facts['size']
    kept = [
      _formed(np.frombuffer(frame, np.uint8).reshape(height, width, 3), form)
      for number, frame in enumerate(reader)
      if number % step == 0
    ]
  except (OSError, RuntimeError, StopIteration, ValueError) as error:
    if isinstance(error, errors.InputError):
      raise
    reason = (str(error).strip().splitlines() or ['it holds no video'])[-1]
    raise errors.InputError(f'every video must be readable; {path!r} is not: {reason}') from None
  finally:
    reader.close()
  if not kept:
    raise errors.InputError(f'every video must hold frames; {path!r} holds none.')
  return Video(kept, [number * step / facts['fps'] for number in range(len(kept))])


def _step(path: str, own_fps: float, fps: float) -> int:
  if fps > own_fps:
    raise errors.InputError(
      f'fps must be at most that of each video; got {fps:g}, and {path!r} has {own_fps:g}.'
    )
  return int(own_fps / fps) if fps else 1


def read_folder(path: str, extension: str, form: Form, fps: float) -> Video:
  """Returns the pictures in a folder, in the order of their names, `fps` of which make a second."""
  import PIL.Image

  pattern = os.path.join(glob.escape(path), f'*.{glob.escape(extension)}')
  names = sorted(glob.glob(pattern))
  if not names:
    raise errors.InputError(
      f'every video must be a folder with pictures *.{extension}; got {path!r}, which '
      f'{"has none" if os.path.isdir(path) else "is no folder"}.'
    )
  frames = []
  for name in names:
    try:
      with PIL.Image.open(name) as picture:
        frames.append(_formed(np.asarray(picture.convert('RGB')), form))
    except OSError as error:
      raise errors.InputError(f'every picture must be readable; {name!r} is not: {error}') from None
  if len({frame.shape for frame in frames}) > 1:
    raise errors.InputError(
      f'the pictures of a video must be of one size; those in {path!r} are not. Pass --resize.'
    )
  return Video(frames, [number / fps for number in range(len(frames))])


def _formed(pixels: np.ndarray, form: Form) -> np.ndarray:
  """Resizes and turns uint8 [height, width, 3]."""
  import PIL.Image

  if form.width is not None and pixels.shape[:2] != (form.height, form.width):
    picture = PIL.Image.fromarray(pixels)
    pixels = np.asarray(picture.resize((form.width, form.height), PIL.Image.BILINEAR))
  return np.ascontiguousarray(np.rot90(pixels, -1)) if form.is_rotated else pixels
