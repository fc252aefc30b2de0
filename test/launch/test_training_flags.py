"""Which flags reach the training command, and what is refused before it starts."""

import pytest


def test_the_case_the_defaults_and_the_folder_reach_training(toy):
  assert toy.launch().returncode == 0
  assert toy.flags() == {
    'batch_size': '100',
    'precision_mode': 'allow_mix_precision',
    'learning_rate': '0.01,0.001',
    'train_steps': '50,50',
    'output_path': str(toy.run_folder / 'ckpt'),
  }


def test_a_case_has_its_own_values(toy):
  assert toy.launch(case='performance').returncode == 0
  assert toy.flags()['train_steps'] == '5,5'
  assert toy.flags()['model_size_info'] == '1 2'


def test_parameters_of_the_user_win(toy):
  done = toy.launch(
    '--batch_size=7', '--train_steps', '3', '--learning_rate=0.5', '--precision_mode=force_fp16'
  )
  assert done.returncode == 0
  found = toy.flags()
  assert (found['batch_size'], found['train_steps']) == ('7', '3')
  assert (found['learning_rate'], found['precision_mode']) == ('0.5', 'force_fp16')


def test_flags_of_the_training_command_are_passed_on(toy):
  done = toy.launch('--model_size_info=5 64 10', '--loss_scale', 'dynamic', case='performance')
  assert done.returncode == 0
  assert toy.flags()['model_size_info'] == '5 64 10'
  assert toy.seen()['words'][-2:] == ['--loss_scale', 'dynamic']


def test_paths_are_handed_over_in_full(toy):
  data = toy.elsewhere / 'my data'
  data.mkdir()
  (toy.elsewhere / 'model.ckpt-5.index').write_text('')
  assert toy.launch('--data_path=my data', '--ckpt_path', 'model.ckpt-5').returncode == 0
  assert toy.flags()['data_path'] == str(data)
  assert toy.flags()['ckpt_path'] == str(toy.elsewhere / 'model.ckpt-5')


SWITCHES = [
  ('over_dump', 'over_dump_path', 'overflow_dump'),
  ('data_dump_flag', 'data_dump_path', 'data_dump'),
  ('profiling', 'profiling_dump_path', 'profiling'),
  ('autotune', 'autotune_dump_path', 'autotune_dump'),
]


@pytest.mark.parametrize('switch, flag, folder', SWITCHES)
def test_a_switch_brings_its_folder(toy, switch, flag, folder):
  assert toy.launch(f'--{switch}').returncode == 0
  assert toy.flags()[switch] == 'True'
  assert toy.flags()[flag] == str(toy.run_folder / folder)


@pytest.mark.parametrize('switch, flag, folder', SWITCHES)
def test_data_save_path_holds_the_folders(toy, switch, flag, folder):
  assert toy.launch(f'--{switch}=True', '--data_save_path=big disk').returncode == 0
  assert toy.flags()[flag] == str(toy.elsewhere / 'big disk' / folder)


def test_a_folder_the_user_names_for_training_wins(toy):
  assert toy.launch('--profiling', '--profiling_dump_path=/mine').returncode == 0
  assert toy.flags()['profiling_dump_path'] == '/mine'


def test_the_steps_to_dump_go_with_the_dump(toy):
  assert toy.launch('--data_dump_flag', '--data_dump_step=3|5').returncode == 0
  assert toy.flags()['data_dump_step'] == '3|5'
  assert toy.launch('--data_dump_flag=False', '--data_dump_step=3').returncode == 0
  assert 'data_dump_step' not in toy.flags()
  assert 'data_dump_flag' not in toy.flags()


FILES = [
  ('use_mixlist', 'mixlist_file', 'ops_info.json'),
  ('fusion_off_flag', 'fusion_off_file', 'fusion_switch.cfg'),
]


@pytest.mark.parametrize('switch, flag, usual', FILES)
def test_the_file_of_a_switch_that_is_off_is_not_looked_for(toy, switch, flag, usual):
  assert toy.launch(f'--{switch}=False', f'--{flag}=gone').returncode == 0
  assert flag not in toy.flags()


@pytest.mark.parametrize('switch, flag, usual', FILES)
def test_a_switch_takes_the_models_file_or_the_users(toy, switch, flag, usual):
  before = toy.files()
  done = toy.launch(f'--{switch}')
  assert done.returncode == 2
  expected = toy.folder / 'configs' / usual
  assert f"--{flag} must name something that exists; got '{expected}'" in done.stderr
  assert toy.files() == before
  expected.parent.mkdir()
  expected.write_text('{}')
  assert toy.launch(f'--{switch}').returncode == 0
  assert toy.flags()[flag] == str(expected)
  (toy.elsewhere / 'mine').write_text('{}')
  assert toy.launch(f'--{switch}', f'--{flag}=mine').returncode == 0
  assert toy.flags()[flag] == str(toy.elsewhere / 'mine')


def test_the_default_precision_gives_way_to_precision_mode_v2(toy):
  assert toy.launch('--precision_mode_v2=mixed_float16').returncode == 0
  assert 'precision_mode' not in toy.flags()


# The words, what is said; each ends with 2.
REFUSED = {
  'no such data': (['--data_path=gone'], r'--data_path must name something that exists; got'),
  'no such checkpoint': (['--ckpt_path=gone'], '--ckpt_path must name something that exists'),
  'a parameter the model has not': (
    ['--train_epochs=3'],
    "--train_epochs is no parameter of toy; got '3'. It takes --data_path, --ckpt_path, --batch_si",
  ),
  'a misspelt parameter': (['--precison_mode=x'], "--precison_mode. Did you mean 'precision_mode'"),
  'a misspelt parameter of the launcher': (
    ['--bindcore'],
    "nothing was started. Did you mean 'bind_core'?",
  ),
  'a beginning of a name': (['--prof'], 'there is no flag --prof'),
  'an unknown flag': (['--model_shape=dnn'], 'there is no flag --model_shape'),
  'a wrong value for training': (['--loss_scale=dynamo'], "Did you mean 'dynamic'"),
  'a wrong precision': (['--precision_mode=fp16'], 'precision_mode'),
  'a word without a flag': (['fast'], "values go with a flag (--name=value); got 'fast'"),
  'an environment': (['--conda_name', 'py37'], 'Activate the environment first'),
}


@pytest.mark.parametrize('refused', REFUSED)
def test_what_cannot_run_ends_with_2_before_anything_is_touched(toy, refused):
  words, message = REFUSED[refused]
  (toy.run_folder / 'ckpt').mkdir(parents=True)
  (toy.run_folder / 'ckpt' / 'earlier').write_text('kept')
  before = toy.files()
  done = toy.launch(*words)
  assert done.returncode == 2
  assert message in done.stderr
  assert 'Traceback' not in done.stderr
  assert done.stdout == ''
  assert toy.files() == before


def test_only_check_args_checks_all_and_starts_nothing(toy):
  done = toy.launch('--only_check_args')
  assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
  assert not toy.run_folder.exists()
  assert toy.launch('--only_check_args', '--loss_scale=0').returncode == 2


def test_a_training_command_that_cannot_even_start_is_no_success(toy):
  (toy.folder / 'train.py').write_text('import no_such_module_at_all\n')
  done = toy.launch()
  assert done.returncode == 1
  assert 'no_such_module_at_all' in done.stderr
  assert not toy.run_folder.exists()
