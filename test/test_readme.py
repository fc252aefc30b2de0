"""README in both languages: its program runs, its commands exist, and both tell the same."""

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
READMES = ['README.md', 'README.zh-CN.md']


def text_of(name):
  return (ROOT / name).read_text(encoding='utf-8')


def fenced(text, language):
  return re.findall(rf'```{language}\n(.*?)```', text, re.DOTALL)


@pytest.mark.parametrize('readme', READMES)
def test_the_program_shown_is_the_program_that_is_run(readme):
  (program,) = fenced(text_of(readme), 'python')
  assert program == text_of('docs/quickstart.py')


def test_the_program_trains_evaluates_predicts_and_exports_from_another_folder(tmp_path):
  folder = tmp_path / 'a model'
  done = subprocess.run(
    [sys.executable, str(ROOT / 'docs' / 'quickstart.py'), str(folder)],
    cwd=str(tmp_path),
    env={**environment(), 'PYTHONPATH': str(ROOT)},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  accuracy = float(re.search(r'accuracy on new points: (\S+)', done.stdout).group(1))
  assert accuracy > 0.95
  exported = re.search(r'exported to (.*)', done.stdout).group(1)
  assert (pathlib.Path(exported) / 'saved_model.pb').is_file()
  assert sorted(path.name for path in tmp_path.iterdir()) == ['a model']


def environment():
  import os

  return {name: value for name, value in os.environ.items() if name != 'TF_USE_LEGACY_KERAS'}


@pytest.mark.parametrize('readme', READMES)
def test_every_make_target_and_file_named_exists(readme):
  text = text_of(readme)
  targets = set(re.findall(r'^([a-z-]+):', text_of('Makefile'), re.MULTILINE))
  for line in re.findall(r'^\$ make ([a-z -]+?)(?: #| *$)', text, re.MULTILINE):
    assert set(line.split()) <= targets, line
  for link in re.findall(r'\]\(((?!http)[^)#]+)\)', text):
    assert (ROOT / link).exists(), link
  for path in re.findall(r'`((?:constraints|docs|tools|bench|test|\.ci)/[^`*]+)`', text):
    assert (ROOT / path.split()[0]).exists(), path


@pytest.mark.parametrize('readme', READMES)
def test_it_says_plainly_that_no_npu_was_used(readme):
  first_screen = '\n'.join(text_of(readme).splitlines()[:20])
  assert 'Never run on an NPU yet' in first_screen or '尚未在 NPU 上运行过' in first_screen


def test_both_languages_show_the_same_commands_and_tables():
  english, chinese = (text_of(name) for name in READMES)
  assert fenced(english, 'python') == fenced(chinese, 'python')
  assert fenced(english, 'diff') == fenced(chinese, 'diff')
  for text in (english, chinese):
    assert len(re.findall(r'^\|---', text, re.MULTILINE)) == 4 - 1
  commands = [
    re.findall(r'^\$ (.*?)(?:  +#.*)?$', text, re.MULTILINE) for text in (english, chinese)
  ]
  assert commands[0] == commands[1]


@pytest.mark.parametrize('readme', READMES)
def test_the_error_shown_is_the_error_printed(readme, capsys):
  from npu_adapter import options_command

  assert options_command.main(['--check', 'precision_mode=allow_mix_precison']) == 2
  assert capsys.readouterr().err in text_of(readme)
