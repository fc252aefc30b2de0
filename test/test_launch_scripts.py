"""The launch scripts of every model: there, small, startable from anywhere, named as they do."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
SCRIPTS = {
  'train_full_1p.sh': 'full',
  'train_performance_1p.sh': 'performance',
  'train_full_8p.sh': 'full_8p',
  'train_performance_8p.sh': 'performance_8p',
}
MODELS = sorted(path.parent for path in (ROOT / 'estimators').glob('*/launch.json'))
FOLDERS = sorted(path for path in (ROOT / 'estimators').glob('*/test') if path.is_dir())
ALL = [(model, name) for model in MODELS for name in SCRIPTS]
each_model = pytest.mark.parametrize('model', MODELS, ids=lambda path: path.name)
each_script = pytest.mark.parametrize(
  'model, name', ALL, ids=lambda part: getattr(part, 'name', part)
)
# Bazel's runfiles are links, and it keeps no modes.
in_a_clone = pytest.mark.skipif('TEST_TMPDIR' in os.environ, reason='Bazel keeps no file modes')


def start(*words, cwd):
  environment = {**os.environ, 'PYTHON': sys.executable}
  environment.pop('PYTHONPATH', None)
  return subprocess.run(
    [str(word) for word in words], cwd=str(cwd), env=environment, capture_output=True, text=True
  )


def test_there_is_a_model_and_each_folder_of_scripts_has_one():
  assert MODELS
  assert [path.parent for path in FOLDERS] == MODELS


@in_a_clone
@each_script
def test_a_script_is_there_executable_and_small(model, name):
  script = model / 'test' / name
  assert os.access(str(script), os.X_OK)
  lines = script.read_text().splitlines()
  assert len(lines) <= 8
  assert lines[0] == '#!/usr/bin/env bash'


@each_script
def test_a_script_launches_its_own_model_and_case(model, name):
  text = (model / 'test' / name).read_text()
  assert f'tools/launch.py" model {model.name} {SCRIPTS[name]} "$@"' in text


@each_script
def test_help_is_given_from_another_folder(model, name, tmp_path):
  done = start('bash', model / 'test' / name, '--batch_size=1', '--help', cwd=tmp_path)
  assert (done.returncode, done.stderr) == (0, '')
  assert f'estimators/{model.name}/train.py' in ' '.join(done.stdout.split())
  assert not list(tmp_path.iterdir())


@each_script
def test_the_status_of_the_launcher_is_the_scripts(model, name, tmp_path):
  done = start('bash', model / 'test' / name, '--conda_name=x', cwd=tmp_path)
  assert done.returncode == 2
  assert '--conda_name is not taken' in done.stderr


def test_a_link_to_a_script_in_a_folder_with_a_space_finds_the_project(tmp_path):
  clone = tmp_path / 'my clone'
  for name in ('npu_adapter', 'tools'):
    shutil.copytree(str(ROOT / name), str(clone / name))
  for model in MODELS:
    shutil.copytree(str(model / 'test'), str(clone / 'estimators' / model.name / 'test'))
    shutil.copy(str(model / 'launch.json'), str(clone / 'estimators' / model.name))
  link = tmp_path / 'run it'
  link.symlink_to(clone / 'estimators' / MODELS[0].name / 'test' / 'train_full_1p.sh')
  done = start('bash', link, '-h', cwd=tmp_path)
  assert (done.returncode, done.stderr) == (0, '')
  assert MODELS[0].name in done.stdout


@each_model
def test_the_training_command_knows_the_parameters_and_flags_of_its_cases(model, tmp_path):
  script = model / 'train.py'
  if not script.exists():
    pytest.skip(f'{model.name} has no train.py yet')
  facts = json.loads((model / 'launch.json').read_text())
  for case in facts['cases'].values():
    values = {name: value or '/x' for name, value in {**facts['parameters'], **case}.items()}
    flags = [f'--{name}={value}' for name, value in {**values, 'output_path': '/x'}.items()]
    done = start(sys.executable, script, *flags, '--only_check_args', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
