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


def test_an_option_is_found_by_the_name_it_is_listed_under(capsys):
  assert options_command.main(['DumpConfig.dump_step']) == 0
  assert 'dump_step.s' in capsys.readouterr().out


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


def facts_of(capsys, *names):
  assert options_command.main(['--json', *names]) == 0
  return json.loads(capsys.readouterr().out)


def test_facts_that_do_not_apply_are_null_for_machines(capsys):
  (facts,) = facts_of(capsys, 'model_dir')
  assert facts['until'] is None and facts['use instead'] is None and facts['map key'] is None
  (facts,) = facts_of(capsys, 'dynamic_input')
  assert facts['until'] == 'deprecated 2023-12'


def test_several_options_are_shown_in_the_tables_order_of_every_owner(capsys):
  names = [fact['name'] for fact in facts_of(capsys, 'graph_slice', 'jit_compile')]
  assert names == ['jit_compile', 'graph_slice']
  assert len(facts_of(capsys)) == len(options.all_rows())


def test_facts_that_do_not_apply_are_left_out_for_people_but_not_the_default(capsys):
  assert options_command.main(['precision_mode']) == 0
  shown = capsys.readouterr().out
  assert 'default      None\n' in shown
  assert 'use instead' not in shown and 'until' not in shown


@pytest.mark.parametrize(
  'assignment', ['aoe_mode=2', 'jit_compile=true', 'ac_parallel_enable=1', 'soc_config=NULL']
)
def test_values_of_texts_are_texts_even_where_they_look_like_something_else(capsys, assignment):
  assert options_command.main(['--check', assignment]) == 0, capsys.readouterr().err


def test_an_assignment_like_no_option_points_to_the_list(capsys):
  assert options_command.main(['--check', 'qqqqqq=1']) == 2
  assert capsys.readouterr().err.endswith("got 'qqqqqq=1'. npu-options lists them.\n")


def test_an_abbreviated_flag_is_no_flag(capsys):
  with pytest.raises(SystemExit) as raised:
    options_command.main(['--che', 'jit_compile=true'])
  assert raised.value.code == 2


def test_the_page_is_printed_by_its_module():
  done = subprocess.run(
    [sys.executable, '-m', 'npu_adapter.options_page'],
    stdout=subprocess.PIPE,
    cwd=str(ROOT),
    check=True,
  )
  assert done.stdout.decode() == options_page.page()


def test_a_reader_that_has_enough_ends_it_quietly():
  tool = ROOT / 'tools' / 'npu_options.py'
  # `true` reads nothing, so that the pipe is closed when the list is written.
  line = f'(sleep 0.3; "{sys.executable}" "{tool}"; echo $? >&2) | true'
  done = subprocess.run(['bash', '-c', line], capture_output=True, text=True)
  assert done.stderr == '0\n'
