"""Exporters: which of the evaluated checkpoints become SavedModels, and how many are kept."""

from __future__ import annotations

import abc
import os
import re
from typing import Any, Callable, Iterator, Mapping

import numpy as np
import tensorflow.compat.v1 as tf

from npu_adapter.runtime import call_arguments

_LOSS = 'loss'
_COMPARED = ('best_eval_result', 'current_eval_result')
# Seconds since 1970, as export_saved_model names its folders; what else lies there is not ours.
_VERSION = re.compile(r'\d{10}\Z', re.ASCII)


class Exporter(abc.ABC):
  """Is called after every evaluation of train_and_evaluate, and exports the model or not."""

  @property
  @abc.abstractmethod
  def name(self) -> str:
    """The folder below `export` that this exporter writes to."""

  @abc.abstractmethod
  def export(
    self,
    estimator: Any,
    export_path: Any,
    checkpoint_path: Any,
    eval_result: Any,
    is_the_final_export: bool,
  ) -> Any:
    """Returns the folder it wrote the model of `checkpoint_path` to, None if it wrote none.

    `eval_result` is what evaluate returned for this checkpoint. `is_the_final_export` says that
    training has come to max_steps; without max_steps it is never true.
    """


class _SavedModelExporter(Exporter):
  """What the three below have in common: they write a SavedModel for serving."""

  def __init__(
    self,
    name: str,
    serving_input_receiver_fn: Callable[[], Any] | None,
    assets_extra: Mapping[str, str] | None = None,
    as_text: bool = False,
  ):
    self._name = name
    self._serving_input_receiver_fn = serving_input_receiver_fn
    self._assets_extra = assets_extra
    self._as_text = as_text

  @property
  def name(self) -> str:
    return self._name

  def _write(self, estimator: Any, export_path: Any, checkpoint_path: Any) -> Any:
    return estimator.export_saved_model(
      export_path,
      self._serving_input_receiver_fn,
      assets_extra=self._assets_extra,
      as_text=self._as_text,
      checkpoint_path=checkpoint_path,
    )


class FinalExporter(_SavedModelExporter):
  """Exports once, when training has come to max_steps."""

  def export(
    self,
    estimator: Any,
    export_path: Any,
    checkpoint_path: Any,
    eval_result: Any,
    is_the_final_export: bool,
  ) -> Any:
    if not is_the_final_export:
      return None
    tf.logging.info('Performing the final export in the end of training.')
    return self._write(estimator, export_path, checkpoint_path)


class LatestExporter(_SavedModelExporter):
  """Exports after every evaluation and deletes the oldest exports.

  exports_to_keep: how many of them stay; None for all.
  """

  def __init__(
    self,
    name: str,
    serving_input_receiver_fn: Callable[[], Any],
    assets_extra: Mapping[str, str] | None = None,
    as_text: bool = False,
    exports_to_keep: int | None = 5,
  ):
    super().__init__(name, serving_input_receiver_fn, assets_extra, as_text)
    self._exports_to_keep = _checked_number(exports_to_keep)

  def export(
    self,
    estimator: Any,
    export_path: Any,
    checkpoint_path: Any,
    eval_result: Any,
    is_the_final_export: bool,
  ) -> Any:
    folder = self._write(estimator, export_path, checkpoint_path)
    _delete_oldest(export_path, self._exports_to_keep)
    return folder


def _loss_smaller(best_eval_result: Any, current_eval_result: Any) -> bool:
  """Whether the current loss is below the best."""
  for name, result in zip(_COMPARED, (best_eval_result, current_eval_result)):
    if not result or _LOSS not in result:
      raise ValueError(f'{name} cannot be empty or no loss is found in it. Got {result!r}.')
  best, current = best_eval_result[_LOSS], current_eval_result[_LOSS]
  # No number is smaller than NaN: a model that has it as its loss would stay the best for good.
  return bool(best > current or (np.isnan(best) and not np.isnan(current)))


class BestExporter(_SavedModelExporter):
  """Exports a model that is better than all that were evaluated before it.

  event_file_pattern: the event files of evaluations, relative to model_dir; from them an exporter
    that was started anew knows how good the models were. None: it starts from nothing. With
    EvalSpec(name='x') they are in 'eval_x/*.tfevents.*'.
  compare_fn(best_eval_result, current_eval_result) -> whether the current one is better. Results
    from event files hold only metrics that are single numbers.
  exports_to_keep: how many exports stay; None for all.
  """

  def __init__(
    self,
    name: str = 'best_exporter',
    serving_input_receiver_fn: Callable[[], Any] | None = None,
    event_file_pattern: str | None = 'eval/*.tfevents.*',
    compare_fn: Callable[..., Any] = _loss_smaller,
    assets_extra: Mapping[str, str] | None = None,
    as_text: bool = False,
    exports_to_keep: int | None = 5,
  ):
    _check_compare_fn(compare_fn)
    super().__init__(name, serving_input_receiver_fn, assets_extra, as_text)
    self._compare_fn = compare_fn
    self._event_file_pattern = event_file_pattern
    self._exports_to_keep = _checked_number(exports_to_keep)
    self._model_dir: Any = None
    self._best: Any = None

  def export(
    self,
    estimator: Any,
    export_path: Any,
    checkpoint_path: Any,
    eval_result: Any,
    is_the_final_export: bool,
  ) -> Any:
    if self._event_file_pattern and self._model_dir != estimator.model_dir:
      tf.logging.info('Loading best metric from event files.')
      self._model_dir = estimator.model_dir
      pattern = os.path.join(tf.compat.as_str_any(self._model_dir), self._event_file_pattern)
      self._best = self._best_before(eval_result, pattern)
    if self._best is not None and not self._is_better(eval_result, self._best):
      return None
    tf.logging.info('Performing best model export.')
    folder = self._write(estimator, export_path, checkpoint_path)
    self._best = eval_result
    _delete_oldest(export_path, self._exports_to_keep)
    return folder

  def _is_better(self, current: Any, best: Any) -> Any:
    # By name: the two are easily taken for each other.
    return self._compare_fn(best_eval_result=best, current_eval_result=current)

  def _best_before(self, eval_result: Any, pattern: str) -> Any:
    """The best of the evaluations written down, None if there is no other than `eval_result`.

    That one is in the files as well, since evaluation comes before export; compared with itself the
    first model of all would never be better, and would not be exported.
    """
    best = None
    for path in sorted(tf.io.gfile.glob(pattern)):
      for result in _results_in(path):
        if not _is_same(result, eval_result) and (best is None or self._is_better(result, best)):
          best = result
    return best


def _check_compare_fn(compare_fn: Any) -> None:
  if compare_fn is None:
    raise ValueError('`compare_fn` must not be None.')
  names = call_arguments.names_of(compare_fn)
  for name in _COMPARED:
    if name not in names:
      raise ValueError(f'compare_fn ({compare_fn}) must include {name} argument.')
  unexpected = [name for name in names if name not in _COMPARED]
  if unexpected:
    raise ValueError(f'compare_fn ({compare_fn}) has following not expected args: {unexpected}')


def _checked_number(exports_to_keep: int | None) -> int | None:
  if exports_to_keep is not None and exports_to_keep <= 0:
    raise ValueError(
      f'`exports_to_keep`, if provided, must be a positive number. Got {exports_to_keep}'
    )
  return exports_to_keep


def _results_in(path: str) -> Iterator[dict[str, float]]:
  """Yields {metric: value} of every evaluation in an event file."""
  events = tf.train.summary_iterator(path)
  while True:
    try:
      event = next(events)
    except StopIteration:
      return
    except tf.errors.DataLossError as error:
      # A process that was killed leaves half a record behind; what comes before it counts.
      tf.logging.warning('Cannot read %s to its end: %s', path, error)
      return
    values = event.summary.value
    result = {value.tag: value.simple_value for value in values if value.HasField('simple_value')}
    if result:
      yield result


def _is_same(written: Mapping[str, float], eval_result: Any) -> bool:
  """Whether an event may be that of `eval_result`; event files hold single precision."""
  return bool(eval_result) and all(
    name in eval_result and np.float32(eval_result[name]) == np.float32(value)
    for name, value in written.items()
  )


def _delete_oldest(export_path: Any, exports_to_keep: int | None) -> None:
  """Leaves the newest `exports_to_keep` exports; a number in their names says how old they are."""
  if exports_to_keep is None:
    return
  base = tf.compat.as_str_any(export_path)
  # Folders in object stores end with a slash.
  names = [tf.compat.as_str_any(name).rstrip('/') for name in tf.io.gfile.listdir(base)]
  versions = sorted(name for name in names if _VERSION.match(name))
  for name in versions[:-exports_to_keep]:
    folder = os.path.join(base, name)
    try:
      tf.io.gfile.rmtree(folder)
    except tf.errors.NotFoundError as error:
      # Another process may be deleting as well.
      tf.logging.warning('Can not delete %s recursively: %s', folder, error)
