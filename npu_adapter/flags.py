"""The adapter's command-line flags, built from the table, and `run` for every main."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Iterator

from absl import flags as absl_flags

from npu_adapter import command_line, errors, options
from npu_adapter.option import Option

if TYPE_CHECKING:
  from npu_adapter.run_config import NPURunConfig

FLAGS = absl_flags.FLAGS
run = command_line.run

# Shown by --help; the other options of the table are flags too, and --helpfull lists them.
LAUNCH_OPTIONS = (
  'precision_mode', 'precision_mode_v2', 'modify_mixlist', 'op_precision_mode',
  'iterations_per_loop', 'mix_compile_mode', 'deterministic', 'fusion_switch_file',
)  # fmt: skip


class _OptionParser(absl_flags.ArgumentParser):
  """Parses a flag with an option's own check, so that a flag and an argument agree."""

  def __init__(self, row: Option):
    super().__init__()
    self._row = row

  def parse(self, argument: Any) -> Any:
    if self._row.kind.field == 'i' and isinstance(argument, str):
      try:
        argument = int(argument)
      except ValueError:
        raise errors.OptionError(f'must be {self._row.meaning()}; got {argument!r}.') from None
    return self._row.check(argument)

  def flag_type(self) -> str:
    return 'int' if self._row.kind.field == 'i' else 'string'


def _flag_rows() -> Iterator[Option]:
  """The options a single flag can carry: scalars that reach the parameter_map."""
  return (row for row in options.TABLE['NPURunConfig'] if row.map_key)


def _help_of(row: Option) -> str:
  default = 'the engine decides' if row.default is None else repr(row.default)
  # The form --[no]name says already that it is True or False.
  values = '' if row.kind.field == 'b' else f'; {row.meaning()}'
  return f'{row.doc}{values} (default: {default}; host: {row.host})'


def _parse_loss_scale(text: str) -> str:
  if text not in ('none', 'dynamic'):
    try:
      scale = float(text)
    except ValueError:
      scale = 0.0
    if not 1 <= scale < float('inf'):
      raise ValueError(
        f"must be 'none', 'dynamic' or a number of at least 1; got {text!r}."
        f'{errors.nearest(text, ("none", "dynamic"))}'
      )
  return text


class _LossScale(absl_flags.ArgumentParser):
  """Parses --loss_scale."""

  def parse(self, argument: Any) -> str:
    return _parse_loss_scale(str(argument))


def _define() -> None:
  for row in _flag_rows():
    shown = command_line.GROUP if row.name in LAUNCH_OPTIONS else command_line.FULL_GROUP
    if row.kind.field == 'b':
      absl_flags.DEFINE_bool(row.name, None, _help_of(row), module_name=shown)
    else:
      absl_flags.DEFINE(_OptionParser(row), row.name, None, _help_of(row), module_name=shown)
  group = {'module_name': command_line.GROUP}
  absl_flags.DEFINE_enum(
    'backend', 'auto', ['auto', 'ascend', 'host'],
    'device to run on; auto takes Ascend where npu_bridge is installed, else the host', **group,
  )  # fmt: skip
  absl_flags.DEFINE(
    _LossScale(),
    'loss_scale',
    'none',
    "'none', 'dynamic' or a fixed number of at least 1; reaches wrap_optimizer as "
    'flags.loss_scale()',
    **group,
  )
  for name, text in _SWITCHES.items():
    absl_flags.DEFINE_bool(name, False, text, **group)
  steps = options.rows_of('DumpConfig')['dump_step']
  absl_flags.DEFINE(_OptionParser(steps), 'data_dump_step', None, _DATA_DUMP_STEP, **group)
  for name, text in _TEXTS.items():
    absl_flags.DEFINE_string(name, None, text, **group)
  absl_flags.DEFINE_alias('auto_tune', 'autotune', module_name=command_line.GROUP)


_SWITCHES = {
  'over_dump': 'write the operators that overflow (DumpConfig.enable_dump_debug)',
  'data_dump_flag': 'write operator data (DumpConfig.enable_dump)',
  'profiling': 'profile the run (ProfilingConfig)',
  'autotune': "operator tuning (aoe_mode='2')",
  'use_mixlist': 'hand --mixlist_file to modify_mixlist',
  'fusion_off_flag': 'hand --fusion_off_file to fusion_switch_file',
}
_DATA_DUMP_STEP = "steps for --data_dump_flag, such as '0|5|10-20' (default: 10)"
# What each switch takes beside it, which means nothing without it.
_BESIDE = {
  'over_dump': ('over_dump_path',),
  'data_dump_flag': ('data_dump_path', 'data_dump_step'),
  'profiling': ('profiling_dump_path',),
  'autotune': ('autotune_dump_path',),
  'use_mixlist': ('mixlist_file',),
  'fusion_off_flag': ('fusion_off_file',),
}
_EXCLUSIVE = {'precision_mode': 'precision_mode_v2', 'precision_mode_v2': 'precision_mode'}
_TEXTS = {
  'over_dump_path': 'folder for --over_dump (default: overflow_dump in the model folder)',
  'data_dump_path': 'folder for --data_dump_flag (default: data_dump in the model folder)',
  'profiling_dump_path': 'folder for --profiling (default: profiling in the model folder)',
  'autotune_dump_path': 'folder for --autotune (default: autotune_dump in the model folder)',
  'mixlist_file': 'JSON of operators moved between the mixed-precision lists',
  'fusion_off_file': 'fusion patterns switched on and off',
}

_define()


def loss_scale() -> str:
  """The value of --loss_scale, in the form wrap_optimizer takes."""
  return str(FLAGS.loss_scale)


def run_config(**defaults: Any) -> NPURunConfig:
  """Returns the NPURunConfig the flags describe; `defaults` hold where no flag was given.

  Dump, profiling and tuning folders that no flag names are made inside `model_dir`.
  """
  from npu_adapter.run_config import NPURunConfig

  given = {
    row.name: FLAGS[row.name].value for row in _flag_rows() if FLAGS[row.name].value is not None
  }
  for name, value in _from_launch_flags(defaults.get('model_dir')).items():
    if given.setdefault(name, value) != value:
      raise errors.OptionError(
        f'{name} is given twice: {given[name]!r} by --{name} and {value!r} by a launch flag '
        '(--autotune, --use_mixlist or --fusion_off_flag). Keep one of them.'
      )
  left = {name: value for name, value in defaults.items() if _EXCLUSIVE.get(name) not in given}
  return NPURunConfig(**{**left, **given})


def _from_launch_flags(model_dir: Any) -> dict[str, Any]:
  """The options that launch scripts spell as a switch and a folder."""
  from npu_adapter import config_objects

  found: dict[str, Any] = {}
  for switch, names in _BESIDE.items():
    for name in names:
      if FLAGS[name].value is not None and not FLAGS[switch].value:
        raise errors.OptionError(f'--{name} needs --{switch}; got --{name} alone.')
  if FLAGS.over_dump and FLAGS.data_dump_flag:
    raise errors.OptionError(
      '--over_dump and --data_dump_flag exclude each other; got both. Dump data in one run and '
      'look for overflow in another.'
    )
  if FLAGS.over_dump:
    found['dump_config'] = config_objects.DumpConfig(
      enable_dump_debug=True, dump_path=_folder('over_dump_path', model_dir, 'overflow_dump')
    )
  if FLAGS.data_dump_flag:
    found['dump_config'] = config_objects.DumpConfig(
      enable_dump=True,
      dump_path=_folder('data_dump_path', model_dir, 'data_dump'),
      dump_step=FLAGS.data_dump_step or '10',
      dump_mode='all',
    )
  if FLAGS.profiling:
    folder = _folder('profiling_dump_path', model_dir, 'profiling')
    found['profiling_config'] = config_objects.ProfilingConfig(True, _profile_into(folder))
  if FLAGS.autotune:
    found['aoe_mode'] = '2'
    found['work_path'] = _folder('autotune_dump_path', model_dir, 'autotune_dump')
  found.update(_from_files())
  return found


def _profile_into(folder: str) -> str:
  switches = {'output': folder, 'training_trace': 'on', 'task_trace': 'on', 'aicpu': 'on'}
  return json.dumps({**switches, 'fp_point': '', 'bp_point': '', 'aic_metrics': 'PipeUtilization'})


def _from_files() -> dict[str, str]:
  found = {}
  for switch, file_flag, option in (
    ('use_mixlist', 'mixlist_file', 'modify_mixlist'),
    ('fusion_off_flag', 'fusion_off_file', 'fusion_switch_file'),
  ):
    if FLAGS[switch].value:
      if FLAGS[file_flag].value is None:
        raise errors.OptionError(f'--{switch} needs --{file_flag}; got none.')
      found[option] = FLAGS[file_flag].value
  return found


def _folder(flag: str, model_dir: Any, name: str) -> str:
  """Returns the folder a flag names, or `name` inside the model folder; made if missing."""
  folder = FLAGS[flag].value
  if folder is None and not model_dir:
    raise errors.OptionError(f'--{flag} must name a folder: there is no model folder to put it in.')
  folder = folder or os.path.join(os.fspath(model_dir), name)
  try:
    os.makedirs(folder, exist_ok=True)
  except OSError as error:
    raise errors.OptionError(
      f'--{flag} must name a folder this user can make; got {folder!r}: {error.strerror}.'
    ) from None
  return os.path.abspath(folder)
