"""A trained model for the tools: its configuration, clips and estimator, from its folder."""

from __future__ import annotations

import os
from typing import Any, Callable

import npu_adapter
from estimators.tcc import config_file, data_source, scoring, training_run
from npu_adapter import best_checkpoint, errors


def open_folder(
  path: str, data_path: str | None = None, cache_path: str | None = None,
  num_parallel_calls: int | None = None, show: Callable[[str], Any] = print,
) -> scoring.Scorer:  # fmt: skip
  """What evaluates the checkpoints of a folder of train.py, on its clips or those of a folder."""
  folder = os.path.abspath(os.path.expanduser(path))
  tree = config_file.stored(folder)
  if tree is None or best_checkpoint.last(folder) is None:
    raise errors.InputError(
      f'output_path must be a folder of train.py, with {config_file.FILE_NAME} and a checkpoint; '
      f'{folder!r} is none.'
    )
  if data_path:
    tree['PATH_TO_TFRECORDS'] = data_source.path_in(os.path.abspath(os.path.expanduser(data_path)))
  data = data_source.open_data(tree, cache_path, show)
  config = npu_adapter.NPURunConfig(model_dir=folder)
  estimator = training_run.make_estimator(tree, data, config, training_run.Plan())
  return scoring.Scorer(estimator, tree, data, num_parallel_calls, show)


def last_checkpoint(scorer: scoring.Scorer) -> str:
  """The newest one of the model's folder."""
  found = best_checkpoint.last(scorer.estimator.model_dir)
  if found is None:
    raise errors.InputError(f'{scorer.estimator.model_dir!r} must hold a checkpoint; got none.')
  return found
