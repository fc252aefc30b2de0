"""The small languages some options are written in, each with a parser that tells what is wrong."""

from __future__ import annotations

import json
import re
from typing import Any

from npu_adapter.option import Grammar

GIB = 2**30
MAX_DUMP_SETS = 100
# The native default switches these on; fp_point and bp_point take node names instead of on/off.
PROFILING_SWITCHES = (
  'training_trace', 'task_trace', 'task_time', 'op_trace', 'hccl', 'aicpu', 'msproftx',
  'l2', 'runtime_api', 'ge_api',
)  # fmt: skip
PROFILING_TEXTS = (
  'output', 'storage_limit', 'fp_point', 'bp_point', 'aic_metrics', 'sys_hardware_mem_freq',
  'llc_profiling', 'sys_io_sampling_freq', 'sys_interconnection_freq', 'dvpp_freq',
  'instr_profiling_freq', 'host_sys', 'host_sys_usage', 'host_sys_usage_freq',
)  # fmt: skip


def parse_dump_step(text: str) -> list[tuple[int, int]]:
  """Returns the steps of '0|5|10-20' as inclusive (first, last) pairs."""
  sets = text.split('|')
  if len(sets) > MAX_DUMP_SETS:
    raise ValueError(f'{len(sets)} sets of steps, at most {MAX_DUMP_SETS} are allowed')
  pairs = []
  for item in sets:
    first, _, last = item.partition('-')
    pairs.append((int(first), int(last or first)))
    if last and int(first) >= int(last):
      raise ValueError(f'the range {item} does not ascend')
  return pairs


def parse_input_shape(text: str) -> list[tuple[str, list[int]]]:
  """Returns 'data:1,-1;label:2' as [('data', [1, -1]), ('label', [2])]."""
  inputs = []
  for item in text.split(';'):
    name, _, sizes = item.rpartition(':')
    inputs.append((name, [int(size) for size in sizes.split(',')]))
  return inputs


def parse_dynamic_dims(text: str) -> list[list[int]]:
  """Returns the gears of '20,20;40,40' as lists of sizes, all equally long."""
  gears = [[int(size) for size in gear.split(',')] for gear in text.split(';')]
  if len(gears) < 2:
    raise ValueError('at least two gears are needed')
  if len({len(gear) for gear in gears}) > 1:
    raise ValueError('every gear must have the same number of sizes')
  return gears


def parse_size(text: str) -> int:
  """Returns the bytes of '26 * 1024 * 1024 * 1024', the form the vendor's examples use."""
  total = 1
  for factor in text.split('*'):
    total *= int(factor)
  if total > 256 * GIB:
    raise ValueError(f'{total} bytes is above 256 GiB')
  return total


def parse_profiling_options(text: str) -> dict[str, Any]:
  """Returns the switches of the JSON form, or of the older 'training_trace:task_trace'."""
  if not text.lstrip().startswith('{'):
    return dict.fromkeys(text.split(':'), 'on')
  try:
    options = json.loads(text)
  except ValueError as error:
    raise ValueError(f'the JSON does not parse ({error})') from None
  for name, value in options.items():
    if name in PROFILING_SWITCHES:
      if value not in ('on', 'off'):
        raise ValueError(f'{name} must be "on" or "off"')
    elif name not in PROFILING_TEXTS:
      raise ValueError(f'{name} is no profiling option')
    elif not isinstance(value, str):
      raise ValueError(f'{name} must be a JSON string')
  _check_storage_limit(options.get('storage_limit') or '200MB')
  return options


def _check_storage_limit(text: str) -> None:
  found = re.fullmatch(r'(\d+)MB', text)
  if not found or int(found.group(1)) < 200:
    raise ValueError(f'storage_limit must be at least "200MB"; got {text!r}')


def parse_accelerate_train_mode(text: str) -> tuple[str, str, float]:
  """Returns 'fast|step|0.9' as (how, trigger, ratio), with the trigger's own default ratio."""
  how, trigger, *rest = text.split('|')
  lowest, highest, default = {'step': (0.2, 0.9, 0.9), 'loss': (1.01, 1.5, 1.05)}[trigger]
  ratio = float(rest[0]) if rest else default
  if not lowest <= ratio <= highest:
    raise ValueError(f'with {trigger} the ratio must lie in {lowest} to {highest}')
  return how, trigger, ratio


def parse_core_counts(text: str) -> tuple[int, ...]:
  """Returns '2|4' as (cube cores, vector cores)."""
  counts = tuple(int(count) for count in text.split('|'))
  if 0 in counts:
    raise ValueError('both counts must be above 0')
  return counts


def parse_streams(text: str) -> int:
  """Returns the stream count of 'LoadBalance:8'; 0 for 'cv', which has none."""
  count = int(text.partition(':')[2] or 0)
  if count > 64 or (':' in text and count < 1):
    raise ValueError('the number of streams must be 1 to 64')
  return count


_RANGES = r'(\[[^\[\]]*\])(,\s*\[[^\[\]]*\])*'
_ONE_RANGE = re.compile(r'-1|\d+|\d+~\d+')


def parse_shape_range(text: str) -> list[str]:
  """Checks every dimension of 'getnext:[128,3~5,-1];data:[2]'."""
  parts = [part for part in re.split(r'[\[\],;]|getnext:|data:', text) if part.strip()]
  for part in parts:
    if not _ONE_RANGE.fullmatch(part.strip()):
      raise ValueError(f'{part.strip()!r} is no dimension: write 3, 3~5 or -1')
  return parts


DUMP_STEP = Grammar(
  "steps such as '0|5|10-20' (at most 100 sets, ranges ascending)",
  r'\d+(-\d+)?(\|\d+(-\d+)?)*',
  parse_dump_step,
)
INPUT_SHAPE = Grammar(
  "shapes such as 'data:1,-1;label:-1' (-1 for a dynamic dimension)",
  r'[^:;]+(:[^:;,]+)*:-?\d+(,-?\d+)*(;[^:;]+(:[^:;,]+)*:-?\d+(,-?\d+)*)*',
  parse_input_shape,
)
DYNAMIC_DIMS = Grammar(
  "gears such as '20,20;40,40' (one size for each -1 of input_shape)",
  r'\d+(,\d+)*(;\d+(,\d+)*)*',
  parse_dynamic_dims,
)
SHAPE_RANGE = Grammar(
  "ranges such as 'getnext:[128,3~5],[64,-1];data:[2]' (labels getnext and data only)",
  rf'(getnext|data):{_RANGES}(;(getnext|data):{_RANGES})*',
  parse_shape_range,
)
SIZE = Grammar(
  "bytes, 0 to 256 GiB, as an int or as '26 * 1024 * 1024 * 1024'",
  r'\s*\d+\s*(\*\s*\d+\s*)*',
  parse_size,
)
PROFILING = Grammar(
  'a JSON object of profiling switches such as \'{"output": "/data", "task_trace": "on"}\', or '
  "names such as 'training_trace:task_trace'",
  r'(?s)\s*|\s*\{.*\}\s*|(training_trace|task_trace|task_time|op_trace)'
  r'(:(training_trace|task_trace|task_time|op_trace))*',
  lambda text: parse_profiling_options(text) if text.strip() else {},
)
ACCELERATE = Grammar(
  "'fast|step|0.9', 'fast1|loss|1.05' or the same without the ratio",
  r'fast1?\|(step|loss)(\|\d+(\.\d+)?)?',
  parse_accelerate_train_mode,
)
DEVICE_LIST = Grammar("device numbers such as '1,2,3'", r'\d+(,\d+)*')
NAME_LIST = Grammar("names such as 'Pooling,SoftmaxV2'", r'[^,\s]+(\s*,\s*[^,\s]+)*')
ENGINE_STREAMS = Grammar(
  "streams per engine such as 'DNN_VM_AICPU:10,AIcoreEngine:1'", r'\w+:\d+(,\w+:\d+)*'
)
CORE_COUNTS = Grammar("'cube cores|vector cores' such as '24|48'", r'\d+\|\d+', parse_core_counts)
MULTISTREAM = Grammar(
  "'cv', 'LoadBalance:n' or 'MainStream:n' with n from 1 to 64",
  r'cv|(LoadBalance|MainStream):\d+',
  parse_streams,
)
LEVEL = Grammar("an optimization level 'O0' to 'O3'", r'O[0-3]')
PASS_SWITCHES = Grammar("switches such as 'PassA:on;PassB:off'", r'\w+:(on|off)(;\w+:(on|off))*;?')
