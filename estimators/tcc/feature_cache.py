"""What a base network that is not trained makes of every frame of the training clips, kept on disk.

With TRAIN_BASE frozen and pictures as they are, it is the same in every iteration.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import Any, Callable, Mapping, NamedTuple, Sequence

import numpy as np
import tensorflow.compat.v1 as tf

from estimators.tcc import data_source, input_pipeline, model, settings
from estimators.tcc.dataset import frame_sampling, pouring_clips, record_index
from estimators.tcc.networks import base_networks
from npu_adapter import errors, progress

_FRAMES_PER_BATCH = 25
_OFF = ('RANDOM_FLIP', 'RANDOM_CROP', 'BRIGHTNESS', 'CONTRAST', 'HUE', 'SATURATION')


class Cached(NamedTuple):
  """Maps in a file, a row a frame, clip after clip."""

  path: str
  first_rows: tuple[tuple[int, ...], ...]  # of each clip of each data set
  lengths: tuple[tuple[int, ...], ...]


def check(tree: Mapping[str, Any]) -> None:
  """Raises InputError for a training whose base network sees another picture each time."""
  mode = tree['MODEL']['TRAIN_BASE']
  if mode != 'frozen':
    raise errors.InputError(
      f'cache_features must go with TRAIN_BASE frozen, whose maps stay the same; got {mode}. Add '
      '--train_base=frozen.'
    )
  on = [name for name in _OFF if tree['AUGMENTATION'][name]]
  if on:
    raise errors.InputError(
      f'cache_features must go without AUGMENTATION; got {", ".join(on)}. Set them to false: '
      + ' '.join(f'--set=AUGMENTATION.{name}=false' for name in on)
    )


def open_cache(
  tree: Mapping[str, Any],
  data: data_source.Data,
  checkpoint: str | None,
  cache_path: str | None,
  show: Callable[[str], Any],
) -> Cached:
  """The maps by the base network of a checkpoint; computes them where they are not there."""
  check(tree)
  if checkpoint is None:
    raise errors.InputError(
      'cache_features must have a base network to take features of; got none. Give '
      '--weights_path or --start_checkpoint: random weights stay random with TRAIN_BASE frozen.'
    )
  records = data.records('train')
  weights = _weights(checkpoint)
  folder = pouring_clips.cache_folder(cache_path)
  path = os.path.join(folder, f'features-{_key(tree, records, weights)}.npy')
  if not os.path.exists(path):
    os.makedirs(folder, exist_ok=True)
    _write(path, tree, records, weights, show)
  first_rows, lengths, row = [], [], 0
  for of_set in data.sets['train']:
    lengths.append(tuple(record.frames for record in of_set))
    first_rows.append(tuple((row + np.cumsum((0, *lengths[-1][:-1]))).tolist()))
    row += sum(lengths[-1])
  return Cached(path, tuple(first_rows), tuple(lengths))


def _weights(checkpoint: str) -> dict[str, np.ndarray]:
  """Weights and averages of the base network."""
  reader = tf.train.load_checkpoint(checkpoint)
  below = f'{base_networks.SCOPE}/'
  return {
    name: reader.get_tensor(name)
    for name in sorted(reader.get_variable_to_shape_map())
    if name.startswith(below) and not name.endswith(('/Adam', '/Adam_1', '/Momentum'))
  }


def _key(
  tree: Mapping[str, Any],
  records: Sequence[record_index.Record],
  weights: Mapping[str, np.ndarray],
) -> str:
  """Another one for other clips, weights or sizes."""
  digest = hashlib.sha256()
  for record in records:
    when = os.stat(record.path).st_mtime_ns
    digest.update(json.dumps([record.path, record.offset, record.size, when]).encode())
  digest.update(json.dumps([tree['IMAGE_SIZE'], tree['MODEL']['BASE_MODEL']]).encode())
  for name, value in weights.items():
    digest.update(name.encode() + np.ascontiguousarray(value).tobytes())
  return digest.hexdigest()[:20]


def _write(
  path: str,
  tree: Mapping[str, Any],
  records: Sequence[record_index.Record],
  weights: Mapping[str, np.ndarray],
  show: Callable[[str], Any],
) -> None:
  # Each frame by itself: which ones are seen together is decided in training.
  frames = settings.frames_of(tree)._replace(context=frame_sampling.Context(1))
  total = sum(record.frames for record in records)
  partial = f'{path}.{os.getpid()}.partial'
  with tf.Graph().as_default(), tf.Session() as session:
    pieces = input_pipeline.every_frame_input_fn(records, frames, _FRAMES_PER_BATCH)()
    iterator = tf.data.make_initializable_iterator(pieces)
    features = iterator.get_next()
    params = settings.params(tree, 1, 0, 'none')
    maps = model.map_frames(features['frames'], params, is_training=False)
    for variable in tf.global_variables():
      variable.load(weights[variable.op.name], session)
    session.run(iterator.initializer)
    shape = (total, *maps.shape.as_list()[2:])
    _check_room(path, shape)
    show(f'computing the features of {total} frames, once, into {path!r}')
    kept = np.lib.format.open_memmap(partial, 'w+', np.float32, shape)
    row = 0
    for _ in progress.shown(range(_batches(records)), 'features'):
      found, weight = session.run([maps, features['weight']])
      is_shown = weight[0] > 0
      count = int(is_shown.sum())
      kept[row : row + count] = found[0][is_shown]
      row += count
    kept.flush()
  os.replace(partial, path)


def _batches(records: Sequence[record_index.Record]) -> int:
  return sum(-(-record.frames // _FRAMES_PER_BATCH) for record in records)


def _check_room(path: str, shape: tuple[int, ...]) -> None:
  needed = 4 * int(np.prod(shape, dtype=np.int64))
  free = shutil.disk_usage(os.path.dirname(path)).free
  if needed > free:
    raise errors.InputError(
      f'cache_path must have room for the features, {needed / 1e9:.1f} GB; {path!r} has '
      f'{free / 1e9:.1f} GB. Name another --cache_path, or train without --cache_features.'
    )
