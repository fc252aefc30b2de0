"""The data set of a task: generated, of scikit-learn, or from files."""

from __future__ import annotations

from estimators.swa import presets
from estimators.swa.dataset import cifar, clouds, digits, examples
from npu_adapter import errors

_BUILT_IN = {'blobs': clouds.load, 'digits': digits.load}


def open_data(task: str, data_path: str | None) -> examples.Examples:
  """Reads it, or raises InputError for files that are none of the task's."""
  if task in _BUILT_IN:
    if data_path:
      raise errors.InputError(
        f'data_path must be left out for the task {task}, which needs no files; got {data_path!r}. '
        f'With files the task is {" or ".join(presets.FROM_FILES)}.'
      )
    return _BUILT_IN[task]()
  if not data_path:
    raise errors.InputError(
      f'the task {task} must have --data_path, the folder of its binary files; got none.'
    )
  return cifar.load(task, data_path)


def task_of(data_path: str) -> str:
  """The task whose files are in a folder."""
  return cifar.task_of(data_path)
