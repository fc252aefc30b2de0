"""What starting a command does beside its flags: argv, environment, exit status, its help."""

import os
import pathlib
import subprocess
import sys

import pytest

from npu_adapter import command_line, flags

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMAND = """
import os, sys
sys.path.insert(0, {root!r})
import absl.logging
from absl import flags as absl_flags
from npu_adapter import errors, flags
absl_flags.DEFINE_string('zebra', None, 'last by name, first by definition')
absl_flags.DEFINE_integer('apple', 10, 'first by name')
def main(argv):
  if flags.FLAGS.zebra == 'option':
    raise errors.OptionError('two options that cannot be together')
  if flags.FLAGS.zebra == 'environment':
    return print(os.environ.get('TF_ENABLE_ONEDNN_OPTS'))
  print(argv, flags.FLAGS.zebra, flags.FLAGS.profiling, os.environ.get('NPU_ADAPTER_BACKEND'))
if __name__ == '__main__':
  flags.run(main, {argv})
"""


@pytest.fixture
def command(tmp_path):
  def run(*arguments, argv='None', **environment):
    (tmp_path / 'train.py').write_text(COMMAND.format(root=str(ROOT), argv=argv))
    clean = {name: value for name, value in os.environ.items() if not name.startswith('NPU_')}
    return subprocess.run(
      [sys.executable, 'train.py', *arguments],
      env={**clean, **environment},
      capture_output=True,
      text=True,
      cwd=str(tmp_path),
    )

  return run


def test_main_gets_the_programs_name_and_nothing_of_the_flags(command):
  assert command('--zebra=z').stdout == "['train.py'] z False None\n"


def test_a_command_line_can_be_handed_over(command):
  done = command('--zebra=ignored', argv="['other', '--zebra=mine']")
  assert done.stdout == "['other'] mine False None\n"


def test_an_option_error_inside_main_is_a_wrong_command_line(command):
  done = command('--zebra=option')
  assert done.returncode == 2
  assert done.stderr == 'train.py: error: two options that cannot be together\n'


def test_the_backend_of_the_environment_stays_unless_a_flag_names_another(command):
  assert command(NPU_ADAPTER_BACKEND='host').stdout.split()[-1] == 'host'
  assert command('--backend=auto', NPU_ADAPTER_BACKEND='host').stdout.split()[-1] == 'auto'


@pytest.mark.parametrize(
  'name, value', [('TF_ENABLE_ONEDNN_OPTS', '1'), ('TF_CPP_MIN_LOG_LEVEL', '1')]
)
def test_tensorflow_is_told_how_to_run_unless_the_user_told_it_already(monkeypatch, name, value):
  monkeypatch.setenv(name, '')
  del os.environ[name]
  command_line.tell_tensorflow()
  told = os.environ.get(name)
  monkeypatch.setenv(name, 'mine')
  command_line.tell_tensorflow()
  assert (told, os.environ[name]) == (value, 'mine')


def test_main_runs_with_tensorflow_told(command, monkeypatch):
  monkeypatch.delenv('TF_ENABLE_ONEDNN_OPTS', raising=False)
  assert command('--zebra=environment').stdout == '1\n'


def test_a_flag_like_no_other_points_to_help(command):
  done = command('--qqqqqq=3')
  assert done.returncode == 2
  assert done.stderr == 'train.py: error: there is no flag --qqqqqq. --help lists them.\n'


@pytest.mark.parametrize('word, value', [('FALSE', 'False'), ('T', 'True'), ('f', 'False')])
def test_boolean_words_are_read_in_any_case(command, word, value):
  assert command('--profiling', word).stdout.split()[-2] == value


def test_a_boolean_word_behind_a_text_flag_is_its_text(command):
  assert command('--zebra', 'true').stdout == "['train.py'] true False None\n"


def test_only_check_args_ends_before_main_when_the_flags_are_good(command):
  done = command('--zebra=option', '--only_check_args')
  assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


def test_only_check_args_still_refuses_a_wrong_flag(command):
  done = command('--only_check_args', '--profiling=maybe')
  assert done.returncode == 2
  assert 'flag --profiling=maybe: must be True or False.' in done.stderr


def test_only_check_args_can_be_turned_off(command):
  assert command('--only_check_args=False', '--zebra=z').stdout == "['train.py'] z False None\n"


@pytest.mark.parametrize('first, second', [('absl.app', 'flags'), ('flags', 'absl.app')])
def test_absl_app_may_define_the_same_flag_before_or_after(first, second):
  # TensorFlow imports absl.app.
  modules = {'absl.app': 'import absl.app', 'flags': 'from npu_adapter import flags'}
  code = f'import sys; sys.path.insert(0, {str(ROOT)!r}); {modules[first]}; {modules[second]}; '
  code += 'flags.run(lambda argv: print("ran"), ["train.py", "--only_check_args"])'
  done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
  assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


@pytest.mark.parametrize('word', ['-h', '-help', '--help', '--helpshort'])
def test_short_help_lists_own_flags_by_name_and_counts_the_hidden_ones(command, word):
  done = command(word)
  assert done.returncode == 0
  assert done.stdout.startswith('usage: train.py [--flag=value ...]\n')
  shown = done.stdout
  assert shown.index('--apple') < shown.index('--zebra') < shown.index('flags of npu_adapter:')
  assert 'first by name (default: 10)' in shown
  assert '(default: None)' not in shown
  assert 'verbosity' not in shown and 'alsologtostderr' not in shown
  hidden = len(flags.FLAGS.flags_by_module_dict()[command_line.FULL_GROUP])
  assert f'--helpfull lists {hidden} more options of the device.' in shown
  assert 'further flags of npu_adapter' not in shown


def test_full_help_hides_nothing_and_says_so(command):
  shown = command('--helpfull').stdout
  assert 'further flags of npu_adapter:' in shown
  assert 'more options of the device' not in shown


def test_short_help_shows_the_options_a_launch_needs(command):
  shown = command('--help').stdout
  for name in flags.LAUNCH_OPTIONS:
    assert f'--{name}\n' in shown or f'--[no]{name}\n' in shown
  assert '--deterministic\n' in shown


@pytest.mark.parametrize('word', ['--help', '--helpfull'])
def test_help_into_a_closed_pipe_says_nothing_at_exit_either(tmp_path, word):
  (tmp_path / 'train.py').write_text(COMMAND.format(root=str(ROOT), argv='None'))
  reader, writer = os.pipe()
  os.close(reader)
  done = subprocess.run(
    [sys.executable, 'train.py', word],
    stdout=writer,
    stderr=subprocess.PIPE,
    cwd=str(tmp_path),
  )
  os.close(writer)
  assert (done.returncode, done.stderr) == (0, b'')
