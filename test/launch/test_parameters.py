"""The table of parameters: which words it takes, what it makes of them, what it refuses."""

import pytest

from npu_adapter import errors
from npu_adapter.launch import command_words, parameters

GOOD = {
  parameters.SWITCH: ('True', True),
  parameters.TEXT: ('some text', 'some text'),
  parameters.PATH: ('/a b/c', '/a b/c'),
  parameters.COUNT: ('20', '20'),
  parameters.COUNTS: ('20,30', '20,30'),
  parameters.RATES: ('0.1,1e-3', '0.1,1e-3'),
}
TAKEN = [row for row in parameters.TABLE if row.name != 'conda_name']
NAMES = (
  'precision_mode over_dump data_dump_flag data_dump_step profiling autotune data_save_path '
  'data_path ckpt_path output_path train_steps train_epochs batch_size learning_rate bind_core '
  'use_mixlist mixlist_file fusion_off_flag fusion_off_file conda_name'
)


def beside(row):
  return [f'--{row.needs}'] if row.needs else []


def test_every_parameter_of_the_contract_is_there():
  assert set(NAMES.split()) == set(parameters.BY_NAME)


@pytest.mark.parametrize('row', TAKEN, ids=lambda row: row.name)
def test_a_parameter_is_taken_with_an_equals_sign_and_with_a_space(row):
  text, value = GOOD[row.kind]
  for words in ([f'--{row.name}={text}'], [f'--{row.name}', text]):
    given, others = command_words.split([*beside(row), *words])
    assert given[row.name] == value
    assert others == []


@pytest.mark.parametrize('word', ['--autotune', '--auto_tune', '--auto_tune=1', '--autotune=t'])
def test_a_switch_needs_no_value_and_autotune_has_two_spellings(word):
  assert command_words.split([word]) == ({'autotune': True}, [])


@pytest.mark.parametrize('word', ['False', 'false', 'F', '0'])
def test_a_switch_is_turned_off_by_a_word(word):
  assert command_words.split(['--profiling', word]) == ({'profiling': False}, [])


def test_a_bare_switch_leaves_the_flag_behind_it_alone():
  words = ['--profiling', '--sizes=5 64', '--over_dump', '--batch_size', '7']
  given, others = command_words.split(words)
  assert given == {'profiling': True, 'over_dump': True, 'batch_size': '7'}
  assert others == ['--sizes=5 64']


def test_words_that_are_no_parameter_keep_their_order():
  words = ['--b', 'x', '--batch_size=3', '--a=2 3', '-z', '--noprofiling']
  assert command_words.split(words)[1] == ['--b', 'x', '--a=2 3', '-z', '--noprofiling']


def test_one_dash_is_as_good_as_two():
  words = ['-batch_size=3', '-profiling', '-data_path', '/a', '-x=1']
  given, others = command_words.split(words)
  assert given == {'batch_size': '3', 'profiling': True, 'data_path': '/a'}
  assert others == ['-x=1']


def test_a_beginning_of_a_name_is_not_the_name():
  assert command_words.split(['--batch=3', '--over_dump_path=x', '--data=y'])[0] == {}


def test_the_last_of_two_values_counts():
  assert command_words.split(['--batch_size=1', '--batch_size=2'])[0] == {'batch_size': '2'}


def test_a_relative_path_is_made_absolute(monkeypatch, tmp_path):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv('HOME', '/home of/me')
  given, _ = command_words.split(['--data_path=a', '--ckpt_path=~/b'])
  assert given == {'data_path': str(tmp_path / 'a'), 'ckpt_path': '/home of/me/b'}


@pytest.mark.parametrize(
  'words, message',
  [
    (['--profiling=maybe'], "--profiling must be True or False; got 'maybe'"),
    (['--profiling='], "--profiling must be True or False; got ''"),
    (['--batch_size=0'], "--batch_size must be a whole number of at least 1; got '0'"),
    (['--batch_size=1.5'], "got '1.5'"),
    (['--batch_size', '-3'], "got '-3'"),
    (['--train_epochs=1,2'], "got '1,2'"),
    (['--train_steps=100,,3'], "several with commas between; got '100,,3'"),
    (['--train_steps=100,0'], "got '100,0'"),
    (['--learning_rate=0.1,0'], "--learning_rate must be a number above 0, .* got '0.1,0'"),
    (['--learning_rate=fast'], "got 'fast'"),
    (['--learning_rate=nan'], "got 'nan'"),
    (['--learning_rate=inf'], "got 'inf'"),
    (['--data_path='], "--data_path must be the name of .* got ''. Leave it out"),
    (['--precision_mode='], "--precision_mode must be a text .* got ''"),
    (['--batch_size'], '--batch_size: expected one argument'),
    (['--data_dump_step=5'], '--data_dump_step needs --data_dump_flag; got --data_dump_step alone'),
    (['--mixlist_file=a'], '--mixlist_file needs --use_mixlist'),
    (['--fusion_off_file=a'], '--fusion_off_file needs --fusion_off_flag'),
    (['--over_dump', '--data_dump_flag'], '--over_dump and --data_dump_flag exclude each other'),
    (['--conda_name=py37'], "--conda_name is not taken; got 'py37'. Activate the environment"),
  ],
)
def test_a_wrong_value_is_refused_by_name(words, message):
  with pytest.raises(errors.OptionError, match=message):
    command_words.split(words)


def test_defaults_may_be_spelled_out_as_schedulers_do():
  words = '--over_dump=False --data_dump_flag=False --data_dump_step=10 --profiling=0'
  assert command_words.split(words.split())[0]['data_dump_step'] == '10'
