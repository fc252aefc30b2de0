"""The commands that take a checkpoint, and those of the way to a device: frozen, asked, counted."""

import json

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from estimators.lstm_har import (
  accuracy,
  compare_classifiers,
  data_bin,
  freeze,
  make_uci_data,
  scores,
  trained_network,
)


def load(path):
  definition = tf.GraphDef()
  definition.ParseFromString(path.read_bytes())
  return definition


def ask(path, windows):
  with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
    tf.import_graph_def(load(path), name='')
    shape = graph.get_tensor_by_name('X:0').shape.as_list()
    kind = graph.get_tensor_by_name('output:0').dtype
    return shape, kind, session.run('output:0', {'X:0': windows})


@pytest.fixture(scope='module')
def frozen(trained, tmp_path_factory):
  path = tmp_path_factory.mktemp('a folder') / 'lstm_har.pb'
  assert freeze.main(['--checkpoint', str(trained), '--output', str(path)]) == 0
  return path


def test_the_frozen_graph_answers_as_the_checkpoint_in_batches_of_any_size(
  frozen, trained, uci_data
):
  result = json.loads((trained / 'result.json').read_text())
  windows = uci_data.windows('test')
  shape, kind, answers = ask(frozen, windows)
  assert shape == [None, 128, 9]
  assert kind == tf.int32
  one_by_one = [ask(frozen, windows[at : at + 1])[2][0] for at in range(5)]
  np.testing.assert_array_equal(one_by_one, answers[:5])
  matrix = scores.matrix_of(uci_data.splits['test'].labels, answers, 6)
  assert matrix.tolist() == result['confusion_matrix']['counts']


def test_the_frozen_graph_has_no_variables_and_no_dropout(frozen):
  kinds = {node.op for node in load(frozen).node}
  assert not kinds & {'VariableV2', 'VarHandleOp', 'RandomUniform', 'StatelessRandomUniform'}
  assert not any('Random' in kind for kind in kinds)


def test_a_graph_that_answers_otherwise_is_not_written(trained, tmp_path, monkeypatch, capsys):
  real = trained_network.answers
  calls = []

  def turned(session, windows):
    calls.append(1)
    return real(session, windows) + len(calls)

  monkeypatch.setattr(trained_network, 'answers', turned)
  path = tmp_path / 'x.pb'
  assert freeze.main(['--checkpoint', str(trained), '--output', str(path)]) == 1
  assert 'the frozen graph must answer as' in capsys.readouterr().err
  assert not path.exists()


def test_a_file_that_is_there_is_replaced_when_asked_for_only(frozen, trained, capsys):
  words = ['--checkpoint', str(trained / 'mode.ckpt'), '--output', str(frozen)]
  before = frozen.read_bytes()
  assert freeze.main(words) == 2
  assert 'output must be new' in capsys.readouterr().err
  assert frozen.read_bytes() == before


def test_a_checkpoint_that_is_not_the_network_of_its_settings_is_told(trained, tmp_path, capsys):
  settings = json.loads((trained / 'settings.json').read_text())
  settings['architecture']['layers_in_highway'] = 3
  for file in trained.glob('mode.ckpt.*'):
    (tmp_path / file.name).write_bytes(file.read_bytes())
  (tmp_path / 'settings.json').write_text(json.dumps(settings))
  words = ['--checkpoint', str(tmp_path / 'mode.ckpt'), '--output', str(tmp_path / 'x.pb')]
  assert freeze.main(words) == 2
  assert 'cell_2' in capsys.readouterr().err


def test_the_way_to_a_device_ends_with_the_accuracy_of_the_checkpoint(
  frozen, trained, uci_folder, cache, tmp_path, capsys
):
  """Windows as files, answers as files, counted against either file of labels."""
  words = ['--out', str(tmp_path), '--data_path', str(uci_folder), '--cache_path', cache]
  assert data_bin.main(words) == 0
  files = sorted((tmp_path / 'input').iterdir(), key=lambda path: int(path.stem))
  assert [path.name for path in files] == [f'{number}.bin' for number in range(36)]
  windows = np.stack([np.fromfile(str(path), '<f4').reshape(128, 9) for path in files])
  answers = tmp_path / 'the answers'
  answers.mkdir()
  for number, answer in enumerate(ask(frozen, windows)[2]):
    answer.astype('<i4').tofile(str(answers / f'{number}_output_0.bin'))
  expected = json.loads((trained / 'result.json').read_text())['test']['accuracy']
  for labels in (tmp_path / 'labels.txt', uci_folder / 'test' / 'y_test.txt'):
    out = tmp_path / 'accuracy.json'
    words = ['--answers', str(answers), '--labels', str(labels), '--json', str(out)]
    assert accuracy.main(words) == 0
    said = capsys.readouterr().out
    assert f'total = 36, right = {round(36 * expected)}, top-1 accuracy' in said
    assert json.loads(out.read_text())['accuracy'] == pytest.approx(expected)


def test_windows_are_not_written_among_others(uci_folder, cache, tmp_path, capsys):
  (tmp_path / 'input').mkdir()
  (tmp_path / 'input' / '0.bin').write_bytes(b'')
  words = ['--out', str(tmp_path), '--data_path', str(uci_folder), '--cache_path', cache]
  assert data_bin.main(words) == 2
  assert 'out must be a folder without windows' in capsys.readouterr().err


@pytest.mark.parametrize(
  'spoil, message',
  [
    (lambda folder: (folder / '1_output_0.bin').unlink(), 'there is no 1_output_0.bin'),
    (lambda folder: (folder / '3_output_0.bin').write_bytes(b'1234'), 'there is 3_output_0.bin'),
    (lambda folder: (folder / '0_output_0.bin').write_bytes(b'12'), '0_output_0.bin. has 2'),
    (lambda folder: (folder / '2_output_0.bin').write_bytes(b'\xff' * 4), '_0.bin. is -1'),
  ],
)
def test_answers_that_are_missing_or_none_are_told(tmp_path, capsys, spoil, message):
  for number in range(3):
    np.array([number], '<i4').tofile(str(tmp_path / f'{number}_output_0.bin'))
  labels = tmp_path / 'labels.txt'
  labels.write_text('1\n2\n2\n')
  words = ['--answers', str(tmp_path), '--labels', str(labels)]
  assert accuracy.main(words) == 0
  assert 'total = 3, right = 2, top-1 accuracy = 66.67%' in capsys.readouterr().out
  spoil(tmp_path)
  assert accuracy.main(words) == 2
  assert message.replace('_0.bin.', "_0.bin'") in capsys.readouterr().err


def test_plain_classifiers_stand_beside_the_network(trained, uci_folder, cache, tmp_path, capsys):
  out = tmp_path / 'compared.json'
  words = [
    '--checkpoint', str(trained), '--data_path', str(uci_folder), '--cache_path', cache,
    '--trees', '5', '--json', str(out),
  ]  # fmt: skip
  assert compare_classifiers.main(words) == 0
  found = json.loads(out.read_text())
  assert len(found) == 5
  result = json.loads((trained / 'result.json').read_text())
  network = found['LSTM 2x1 bidirectional']
  assert network['test']['accuracy'] == pytest.approx(result['test']['accuracy'])
  assert network['validation']['accuracy'] == pytest.approx(result['accuracy']['validation'])
  assert 'random forest, statistics' in capsys.readouterr().out


def test_a_network_is_not_compared_on_people_it_was_not_trained_with(trained, cache, capsys):
  words = ['--checkpoint', str(trained), '--cache_path', cache, '--trees', '1']
  assert compare_classifiers.main(words) == 2
  assert 'must be the data the network was trained on' in capsys.readouterr().err


def test_data_is_made_into_a_new_folder_only(tmp_path, capsys):
  (tmp_path / 'mine.txt').write_text('')
  assert make_uci_data.main(['--out', str(tmp_path)]) == 2
  assert 'out must be a new or an empty folder' in capsys.readouterr().err


@pytest.mark.parametrize('tool', [accuracy, compare_classifiers, data_bin, freeze, make_uci_data])
def test_a_wrong_flag_is_told_with_the_nearest(tool, capsys):
  with pytest.raises(SystemExit) as ended:
    tool.main(['--hel'])
  assert ended.value.code == 2
  assert 'there is no flag --hel. Did you mean' in capsys.readouterr().err
