"""Pictures of written digits: those of scikit-learn, or MNIST from its own idx files.

MNIST is read by the pipeline's own operations: its 47 MB never stand in a graph or a checkpoint.
"""

from __future__ import annotations

import gzip
import os
import struct
from typing import Any, Callable, Mapping, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from npu_adapter import errors

# Of scikit-learn's 1,797 pictures, the last so many are for validation and test; the first 1,083
# stay. They are in the order of the people who wrote them.
_VALIDATION, _TEST = 357, 357
# Of MNIST's 60,000 training pictures the last so many are for validation.
_MNIST_VALIDATION = 5000
_MNIST = {
  'training': ('train-images-idx3-ubyte', 'train-labels-idx1-ubyte'),
  'test': ('t10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte'),
}
# What an idx file starts with: a number for its kind, then the sizes of its dimensions.
_IMAGES_MAGIC, _LABELS_MAGIC = 0x803, 0x801


class Images(NamedTuple):
  """Pictures of three splits. tensors(split) gives uint8 [pictures, pixels] and [pictures]."""

  source: str
  pixels: int
  white: float
  counts: Mapping[str, int]
  class_shares: tuple[float, ...]  # of the training labels
  tensors: Callable[[str], tuple[Any, Any]]


def load(data_path: str | None) -> Images:
  """MNIST of a folder, or scikit-learn's digits where none is named."""
  return _mnist(data_path) if data_path else _scikit_learn()


def _scikit_learn() -> Images:
  try:
    from sklearn import datasets
  except ImportError as error:
    raise errors.AdapterError(
      f'the task digits needs scikit-learn or --data_path; {error}. Install it: pip install '
      "'.[models]'"
    ) from None
  pixels, labels = datasets.load_digits(return_X_y=True)
  pixels, labels = pixels.astype(np.uint8), labels.astype(np.uint8)
  ends = np.cumsum([len(labels) - _VALIDATION - _TEST, _VALIDATION, _TEST])
  parts = {
    split: slice(end - count, end)
    for split, end, count in zip(
      ('training', 'validation', 'test'), ends, (ends[0], _VALIDATION, _TEST)
    )
  }
  return Images(
    "scikit-learn's digits",
    pixels.shape[1],
    16.0,
    {split: part.stop - part.start for split, part in parts.items()},
    _shares(labels[parts['training']]),
    lambda split: (tf.constant(pixels[parts[split]]), tf.constant(labels[parts[split]])),
  )


def _mnist(folder: str) -> Images:
  found = {split: [_find(folder, name) for name in names] for split, names in _MNIST.items()}
  sizes = {split: _sizes(*paths) for split, paths in found.items()}
  (count, pixels), (test_count, test_pixels) = sizes['training'], sizes['test']
  if pixels != test_pixels or count <= _MNIST_VALIDATION:
    raise errors.InputError(
      f'the MNIST files must have pictures of one size, more than {_MNIST_VALIDATION} of them for '
      f'training; in {folder!r} there are {count} of {pixels} pixels and {test_count} of '
      f'{test_pixels}.'
    )
  split_at = count - _MNIST_VALIDATION

  def tensors(split: str) -> tuple[Any, Any]:
    images_path, labels_path = found['test' if split == 'test' else 'training']
    images = tf.reshape(_content(images_path, 16), [-1, pixels])
    labels = _content(labels_path, 8)
    part = {'training': slice(split_at), 'validation': slice(split_at, None)}.get(
      split, slice(None)
    )
    return images[part], labels[part]

  labels = np.frombuffer(_bytes(found['training'][1]), np.uint8, offset=8)
  counts = {'training': split_at, 'validation': _MNIST_VALIDATION, 'test': test_count}
  return Images(folder, pixels, 255.0, counts, _shares(labels[:split_at]), tensors)


def _shares(labels: Any) -> tuple[float, ...]:
  return tuple(float(share) for share in np.bincount(labels, minlength=10) / len(labels))


def _find(folder: str, name: str) -> str:
  """The file of a name, with - or . before its ending, packed or not."""
  for candidate in (name, name.replace('-idx', '.idx')):
    for ending in ('', '.gz'):
      path = os.path.join(folder, candidate + ending)
      if os.path.isfile(path):
        return path
  raise errors.InputError(
    f'data_path must be a folder with the four idx files of MNIST; {folder!r} has no {name} and no '
    f'{name}.gz.'
  )


def _bytes(path: str) -> bytes:
  try:
    opener = gzip.open if path.endswith('.gz') else open
    with opener(path, 'rb') as file:
      return file.read()
  except (OSError, EOFError) as error:
    raise errors.InputError(f'{path!r} cannot be read: {error}') from None


def _sizes(images_path: str, labels_path: str) -> tuple[int, int]:
  """How many pictures, of how many pixels; an error for files that are not whole."""
  images, labels = _bytes(images_path), _bytes(labels_path)
  magic, count, rows, columns = struct.unpack('>4I', images[:16].ljust(16, b'\0'))
  if magic != _IMAGES_MAGIC or len(images) != 16 + count * rows * columns:
    raise errors.InputError(
      f'{images_path!r} must be an idx file of pictures in full; got {len(images)} bytes that '
      f'start with {magic:#x} for {count} pictures of {rows} x {columns}. Get it again.'
    )
  magic, label_count = struct.unpack('>2I', labels[:8].ljust(8, b'\0'))
  if magic != _LABELS_MAGIC or label_count != count or len(labels) != 8 + count:
    raise errors.InputError(
      f'{labels_path!r} must be an idx file of {count} labels in full; got {len(labels)} bytes '
      f'that start with {magic:#x} for {label_count} labels. Get it again.'
    )
  return count, rows * columns


def _content(path: str, head_bytes: int) -> Any:
  """What follows the head of an idx file, uint8."""
  content = tf.io.read_file(path)
  if path.endswith('.gz'):
    content = tf.io.decode_compressed(content, 'GZIP')
  return tf.io.decode_raw(content, tf.uint8)[head_bytes:]
