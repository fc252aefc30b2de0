"""CIFAR-10 and CIFAR-100 from their own binary files.

The pipeline's own operations read them: their 180 MB never stand in a graph or a checkpoint.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple, Sequence

import numpy as np
import tensorflow.compat.v1 as tf

from estimators.swa.dataset import examples
from npu_adapter import errors

_SIDE, _CHANNELS = 32, 3
_PIXELS = _SIDE * _SIDE * _CHANNELS


class _Form(NamedTuple):
  """How one of the two is published."""

  folder: str
  files: dict[str, Sequence[str]]
  label_bytes: int  # the last of them is the class
  classes: int


_FORMS = {
  'cifar10': _Form(
    'cifar-10-batches-bin',
    {
      'training': [f'data_batch_{number}.bin' for number in range(1, 6)],
      'test': ['test_batch.bin'],
    },
    1,
    10,
  ),
  # Of its two bytes the first is one of 20 groups.
  'cifar100': _Form('cifar-100-binary', {'training': ['train.bin'], 'test': ['test.bin']}, 2, 100),
}


def task_of(data_path: str) -> str:
  """Whose files a folder, or one in it, has."""
  for task, form in _FORMS.items():
    for folder in (data_path, os.path.join(data_path, form.folder)):
      if os.path.isfile(os.path.join(folder, form.files['test'][0])):
        return task
  raise errors.InputError(
    'data_path must be the folder of the binary version of CIFAR-10 or CIFAR-100, or the one it is '
    f'in; {data_path!r} has neither. Unpack the archive there.'
  )


def load(task: str, data_path: str) -> examples.Examples:
  """The data set of a task, from its folder or the one above."""
  form = _FORMS[task]
  folder = _folder(form, data_path)
  paths = {
    split: [os.path.join(folder, name) for name in names] for split, names in form.files.items()
  }
  record_bytes = form.label_bytes + _PIXELS
  counts = {
    split: sum(_count(path, record_bytes) for path in named) for split, named in paths.items()
  }
  for named in paths.values():
    for path in named:
      _check_labels(path, form)
  mean, deviation = _standard(paths['training'], form)

  def tensors(split: str) -> tuple[Any, Any]:
    content = tf.concat([tf.io.decode_raw(tf.io.read_file(path), tf.uint8)
                         for path in paths[split]], axis=0)  # fmt: skip
    records = tf.reshape(content, [counts[split], record_bytes])
    planes = tf.reshape(records[:, form.label_bytes :], [-1, _CHANNELS, _SIDE, _SIDE])
    return tf.transpose(planes, [0, 2, 3, 1]), tf.cast(records[:, form.label_bytes - 1], tf.int32)

  shape = (_SIDE, _SIDE, _CHANNELS)
  return examples.Examples(data_path, shape, form.classes, counts, mean, deviation, tensors)


def _folder(form: _Form, data_path: str) -> str:
  needed = [name for names in form.files.values() for name in names]
  for folder in (data_path, os.path.join(data_path, form.folder)):
    missing = [name for name in needed if not os.path.isfile(os.path.join(folder, name))]
    if not missing:
      return folder
    if len(missing) < len(needed):
      raise errors.InputError(
        f'data_path must have all the files of {form.folder}; {folder!r} has no '
        f'{", no ".join(missing)}. Unpack the archive again.'
      )
  raise errors.InputError(
    f'data_path must be the folder {form.folder} of the binary version, or the one it is in; '
    f'{data_path!r} has no {needed[0]}. Unpack its archive there.'
  )


def _count(path: str, record_bytes: int) -> int:
  size = os.path.getsize(path)
  if not size or size % record_bytes:
    raise errors.InputError(
      f'{path!r} must be whole records of {record_bytes} bytes; got {size} bytes. It is cut off, '
      'or of another version than the binary one: get it again.'
    )
  return size // record_bytes


def _records(path: str, form: _Form) -> Any:
  """uint8 [records, bytes]."""
  return np.memmap(path, np.uint8, 'r').reshape(-1, form.label_bytes + _PIXELS)


def _check_labels(path: str, form: _Form) -> None:
  labels = _records(path, form)[:, form.label_bytes - 1]
  if labels.max() >= form.classes:
    raise errors.InputError(
      f'{path!r} must have classes from 0 to {form.classes - 1}; got {labels.max()}. It is of '
      'another data set, or damaged.'
    )


def _standard(paths: Sequence[str], form: _Form) -> tuple[tuple[float, ...], tuple[float, ...]]:
  """Mean and deviation of each channel."""
  # How often each value of a channel is there: exact, and no float copy of the pictures.
  counts = np.zeros([_CHANNELS, 256])
  for path in paths:
    planes = _records(path, form)[:, form.label_bytes :].reshape(-1, _CHANNELS, _SIDE * _SIDE)
    for channel in range(_CHANNELS):
      counts[channel] += np.bincount(planes[:, channel].ravel(), minlength=256)
  values, total = np.arange(256), counts.sum(axis=1)
  mean = counts @ values / total
  deviation = np.sqrt(counts @ values**2 / total - mean**2)
  return examples.rounded(mean), examples.rounded(np.where(deviation == 0, 1.0, deviation))
