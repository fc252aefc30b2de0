"""A training as users start it: what it prints and leaves, killed and resumed, with and without."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import npu_adapter
from estimators.swa import choices, compare_with_sgd, settings, training_run
from npu_adapter import errors
from npu_adapter.runtime import tf1

tf1.enable()
TRAIN = pathlib.Path(__file__).resolve().parents[3] / 'estimators' / 'swa' / 'train.py'
SMALL = {'batch_size': 449, 'epochs': 5, 'start_epoch': 3, 'swa_freq': 1, 'learning_rate': 0.2}


@pytest.fixture(autouse=True)
def on_host(monkeypatch):
  monkeypatch.setenv('NPU_ADAPTER_BACKEND', 'host')


def train(folder, given=None, swa=True, save_steps=5, max_saved=20, seed=1):
  """What result.json holds after a run on the digits, two steps an epoch."""
  made, data = choices.settings_of('digits', None, None, {**SMALL, **(given or {})}, seed, swa)
  config = npu_adapter.NPURunConfig(
    model_dir=str(folder), tf_random_seed=seed, save_checkpoints_steps=save_steps,
    keep_checkpoint_max=max_saved,
  )  # fmt: skip
  lines = []
  found = training_run.run(made, data, config, training_run.Plan(5, 2), lines.append)
  return found, lines


def weights(folder, step=10):
  reader = tf.train.load_checkpoint(os.path.join(str(folder), f'model.ckpt-{step}'))
  names = sorted(reader.get_variable_to_shape_map())
  return {name: reader.get_tensor(name) for name in names}


def test_the_command_prints_both_networks_and_leaves_what_it_says(tmp_path):
  folder = tmp_path / 'a run'
  done = subprocess.run(
    [sys.executable, str(TRAIN), '--task=digits', '--batch=449', '--train_epochs=4',
     '--start_epoch=2', f'--modeldir={folder}', '--save_interval=4'],
    cwd=str(tmp_path), capture_output=True, text=True,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr[-2000:]
  found = json.loads((folder / 'result.json').read_text())
  last, average = (100 * found[name]['accuracy'] for name in ('last', 'average'))
  assert f'SGD, the last weights: test accuracy = {last:.2f}%' in done.stdout
  assert f'SWA, average of 3 samples of the weights: test accuracy = {average:.2f}%' in done.stdout
  assert found['average']['samples'] == 3
  assert found['accuracy'] == {
    'test': found['average']['accuracy'],
    'test_of_last_checkpoint': found['last']['accuracy'],
  }
  assert (folder / 'learning_curve.png').stat().st_size > 1000
  # No network is chosen by what the test says.
  assert not (folder / 'best').exists()


def test_the_average_is_the_mean_of_the_weights_after_each_cycle(tmp_path):
  train(tmp_path, save_steps=1)
  sampled = [weights(tmp_path, step) for step in (6, 8, 10)]
  average = tf.train.load_checkpoint(str(tmp_path / 'average' / 'model.ckpt-10'))
  for name in ('swa/conv_1/kernel', 'swa/norm_2/gamma', 'swa/logits/bias'):
    np.testing.assert_allclose(
      average.get_tensor(name), np.mean([each[name] for each in sampled], axis=0), rtol=1e-4,
      atol=1e-7,
    )  # fmt: skip


def test_a_run_that_was_stopped_ends_with_the_same_bits(tmp_path):
  whole, _ = train(tmp_path / 'whole')

  class Stop(tf.train.SessionRunHook):
    def after_run(self, run_context, run_values):
      if run_context.session.run(tf.train.get_global_step()) == 7:
        raise KeyboardInterrupt

  # As a kill after the checkpoint of step 5, between two samples.
  original = training_run.training_hook.TrainingHook
  training_run.training_hook.TrainingHook = lambda *args, **kwargs: Stop()
  try:
    with pytest.raises(KeyboardInterrupt):
      train(tmp_path / 'stopped')
  finally:
    training_run.training_hook.TrainingHook = original
  resumed, lines = train(tmp_path / 'stopped')
  assert any('going on from step' in line for line in lines)
  expected, found = weights(tmp_path / 'whole'), weights(tmp_path / 'stopped')
  assert expected.keys() == found.keys()
  for name, value in expected.items():
    np.testing.assert_array_equal(found[name], value, err_msg=name)
  assert resumed['average'] == whole['average']
  # Started once more, it reports the same.
  assert train(tmp_path / 'stopped')[0]['average'] == whole['average']


def test_without_averaging_there_is_sgd_alone(tmp_path):
  found, lines = train(tmp_path, swa=False)
  assert found['average'] is None
  assert found['accuracy']['test'] == found['last']['accuracy']
  assert not any('SWA' in line for line in lines)
  assert not [name for name in weights(tmp_path) if name.startswith('weight_average')]


def test_the_rate_without_averaging_falls_to_a_hundredth(tmp_path):
  train(tmp_path, {'epochs': 10}, swa=False)
  events = [json.loads(line) for line in (tmp_path / 'training_log.jsonl').read_text().splitlines()]
  rates = {event['step']: event['learning_rate'] for event in events if event['event'] == 'train'}
  assert rates[2] == pytest.approx(0.2)
  assert rates[20] == pytest.approx(0.002, rel=1e-4)
  assert 0.002 < rates[14] < 0.2


def test_a_folder_of_another_run_is_refused(tmp_path):
  train(tmp_path)
  with pytest.raises(errors.InputError, match='learning_rate was 0.2 and is 0.1'):
    train(tmp_path, {'learning_rate': 0.1})


@pytest.mark.parametrize(
  'given, message',
  [
    ({'learning_rate': -1.0}, 'swa_lr must be at most the learning rate'),
    ({'momentum': 1.0}, 'momentum must be from 0 to below 1; got 1.0'),
    ({'weight_decay': float('nan')}, 'weight_decay must be 0 or above; got nan'),
    ({'schedule': 'rising'}, 'schedule must be one of constant, falling'),
    ({'start_epoch': 5}, 'start_epoch must be below the number of epochs, 5; got 5'),
    ({'start_epoch': 4, 'swa_freq': 3}, 'first sample must be taken before the training ends'),
    ({'batch_size': 899}, 'batch_size must be at most the number of examples'),
  ],
)
def test_a_run_that_cannot_be_is_refused_before_it_begins(given, message):
  with pytest.raises(errors.InputError, match=message):
    choices.settings_of('digits', None, None, {**SMALL, **given})


def test_a_network_of_another_task_is_refused():
  with pytest.raises(errors.InputError, match="network must be conv for the task digits; got 'vgg"):
    choices.settings_of('digits', 'vgg16', None, {})


def test_the_bare_command_is_the_demonstration_of_the_original():
  made, _ = choices.settings_of(None, None, None, {})
  assert (made.task, made.batch_size, made.steps, made.learning_rate) == ('blobs', 16384, 800, 0.1)
  assert made.averaging == npu_adapter.Averaging(592, 24, 'cyclic', 0.001, 0.003, None)


def test_settings_are_read_back_as_they_were_written(tmp_path):
  train(tmp_path)
  made, _ = choices.settings_of('digits', None, None, SMALL)
  assert settings.read(str(tmp_path / 'model.ckpt-10')) == made


def test_the_comparison_gives_the_mean_of_the_pairs_and_its_interval(tmp_path, capsys):
  arguments = ['--output_path', str(tmp_path), '--seeds=2', '--epochs=30',
               f'--json={tmp_path / "found.json"}']  # fmt: skip
  assert compare_with_sgd.main(arguments) == 0
  found = json.loads((tmp_path / 'found.json').read_text())
  differences = [row['swa']['accuracy'] - row['sgd']['accuracy'] for row in found['rows']]
  facts = found['differences']['sgd']['accuracy']
  assert facts['mean'] == pytest.approx(np.mean(differences))
  # Of two values Student's t with one degree of freedom: 12.706 standard errors.
  reach = 12.7062 * abs(differences[0] - differences[1]) / 2
  assert facts['high'] - facts['mean'] == pytest.approx(reach, rel=1e-4, abs=1e-9)
  printed = capsys.readouterr().out
  assert 'SWA - SGD = ' in printed and 'SWA - last weights of the same training = ' in printed
  entropies = [row['swa']['cross_entropy'] - row['last']['cross_entropy'] for row in found['rows']]
  facts = found['differences']['last']['cross_entropy']
  assert facts['mean'] == pytest.approx(np.mean(entropies))
  assert facts['better'] == sum(difference < 0 for difference in entropies)
  before = (tmp_path / 'seed_1' / 'sgd' / 'model.ckpt-420.index').stat().st_mtime_ns
  assert compare_with_sgd.main(arguments) == 0
  assert json.loads((tmp_path / 'found.json').read_text()) == found
  assert (tmp_path / 'seed_1' / 'sgd' / 'model.ckpt-420.index').stat().st_mtime_ns == before
