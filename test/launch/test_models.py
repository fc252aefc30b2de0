"""launch.json: what it may hold, and what is said about one that is wrong."""

import copy
import json

import pytest

from npu_adapter import errors
from npu_adapter.launch import models


def test_folders_with_a_launch_json_are_the_models(toy):
  (toy.estimators / 'notes').mkdir()
  (toy.estimators / 'launch.json').write_text('{}')
  assert models.names(str(toy.estimators)) == ['toy']
  assert models.names(str(toy.estimators / 'nowhere')) == []


def test_a_case_wins_over_the_parameters(toy):
  values = models.read(str(toy.estimators), 'toy').values('performance')
  assert values['train_steps'] == '5,5'
  assert values['batch_size'] == 100
  assert values['model_size_info'] == '1 2'


# What is set wrong: the way to it, the value, what is said.
WRONG = {
  'an unknown section': (['case'], {}, "the file has no 'case'. Did you mean 'cases'?"),
  'no parameters': (['parameters'], None, "must have 'parameters'; it is missing or null"),
  'a list of cases': (['cases'], ['full'], r"cases must be an object of .* got \['full'\]"),
  'a misspelt parameter': (
    ['parameters', 'batchsize'],
    2,
    "parameters has no 'batchsize'. Did you mean 'batch_size'?",
  ),
  'no batch size': (['parameters', 'batch_size'], None, "parameters must have 'batch_size'"),
  'a wrong batch size': (['parameters', 'batch_size'], 0, '--batch_size must be a whole number'),
  'a path': (['parameters', 'data_path'], '/data', "'data_path' must be null"),
  'an unknown case': (['cases', 'fulll'], {}, "cases has no 'fulll'. Did you mean 'full'?"),
  'a missing case': (['cases', 'full'], None, "cases must have 'full'"),
  'a case without flags': (['cases', 'full'], 'train_steps=5', 'a case must be an object of'),
  'a nested value': (['cases', 'full', 'x'], {'y': 1}, "'x' must be a text, a number"),
  'a wrong value of a case': (['cases', 'full', 'train_steps'], 'many', '--train_steps must be'),
  'a parameter of a case alone': (
    ['cases', 'full', 'train_epochs'],
    3,
    "'train_epochs' is set for a case but missing under parameters",
  ),
}


@pytest.mark.parametrize('wrong', WRONG)
def test_a_wrong_file_is_named_with_the_place(toy, wrong):
  way, value, message = WRONG[wrong]
  facts = json.loads((toy.folder / 'launch.json').read_text())
  place = facts = copy.deepcopy(facts)
  for key in way[:-1]:
    place = place[key]
  place[way[-1]] = value
  toy.write_facts(facts)
  with pytest.raises(models.ModelError, match=f'launch.json: .*{message}'):
    models.read(str(toy.estimators), 'toy')


@pytest.mark.parametrize(
  'text, message',
  [('{"parameters": ', 'launch.json: .*line 1'), ('{"a": 1, "a": 2}', "'a' must be there once")],
)
def test_a_file_that_is_no_json_or_says_a_thing_twice_is_refused(toy, text, message):
  (toy.folder / 'launch.json').write_text(text)
  with pytest.raises(models.ModelError, match=message):
    models.read(str(toy.estimators), 'toy')


def test_a_wrong_file_ends_the_command_with_1_and_no_traceback(toy):
  (toy.folder / 'launch.json').write_text('[]')
  done = toy.launch()
  assert done.returncode == errors.AdapterError.exit_status == 1
  assert 'launch.json: the file must be an object of parameters, cases' in done.stderr
  assert 'Traceback' not in done.stderr
