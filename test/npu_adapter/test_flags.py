"""The flags of a training command in real processes: help, errors, exit status, the config."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from npu_adapter import flags, options

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMAND = '''
"""Trains nothing; shows what its flags say."""
import json, sys
sys.path.insert(0, {root!r})
from absl import flags as absl_flags
from npu_adapter import errors, flags
absl_flags.DEFINE_enum('architecture', 'cnn', ['cnn', 'ds_cnn'], 'network to train')
absl_flags.DEFINE_integer('steps', 10, 'training steps')
def main(argv):
  F = flags.FLAGS
  if F.steps == 3:
    return 3
  if F.steps == 4:
    raise errors.BackendError('the device is gone')
  if F.steps == 5:
    raise KeyError('a defect')
  if F.steps == 6:
    from npu_adapter.runtime import model_folder
    raise model_folder.ModelDirInUse('another trains there')
  import os
  print(json.dumps({{'steps': F.steps, 'profiling': F.profiling, 'autotune': F.autotune,
    'hcom_parallel': F.hcom_parallel, 'loss_scale': flags.loss_scale(),
    'backend': os.environ.get('NPU_ADAPTER_BACKEND'), 'tensorflow': 'tensorflow' in sys.modules}}))
if __name__ == '__main__':
  flags.run(main)
'''


@pytest.fixture(scope='module')
def command(tmp_path_factory):
  script = tmp_path_factory.mktemp('a folder') / 'train.py'
  script.write_text(COMMAND.format(root=str(ROOT)))

  def run(*arguments, interpreter=()):
    return subprocess.run(
      [sys.executable, *interpreter, str(script), *arguments],
      capture_output=True,
      text=True,
      cwd=str(script.parent),
    )

  return run


def said(done):
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout)


@pytest.mark.parametrize('word', ['--help', '-h', '--helpshort', '--helpfull'])
def test_help_exits_0_and_shows_own_and_adapter_flags_in_groups(command, word):
  done = command('--steps=2', word)
  assert done.returncode == 0
  assert 'Trains nothing' in done.stdout
  own, _, adapter = done.stdout.partition('flags of npu_adapter:')
  assert '--steps' in own and '--precision_mode' not in own
  assert '--precision_mode' in adapter and '--[no]profiling' in adapter and '--backend' in adapter
  assert ('--stream_sync_timeout' in adapter) == (word == '--helpfull')


def test_help_answers_without_tensorflow_or_numpy(command):
  # What makes it fast; bench/start_up.py prints how fast.
  assert said(command())['tensorflow'] is False
  done = command('--help', interpreter=('-X', 'importtime'))
  imported = {line.rpartition('|')[2].strip() for line in done.stderr.splitlines()}
  assert 'npu_adapter.options' in imported
  assert not imported & {'tensorflow', 'numpy', 'npu_adapter.run_config', 'npu_adapter.backends'}


def test_help_into_a_closed_pipe_ends_quietly(command, tmp_path):
  script = tmp_path / 'piped.py'
  script.write_text(COMMAND.format(root=str(ROOT)))
  line = f'"{sys.executable}" "{script}" --help | true; echo "${{PIPESTATUS[0]}}"'
  done = subprocess.run(['bash', '-c', line], capture_output=True)
  assert done.stdout.strip() == b'0'
  assert done.stderr == b''


@pytest.mark.parametrize(
  'arguments, words',
  [
    (['--precison_mode=x'], "there is no flag --precison_mode. Did you mean 'precision_mode'?"),
    (['--precision_mode=allow_mix_precison'], "Did you mean 'allow_mix_precision'?"),
    (['--architecture=ds_cn'], "Did you mean 'ds_cnn'?"),
    (['--profiling=maybe'], 'flag --profiling=maybe: must be True or False.'),
    (['--profiling', 'maybe'], "got 'maybe' without one"),
    (['train'], "values go with a flag (--name=value); got 'train' without one"),
    (['--steps=many'], 'many'),
    (['--steps'], 'Missing value for flag --steps'),
    (['--iterations_per_loop=0'], 'must be an int of at least 1; got 0'),
    (['--iterations_per_loop=ten'], "must be an int of at least 1; got 'ten'"),
    (['--modify_mixlist=missing.json'], "'missing.json' is no file"),
    (['--data_dump_step=abc'], "such as '0|5|10-20'"),
    (['--loss_scale=dynamik'], "Did you mean 'dynamic'?"),
    (['--loss_scale=0.5'], "got '0.5'"),
    (['--loss_scale=inf'], "got 'inf'"),
    (['--backend=npu'], 'auto|ascend|host'),
  ],
)
def test_a_wrong_command_line_exits_2_and_says_what_is_wrong(command, arguments, words):
  done = command(*arguments)
  assert done.returncode == 2
  assert done.stderr.startswith('train.py: error: ')
  assert words in done.stderr
  assert 'Traceback' not in done.stderr
  assert done.stdout == ''


@pytest.mark.parametrize('word, value', [('True', True), ('False', False), ('0', False),
                                         ('1', True), ('true', True)])  # fmt: skip
def test_a_boolean_word_behind_its_flag_is_its_value(command, word, value):
  assert said(command('--profiling', word, '--steps', '2')) == {
    'steps': 2, 'profiling': value, 'autotune': False, 'hcom_parallel': None, 'loss_scale': 'none',
    'backend': None, 'tensorflow': False,
  }  # fmt: skip


def test_booleans_take_their_other_forms_too(command):
  found = said(command('--nohcom_parallel', '--auto_tune', '--profiling=0', '--loss_scale=128'))
  assert found['hcom_parallel'] is False
  assert found['autotune'] is True
  assert found['profiling'] is False
  assert found['loss_scale'] == '128'


def test_the_backend_flag_reaches_the_chooser(command):
  assert said(command('--backend=host'))['backend'] == 'host'


@pytest.mark.parametrize(
  'steps, status, words',
  [(3, 3, ''), (4, 1, 'the device is gone'), (5, 1, 'KeyError'), (6, 1, 'another trains')],
)
def test_the_exit_status_is_what_main_came_to(command, steps, status, words):
  done = command(f'--steps={steps}')
  assert done.returncode == status
  assert words in done.stderr
  # Of a defect, and of nothing else.
  assert ('Traceback' in done.stderr) == (steps == 5)


def test_every_scalar_option_of_the_table_is_a_flag_and_no_other():
  scalars = {row.name for row in options.TABLE['NPURunConfig'] if row.map_key}
  assert scalars <= set(flags.FLAGS)
  from_table = {
    flag.name
    for module, found in flags.FLAGS.flags_by_module_dict().items()
    if module.startswith('npu_adapter')
    for flag in found
  }
  extra = {'backend', 'data_dump_step', 'loss_scale', 'auto_tune', 'only_check_args'}
  extra.update(flags._SWITCHES, flags._TEXTS)
  assert from_table == scalars | extra


def test_flag_help_says_values_default_and_what_a_host_does():
  text = flags.FLAGS['precision_mode'].help
  assert "'allow_mix_precision'" in text and 'the engine decides' in text and 'host:' in text


@pytest.fixture
def parsed():
  """Parses a command line into the real flags, and puts them back afterwards."""
  before = flags.FLAGS.flag_values_dict()
  yield lambda *arguments: flags.FLAGS(['train.py', *arguments])
  for name, value in before.items():
    flags.FLAGS[name].value = value
    flags.FLAGS[name].present = 0


def test_flags_make_the_config_they_describe(parsed, tmp_path):
  parsed(
    '--precision_mode=allow_mix_precision', '--iterations_per_loop=10', '--nohcom_parallel',
    '--profiling', '--data_dump_flag', '--data_dump_step=0|3', '--autotune',
  )  # fmt: skip
  config = flags.run_config(model_dir=str(tmp_path / 'model'), save_summary_steps=5)
  assert config.precision_mode == 'allow_mix_precision'
  assert (config.iterations_per_loop, config.hcom_parallel) == (10, False)
  assert config.save_summary_steps == 5
  assert config.dump_config.enable_dump and config.dump_config.dump_step == '0|3'
  assert config.dump_config.dump_path == str(tmp_path / 'model' / 'data_dump')
  assert os.path.isdir(config.dump_config.dump_path)
  profile = json.loads(config.profiling_config.profiling_options)
  assert profile['output'] == str(tmp_path / 'model' / 'profiling')
  assert (config.aoe_mode, config.work_path) == ('2', str(tmp_path / 'model' / 'autotune_dump'))


def test_flags_left_out_leave_the_options_to_the_program_and_the_vendor(parsed, tmp_path):
  parsed()
  config = flags.run_config(model_dir=str(tmp_path), precision_mode='force_fp32')
  assert set(config.given) == {'model_dir', 'precision_mode'}
  parsed('--precision_mode=force_fp16')
  assert flags.run_config(precision_mode='force_fp32').precision_mode == 'force_fp16'


def test_overflow_dump_goes_where_its_flag_says(parsed, tmp_path):
  parsed('--over_dump', f'--over_dump_path={tmp_path / "over flow"}')
  dump = flags.run_config().dump_config
  assert dump.enable_dump_debug and not dump.enable_dump
  assert dump.dump_path == str(tmp_path / 'over flow')


@pytest.mark.parametrize(
  'arguments, words',
  [
    (['--over_dump', '--data_dump_flag'], '--over_dump and --data_dump_flag exclude each other'),
    (['--over_dump'], '--over_dump_path must name a folder'),
    (['--use_mixlist'], '--use_mixlist needs --mixlist_file'),
    (['--mixlist_file=FILE'], '--mixlist_file needs --use_mixlist; got --mixlist_file alone'),
    (['--data_dump_path=x'], '--data_dump_path needs --data_dump_flag'),
    (['--data_dump_step=3'], '--data_dump_step needs --data_dump_flag'),
    (['--profiling', '--profiling_dump_path=FILE/x'], '--profiling_dump_path must name a folder'),
    (['--fusion_off_flag'], '--fusion_off_flag needs --fusion_off_file'),
    (['--use_mixlist', '--mixlist_file=FILE'], 'modify_mixlist needs a mixed precision mode'),
    (['--autotune', '--aoe_mode=1', '--autotune_dump_path=.'], 'aoe_mode is given twice'),
  ],
)
def test_flags_that_cannot_go_together_are_refused(parsed, tmp_path, arguments, words):
  (tmp_path / 'list.json').write_text('{}')
  parsed(*(word.replace('FILE', str(tmp_path / 'list.json')) for word in arguments))
  with pytest.raises(ValueError) as raised:
    flags.run_config()
  assert words in str(raised.value)


def test_a_precision_mode_of_one_kind_replaces_the_programs_of_the_other(parsed):
  parsed('--precision_mode_v2=fp16')
  config = flags.run_config(precision_mode='allow_mix_precision')
  assert (config.precision_mode, config.precision_mode_v2) == (None, 'fp16')


def test_files_behind_a_switch_reach_their_options(parsed, tmp_path):
  (tmp_path / 'list.json').write_text('{}')
  file = str(tmp_path / 'list.json')
  parsed('--use_mixlist', f'--mixlist_file={file}', '--precision_mode=allow_mix_precision',
         '--fusion_off_flag', f'--fusion_off_file={file}')  # fmt: skip
  config = flags.run_config()
  assert (config.modify_mixlist, config.fusion_switch_file) == (file, file)
