"""The environment of a training process: run variables, device, share of the cores."""

from __future__ import annotations

import os
import re
from typing import Mapping

from npu_adapter import errors

_DEVICES = 8
# For a run on one device. What the caller has set stays.
_DEFAULTS = {
  'JOB_ID': '10087',
  'RANK_SIZE': '1',
  'RANK_ID_START': '0',
  'ASCEND_DEVICE_ID': '0',
  'ASCEND_GLOBAL_LOG_LEVEL': '3',
  # Lines must reach the terminal and the log when they are written.
  'PYTHONUNBUFFERED': '1',
}


def for_one_device(caller: Mapping[str, str]) -> dict[str, str]:
  """Returns the caller's environment with what a run on one device needs beside it."""
  missing = {name: value for name, value in _DEFAULTS.items() if not caller.get(name)}
  found = {**caller, **missing}
  if not found.get('RANK_ID'):
    found['RANK_ID'] = found['RANK_ID_START']
  if found['RANK_SIZE'] != '1':
    raise errors.OptionError(
      f'RANK_SIZE must be 1 for a run on one device; got {found["RANK_SIZE"]!r} from the '
      'environment. Unset it.'
    )
  if not re.fullmatch(r'0|[1-9][0-9]*', found['ASCEND_DEVICE_ID']):
    raise errors.OptionError(
      'ASCEND_DEVICE_ID must be a device number, 0 to 7 on a server of eight; got '
      f'{found["ASCEND_DEVICE_ID"]!r} from the environment.'
    )
  return found


def cores_of(device: int) -> list[int]:
  """The device's eighth of the cores this process may use, and at least one of them."""
  if not hasattr(os, 'sched_setaffinity'):
    raise errors.OptionError(
      '--bind_core needs a system that can bind a process to cores, such as Linux; this one '
      'cannot. Leave it out.'
    )
  if device >= _DEVICES:
    raise errors.OptionError(
      f'--bind_core shares the cores among devices 0 to {_DEVICES - 1}; got device {device}. '
      'Leave it out.'
    )
  usable = sorted(os.sched_getaffinity(0))
  first = device * len(usable) // _DEVICES
  last = max(first, (device + 1) * len(usable) // _DEVICES - 1)
  return usable[first : last + 1]
