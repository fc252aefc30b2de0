"""quantize.py: what it measures, writes, takes and refuses."""

import importlib.util
import json
import pathlib
import re

import pytest

from estimators.ds_cnn import fold_batch_norm, quantize
from npu_adapter.runtime import tf1

_spec = importlib.util.spec_from_file_location(
  'random_network', str(pathlib.Path(__file__).with_name('random_network.py'))
)
random_network = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(random_network)

SPLITS = {'validation': 'validation', 'test': 'testing'}


@pytest.fixture(autouse=True, scope='session')
def tf1_behaviour():
  tf1.enable()


@pytest.fixture
def tiny(tmp_path):
  return random_network.make(tmp_path / 'tiny', 'ds_cnn', random_network.SMALL['ds_cnn'])


def said(pattern, capsys):
  """Whether standard error has a message like this."""
  return re.search(f'^quantize.py: error: .*{pattern}', capsys.readouterr().err, re.MULTILINE)


@pytest.fixture(scope='session')
def data_words(trained):
  """Flags that name the data and the cache of the trained network."""
  folder = json.loads((trained.folder / 'result.json').read_text())['data']['folder']
  return ['--data_path', folder, '--cache_path', str(trained.cache)]


def run(trained, data_words, *words):
  return quantize.main(['--checkpoint', str(trained.folder), *data_words, *map(str, words)])


def test_the_command_measures_the_trained_network_and_writes_it_down(
  trained, data_words, run_tool, tmp_path
):
  header, report = tmp_path / 'the weights.h', tmp_path / 'the report.json'
  words = ['--checkpoint', trained.folder, '--weights_header', header, '--json', report]
  done = run_tool('quantize.py', *words, *data_words)
  assert done.returncode == 0, done.stderr
  found = json.loads(report.read_text())
  of_training = json.loads((trained.folder / 'result.json').read_text())
  for split, stored in SPLITS.items():
    scores = found['accuracy'][split]
    assert scores['clips'] == of_training['data']['clips'][stored]
    assert scores['float'] == pytest.approx(of_training['accuracy'][split], abs=1e-6)
    assert scores['weights'] > scores['float'] - 0.05
    assert scores['weights_and_activations'] > scores['float'] - 0.1
    row = next(line.split() for line in done.stdout.split('\n') if line.startswith(split))
    numbers = [
      f'{100 * scores[name]:.2f}%' for name in ('float', 'weights', 'weights_and_activations')
    ]
    assert row[1:] == [str(scores['clips']), *numbers]
  names = [
    'input',
    'conv_0',
    'depthwise_1',
    'pointwise_1',
    'depthwise_2',
    'pointwise_2',
    'pool',
    'logits',
  ]
  assert [row['name'] for row in found['layers']] == names
  printed = [line.split()[0] for line in done.stdout.split('\n') if line.strip()]
  assert [word for word in printed if word in names] == names
  assert found['integer_check'] == {'logits': 240, 'differing': 0, 'largest_difference': 0}
  assert (
    random_network.header_rows(header.read_text())['MFCC_DEC_BITS']
    == found['layers'][0]['fraction_bits']
  )


def test_a_folded_checkpoint_gives_the_same(trained, data_words, tmp_path):
  folded = tmp_path / 'folded.ckpt'
  words = ['--checkpoint', str(trained.folder), '--splits', 'none', '--output', str(folded)]
  assert fold_batch_norm.main(words) == 0
  reports = []
  for checkpoint in (trained.folder, folded):
    report = tmp_path / f'{checkpoint.name}.json'
    words = ['--checkpoint', str(checkpoint), '--json', str(report), '--calibrate', '20']
    assert quantize.main([*words, *data_words]) == 0
    reports.append(json.loads(report.read_text()))
  for name in ('layers', 'accuracy'):
    assert reports[0][name] == reports[1][name]
  assert reports[0]['ranges_from'] == 'calibration on 20 training clips'


def test_given_ranges_are_taken_in_the_order_of_the_network(trained, data_words, tmp_path):
  report = tmp_path / 'report.json'
  ranges = [32, 0, 4, 8.5, 16, 2, 1, 64]
  words = ['--act_max', '32', '0', '4,8.5', '16', '2', '1', '64', '--json', report]
  assert run(trained, data_words, *words, '--splits', 'test') == 0
  found = json.loads(report.read_text())
  assert [row['range'] for row in found['layers']] == ranges
  assert [row['fraction_bits'] for row in found['layers']] == [2, None, 5, None, 3, 6, 7, 1]
  assert set(found['accuracy']) == {'test'}


def test_ranges_of_0_leave_activations_as_they_are(trained, data_words, tmp_path):
  report = tmp_path / 'report.json'
  assert run(trained, data_words, '--act_max', *8 * ['0'], '--json', report) == 0
  for scores in json.loads(report.read_text())['accuracy'].values():
    assert scores['weights_and_activations'] == scores['weights']


def test_a_hopeless_range_shows_in_the_accuracy(trained, data_words, tmp_path):
  report = tmp_path / 'report.json'
  words = ['--act_max', '0.01', *7 * ['0'], '--json', report]
  assert run(trained, data_words, *words) == 0
  scores = json.loads(report.read_text())['accuracy']['test']
  assert scores['weights_and_activations'] < scores['weights'] - 0.2


WRONG = {
  'too few ranges': (
    ['--act_max', '1', '2'],
    'act_max must have 8 values here, for input, conv_0, depthwise_1, .*, pool, logits; got 2',
  ),
  'a range that is no number': (['--act_max', '1', 'x'], "act_max must be numbers .* got '1 x'"),
  'a negative range': (['--act_max', '-1'], "numbers of 0 or more; got '-1'"),
  'both ways to ranges': (['--act_max', '1', '--calibrate', '5'], 'given .* or found .* got both'),
  'a wrong split': (['--splits', 'tests'], "got 'tests'. Did you mean 'test'"),
  'a header of a float activation': (
    ['--weights_header', 'w.h', '--act_max', '8', '0', *6 * ['8']],
    'a power of two as the range of every activation; that of conv_0 is 0',
  ),
}


@pytest.mark.parametrize('wrong', WRONG)
def test_a_wrong_value_ends_with_2_and_says_what_must_hold(
  tiny, wrong, tmp_path, capsys, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  words, complaint = WRONG[wrong]
  # Whatever is wrong is found before the data are looked for.
  assert quantize.main(['--checkpoint', tiny, '--data_path', 'nowhere', *words]) == 2
  assert said(complaint, capsys)
  assert not (tmp_path / 'w.h').exists()


def test_more_clips_than_there_are_is_an_error(trained, data_words, capsys):
  assert run(trained, data_words, '--calibrate', '100000') == 2
  assert said(r'calibrate must be at most the \d+ training clips; got 100000', capsys)


@pytest.mark.parametrize('architecture, size', [('cnn', 'S'), ('single_fc', None)])
def test_another_architecture_is_an_error(tmp_path, architecture, size, capsys):
  path = random_network.make(tmp_path, architecture, size)
  assert quantize.main(['--checkpoint', path]) == 2
  assert said(f'there for ds_cnn and dnn; the checkpoint is of {architecture}', capsys)


def test_a_file_that_is_there_is_replaced_only_when_asked_for(
  trained, data_words, tmp_path, capsys
):
  header = tmp_path / 'weights.h'
  header.write_text('mine')
  words = ['--weights_header', header, '--calibrate', '5', '--splits', 'test']
  assert run(trained, data_words, *words) == 2
  assert said('weights_header must be new; .*weights.h', capsys)
  assert header.read_text() == 'mine'
  assert run(trained, data_words, *words, '--overwrite') == 0
  assert 'CONV1_WT' in header.read_text()
  assert [path.name for path in tmp_path.iterdir()] == ['weights.h']


def test_help_says_the_order_of_the_ranges(capsys):
  with pytest.raises(SystemExit, match='0'):
    quantize.main(['--help'])
  said_in_words = ' '.join(capsys.readouterr().out.split())
  assert '2L + 2 values: the input, conv_0, depthwise_1, pointwise_1' in said_in_words
