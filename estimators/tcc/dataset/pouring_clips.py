"""Generated clips of somebody who pours, in the published record format; made once, into a cache.

70 clips to train on, 14 for validation, 32 for the test, as of the published pouring videos. No
clip looks or moves like another. The same arguments give the same clips.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from typing import Any, Callable, Iterator, NamedTuple

import numpy as np

from estimators.tcc.dataset import clip_records, pouring_looks, pouring_motion, pouring_scene
from npu_adapter import errors, progress

DATASET = 'pouring'
SPLITS = {'train': 70, 'val': 14, 'test': 32}
IMAGE_SIZE = 64
MAX_SEED = 2**31 - 1
# Raise it when other clips are to come out of the same arguments.
_FORMAT = 4
_CLIPS_PER_FILE = 35


class Request(NamedTuple):
  """Which clips to make."""

  seed: int = 1
  image_size: int = IMAGE_SIZE
  train: int = SPLITS['train']
  val: int = SPLITS['val']
  test: int = SPLITS['test']

  @property
  def counts(self) -> dict[str, int]:
    """Clips of each split."""
    return {split: getattr(self, split) for split in SPLITS}


DEFAULT = Request()


def check(request: Request) -> Request:
  """Returns `request`, or raises InputError for clips that cannot be made."""
  limits = {'seed': (0, MAX_SEED), 'image_size': (16, 1024)}
  for name, value in request._asdict().items():
    least, most = limits.get(name, (1, 100000))
    if not isinstance(value, int) or not least <= value <= most:
      raise errors.InputError(
        f'{name} must be a whole number from {least} to {most}; got {value!r}.'
      )
  return request


def cache_folder(cache_path: str | None) -> str:
  """The folder for what can be made again."""
  root = os.environ.get('XDG_CACHE_HOME') or os.path.join(os.path.expanduser('~'), '.cache')
  default = os.environ.get('TF1_ASCEND_CACHE') or os.path.join(root, 'tf1-ascend')
  return os.path.join(cache_path or default, 'tcc')


def generated(
  cache_path: str | None, request: Request = DEFAULT, show: Callable[[str], Any] = print
) -> str:
  """Returns the folder of these clips in the cache; makes them when they are not there."""
  check(request)
  cache = cache_folder(cache_path)
  numbers = '-'.join(str(value) for value in request)
  folder = os.path.join(cache, f'{DATASET}-{numbers}-{_FORMAT}')
  if not os.path.isdir(folder):
    with _explained(cache), _locked(folder):
      # Another process may have made it while this one waited.
      if not os.path.isdir(folder):
        _make(folder, request, show)
  return folder


def write(folder: str, request: Request, show: Callable[[str], Any] = print) -> None:
  """Writes the files of all splits into a folder that is there."""
  check(request)
  wanted = list(_files(request))
  show(f'drawing {sum(request.counts.values())} clips of pouring')
  for name, split, numbers in progress.shown(wanted, 'files'):
    clips = (clip(request, split, number) for number in numbers)
    clip_records.write(os.path.join(folder, name), clips)


def clip(request: Request, split: str, number: int) -> clip_records.Clip:
  """Returns one clip: a function of the seed, the split and its number."""
  key = [request.seed, list(SPLITS).index(split), number]
  random = np.random.RandomState(key)
  motion, looks = pouring_motion.draw(random), pouring_looks.draw(random)
  pictures = pouring_scene.draw(motion, looks, request.image_size, random)
  return clip_records.Clip(
    f'{split}_{number:03d}',
    [clip_records.encode_frame(picture) for picture in pictures],
    motion.phases.tolist(),
    frame_label_names=pouring_motion.PHASES,
  )


def _files(request: Request) -> Iterator[tuple[str, str, range]]:
  """Name, split and clips of each file."""
  for split, count in request.counts.items():
    files = -(-count // _CLIPS_PER_FILE)
    for file in range(files):
      numbers = range(file * count // files, (file + 1) * count // files)
      yield f'{DATASET}_{split}-{file}-of-{files}.tfrecord', split, numbers


def _make(folder: str, request: Request, show: Callable[[str], Any]) -> None:
  with tempfile.TemporaryDirectory(prefix='.partial-', dir=os.path.dirname(folder)) as scratch:
    partial = os.path.join(scratch, 'made')
    os.mkdir(partial)
    write(partial, request, show)
    os.rename(partial, folder)


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
  """Lets one process at a time make a folder of the cache."""
  cache, name = os.path.split(folder)
  os.makedirs(cache, exist_ok=True)
  with open(os.path.join(cache, f'.{name}.lock'), 'w') as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    yield


@contextlib.contextmanager
def _explained(cache: str) -> Iterator[None]:
  try:
    yield
  except OSError as error:
    raise errors.InputError(
      'cache_path must be a folder this user can write, with room for the clips; got '
      f'{cache!r}: {error}. Name another with --cache_path.'
    ) from error
