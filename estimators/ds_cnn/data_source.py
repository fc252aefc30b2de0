"""From what the user named, or nothing, to decoded clips; tells what it does on the way."""

from __future__ import annotations

import os
from typing import Callable, NamedTuple

from estimators.ds_cnn import settings as model_settings
from estimators.ds_cnn.dataset import clip_store, speech_data


class Data(NamedTuple):
  """Where what is made of the clips is kept, and clips other than those the settings name."""

  cache_path: str | None
  on_bad_clip: str
  data_path: str | None = None


def cache_folder(cache_path: str | None) -> str:
  """The folder for what can be made again."""
  root = os.environ.get('XDG_CACHE_HOME') or os.path.join(os.path.expanduser('~'), '.cache')
  default = os.environ.get('TF1_ASCEND_CACHE') or os.path.join(root, 'tf1-ascend')
  return os.path.join(cache_path or default, 'ds_cnn')


def open_data(
  data: Data, settings: model_settings.Settings, show: Callable[[str], None] = print
) -> clip_store.ClipStore:
  """Returns the decoded clips; synthesises speech first when no data set is named."""
  cache = cache_folder(data.cache_path)
  folder = settings.data_path if data.data_path is None else data.data_path
  if folder is None:
    from estimators.ds_cnn import make_speech

    seed = settings.augmentation.seed
    folder = os.path.join(cache, f'speech-{settings.clips_per_word}-{seed}')
    show(f'no --data_path: training on synthesised speech in {folder}')
    make_speech.ensure(folder, settings.clips_per_word, seed, show=show)
  elif data.data_path is None:
    show(f'clips of {folder}')
  folder = speech_data.find_folder(folder, show)
  index = speech_data.make_index(folder, settings.wanted_words, settings.shares)
  store = clip_store.open_store(index, settings.shape, cache, data.on_bad_clip, show)
  counts = ', '.join(f'{len(rows.rows)} for {split}' for split, rows in store.splits.items())
  show(f'{len(index.noises)} background sounds; clips: {counts}')
  return store
