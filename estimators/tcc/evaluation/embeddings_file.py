"""The file that extract_embeddings writes: the embeddings of a split and what they are of.

As .npy it is the published layout: a pickled dict of lists with an entry for each video.
  embs        float32 [frames, size]
  names       bytes
  steps       int64 [frames]: the place of each frame in its video
  seq_lens    int64: frames of the video
  seq_labels  int64: label of the whole video, -1 where there is none
  labels      int64 [frames]: phase, -1 where there is none; left out where no frame has one
  frames      the pictures, uint8 [frames, height, width, 3]; left out unless they are kept
As .npz it needs no pickle: the same names, names as text, and what is said of frames with all
clips joined into one array, in which embs_lens int64 [clips] tells where a clip ends.
A file is read by what is in it, not by its name. A pickle may hold any program: of one, nothing but
NumPy's own arrays and plain values is ever loaded (pickled_arrays.py), so files of others are safe.
"""

from __future__ import annotations

import os
import zipfile
from typing import Any, NamedTuple, Sequence

import numpy as np

from estimators.tcc.evaluation import clips as clip_lists
from estimators.tcc.evaluation import pickled_arrays
from estimators.tcc.evaluation.clips import Clip
from npu_adapter import errors, whole_file

ENDINGS = ('.npy', '.npz')
_NPZ_START, _NPY_START = b'PK\x03\x04', b'\x93NUMPY'
# What there is for every frame, and in an .npz is joined.
_OF_FRAMES = ('embs', 'steps', 'labels', 'frames')


class Extracted(NamedTuple):
  """The embeddings of a split, with what was kept beside them."""

  clips: list[Clip]
  steps: list[np.ndarray]  # int64 [frames] of each clip: the places of its frames in the video
  lengths: list[int]  # frames of each video
  video_labels: list[int]  # label of each whole video, -1 where there is none
  frames: list[np.ndarray] | None = None  # uint8 [frames, height, width, 3] of each clip


def of_clips(clips: Sequence[Clip], frames: Sequence[np.ndarray] | None = None) -> Extracted:
  """Clips whose embeddings are of every frame of their videos."""
  lengths = [len(clip.embeddings) for clip in clips]
  steps = [np.arange(length) for length in lengths]
  kept = None if frames is None else list(frames)
  return Extracted(list(clips), steps, lengths, [-1] * len(clips), kept)


def check_path(path: str) -> str:
  """Returns the name of a file to write, or raises InputError where it has no known ending."""
  if os.path.splitext(path)[1] not in ENDINGS:
    raise errors.InputError(
      f'a file of embeddings must end with {" or ".join(ENDINGS)}; got {path!r}.'
    )
  return path


def save(path: str, extracted: Extracted) -> None:
  """Writes .npy (the published layout) or .npz (no pickle), told by the ending."""
  check_path(path)
  values = _values(_checked(extracted))
  with whole_file.replacing(path) as partial, open(partial, 'wb') as file:
    if path.endswith('.npz'):
      np.savez(file, **_joined(values))
    else:
      np.save(file, np.array(values, dtype=object), allow_pickle=True)


def load(path: str) -> Extracted:
  """Reads what `save` writes, or the original; an InputError for what is no such file."""
  try:
    return _checked(_extracted(_read(path)))
  except errors.InputError as error:
    raise errors.InputError(f'{path!r} cannot be used: {error}') from None
  except FileNotFoundError:
    raise errors.InputError(
      f'there must be a file of embeddings; got {path!r}. extract_embeddings.py writes one.'
    ) from None
  # Of a damaged file NumPy, pickle and zipfile raise nearly everything, SystemError included.
  except Exception as error:
    raise errors.InputError(
      f'a file of embeddings must be what extract_embeddings.py writes, in full; {path!r} is not: '
      f'{str(error) or type(error).__name__}. Extract it again.'
    ) from error


def _read(path: str) -> dict[str, Any]:
  """The lists that are in a file."""
  with open(path, 'rb') as file:
    start = file.read(len(_NPY_START))
  if start == _NPY_START:
    return pickled_arrays.load_dict(path)
  if not start.startswith(_NPZ_START):
    raise ValueError(f'it begins with {start!r}')
  if not zipfile.is_zipfile(path):
    raise ValueError('it has lost its end')
  with np.load(path, allow_pickle=False) as joined:
    return _split({name: joined[name] for name in joined.files})


def _values(extracted: Extracted) -> dict[str, Any]:
  """The lists of the published layout."""
  clips = extracted.clips
  values: dict[str, Any] = {
    'embs': [np.asarray(clip.embeddings, np.float32) for clip in clips],
    'names': [clip.name.encode() for clip in clips],
    'steps': [np.asarray(steps, np.int64) for steps in extracted.steps],
    'seq_lens': [np.int64(length) for length in extracted.lengths],
    'seq_labels': [np.int64(label) for label in extracted.video_labels],
  }
  if any(np.max(clip.labels) >= 0 for clip in clips):
    values['labels'] = [np.asarray(clip.labels, np.int64) for clip in clips]
  if extracted.frames is not None:
    values['frames'] = list(extracted.frames)
  return values


def _joined(values: dict[str, Any]) -> dict[str, np.ndarray]:
  frames = values.get('frames', [])
  if len({pictures.shape[1:] for pictures in frames}) > 1:
    raise errors.InputError(
      'the frames of all clips must have one size to be kept as .npz; got '
      f'{", ".join(sorted({str(list(pictures.shape[1:])) for pictures in frames}))}. Write .npy.'
    )
  joined = {
    name: np.concatenate(lists) if name in _OF_FRAMES else np.array(lists)
    for name, lists in values.items()
  }
  joined['names'] = np.array([name.decode() for name in values['names']])
  joined['embs_lens'] = np.array([len(embeddings) for embeddings in values['embs']])
  return joined


def _split(joined: dict[str, np.ndarray]) -> dict[str, Any]:
  """Undoes `_joined`."""
  _need(joined, 'embs_lens')
  lengths = joined.pop('embs_lens')
  values: dict[str, Any] = {}
  for name, array in joined.items():
    if name in _OF_FRAMES:
      if len(array) != lengths.sum():
        raise ValueError(f'{name} has {len(array)} entries for {lengths.sum()} frames')
      values[name] = np.split(array, np.cumsum(lengths)[:-1])
    else:
      values[name] = list(array)
  return values


def _need(values: dict[str, Any], *names: str) -> None:
  for name in names:
    if name not in values:
      raise ValueError(f'it has no {name}')


def _extracted(values: dict[str, Any]) -> Extracted:
  _need(values, 'embs', 'names')
  embeddings = [np.asarray(found, np.float32) for found in values['embs']]
  names = [_text(name) for name in values['names']]
  count, lengths = len(embeddings), [len(found) for found in embeddings]
  labels = values.get('labels') or [np.full(length, -1) for length in lengths]
  steps = values.get('steps') or [np.arange(length) for length in lengths]
  seq_lens = values.get('seq_lens') or lengths
  video_labels = values.get('seq_labels') or [-1] * count
  for what in (names, labels, steps, seq_lens, video_labels, values.get('frames') or names):
    if len(what) != count:
      raise ValueError(f'it has lists of {count} and of {len(what)} clips')
  return Extracted(
    clips=[
      Clip(name, found, np.asarray(phases).reshape(-1).astype(np.int64))
      for name, found, phases in zip(names, embeddings, labels)
    ],
    steps=[np.asarray(places).reshape(-1).astype(np.int64) for places in steps],
    lengths=[int(_only(length)) for length in seq_lens],
    video_labels=[int(_only(label)) for label in video_labels],
    frames=values.get('frames') and [
      _pictures(pictures, length) for pictures, length in zip(values['frames'], lengths)
    ],
  )  # fmt: skip


def _text(name: Any) -> str:
  name = _only(name)
  return name.decode('utf-8', 'replace') if isinstance(name, bytes) else str(name)


def _only(value: Any) -> Any:
  """A value that may stand in an array of one."""
  values = np.asarray(value).reshape(-1)
  if len(values) != 1:
    raise ValueError(f'it has {len(values)} values where one is for a whole video')
  return values[0]


def _pictures(pictures: Any, count: int) -> np.ndarray:
  """Uint8 [frames, height, width, 3] of the bytes, or of the floats from -1 to 1, of a file.

  The original keeps a frame behind the context frames that go with it: they are left out.
  """
  pictures = np.asarray(pictures)
  if pictures.ndim != 4 or pictures.shape[-1] != 3 or len(pictures) % count or 0 in pictures.shape:
    raise ValueError(f'it has frames {list(pictures.shape)} for {count} embeddings')
  each = len(pictures) // count
  pictures = pictures[each - 1 :: each]
  if pictures.dtype == np.uint8:
    return pictures
  if np.issubdtype(pictures.dtype, np.floating) and np.abs(pictures).max() <= 1:
    return np.rint((pictures + 1) * 127.5).astype(np.uint8)
  raise ValueError(f'its frames must be bytes, or floats from -1 to 1; they are {pictures.dtype}')


def _checked(extracted: Extracted) -> Extracted:
  """Returns what may be written or was read, or raises InputError."""
  clip_lists.check(extracted.clips, 'extracted')
  for number, clip in enumerate(extracted.clips):
    counts = {'steps': len(extracted.steps[number])}
    if extracted.frames is not None:
      counts['frames'] = len(extracted.frames[number])
    for what, count in counts.items():
      if count != len(clip.embeddings):
        raise errors.InputError(
          f'clip {clip.name!r} must have as many {what} as embeddings; got {count} and '
          f'{len(clip.embeddings)}.'
        )
  return extracted
