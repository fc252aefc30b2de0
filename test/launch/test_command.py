"""The words in front: action, model and case; help anywhere; cases that are not built."""

import pytest

from npu_adapter.launch import parameters


@pytest.mark.parametrize('word', ['-h', '--help', '--helpfull'])
@pytest.mark.parametrize(
  'words',
  [
    [],
    ['model', 'toy'],
    ['model', 'toy', 'performance_8p', '--no_such=1'],
    ['model', 'tyo', 'fulll', '--batch_size'],
  ],
)
def test_help_is_given_wherever_it_is_asked_for(toy, words, word):
  before = toy.files()
  for place in range(len(words) + 1):
    done = toy.run(*words[:place], word, *words[place:])
    assert (done.returncode, done.stderr) == (0, '')
    for row in parameters.TABLE:
      assert f'--{row.name}' in done.stdout
  assert toy.files() == before


def test_help_shows_the_defaults_of_the_case_and_all_cases(toy):
  done = toy.launch('--help', case='performance', environment={'COLUMNS': '200'})
  shown = ' '.join(done.stdout.split())
  assert 'training steps (default: 5,5)' in shown
  assert 'examples a step (default: 100)' in shown
  assert 'toy has no such parameter' in shown
  assert "as '0|5|10-20' (default: 10)" in shown
  assert '--train_steps=50,50' in shown
  for case in ('full', 'performance', 'full_8p', 'performance_8p'):
    assert f'\n  {case} ' in done.stdout


def test_help_without_a_model_lists_the_models(toy):
  assert 'models: toy' in toy.run('--help').stdout


@pytest.mark.parametrize(
  'words, message',
  [
    ([], "the first word must be one of model; got ''"),
    (['modle', 'toy', 'full'], "Did you mean 'model'?"),
    (['--batch_size=3'], "got '--batch_size=3'"),
    (['model'], "the model must be one of toy; got ''"),
    (['model', 'toyy', 'full'], "the model must be one of toy; got 'toyy'. Did you mean 'toy'?"),
    (['model', '../toy', 'full'], "got '../toy'"),
    (['model', 'toy'], 'the case must be one of full, performance, full_8p, performance_8p'),
    (['model', 'toy', 'perfomance'], "Did you mean 'performance'?"),
    (['model', 'toy', '--batch_size=3'], "got '--batch_size=3'"),
  ],
)
def test_a_wrong_word_in_front_ends_with_2_and_the_list(toy, words, message):
  done = toy.run(*words)
  assert done.returncode == 2
  assert message in done.stderr
  assert 'Traceback' not in done.stderr


@pytest.mark.parametrize('case', ['full_8p', 'performance_8p'])
def test_eight_devices_end_with_1_before_anything_is_touched(toy, case):
  before = toy.files()
  done = toy.launch('--batch_size=3', case=case)
  assert done.returncode == 1
  assert 'training on 8 devices needs distribution, which is not built yet' in done.stderr
  assert toy.files() == before
