"""Which backend runs, and that it is said and never silently another one."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHOOSE = 'from npu_adapter import backends; print(backends.choose().name)'


def choose(tmp_path, code=CHOOSE, **environment):
  clean = {k: v for k, v in os.environ.items() if not k.startswith(('NPU_ADAPTER', 'ASCEND'))}
  return subprocess.run(
    [sys.executable, '-c', code],
    env={**clean, 'PYTHONPATH': os.pathsep.join([str(ROOT), str(tmp_path)]), **environment},
    capture_output=True,
    text=True,
    cwd=str(tmp_path),
  )


def install(tmp_path, source):
  package = tmp_path / 'npu_bridge'
  package.mkdir()
  (package / '__init__.py').write_text(source)
  return package


def test_without_the_vendor_package_auto_is_the_host_and_says_so_once(tmp_path):
  done = choose(tmp_path, CHOOSE + '; backends.choose()')
  assert done.stdout.strip() == 'host'
  lines = [line for line in done.stderr.splitlines() if line.startswith('npu_adapter: ')]
  assert len(lines) == 1
  assert 'backend host (chosen): TensorFlow' in lines[0]


def test_asking_for_ascend_without_the_vendor_package_is_an_error_that_says_what_to_source(
  tmp_path,
):
  done = choose(tmp_path, NPU_ADAPTER_BACKEND='ascend')
  assert done.returncode == 1
  assert 'BackendError' in done.stderr
  assert 'set_env.sh' in done.stderr and '--backend=host' in done.stderr
  assert done.stdout == ''


def test_a_vendor_package_that_does_not_import_is_an_error_under_auto_too(tmp_path):
  install(tmp_path, 'raise ImportError("libge_runner.so: cannot open shared object file")')
  done = choose(tmp_path)
  assert done.returncode == 1
  assert 'libge_runner.so' in done.stderr and 'set_env.sh' in done.stderr
  assert choose(tmp_path, NPU_ADAPTER_BACKEND='host').stdout.strip() == 'host'


def test_a_machine_with_cann_but_without_its_plugin_is_warned(tmp_path):
  done = choose(tmp_path, ASCEND_HOME_PATH='/usr/local/Ascend')
  assert done.stdout.strip() == 'host'
  assert 'ASCEND_HOME_PATH is set but Python finds no npu_bridge' in done.stderr


def test_a_backend_that_does_not_exist_is_told_with_its_nearest_match(tmp_path):
  done = choose(tmp_path, NPU_ADAPTER_BACKEND='hots')
  assert done.returncode == 1
  assert "must be one of auto, ascend, host; got 'hots'. Did you mean 'host'?" in done.stderr


def test_a_program_that_logs_by_itself_gets_the_lines_in_its_own_log(tmp_path):
  code = 'import logging; logging.basicConfig(format="MINE %(message)s", level=20); ' + CHOOSE
  lines = [line for line in choose(tmp_path, code).stderr.splitlines() if 'backend host' in line]
  assert len(lines) == 1
  assert lines[0].startswith('MINE ')


@pytest.mark.parametrize('level, said', [('WARNING', False), ('INFO', True)])
def test_the_log_level_can_be_chosen(tmp_path, level, said):
  done = choose(tmp_path, NPU_ADAPTER_LOG_LEVEL=level)
  assert ('backend host' in done.stderr) == said
