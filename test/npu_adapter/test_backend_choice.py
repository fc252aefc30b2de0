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


LOG_TWICE = (
  'import logging; from npu_adapter import log; log.once("first"); {between}; '
  'log.once("second"); log.once("first"); log.logger().warning("third")'
)


@pytest.mark.parametrize(
  'between',
  ['pass', 'logging.basicConfig()', 'logging.getLogger().addHandler(logging.NullHandler())'],
)
def test_a_line_is_printed_once_and_on_stderr_however_logging_is_set_up_later(tmp_path, between):
  done = choose(tmp_path, LOG_TWICE.format(between=between))
  assert done.stderr.splitlines() == [
    'npu_adapter: first', 'npu_adapter: second', 'npu_adapter: third',
  ]  # fmt: skip
  assert done.stdout == ''


def test_a_level_the_program_set_stays_and_a_name_may_be_in_small_letters(tmp_path):
  quiet = 'import logging; logging.getLogger("npu_adapter").setLevel("ERROR"); '
  # TensorFlow has lines of its own on stderr.
  assert 'backend host' not in choose(tmp_path, quiet + CHOOSE).stderr
  done = choose(tmp_path, NPU_ADAPTER_LOG_LEVEL='warning')
  assert done.stdout.strip() == 'host'
  assert 'backend host' not in done.stderr


def test_a_backend_is_made_once_and_says_whether_it_was_asked_for(tmp_path):
  code = 'from npu_adapter import backends; print(backends.choose() is backends.choose())'
  done = choose(tmp_path, code, NPU_ADAPTER_BACKEND='host')
  assert done.stdout.strip() == 'True'
  assert 'backend host (asked for): TensorFlow' in done.stderr
  assert choose(tmp_path, NPU_ADAPTER_BACKEND='').stdout.strip() == 'host'


@pytest.mark.parametrize('name', ['ASCEND_TOOLKIT_HOME', 'ASCEND_OPP_PATH'])
def test_every_sign_of_cann_counts(tmp_path, name):
  assert f'{name} is set but Python finds no npu_bridge' in choose(tmp_path, **{name: '/a'}).stderr
