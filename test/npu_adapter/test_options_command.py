"""npu-options and the generated page: what they print, and that the page in docs is current."""

import json
import pathlib
import subprocess
import sys

import pytest

from npu_adapter import options, options_command, options_page

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_the_page_in_docs_is_what_the_table_generates():
  assert (ROOT / 'docs' / 'options.md').read_text() == options_page.page(), (
    'docs/options.md is stale: run make options-page'
  )


def test_the_page_has_a_line_for_every_row():
  page = options_page.page()
  for row in options.all_rows():
    assert f'| `{row.name}` |' in page


def test_all_options_are_listed_with_their_meaning(capsys):
  assert options_command.main([]) == 0
  lines = capsys.readouterr().out.splitlines()
  assert len(lines) == len(options.all_rows())
  assert any(line.startswith('DumpConfig.dump_step ') for line in lines)


def test_one_option_is_shown_in_full(capsys):
  assert options_command.main(['jit_compile']) == 0
  shown = capsys.readouterr().out
  assert "one of 'true', 'false', 'auto'" in shown
  assert 'jit_compile.s' in shown


def test_machines_get_json(capsys):
  assert options_command.main(['--json', 'op_debug_level']) == 0
  (facts,) = json.loads(capsys.readouterr().out)
  assert facts['use instead'] == 'op_debug_config'


@pytest.mark.parametrize(
  'arguments, words',
  [
    (['presicion_mode'], "Did you mean 'precision_mode'?"),
    (['--check', 'precision_mode=fp17'], "got 'fp17'"),
    (['--check', 'precision_mode'], 'takes NAME=VALUE'),
    (['--check', 'precison_mode=x'], "Did you mean 'precision_mode'?"),
    (['--check', 'iterations_per_loop=ten'], "got 'ten'"),
    (['--check', 'mix_compile_mode=true', 'iterations_per_loop=10'], 'iterations_per_loop=1'),
  ],
)
def test_what_is_wrong_is_told_and_the_status_is_2(capsys, arguments, words):
  assert options_command.main(arguments) == 2
  assert words in capsys.readouterr().err


def test_good_values_pass_the_check(capsys):
  assert options_command.main(['--check', 'hcom_parallel=False', 'iterations_per_loop=10']) == 0
  assert capsys.readouterr().out == 'ok\n'


def test_the_tool_runs_from_anywhere_without_tensorflow(tmp_path):
  done = subprocess.run(
    [sys.executable, '-X', 'importtime', str(ROOT / 'tools' / 'npu_options.py'), 'jit_compile'],
    capture_output=True,
    text=True,
    cwd=str(tmp_path),
  )
  assert done.returncode == 0
  assert 'jit_compile.s' in done.stdout
  assert 'tensorflow' not in done.stderr
