"""TrainSpec and EvalSpec: the two halves of train_and_evaluate, checked when they are made."""

from __future__ import annotations

import collections
from typing import Any, Callable, Iterable

import tensorflow.compat.v1 as tf

from npu_adapter.runtime.exporter import Exporter

_TrainFields = collections.namedtuple('_TrainFields', 'input_fn max_steps hooks saving_listeners')
_EvalFields = collections.namedtuple(
  '_EvalFields', 'input_fn steps name hooks exporters start_delay_secs throttle_secs'
)


class TrainSpec(_TrainFields):
  """What train_and_evaluate trains on, and how long.

  Without `max_steps` training goes on until the data end or a hook stops it, and no export is the
  final one. `hooks` and `saving_listeners` are those of Estimator.train.
  """

  def __new__(
    cls,
    input_fn: Callable[..., Any],
    max_steps: int | None = None,
    hooks: Iterable[Any] | None = None,
    saving_listeners: Iterable[Any] | None = None,
  ) -> Any:
    _check_input_fn(input_fn)
    _check_positive('max_steps', max_steps)
    return super().__new__(
      cls,
      input_fn=input_fn,
      max_steps=max_steps,
      hooks=checked_hooks(hooks),
      saving_listeners=_checked_listeners(saving_listeners),
    )


class EvalSpec(_EvalFields):
  """What train_and_evaluate evaluates on, how often, and what it exports then.

  steps: how many batches; None for all.
  name: the summaries go into the folder eval_<name>.
  exporters: an Exporter or several; each is called after every evaluation.
  start_delay_secs: how long an evaluator task waits before its first evaluation.
  throttle_secs: evaluations begin at least so many seconds apart; the last checkpoint is always
    evaluated.
  """

  def __new__(
    cls,
    input_fn: Callable[..., Any],
    steps: int | None = 100,
    name: str | None = None,
    hooks: Iterable[Any] | None = None,
    exporters: Any = None,
    start_delay_secs: float = 120,
    throttle_secs: float = 600,
  ) -> Any:
    _check_input_fn(input_fn)
    _check_positive('steps', steps)
    if name is not None and not isinstance(name, str):
      raise TypeError(f'`name` must be string, given: {name}')
    hooks = checked_hooks(hooks)
    exporters = _checked_exporters(exporters)
    _check_not_negative('start_delay_secs', start_delay_secs)
    _check_not_negative('throttle_secs', throttle_secs)
    return super().__new__(
      cls,
      input_fn=input_fn,
      steps=steps,
      name=name,
      hooks=hooks,
      exporters=exporters,
      start_delay_secs=start_delay_secs,
      throttle_secs=throttle_secs,
    )


def adopted(spec: Any, kind: Any) -> Any:
  """Returns `spec` if it is a `kind`, makes one of tf.estimator's, and returns None otherwise."""
  if isinstance(spec, kind):
    return spec
  # TrainSpec of TF 1.15 has no saving listeners, so a field may be missing.
  fields = getattr(type(spec), '_fields', ())
  if 'input_fn' not in fields or not set(fields) <= set(kind._fields):
    return None
  return kind(**spec._asdict())


def checked_hooks(hooks: Iterable[Any] | None) -> tuple[Any, ...]:
  """Returns the hooks as a tuple; TypeError for anything else among them."""
  found = tuple(hooks or ())
  for hook in found:
    if not isinstance(hook, tf.train.SessionRunHook):
      raise TypeError(f'All hooks must be `SessionRunHook` instances, given: {hook}')
  return found


def _checked_listeners(listeners: Iterable[Any] | None) -> tuple[Any, ...]:
  found = tuple(listeners or ())
  for listener in found:
    if not isinstance(listener, tf.train.CheckpointSaverListener):
      raise TypeError(
        f'All saving_listeners must be `CheckpointSaverListener` instances, given: {listener}'
      )
  return found


def _check_input_fn(input_fn: Any) -> None:
  if not callable(input_fn):
    raise TypeError(f'`input_fn` must be callable, given: {input_fn}')


def _check_positive(name: str, number: int | None) -> None:
  if number is not None and number <= 0:
    raise ValueError(f'Must specify {name} > 0, given: {number}')


def _check_not_negative(name: str, seconds: float) -> None:
  if seconds < 0:
    raise ValueError(f'Must specify {name} >= 0, given: {seconds}')


def _checked_exporters(exporters: Any) -> tuple[Any, ...]:
  """Returns one exporter or several as a tuple: all with a name, no two with the same."""
  if not exporters:
    return ()
  found = _listed(exporters)
  names = [exporter.name for exporter in found]
  for name in names:
    if not name:
      raise ValueError(
        f'An Exporter cannot have a name that is `None` or empty. All exporter names: {names}'
      )
    if not isinstance(name, str):
      raise ValueError(f'An Exporter must have a string name. Given: {type(name)}')
  if len(set(names)) < len(names):
    raise ValueError(
      '`exporters` must have unique names. Such a name cannot be `None`. All exporter names: '
      f'{names}'
    )
  return found


def _listed(exporters: Any) -> tuple[Any, ...]:
  if _is_exporter(exporters):
    return (exporters,)
  try:
    found = tuple(exporters)
  except TypeError:
    found = (None,)
  if not all(map(_is_exporter, found)):
    raise TypeError(
      f'`exporters` must be an Exporter, an iterable of Exporter, or `None`, found {exporters}.'
    )
  return found


def _is_exporter(candidate: Any) -> bool:
  """Whether it is an Exporter, ours or tf.estimator's."""
  if isinstance(candidate, Exporter):
    return True
  is_object = not isinstance(candidate, type)
  return is_object and hasattr(candidate, 'name') and callable(getattr(candidate, 'export', None))
