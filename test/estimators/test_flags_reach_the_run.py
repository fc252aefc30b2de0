"""Every model's train command hands the device flags on, to the vendor's sessions and to a host.

A model joins by its folder alone: it needs test/estimators/<model>/small_run.py with
`flags(folder)`, which makes small data in `folder` and returns the flags of a run of a few steps.
"""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MODELS = sorted(path.parent.name for path in (ROOT / 'estimators').glob('*/train.py'))
STUB = ROOT / 'test' / 'stub_vendor'


def small_flags(model, folder):
  path = HERE / model / 'small_run.py'
  assert path.exists(), f'{path} must exist, so that the run of {model} can be tested'
  spec = importlib.util.spec_from_file_location(f'small_run_of_{model}', str(path))
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.flags(folder)


def start(model, folder, *flags, on_stub=False, check=True):
  """Trains a few steps in a process of its own; returns it, and its sessions on the stub."""
  environment = {**os.environ, 'PYTHONPATH': str(STUB) if on_stub else ''}
  seen = folder / 'sessions.json'
  command = [
    sys.executable, *([str(HERE / 'record_sessions.py'), str(seen)] if on_stub else []),
    str(ROOT / 'estimators' / model / 'train.py'), *small_flags(model, folder),
    f'--output_path={folder / "output"}', f'--backend={"ascend" if on_stub else "host"}', *flags,
  ]  # fmt: skip
  done = subprocess.run(
    command, cwd=str(folder), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    text=True,
  )  # fmt: skip
  if check:
    assert done.returncode == 0, done.stdout[-3000:]
  return done, json.loads(seen.read_text()) if seen.exists() else []


def is_tf115():
  import tensorflow.compat.v1 as tf

  return tf.__version__.startswith('1.15')


needs_the_vendors_tensorflow = pytest.mark.skipif(
  not is_tf115(), reason='npu_bridge exists for TensorFlow 1.15'
)


@pytest.mark.parametrize('model', MODELS)
@needs_the_vendors_tensorflow
def test_on_ascend_precision_dump_and_profiling_reach_every_session(model, tmp_path):
  folder = tmp_path / 'a folder'
  folder.mkdir()
  _, sessions = start(
    model, folder, '--precision_mode=force_fp16', '--data_dump_flag', '--data_dump_step=0|5',
    '--profiling', on_stub=True,
  )  # fmt: skip
  on_device = [options for options in sessions if options]
  assert on_device
  for options in on_device:
    assert options['precision_mode'] == 'force_fp16'
    assert options['enable_dump'] is True
    assert options['dump_step'] == '0|5'
    assert options['dump_path'] == str(folder / 'output' / 'data_dump')
    assert options['profiling_mode'] is True
    profile = json.loads(options['profiling_options'])
    assert profile['output'] == str(folder / 'output' / 'profiling')


@pytest.mark.parametrize('model', MODELS)
@needs_the_vendors_tensorflow
def test_on_ascend_overflow_detection_and_the_default_precision_reach_every_session(
  model, tmp_path
):
  _, sessions = start(model, tmp_path, '--over_dump', on_stub=True)
  result = json.loads((tmp_path / 'output' / 'result.json').read_text())
  on_device = [options for options in sessions if options]
  assert on_device
  assert result['backend'] == 'ascend'
  for options in on_device:
    assert options['enable_dump_debug'] is True
    assert options['dump_path'] == str(tmp_path / 'output' / 'overflow_dump')
    assert options['precision_mode'] == result['precision_mode']


@pytest.mark.parametrize('model', MODELS)
def test_on_a_host_they_reach_the_estimator_and_the_report(model, tmp_path):
  done, _ = start(
    model, tmp_path, '--precision_mode=force_fp16', '--data_dump_flag', '--data_dump_step=0|5',
    '--profiling',
  )  # fmt: skip
  result = json.loads((tmp_path / 'output' / 'result.json').read_text())
  assert result['backend'] == 'host'
  assert result['precision_mode'] == 'force_fp16'
  assert 'data_dump' in result['options']['dump_config']
  assert "'0|5'" in result['options']['dump_config']
  assert 'profiling' in result['options']['profiling_config']
  # What a host does not do is said, not left out without a word.
  line = next(line for line in done.stdout.splitlines() if 'goes without these options' in line)
  for option in ('precision_mode', 'DumpConfig.dump_path', 'ProfilingConfig.profiling_options'):
    assert option in line


@pytest.mark.parametrize('model', MODELS)
def test_a_precision_mode_that_does_not_exist_ends_the_command_before_anything_is_made(
  model, tmp_path
):
  done, _ = start(model, tmp_path, '--precision_mode=allow_mix_precison', check=False)
  assert done.returncode == 2
  assert "Did you mean 'allow_mix_precision'?" in done.stdout
  assert not (tmp_path / 'output').exists()
