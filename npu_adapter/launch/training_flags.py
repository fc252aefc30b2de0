"""The flags a training command gets: the model's own values, the user's, the folders of the run."""

from __future__ import annotations

import os
from typing import Any

from npu_adapter import errors
from npu_adapter.launch import parameters
from npu_adapter.launch.models import Model

# A switch of the launch script -> what training is told where to write, and under which name.
_FOLDER_OF = {
  'over_dump': ('over_dump_path', 'overflow_dump'),
  'data_dump_flag': ('data_dump_path', 'data_dump'),
  'profiling': ('profiling_dump_path', 'profiling'),
  'autotune': ('autotune_dump_path', 'autotune_dump'),
}
# A switch -> the parameter that names its file, and the file of the model otherwise.
_FILE_OF = {
  'use_mixlist': ('mixlist_file', 'configs/ops_info.json'),
  'fusion_off_flag': ('fusion_off_file', 'configs/fusion_switch.cfg'),
}
# A default gives way to a flag that excludes it.
_EXCLUDED_BY = {'precision_mode': 'precision_mode_v2'}


def check_known(model: Model, given: dict[str, Any]) -> None:
  """Raises for a parameter of the contract that this model does not have."""
  for name in given:
    if parameters.BY_NAME[name].of_model and name not in model.parameters:
      own = ', '.join(f'--{own}' for own in model.parameters)
      raise errors.OptionError(
        f'--{name} is no parameter of {model.name}; got {given[name]!r}. It takes {own}.'
      )


def with_files(model: Model, given: dict[str, Any]) -> dict[str, Any]:
  """Adds the files that switches stand for; raises where something to read is not there."""
  found = dict(given)
  for switch, (name, usual) in _FILE_OF.items():
    if given.get(switch):
      found.setdefault(name, os.path.join(model.folder, *usual.split('/')))
    else:
      found.pop(name, None)
  for name in ('data_path', 'ckpt_path', *(name for name, _ in _FILE_OF.values())):
    path = found.get(name)
    # A checkpoint is named by the prefix of its files.
    if path and not os.path.exists(path) and not os.path.exists(f'{path}.index'):
      raise errors.OptionError(f'--{name} must name something that exists; got {path!r}.')
  return found


def build(
  model: Model, settings: str, given: dict[str, Any], others: list[str], folder: str
) -> list[str]:
  """Returns the flags for a run in `folder`. What the user named last, in `others`, wins."""
  named = {word.lstrip('-').partition('=')[0] for word in others if word.startswith('-')}
  flags = {
    name: value
    for name, value in model.values(settings).items()
    if _EXCLUDED_BY.get(name) not in named
  }
  flags.update((name, given[name]) for name in model.parameters if name in given)
  flags['output_path'] = os.path.join(folder, 'ckpt')
  dumps = given.get('data_save_path', folder)
  for switch, (flag, place) in _FOLDER_OF.items():
    if given.get(switch):
      flags.update({switch: True, flag: os.path.join(dumps, place)})
  if given.get('data_dump_flag'):
    flags['data_dump_step'] = given.get('data_dump_step')
  for switch, (name, _) in _FILE_OF.items():
    if given.get(switch):
      flags.update({switch: True, name: given[name]})
  return [f'--{name}={value}' for name, value in flags.items() if value is not None] + others
