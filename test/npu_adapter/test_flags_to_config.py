"""The launch flags that stand for several options: folders, dump, profiling, tuning."""

import json
import os

import pytest

from npu_adapter import errors, flags


@pytest.fixture
def config_of(tmp_path, monkeypatch):
  """Returns the config a command line makes, and puts the real flags back afterwards."""
  before = flags.FLAGS.flag_values_dict()
  monkeypatch.chdir(tmp_path)

  def make(*arguments, **defaults):
    flags.FLAGS(['train.py', *arguments])
    return flags.run_config(**defaults)

  yield make
  for name, value in before.items():
    flags.FLAGS[name].value = value
    flags.FLAGS[name].present = 0


def test_each_launch_switch_has_a_folder_of_its_own_in_the_model_folder(config_of, tmp_path):
  folder = str(tmp_path / 'model')
  assert config_of('--over_dump', model_dir=folder).dump_config.dump_path == os.path.join(
    folder, 'overflow_dump'
  )
  assert sorted(os.listdir(folder)) == ['overflow_dump']


@pytest.mark.parametrize(
  'switch, flag, folder_of',
  [
    ('over_dump', 'over_dump_path', lambda config: config.dump_config.dump_path),
    ('data_dump_flag', 'data_dump_path', lambda config: config.dump_config.dump_path),
    (
      'profiling', 'profiling_dump_path',
      lambda config: json.loads(config.profiling_config.profiling_options)['output'],
    ),
    ('autotune', 'autotune_dump_path', lambda config: config.work_path),
  ],
)  # fmt: skip
def test_a_folder_a_flag_names_is_made_and_written_in_full(
  config_of, tmp_path, switch, flag, folder_of
):
  config = config_of(f'--{switch}', f'--{flag}=a folder/b', model_dir=str(tmp_path / 'model'))
  assert folder_of(config) == str(tmp_path / 'a folder' / 'b')
  assert os.path.isdir(str(tmp_path / 'a folder' / 'b'))
  assert not os.path.exists(str(tmp_path / 'model'))


@pytest.mark.parametrize('switch', ['over_dump', 'data_dump_flag', 'profiling', 'autotune'])
def test_a_switch_without_any_folder_asks_for_its_own_flag(config_of, switch):
  with pytest.raises(errors.OptionError, match='must name a folder: there is no model folder'):
    config_of(f'--{switch}')


def test_a_data_dump_writes_inputs_and_outputs_of_step_10(config_of):
  dump = config_of('--data_dump_flag', '--data_dump_path=d').dump_config
  assert (dump.enable_dump, dump.enable_dump_debug) == (True, False)
  assert (dump.dump_step, dump.dump_mode) == ('10', 'all')


def test_profiling_is_switched_on_with_traces_and_pipe_utilisation(config_of, tmp_path):
  profiling = config_of('--profiling', '--profiling_dump_path=p').profiling_config
  assert profiling.enable_profiling is True
  assert json.loads(profiling.profiling_options) == {
    'output': str(tmp_path / 'p'), 'training_trace': 'on', 'task_trace': 'on', 'aicpu': 'on',
    'fp_point': '', 'bp_point': '', 'aic_metrics': 'PipeUtilization',
  }  # fmt: skip


def test_the_same_option_twice_with_one_value_is_fine(config_of):
  config = config_of('--autotune', '--aoe_mode=2', '--autotune_dump_path=t')
  assert config.aoe_mode == '2'


def test_the_loss_scale_is_handed_on_as_text(config_of):
  config_of('--loss_scale=128')
  assert flags.loss_scale() == '128'


def test_flags_tell_their_default_and_type():
  assert flags.FLAGS['backend'].default == 'auto'
  assert flags.FLAGS['loss_scale'].default == 'none'
  assert flags.FLAGS['iterations_per_loop'].parser.flag_type() == 'int'
  assert flags.FLAGS['aoe_mode'].parser.flag_type() == 'string'
