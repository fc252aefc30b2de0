"""Every command a user can start: --help and errors, from another folder, without TensorFlow."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
TOOLS = sorted((ROOT / 'tools').glob('*.py'))
TRAINERS = sorted((ROOT / 'estimators').glob('*/train.py'))
# measuring.py is no command: the others import it.
BENCHES = sorted(set((ROOT / 'bench').glob('*.py')) - {ROOT / 'bench' / 'measuring.py'})


def start(script, *arguments, cwd):
  """Runs a script as a user would in a fresh clone, with nothing of the project installed."""
  clean = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
  return subprocess.run(
    [sys.executable, '-X', 'importtime', str(script), *arguments],
    cwd=str(cwd),
    env=clean,
    capture_output=True,
    text=True,
  )


@pytest.mark.parametrize(
  'script', TOOLS + TRAINERS + BENCHES, ids=lambda p: p.parent.name + '/' + p.name
)
def test_help_exits_0_from_another_folder_without_tensorflow(script, tmp_path):
  done = start(script, '--help', cwd=tmp_path)
  assert done.returncode == 0
  assert 'usage' in done.stdout
  imported = {line.rpartition('|')[2].strip() for line in done.stderr.splitlines()}
  assert 'tensorflow' not in imported
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('script', TOOLS + TRAINERS, ids=lambda p: p.parent.name + '/' + p.name)
def test_a_wrong_flag_exits_2_and_is_named(script, tmp_path):
  done = start(script, '--no_such_flag=1', cwd=tmp_path)
  assert done.returncode == 2
  assert 'no_such_flag' in done.stderr
  assert 'Traceback' not in done.stderr


@pytest.mark.parametrize('script', TOOLS + TRAINERS, ids=lambda p: p.parent.name + '/' + p.name)
def test_an_entry_script_finds_the_project_by_itself(script):
  assert 'sys.path.insert(0, ' in script.read_text(encoding='utf-8')
  assert os.access(str(script), os.X_OK) or script in TRAINERS
