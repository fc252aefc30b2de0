"""What evaluate.py, freeze.py, label_wav.py and detect_words.py have in common as commands."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from estimators.ds_cnn import detect_words, evaluate, freeze, label_wav
from npu_adapter import errors, tool_command

DS_CNN = pathlib.Path(evaluate.__file__).parent
COMMANDS = {
  'evaluate': (evaluate, ['--checkpoint', 'x']),
  'freeze': (freeze, ['--checkpoint', 'x', '--output', 'y']),
  'label_wav': (label_wav, ['--graph', 'x', '--wav', 'y']),
  'detect_words': (detect_words, ['--checkpoint', 'x', '--wav', 'y']),
}


def complaint(parse, words, capsys):
  """What a command line that must end with status 2 says."""
  with pytest.raises(SystemExit) as end:
    parse(words)
  assert end.value.code == 2
  return capsys.readouterr().err


@pytest.mark.parametrize('name', COMMANDS)
def test_help_exits_0_from_another_folder_without_tensorflow_and_numpy(name, tmp_path):
  done = subprocess.run(
    [sys.executable, '-X', 'importtime', str(DS_CNN / f'{name}.py'), '--help'],
    cwd=str(tmp_path),
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0
  assert 'usage: ' + name in done.stdout
  imported = {line.rpartition('|')[2].strip() for line in done.stderr.splitlines()}
  assert not imported & {'tensorflow', 'numpy', 'matplotlib', 'soundfile'}


@pytest.mark.parametrize('name', COMMANDS)
def test_a_script_is_executable_and_finds_the_project_by_itself(name):
  script = DS_CNN / f'{name}.py'
  assert script.stat().st_mode & 0o111 == 0o111
  assert 'sys.path.insert(0, ' in script.read_text(encoding='utf-8')


@pytest.mark.parametrize('name', COMMANDS)
def test_a_wrong_flag_is_named_even_where_others_are_missing(name, capsys):
  assert 'there is no flag --no_such_flag' in complaint(
    COMMANDS[name][0].main, ['--no_such_flag=1'], capsys
  )


@pytest.mark.parametrize(
  ('name', 'words', 'said'),
  [
    ('evaluate', ['--checkpiont=x'], "no flag --checkpiont. Did you mean '--checkpoint'?"),
    ('evaluate', ['--split', 'tests'], "--split: must be one of .*'tests'. Did you mean 'test'?"),
    ('evaluate', ['--on_bad_clip', 'skipp'], "--on_bad_clip: .* Did you mean 'skip'?"),
    ('evaluate', ['--confusion_png', 'a.jpg'], '--confusion_png: .* must end with .png'),
    ('evaluate', ['--json', '/no/such/folder/a'], '--json: .* there is no folder'),
    ('freeze', ['--format', 'savedmodel'], "--format: .* Did you mean 'saved_model'?"),
    ('label_wav', ['--checkpoint', 'x'], 'not allowed with argument --graph'),
    ('label_wav', ['--how_many_labels', 'all'], "--how_many_labels: must be .* got 'all'"),
    ('detect_words', ['--threshold', '1.5'], 'above 0 and at most 1; got .1.5'),
    ('detect_words', ['--threshold', 'nan'], 'above 0 and at most 1; got .nan'),
    ('detect_words', ['--stride_ms', '0'], '--stride_ms: must be a number above 0; got .0'),
    ('detect_words', ['--json', '.'], '--json: .* it is no plain file'),
    ('detect_words', ['more'], "values go with a flag .* got 'more'"),
  ],
)
def test_a_wrong_value_exits_2_and_says_what_must_hold(name, words, said, capsys):
  module, needed = COMMANDS[name]
  text = complaint(module.main, needed + words, capsys)
  assert re.search(said.replace('?', '[?]'), text), text


def raising(error):
  def work(asked):
    raise error

  return work


@pytest.mark.parametrize(
  ('error', 'status'),
  [
    (errors.InputError('the wav is green'), 2),
    (errors.OptionError('the wav is green'), 2),
    (errors.BackendError('the wav is green'), 1),
    (OSError('the wav is green'), 1),
  ],
)
def test_an_error_ends_a_command_with_its_status_and_a_line(error, status, capsys):
  assert tool_command.run(tool_command.Parser('x.py', 'Doc.'), raising(error), []) == status
  assert capsys.readouterr().err == 'x.py: error: the wav is green\n'


def test_a_defect_is_not_mistaken_for_a_wrong_value():
  with pytest.raises(ZeroDivisionError):
    tool_command.run(tool_command.Parser('x.py', 'Doc.'), raising(ZeroDivisionError()), [])


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path):
  path = tmp_path / 'a b.json'
  tool_command.write_json(str(path), {'a': 1})
  tool_command.write_json(str(path), [{'a': 1}, {'b': 2}], lines=True)
  assert path.read_text() == '{"a": 1}\n{"b": 2}\n'
  assert list(tmp_path.iterdir()) == [path]


def test_a_file_stays_as_it_was_when_its_successor_cannot_be_written(tmp_path):
  path = tmp_path / 'a.json'
  path.write_text('before')
  with pytest.raises(TypeError):
    tool_command.write_json(str(path), {'a': object()})
  with pytest.raises(TypeError):
    tool_command.write_whole(str(path), 'no bytes')
  assert path.read_text() == 'before'
  assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_followed_to_the_file_it_leads_to(tmp_path):
  (tmp_path / 'link').symlink_to(tmp_path / 'file')
  tool_command.write_whole(str(tmp_path / 'link'), b'x')
  assert (tmp_path / 'link').is_symlink()
  assert (tmp_path / 'file').read_bytes() == b'x'


def test_work_runs_with_tensorflow_told(monkeypatch):
  monkeypatch.setenv('TF_ENABLE_ONEDNN_OPTS', '')
  del os.environ['TF_ENABLE_ONEDNN_OPTS']
  found = []
  parser = tool_command.Parser('tool.py', 'A tool.')
  tool_command.run(parser, lambda asked: found.append(os.environ.get('TF_ENABLE_ONEDNN_OPTS')), [])
  assert found == ['1']
