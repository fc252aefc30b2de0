"""The TFRecord files of a data set's split, and where each record is in them.

A training reads any record without those before it: what a step gets depends on its number alone.
"""

from __future__ import annotations

import glob
import os
import re
from typing import Callable, Iterator, NamedTuple, Sequence

import tensorflow.compat.v1 as tf

from estimators.tcc.dataset import clip_records
from npu_adapter import errors

# Before a record: its length and a checksum of that; after it: a checksum of the record.
_HEADER_BYTES, _FOOTER_BYTES = 12, 4
_READ_BYTES = 2**20
_SHARD = re.compile(r'-(\d+)-of-(\d+)(?:\.tfrecords?)?$')


class Record(NamedTuple):
  """A clip in a file; what is here is known without reading it again."""

  path: str
  offset: int  # bytes, of the record itself
  size: int  # bytes
  name: str
  frames: int
  has_labels: bool
  frame_label_names: tuple[str, ...]


def open_split(path: str, dataset: str, split: str, is_per_class: bool = False) -> list[Record]:
  """Returns the records of a split, checked; `%s` in `path` stands for the name of the data set."""
  return records_of(files_of(path, dataset, split, is_per_class))


def files_of(path: str, dataset: str, split: str, is_per_class: bool = False) -> list[str]:
  """Returns the files of a split, <dataset>_<split>*, in order.

  With `is_per_class` a folder holds one data set only, and its files need not begin with its name.
  """
  folder = os.path.expanduser(path.replace('%s', dataset))
  if not os.path.isdir(folder):
    raise errors.InputError(
      f'path_to_tfrecords must be a folder of TFRecord files; there is no folder {folder!r}. '
      'videos_to_tfrecords.py makes one of videos, make_clips.py of generated clips.'
    )
  start = f'*{glob.escape(split)}' if is_per_class else glob.escape(f'{dataset}_{split}')
  found = sorted(glob.glob(os.path.join(glob.escape(folder), f'{start}*')))
  found = [file for file in found if os.path.isfile(file) and not file.endswith('.partial')]
  if not found:
    present = ', '.join(sorted(os.listdir(folder))[:10]) or 'nothing'
    raise errors.InputError(
      f'path_to_tfrecords must hold files {dataset}_{split}*; in {folder!r} there are none, but '
      f'{present}. Name the folder, the data set and the split they are of.'
    )
  _check_complete(found)
  return found


def _check_complete(files: Sequence[str]) -> None:
  """Where names say `1-of-4`, all four must be there."""
  shards = [match for match in map(_SHARD.search, files) if match]
  totals = {int(match.group(2)) for match in shards}
  numbers = sorted(int(match.group(1)) for match in shards)
  if shards and (len(totals) > 1 or numbers != list(range(max(totals)))):
    names = ', '.join(os.path.basename(match.string) for match in shards[:10])
    raise errors.InputError(
      f'the files of a split must be all that were written of it, and of one writing; in '
      f'{os.path.dirname(files[0])!r} there are {names}. Copy those that are missing, or remove '
      'those of another writing.'
    )


def records_of(files: Sequence[str]) -> list[Record]:
  """Returns the records of files; every byte of them is read and checked."""
  found = []
  with tf.Graph().as_default(), tf.Session() as session:
    name = tf.placeholder(tf.string, [])
    records = tf.data.TFRecordDataset(name, buffer_size=_READ_BYTES)
    iterator = tf.data.make_initializable_iterator(records)
    following = iterator.get_next()
    for path in files:
      session.run(iterator.initializer, {name: path})
      found.extend(_records_in(path, lambda: session.run(following)))
  return found


def _records_in(path: str, read: Callable[[], bytes]) -> Iterator[Record]:
  offset, number = _HEADER_BYTES, 0
  while True:
    try:
      content = read()
    except tf.errors.OutOfRangeError:
      return
    except tf.errors.OpError as error:
      raise _complaint(path, number, f'it is cut off or damaged ({error.message})') from None
    try:
      clip = clip_records.decode(content)
    except clip_records.BadRecord as error:
      raise _complaint(path, number, str(error)) from None
    yield Record(
      path, offset, len(content), clip.name, len(clip.frames), clip.frame_labels is not None,
      clip.frame_label_names,
    )  # fmt: skip
    offset += len(content) + _FOOTER_BYTES + _HEADER_BYTES
    number += 1


def _complaint(path: str, number: int, problem: str) -> errors.InputError:
  return errors.InputError(
    f'{path!r} must hold whole records of clips; of record {number}: {problem}. Copy the file once '
    'more, or write it anew with videos_to_tfrecords.py.'
  )


def read(record: Record) -> bytes:
  """Returns the bytes of a record."""
  with open(record.path, 'rb') as file:
    file.seek(record.offset)
    content = file.read(record.size)
  if len(content) != record.size:
    raise errors.InputError(f'{record.path!r} must not change while it is read; it became shorter.')
  return content


def read_clip(record: Record) -> clip_records.Clip:
  """Returns the clip of a record."""
  return clip_records.decode(read(record))
