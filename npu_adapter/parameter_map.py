"""Options as entries of NpuOptimizer's parameter_map, into a ConfigProto and back."""

from __future__ import annotations

import json
import os
from typing import Any, Iterable, Iterator, Mapping, NamedTuple

from npu_adapter import errors, options
from npu_adapter.config_objects import ConfigObject
from npu_adapter.option import Option

OPTIMIZER_NAME = 'NpuOptimizer'
FIELD_NAMES = {'b': 'True or False', 'i': 'an int', 's': 'a text'}
# Written by the vendor's estimator; nothing reads it.
_UNREAD_KEYS = ('min_group_size',)


class Entry(NamedTuple):
  """`parameter_map[key].<field> = value`; text values are bytes, as the proto keeps them."""

  key: str
  field: str
  value: Any


def entries(owner: str, values: Mapping[str, Any]) -> Iterator[Entry]:
  """Yields the entries of `values` of `owner`, going into config objects; None is not written."""
  rows = options.rows_of(owner)
  for name, value in values.items():
    if isinstance(value, ConfigObject):
      yield from entries(value.OWNER, value.values)
    elif value is not None and rows[name].map_key:
      yield _entry(rows[name], value)


def session_entries(given: Mapping[str, Any], session_only: Mapping[str, Any]) -> list[Entry]:
  """The entries for session code: what was given, the device switched on, and the task's place."""
  task = json.loads(os.environ.get('TF_CONFIG') or '{}').get('task', {})
  found = [Entry('use_off_line', 'b', True)]
  if task:
    found.append(Entry('job', 's', str(task.get('type', 'localhost')).encode()))
    found.append(Entry('task_index', 'i', int(task.get('index', 0))))
  found.extend(entries('NPURunConfig', given))
  found.extend(entries('session_config', session_only))
  return found


def _entry(row: Option, value: Any) -> Entry:
  field = row.kind.field
  return Entry(row.map_key, field, value.encode() if field == 's' else value)


def write(session_config: Any, found: Iterable[Entry]) -> None:
  """Sets `found` in the NpuOptimizer of `session_config`, which gets one if it has none."""
  optimizer = next(_npu_optimizers(session_config), None)
  if optimizer is None:
    optimizer = session_config.graph_options.rewrite_options.custom_optimizers.add()
    optimizer.name = OPTIMIZER_NAME
  for entry in found:
    setattr(optimizer.parameter_map[entry.key], entry.field, entry.value)


def erase(session_config: Any, key: str) -> None:
  """Takes `key` out of every NpuOptimizer of `session_config`."""
  for optimizer in _npu_optimizers(session_config):
    optimizer.parameter_map.pop(key, None)


def strip(session_config: Any) -> None:
  """Removes every NpuOptimizer from `session_config`."""
  optimizers = session_config.graph_options.rewrite_options.custom_optimizers
  for index in reversed(range(len(optimizers))):
    if optimizers[index].name == OPTIMIZER_NAME:
      del optimizers[index]


def read(session_config: Any) -> dict[str, Any]:
  """Returns the checked option values a ConfigProto carries, by key of the parameter_map.

  The engine ignores a key it does not know and reads one in the wrong field as zero: both are
  errors here.
  """
  rows = {row.map_key: row for row in options.all_rows() if row.map_key}
  return {
    key: _read_one(rows, key, value)
    for optimizer in _npu_optimizers(session_config)
    for key, value in optimizer.parameter_map.items()
    if key not in _UNREAD_KEYS
  }


def _npu_optimizers(session_config: Any) -> Iterator[Any]:
  for optimizer in session_config.graph_options.rewrite_options.custom_optimizers:
    if optimizer.name == OPTIMIZER_NAME:
      yield optimizer


def _read_one(rows: Mapping[str, Option], key: str, value: Any) -> Any:
  if key not in rows:
    raise errors.OptionError(
      f'NpuOptimizer has no key {key!r} and would ignore it.{errors.nearest(key, rows)}'
    )
  row, field = rows[key], value.WhichOneof('value')
  if field != row.kind.field:
    raise errors.OptionTypeError(
      f'parameter_map[{key!r}] must be set as .{row.kind.field} ({FIELD_NAMES[row.kind.field]}); '
      f'got .{field}, which the engine reads as zero.'
    )
  return row.check(getattr(value, field))
