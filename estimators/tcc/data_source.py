"""The clips of a training: generated, or of TFRecord files as published; checked at the start."""

from __future__ import annotations

import os
from typing import Any, Callable, Mapping, NamedTuple

from estimators.tcc.dataset import pouring_clips, record_index
from npu_adapter import errors

SPLITS = ('train', 'val')
GENERATED = 'generated clips of pouring'


class Data(NamedTuple):
  """Records of the splits, those of each data set by themselves."""

  source: str
  sets: Mapping[str, list[list[record_index.Record]]]
  phases: int | None  # that the labels tell apart; None without labels

  def records(self, split: str) -> list[record_index.Record]:
    """Of all data sets."""
    return [record for records in self.sets[split] for record in records]


def path_in(data_path: str) -> str:
  """PATH_TO_TFRECORDS for a folder: its <data set>_tfrecords as published, else itself."""
  below = os.path.join(data_path, '%s_tfrecords')
  has_any = os.path.isdir(data_path) and any(
    name.endswith('_tfrecords') for name in os.listdir(data_path)
  )
  return below if has_any else data_path


def open_data(
  tree: Mapping[str, Any], cache_path: str | None, show: Callable[[str], Any] = print
) -> Data:
  """Reads where the records are, or makes clips where no path is in the configuration."""
  from estimators.tcc import input_pipeline

  path, source = tree['PATH_TO_TFRECORDS'], tree['PATH_TO_TFRECORDS']
  if path is None:
    if tree['DATASETS'] != [pouring_clips.DATASET]:
      raise errors.InputError(
        f'DATASETS must be [{pouring_clips.DATASET}] for generated clips; got {tree["DATASETS"]}. '
        'Name the folder of your records with --data_path.'
      )
    path, source = generated_folder(cache_path, show), GENERATED
  per_class, fraction = tree['DATA']['PER_CLASS'], tree['DATA']['PER_DATASET_FRACTION']
  sets = {
    split: [
      record_index.open_split(path, name, split, per_class) for name in tree['DATASETS']
    ]
    for split in SPLITS
  }  # fmt: skip
  sets['train'] = [input_pipeline.fraction_of(records, fraction) for records in sets['train']]
  data = Data(source, sets, None)
  if tree['TRAINING_ALGO'] == 'classification' and not _are_labelled(data, 'train'):
    raise errors.InputError(
      'TRAINING_ALGO classification must have clips with frame labels; some of '
      f'{source!r} have none. Write them with videos_to_tfrecords.py --label_file, or train with '
      'another algorithm.'
    )
  return data._replace(phases=_phases(data))


def generated_folder(cache_path: str | None, show: Callable[[str], Any] = print) -> str:
  """Where the clips are that are made where there are no others."""
  return pouring_clips.generated(cache_path, show=show)


def _are_labelled(data: Data, split: str) -> bool:
  return all(record.has_labels for record in data.records(split))


def _phases(data: Data) -> int | None:
  """One more than the last label of any frame."""
  labelled = [record for record in data.records('train') if record.has_labels]
  if not labelled:
    return None
  last = max(max(record_index.read_clip(record).frame_labels or [-1]) for record in labelled)
  return last + 1 if last >= 0 else None
