"""The clips of a data folder as one file of samples, decoded once. No TensorFlow.

Whatever rate, format or channels a sound file has, its row in the file is mono, of the model's
sample rate and of one length, so that training reads numbers and decodes nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import Any, Callable, NamedTuple, Sequence

import numpy as np

from estimators.ds_cnn import clip_shape
from estimators.ds_cnn.dataset import claim, sound_file, speech_data
from npu_adapter import errors, progress

# Raise it when the rows of the same sound files change: older stores are then not looked at.
_FORMAT = 2
_SAMPLE_BYTES = 2
_SILENT_ROW = 0
_MOST_NAMED = 10


class Rows(NamedTuple):
  """The examples of one split: a row of the sample file and a label for each."""

  rows: np.ndarray  # int32 [examples]
  labels: np.ndarray  # int32 [examples]


class ClipStore(NamedTuple):
  """Where the decoded clips of a data folder are. Samples are int16, little-endian."""

  folder: str
  source: str
  shape: clip_shape.ClipShape
  labels: tuple[str, ...]
  splits: dict[str, Rows]
  row_count: int
  noise_count: int
  bad_clips: list[str]

  @property
  def samples_path(self) -> str:
    """Rows of `shape.samples` samples; the first row is silent."""
    return os.path.join(self.folder, 'clips.int16')

  @property
  def noises_path(self) -> str:
    """Rows of twice as many samples of noise, each overlapping half of the one before."""
    return os.path.join(self.folder, 'noises.int16')


def open_store(
  index: speech_data.Index,
  shape: clip_shape.ClipShape,
  cache_path: str,
  on_bad_clip: str = 'error',
  show: Callable[[str], None] = print,
) -> ClipStore:
  """Returns the store of these clips under `cache_path`; decodes them when it is not there."""
  paths = sorted({clip.path for clips in index.clips.values() for clip in clips if clip.path})
  folder = os.path.join(cache_path, _key(index, paths, shape))
  facts = _facts(folder, shape)
  if facts is None:
    facts = _decoded(folder, index, paths, shape, show)
  bad = facts['bad_clips']
  if bad:
    _report(bad, on_bad_clip, show)
  splits = _rows_of(index, facts['paths'])
  _check_trainable(index, splits)
  return ClipStore(
    folder,
    index.folder,
    shape,
    index.labels,
    splits,
    len(facts['paths']) + 1,
    facts['noise_count'],
    [path for path, _ in bad],
  )


def _key(index: speech_data.Index, paths: Sequence[str], shape: clip_shape.ClipShape) -> str:
  """A name that changes with every file read, its size, its times, and the form of a row."""
  digest = hashlib.sha256(repr((_FORMAT, shape.sample_rate, shape.samples)).encode())
  digest.update(os.path.realpath(index.folder).encode('utf-8', 'surrogateescape'))
  for path in (*paths, *index.noises):
    line = f'{path}\0{_stamp(os.path.join(index.folder, path))}\n'
    digest.update(line.encode('utf-8', 'surrogateescape'))
  return digest.hexdigest()[:16]


def _stamp(path: str) -> tuple[int, ...]:
  """Size and times; the time of the last chmod too, which may make a bad clip a good one."""
  try:
    status = os.stat(path)
  except OSError:
    # A link to nowhere: a bad clip, once somebody reads it.
    return ()
  return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _facts(folder: str, shape: clip_shape.ClipShape) -> dict[str, Any] | None:
  """What store.json says of a whole store; None where there is none, or a damaged one."""
  store = ClipStore(folder, '', shape, (), {}, 0, 0, [])
  try:
    with open(os.path.join(folder, 'store.json'), encoding='utf-8') as file:
      facts = json.load(file)
    sizes = [os.path.getsize(path) for path in (store.samples_path, store.noises_path)]
    clips, noises, _ = len(facts['paths']) + 1, facts['noise_count'], facts['bad_clips']
  except (OSError, ValueError, KeyError, TypeError):
    return None
  row_bytes = shape.samples * _SAMPLE_BYTES
  return facts if sizes == [clips * row_bytes, noises * 2 * row_bytes] else None


def _rows_of(index: speech_data.Index, stored_paths: Sequence[str]) -> dict[str, Rows]:
  row_of = {path: row for row, path in enumerate(stored_paths, start=_SILENT_ROW + 1)}
  splits = {}
  for split, clips in index.clips.items():
    usable = [clip for clip in clips if clip.path is None or clip.path in row_of]
    rows = [row_of[clip.path] if clip.path else _SILENT_ROW for clip in usable]
    splits[split] = Rows(
      np.array(rows, np.int32), np.array([clip.label for clip in usable], np.int32)
    )
  return splits


def _check_trainable(index: speech_data.Index, splits: dict[str, Rows]) -> None:
  """Leaving out bad clips must not leave out a word."""
  had = {clip.label for clip in index.clips['training']}
  lacking = sorted(had - set(splits['training'].labels.tolist()))
  if lacking:
    raise speech_data.DataError(
      f'no readable training clip is left for {", ".join(index.labels[label] for label in lacking)}'
      f' in {index.folder!r}.'
    )


def _decoded(
  folder: str,
  index: speech_data.Index,
  paths: Sequence[str],
  shape: clip_shape.ClipShape,
  show: Callable[[str], None],
) -> dict[str, Any]:
  """Makes the store and returns its facts. Several processes may ask: the first decodes."""
  try:
    with claim.claimed(folder, show) as partial:
      # Another process may have made it while this one waited.
      facts = _facts(folder, shape)
      if facts is None:
        show(f'decoding {len(paths)} clips of {index.folder} into {folder} (once)')
        facts = _decode_into(partial, index, paths, shape)
        _replace(partial, folder)
  except OSError as error:
    raise errors.InputError(
      'cache_path must be a folder this user can write, with room for the decoded clips; got '
      f'{os.path.dirname(folder)!r}: {error}. Name another with --cache_path.'
    ) from None
  return facts


def _replace(partial: str, folder: str) -> None:
  """Renames; what stands in the way is a damaged store, or `_facts` had found it."""
  if os.path.isdir(folder):
    shutil.rmtree(folder)
  os.rename(partial, folder)


def _decode_into(
  folder: str, index: speech_data.Index, paths: Sequence[str], shape: clip_shape.ClipShape
) -> dict[str, Any]:
  os.mkdir(folder)
  store = ClipStore(folder, index.folder, shape, index.labels, {}, 0, 0, [])
  # Noise first: what is wrong with it is told before minutes of decoding, not after.
  noise_count = _write_noises(store, index)
  good, bad = _write_clips(store, index.folder, paths)
  facts = {'paths': good, 'bad_clips': bad, 'noise_count': noise_count}
  with open(os.path.join(folder, 'store.json'), 'w', encoding='utf-8') as file:
    json.dump(facts, file)
  return facts


def _write_clips(
  store: ClipStore, folder: str, paths: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
  good: list[str] = []
  bad: list[list[str]] = []
  with open(store.samples_path, 'wb') as file:
    file.write(_as_bytes(np.zeros(store.shape.samples)))
    for path in progress.shown(paths, 'clips'):
      try:
        samples = sound_file.read(os.path.join(folder, path), store.shape.sample_rate)
      except sound_file.BadSound as error:
        bad.append([path, str(error)])
        continue
      good.append(path)
      file.write(_as_bytes(_fitted(samples, store.shape.samples)))
  return good, bad


def _write_noises(store: ClipStore, index: speech_data.Index) -> int:
  """Cuts each background sound into overlapping rows: any second of it lies in one of them."""
  count, length = 0, store.shape.samples
  with open(store.noises_path, 'wb') as file:
    for path in index.noises:
      try:
        samples = sound_file.read(os.path.join(index.folder, path), store.shape.sample_rate)
      except sound_file.BadSound as error:
        raise speech_data.DataError(f'the background sound {path!r} {error}.') from None
      if len(samples) < 2 * length:
        raise speech_data.DataError(
          f'a background sound must last at least {2 * store.shape.clip_ms:g} ms; {path!r} lasts '
          f'{len(samples) * 1000 // store.shape.sample_rate} ms.'
        )
      last = len(samples) - 2 * length
      for start in (*range(0, last, length), last):
        file.write(_as_bytes(samples[start : start + 2 * length]))
        count += 1
  return count


def _fitted(samples: np.ndarray, length: int) -> np.ndarray:
  """Cut, or filled with silence at its end, to `length`."""
  return np.pad(samples[:length], (0, max(0, length - len(samples))), 'constant')


def _as_bytes(samples: np.ndarray) -> bytes:
  return np.clip(np.round(samples * 32768.0), -32768, 32767).astype('<i2').tobytes()


def _report(bad: Sequence[Any], on_bad_clip: str, show: Callable[[str], None]) -> None:
  named = '\n'.join(f'  {path}: it {reason}' for path, reason in bad[:_MOST_NAMED])
  more = len(bad) - _MOST_NAMED
  text = named + (f'\n  and {more} more' if more > 0 else '')
  if on_bad_clip == 'error':
    raise speech_data.DataError(
      f'every clip must be readable; {len(bad)} are not:\n{text}\nRepair or remove them, or leave '
      'them out with --on_bad_clip=skip.'
    )
  show(f'left out {len(bad)} clips that cannot be read:\n{text}')
