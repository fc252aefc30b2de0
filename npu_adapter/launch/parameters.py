"""THE TABLE of parameters every launch script takes, with their checks. It knows no model."""

from __future__ import annotations

import os
import re
from typing import Any, Callable, NamedTuple

from npu_adapter import errors

_WORDS = {'true': True, 't': True, '1': True, 'false': False, 'f': False, '0': False}
_COUNT = r'0*[1-9][0-9]*'


class Kind(NamedTuple):
  """What a value must be, in words, and the function that reads it or raises ValueError."""

  must_be: str
  read: Callable[[str], Any]


def _switch(text: str) -> bool:
  if text.lower() not in _WORDS:
    raise ValueError
  return _WORDS[text.lower()]


def _text(text: str) -> str:
  if not text:
    raise ValueError
  return text


def _path(text: str) -> str:
  return os.path.abspath(os.path.expanduser(_text(text)))


def _count(text: str) -> str:
  if not re.fullmatch(_COUNT, text):
    raise ValueError
  return text


def _counts(text: str) -> str:
  if not re.fullmatch(f'{_COUNT}(,{_COUNT})*', text):
    raise ValueError
  return text


def _rates(text: str) -> str:
  if not all(0 < float(rate) < float('inf') for rate in text.split(',')):
    raise ValueError
  return text


SWITCH = Kind('True or False', _switch)
TEXT = Kind('a text of at least one character', _text)
PATH = Kind('the name of a file or folder', _path)
COUNT = Kind('a whole number of at least 1', _count)
COUNTS = Kind('a whole number of at least 1, or several with commas between', _counts)
RATES = Kind('a number above 0, or several with commas between', _rates)


class Parameter(NamedTuple):
  """One row. `default` is for --help; `of_model`: a model must list it; `needs`: its switch."""

  name: str
  kind: Kind
  doc: str
  default: str = ''
  of_model: bool = False
  needs: str = ''
  alias: str = ''


TABLE = (
  Parameter('data_path', PATH, 'training data', 'a stand-in the model makes', of_model=True),
  Parameter('ckpt_path', PATH, 'checkpoint to start from', 'none', of_model=True),
  Parameter('train_steps', COUNTS, 'training steps', 'of the model', of_model=True),
  Parameter('train_epochs', COUNT, 'passes over the training data', 'of the model', of_model=True),
  Parameter('batch_size', COUNT, 'examples a step', 'of the model', of_model=True),
  Parameter('learning_rate', RATES, 'learning rate', 'of the model', of_model=True),
  Parameter(
    'precision_mode',
    TEXT,
    'allow_mix_precision, allow_fp32_to_fp16, force_fp16, must_keep_origin_dtype, ...',
    'of the model',
    of_model=True,
  ),
  Parameter('output_path', PATH, 'folder of the run', 'test/output/<device> of the model'),
  Parameter('data_save_path', PATH, 'folder of dumps and profiles', 'the folder of the run'),
  Parameter('over_dump', SWITCH, 'write operators that overflow, into overflow_dump/', 'False'),
  Parameter('data_dump_flag', SWITCH, 'write operator data, into data_dump/', 'False'),
  Parameter('data_dump_step', TEXT, "steps to dump, as '0|5|10-20'", '10', needs='data_dump_flag'),
  Parameter('profiling', SWITCH, 'profile the run, into profiling/', 'False'),
  Parameter('autotune', SWITCH, 'tune operators, into autotune_dump/', 'False', alias='auto_tune'),
  Parameter('bind_core', SWITCH, "keep to the device's share of the cores", 'False'),
  Parameter('use_mixlist', SWITCH, 'read the mixed-precision lists of --mixlist_file', 'False'),
  Parameter(
    'mixlist_file', PATH, 'JSON of operators', 'configs/ops_info.json of the model',
    needs='use_mixlist',
  ),
  Parameter('fusion_off_flag', SWITCH, 'read the fusion switches of --fusion_off_file', 'False'),
  Parameter(
    'fusion_off_file', PATH, 'fusion switches', 'configs/fusion_switch.cfg of the model',
    needs='fusion_off_flag',
  ),
  Parameter('conda_name', TEXT, 'not taken: activate the environment before the start'),
)  # fmt: skip

BY_NAME = {row.name: row for row in TABLE}
OF_MODEL = tuple(row.name for row in TABLE if row.of_model)
_EXCLUSIVE = ('over_dump', 'data_dump_flag')


def check(row: Parameter, text: str) -> Any:
  """Returns what `text` stands for: a bool for a switch, an absolute path, or the text."""
  try:
    return row.kind.read(text)
  except ValueError:
    hint = '' if text else ' Leave it out for its default.'
    raise errors.OptionError(
      f'--{row.name} must be {row.kind.must_be}; got {text!r}.{hint}'
    ) from None


def check_together(given: dict[str, Any]) -> None:
  """Raises for parameters that cannot be together, or mean nothing without another."""
  if 'conda_name' in given:
    raise errors.OptionError(
      f'--conda_name is not taken; got {given["conda_name"]!r}. Activate the environment first, or '
      'name its Python: PYTHON=/path/to/python. The launch script runs in the environment it finds.'
    )
  for name in given:
    needed = BY_NAME[name].needs
    # A switch that is turned off in so many words is how schedulers spell the default.
    if needed and needed not in given:
      raise errors.OptionError(f'--{name} needs --{needed}; got --{name} alone.')
  if all(given.get(name) for name in _EXCLUSIVE):
    raise errors.OptionError(
      '--over_dump and --data_dump_flag exclude each other; got both. Dump data in one run and '
      'look for overflow in another.'
    )
