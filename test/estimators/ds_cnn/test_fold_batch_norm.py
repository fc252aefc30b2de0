"""fold_batch_norm.py: the folded network is the trained one, and its checkpoint can be used."""

import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from estimators.ds_cnn import evaluate, fold_batch_norm, freeze, settings
from estimators.ds_cnn.deployment import folded_network
from npu_adapter import best_checkpoint, errors
from npu_adapter.runtime import tf1

_spec = importlib.util.spec_from_file_location(
  'random_network', str(pathlib.Path(__file__).with_name('random_network.py'))
)
random_network = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(random_network)

# Published: weights and biases of the networks without batch norm.
PARAMETERS = {
  ('ds_cnn', 'S'): 22604,
  ('ds_cnn', 'M'): 135032,
  ('ds_cnn', 'L'): 410700,
  ('cnn', 'S'): 69238,
  ('cnn', 'M'): 178444,
  ('cnn', 'L'): 476206,
}
TINY = random_network.SMALL['ds_cnn']


@pytest.fixture(autouse=True, scope='session')
def tf1_behaviour():
  tf1.enable()


@pytest.fixture
def tiny(tmp_path):
  return random_network.make(tmp_path / 'a model', 'ds_cnn', TINY)


def fold(checkpoint, *words):
  """The exit status of the command, run without data."""
  return fold_batch_norm.main(['--checkpoint', str(checkpoint), '--splits', 'none', *words])


def contents(checkpoint):
  reader = tf.train.load_checkpoint(checkpoint)
  return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def files(folder):
  return {path.name: path.read_bytes() for path in pathlib.Path(folder).iterdir() if path.is_file()}


def test_other_tools_say_what_to_do_with_a_folded_checkpoint(tiny, tmp_path, capsys):
  assert fold(tiny, '--output', str(tmp_path / 'folded' / 'net')) == 0
  capsys.readouterr()
  words = ['--checkpoint', str(tmp_path / 'folded' / 'net')]
  assert evaluate.main(words) == 2
  assert freeze.main([*words, '--output', str(tmp_path / 'net.pb')]) == 2
  said = capsys.readouterr().err
  assert said.count('it has no batch norm. If fold_batch_norm.py wrote it, quantize.py') == 2


# The network.


@pytest.mark.parametrize('architecture, size', PARAMETERS)
def test_a_folded_network_has_the_published_parameters_and_the_same_logits(
  tmp_path, architecture, size
):
  path = random_network.make(tmp_path, architecture, size)
  chosen = settings.read(path)
  trained = random_network.opened(path)
  layers = trained.layers()
  x = random_network.fingerprints(chosen, 20)
  wanted = trained.logits(x)
  with folded_network.Evaluation(layers, chosen.shape) as evaluation:
    got = evaluation.logits(x)
  assert folded_network.parameters(layers) == PARAMETERS[architecture, size]
  assert trained.step == random_network.STEP
  assert wanted.std(axis=0).mean() > 0.3
  assert np.abs(got - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_kernel_and_bias_are_divided_by_the_deviation_of_their_channel(tiny):
  before = contents(tiny)
  layers = random_network.opened(tiny).layers()
  folded = {layer.name: layer for layer in layers}
  for name, channel_axis in {'conv_0': 3, 'depthwise_1': 2, 'pointwise_2': 3}.items():
    norm = {key: before[f'ds_cnn/{name}/batch_norm/{key}'] for key in ('beta', 'moving_mean')}
    deviation = np.sqrt(before[f'ds_cnn/{name}/batch_norm/moving_variance'] + 1e-3)
    kernel = np.moveaxis(before[f'ds_cnn/{name}/kernel'], channel_axis, -1) / deviation
    bias = (before[f'ds_cnn/{name}/bias'] - norm['moving_mean']) / deviation + norm['beta']
    got = np.moveaxis(folded[name].kernel, channel_axis, -1)
    np.testing.assert_allclose(got, kernel, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(folded[name].bias, bias, rtol=1e-4, atol=1e-6)
  np.testing.assert_array_equal(folded['logits'].kernel, before['ds_cnn/logits/kernel'])
  np.testing.assert_array_equal(folded['logits'].bias, before['ds_cnn/logits/bias'])


# The checkpoint.


def test_it_holds_kernels_biases_and_the_step_and_nothing_else(tiny, tmp_path, capsys):
  output = tmp_path / 'out put' / 'folded.ckpt'
  assert fold(tiny, '--output', str(output)) == 0
  before, after = contents(tiny), contents(str(output))
  weights = {name for name in before if name.rpartition('/')[2] in ('kernel', 'bias')}
  assert set(after) == weights | {'global_step'}
  assert after['global_step'] == random_network.STEP
  assert after['global_step'].dtype == np.int64
  assert all(after[name].shape == before[name].shape for name in weights)
  assert all(after[name].dtype == np.float32 for name in weights)
  said = capsys.readouterr().out
  sizes = {name: value.size for name, value in before.items() if not name.endswith('/Adam')}
  statistics = sum(size for name, size in sizes.items() if '/moving_' in name)
  trained = sum(sizes.values()) - statistics - 1
  folded = sum(value.size for value in after.values()) - 1
  counts = f'{trained:,} parameters and {statistics:,} statistics of batch norm became {folded:,}'
  assert counts in said
  assert 'largest difference of logits' in said


def test_it_lies_beside_the_trained_one_which_stays_the_one_to_go_on_with(tiny):
  folder = os.path.dirname(tiny)
  before = files(folder)
  assert fold(folder) == 0
  after = files(folder)
  new = {
    f'model.ckpt-{random_network.STEP}_bnfused{end}' for end in ('.index', '.data-00000-of-00001')
  }
  assert set(after) == set(before) | new
  assert all(after[name] == before[name] for name in before)
  assert best_checkpoint.find(folder) == tiny


def test_a_folder_of_its_own_is_a_model_folder(tiny, tmp_path):
  output = tmp_path / 'folded'
  assert fold(tiny, '--output', f'{output}{os.sep}') == 0
  found = best_checkpoint.find(str(output))
  assert found == str(output / f'model.ckpt-{random_network.STEP}_bnfused')
  assert settings.read(found) == settings.read(tiny)
  shutil.rmtree(os.path.dirname(tiny))
  checkpoint = random_network.opened(found)
  assert not checkpoint.has_batch_norm
  folded = checkpoint.layers()
  np.testing.assert_array_equal(folded[0].kernel, contents(found)['ds_cnn/conv_0/kernel'])


def test_a_trained_network_scores_the_same_before_and_after(trained, tmp_path, capsys):
  data = json.loads((trained.folder / 'result.json').read_text())['data']
  words = ['--data_path', data['folder'], '--cache_path', str(trained.cache)]
  words += ['--checkpoint', str(trained.folder), '--output', str(tmp_path / 'folded.ckpt')]
  assert fold_batch_norm.main(words) == 0
  lines = capsys.readouterr().out.split('\n')
  for split, stored in {'validation': 'validation', 'test': 'testing'}.items():
    score = f'{100 * accuracy_of(trained, split):.2f}%'
    count = data['clips'][stored]
    assert f'{split} accuracy = {score} before, {score} after (N={count})' in lines
  difference = next(line for line in lines if line.startswith('largest difference'))
  assert float(difference.split()[4].rstrip(';')) < 1e-4


def accuracy_of(trained, split):
  return json.loads((trained.folder / 'result.json').read_text())['accuracy'][split]


# What cannot be done.


def test_nothing_is_written_when_the_logits_are_not_the_same(tiny, tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(folded_network, '_EPSILON', 0.1)
  output = tmp_path / 'folder' / 'folded.ckpt'
  assert fold(tiny, '--output', str(output)) == 1
  assert re_found('must give the same logits; they differ by', capsys)
  assert not list(output.parent.iterdir())


def test_a_checkpoint_that_is_there_is_replaced_only_when_asked_for(tiny, capsys):
  assert fold(tiny) == 0
  written = files(os.path.dirname(tiny))
  assert fold(tiny) == 2
  assert re_found('output must be new; .*_bnfused.* is there', capsys)
  assert files(os.path.dirname(tiny)) == written
  assert fold(tiny, '--overwrite') == 0


def test_the_trained_checkpoint_is_never_replaced(tiny, capsys):
  before = files(os.path.dirname(tiny))
  assert fold(tiny, '--overwrite', '--output', tiny) == 2
  assert re_found('output must be another checkpoint', capsys)
  assert files(os.path.dirname(tiny)) == before


def test_a_folded_checkpoint_is_not_folded_again(tiny, capsys):
  assert fold(tiny) == 0
  assert fold(f'{tiny}_bnfused') == 2
  assert re_found('checkpoint must have batch norm to fold', capsys)


def test_an_architecture_without_batch_norm_is_an_error(tmp_path, capsys):
  path = random_network.make(tmp_path, 'dnn', '4')
  assert fold(path) == 2
  assert re_found('there for ds_cnn and cnn; the checkpoint is of dnn', capsys)


def test_a_folder_of_another_model_is_an_error(tiny, tmp_path, capsys):
  random_network.make(tmp_path / 'other', 'dnn', '4')
  assert fold(tiny, '--output', str(tmp_path / 'other')) == 2
  assert re_found('settings beside .* are of another', capsys)


def test_what_is_no_whole_checkpoint_of_the_settings_is_an_error(tiny, tmp_path, capsys):
  assert fold(tmp_path / 'nothing') == 2
  assert re_found('checkpoint must be', capsys)
  settings.write(
    random_network.settings_of('ds_cnn', TINY.replace('3 8', '4 8') + ' 6 3 3 1 1'),
    os.path.dirname(tiny),
  )
  assert fold(tiny) == 2
  assert re_found('whole checkpoint .*depthwise_3', capsys)


def test_a_checkpoint_that_was_cut_is_an_error(tiny, capsys):
  data = pathlib.Path(f'{tiny}.data-00000-of-00001')
  data.write_bytes(data.read_bytes()[:100])
  assert fold(tiny) == 2
  assert re_found('must be a whole checkpoint', capsys)


def test_weights_that_are_no_numbers_are_an_error(tiny):
  values = contents(tiny)
  values['ds_cnn/conv_0/kernel'][0, 0, 0, 0] = np.nan
  fold_batch_norm._save(tiny, values)
  with pytest.raises(errors.InputError, match='must be finite numbers; ds_cnn/conv_0/kernel'):
    random_network.opened(tiny).layers()


def test_a_wrong_split_is_named_with_the_nearest(tiny, capsys):
  assert fold(tiny, '--splits', 'validation,tset') == 2
  assert re_found("got 'tset'. Did you mean 'test'", capsys)


def test_it_starts_as_a_script_in_any_folder(tiny, run_tool):
  done = run_tool('fold_batch_norm.py', '--checkpoint', tiny, '--splits', 'none')
  assert done.returncode == 0, done.stderr
  assert done.stdout.rstrip().endswith(f'wrote {tiny}_bnfused')


@pytest.mark.parametrize('script', ['fold_batch_norm.py', 'quantize.py'])
def test_help_needs_neither_tensorflow_nor_numpy(script):
  path = pathlib.Path(fold_batch_norm.__file__).with_name(script)
  done = subprocess.run(
    [sys.executable, '-X', 'importtime', str(path), '--help'],
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0
  assert f'usage: {script}' in done.stdout
  imported = {line.rpartition('|')[2].strip() for line in done.stderr.split('\n')}
  assert not imported & {'tensorflow', 'numpy'}
  assert os.access(str(path), os.X_OK)


def re_found(pattern, capsys):
  """Whether the last line of standard error is a message like this, and no traceback before it."""
  said = capsys.readouterr().err
  return re.search(f'^fold_batch_norm.py: error: .*{pattern}', said, re.MULTILINE)
