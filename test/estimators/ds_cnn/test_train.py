"""train.py as a user starts it: what it leaves, how it goes on, what it refuses."""

import importlib.util
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

HERE = pathlib.Path(__file__).resolve().parent
TRAIN = HERE.parents[2] / 'estimators' / 'ds_cnn' / 'train.py'
_spec = importlib.util.spec_from_file_location('small_run', str(HERE / 'small_run.py'))
small_run = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(small_run)


def command(folder, output, *flags):
  return [
    sys.executable, str(TRAIN), *small_run.flags(folder), f'--output_path={folder / output}',
    *flags,
  ]  # fmt: skip


def train(folder, output, *flags, status=0):
  """Runs the command from another working directory; returns what it printed."""
  done = subprocess.run(
    command(folder, output, *flags), cwd=str(folder), stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT, text=True,
  )  # fmt: skip
  assert done.returncode == status, done.stdout[-3000:]
  return done.stdout


def events(model_folder):
  text = (model_folder / 'training_log.jsonl').read_text()
  return [json.loads(line) for line in text.splitlines()]


def variables(model_folder):
  """{name: value} of the last checkpoint."""
  import tensorflow.compat.v1 as tf

  reader = tf.train.load_checkpoint(str(model_folder))
  return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  """A folder with a space in its name, in which a model was trained for four steps."""
  folder = tmp_path_factory.mktemp('a folder')
  (folder / 'said.txt').write_text(train(folder, 'model'))
  return folder


def test_it_leaves_checkpoints_pictures_labels_a_log_and_the_result(finished):
  model = finished / 'model'
  names = {path.name for path in model.iterdir()}
  assert {'best', 'checkpoint', 'settings.json', 'labels.txt', 'result.json'} <= names
  assert (model / 'labels.txt').read_text().split()[:3] == ['_silence_', '_unknown_', 'yes']
  for picture in ('learning_curve.png', 'confusion_matrix.png'):
    assert (model / picture).read_bytes()[:4] == b'\x89PNG'
  assert len(list((model / 'best').glob('ds_cnn_*.ckpt-*.index'))) == 1


def test_the_result_tells_the_run_and_agrees_with_the_log(finished):
  result = json.loads((finished / 'model' / 'result.json').read_text())
  log = events(finished / 'model')
  tests = [e for e in log if e['event'] == 'evaluate' and e['split'] == 'test']
  validations = [e for e in log if e['event'] == 'evaluate' and e['split'] == 'validation']
  assert [e['step'] for e in validations] == [0, 2, 4]
  assert result['model'] == 'ds_cnn'
  assert result['trainable_parameters'] == 23180
  assert result['steps'] == 4
  assert result['precision_mode'] == 'allow_mix_precision'
  assert result['backend'] == 'host'
  assert result['accuracy']['test_of_untrained_network'] == tests[0]['accuracy']
  assert result['accuracy']['test'] == tests[-1]['accuracy']
  assert result['accuracy']['validation'] == max(e['accuracy'] for e in validations)
  counts = np.array(result['confusion_matrix']['counts'])
  assert counts.sum() == result['data']['clips']['testing']
  assert np.trace(counts) / counts.sum() == pytest.approx(result['accuracy']['test'])


def test_the_log_has_every_step_with_loss_rate_and_speed(finished):
  trained = [e for e in events(finished / 'model') if e['event'] == 'train']
  assert [e['step'] for e in trained] == [1, 2, 3, 4]
  assert [e['learning_rate'] for e in trained] == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4])
  assert all(e['loss'] > 0 for e in trained)
  assert all(e['samples_per_s'] > 0 for e in trained[1:])


def test_it_says_the_test_accuracy_that_the_result_has(finished):
  said = (finished / 'said.txt').read_text()
  result = json.loads((finished / 'model' / 'result.json').read_text())
  count = result['data']['clips']['testing']
  wanted = f'Final test accuracy = {100 * result["accuracy"]["test"]:.2f}% (N={count})'
  assert wanted in said


def test_a_finished_run_is_tested_again_and_not_trained(finished):
  before = events(finished / 'model')
  said = train(finished, 'model')
  assert 'going on from step 4 of 4' in said
  trained = [e for e in events(finished / 'model') if e['event'] == 'train']
  assert trained == [e for e in before if e['event'] == 'train']


def test_a_run_killed_in_its_last_validation_makes_up_for_it(finished):
  cut = finished / 'cut'
  shutil.copytree(str(finished / 'model'), str(cut))
  whole = json.loads((cut / 'result.json').read_text())
  # What such a kill leaves: the last checkpoint, and nothing that came after it.
  kept = [event for event in events(cut) if event['step'] < 4]
  (cut / 'training_log.jsonl').write_text(''.join(json.dumps(event) + '\n' for event in kept))
  if list((cut / 'best').glob('*.ckpt-4.index')):
    shutil.rmtree(str(cut / 'best'))
  train(finished, 'cut')
  found = json.loads((cut / 'result.json').read_text())
  for name in ('accuracy', 'best_checkpoint', 'confusion_matrix'):
    assert found[name] == whole[name]


def test_an_average_of_the_weights_is_a_checkpoint_for_the_tools_too(finished):
  said = train(finished, 'averaged', '--swa', '--swa_start=0.25', '--swa_freq=1')
  result = json.loads((finished / 'averaged' / 'result.json').read_text())
  average = result['average']
  assert average['samples'] == 3
  share = 100 * average['accuracy']['test']
  assert 'average of 3 samples of the weights: ' in said
  assert f'test accuracy = {share:.2f}%' in said
  checkpoint = finished / 'averaged' / average['checkpoint']
  script = TRAIN.parent / 'evaluate.py'
  done = subprocess.run(
    [sys.executable, str(script), f'--checkpoint={checkpoint}', '--split=test',
     f'--cache_path={finished / "cache"}'],
    cwd=str(finished), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
  )  # fmt: skip
  assert done.returncode == 0, done.stdout[-3000:]
  assert f'{share:.2f}%' in done.stdout


def test_averaging_that_cannot_work_is_refused_before_anything_is_made(finished):
  for flags, message in (
    (['--swa_lr=0.1'], 'swa_lr goes with --swa'),
    (['--swa', '--swa_start=1'], 'swa_start must be from 0 to below 1'),
    (['--swa', '--swa_freq=9'], 'with swa_start and swa_freq it would be at 12'),
    (['--swa', '--swa_lr_schedule=weekly'], 'schedule must be one of manual, constant, cyclic'),
  ):
    assert message in train(finished, 'refused', *flags, status=2)
  assert not (finished / 'refused').exists()
  assert 'averaging was None and is' in train(finished, 'model', '--swa', status=2)


def test_another_network_in_the_same_folder_is_refused_and_nothing_is_lost(finished):
  before = sorted(path.name for path in (finished / 'model').iterdir())
  said = train(finished, 'model', '--model_architecture=dnn', status=2)
  assert "architecture was 'ds_cnn' and is 'dnn'" in said
  assert 'Traceback' not in said
  assert sorted(path.name for path in (finished / 'model').iterdir()) == before


def test_it_is_said_when_a_run_goes_on_with_another_data_path(finished):
  moved = finished / 'moved speech'
  moved.symlink_to(finished / 'speech')
  said = train(finished, 'model', f'--data_path={moved}')
  assert f"data_path was '{finished / 'speech'}'" in said
  assert 'data_path was' not in train(finished, 'model', f'--data_path={moved}')


def test_synthesised_speech_of_another_size_is_refused(finished):
  said = train(finished, 'model', '--clips_per_word=24', status=2)
  assert 'clips_per_word was 240 and is 24' in said


def test_weights_of_another_run_are_where_training_starts(finished):
  train(
    finished, 'second', f'--start_checkpoint={finished / "model" / "model.ckpt-4"}',
    '--how_many_training_steps=1', '--learning_rate=1e-9',
    f'--summaries_dir={finished / "summaries"}',
  )  # fmt: skip
  before, after = variables(finished / 'model'), variables(finished / 'second')
  assert after['global_step'] == 1
  kernel = 'ds_cnn/pointwise_2/kernel'
  np.testing.assert_allclose(after[kernel], before[kernel], atol=1e-6)
  # A step keeps 96 % of an average and adds 4 % of the batch's. An average that had started at 1,
  # as a new one does, would keep more.
  variance = 'ds_cnn/pointwise_4/batch_norm/moving_variance'
  assert np.median(before[variance]) < 0.95
  assert np.median(after[variance] - 0.96 * before[variance]) < 0.04
  assert list((finished / 'summaries').glob('events.out.*'))


def test_a_killed_run_goes_on_to_the_same_bits(tmp_path):
  flags = ['--how_many_training_steps=12', '--learning_rate=0.001', '--batch_size=25']
  train(tmp_path, 'whole', *flags)
  killed = subprocess.Popen(
    command(tmp_path, 'cut', *flags), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
  )
  wait_for(tmp_path / 'cut' / 'model.ckpt-4.index')
  killed.send_signal(signal.SIGKILL)
  killed.wait()
  said = train(tmp_path, 'cut', *flags)
  assert 'going on from step' in said
  assert 'going on from step 12' not in said
  whole, cut = variables(tmp_path / 'whole'), variables(tmp_path / 'cut')
  assert set(whole) == set(cut)
  for name, value in whole.items():
    np.testing.assert_array_equal(cut[name], value, err_msg=name)
  # No step is in the log twice. The one that was being saved may be missing: it is logged after.
  steps = [e['step'] for e in events(tmp_path / 'cut') if e['event'] == 'train']
  resumed = int(re.search(r'going on from step (\d+)', said).group(1))
  assert steps in (list(range(1, 13)), [step for step in range(1, 13) if step != resumed])


def test_a_run_whose_last_checkpoint_is_damaged_goes_on_from_the_one_before_to_the_same_bits(
  tmp_path,
):
  train(tmp_path, 'model')
  whole = variables(tmp_path / 'model')
  data = next((tmp_path / 'model').glob('model.ckpt-4.data-*'))
  data.write_bytes(data.read_bytes()[:1000])
  said = train(tmp_path, 'model')
  assert 'model.ckpt-4 is damaged' in said
  assert 'going on from step 2 of 4' in said
  mended = variables(tmp_path / 'model')
  for name, value in whole.items():
    np.testing.assert_array_equal(mended[name], value, err_msg=name)


def wait_for(path, seconds=120):
  until = time.monotonic() + seconds
  while not path.exists():
    assert time.monotonic() < until, f'{path} did not appear'
    time.sleep(0.02)


def test_the_flag_knows_every_network():
  from estimators.ds_cnn import networks

  named = subprocess.run(
    [sys.executable, str(TRAIN), '--help'], stdout=subprocess.PIPE, text=True
  ).stdout
  listed = re.search(r'network: ([a-z_,\s]+)\(', named).group(1)
  assert [name.strip() for name in listed.split(',')] == list(networks.NETWORKS)


@pytest.mark.parametrize(
  ('flag', 'message'),
  [
    ('--learning_rate=0.001', 'a rate for each number of how_many_training_steps'),
    ('--model_architecture=ds_cn', "Did you mean 'ds_cnn'?"),
    ('--data_path=/no/such/folder', 'none at|there is none'),
    ('--data_url=http://example.com/x.tar.gz', 'Nothing is downloaded'),
  ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(tmp_path, flag, message):
  said = train(tmp_path, 'model', flag, status=2)
  assert re.search(message, said)
  assert 'Traceback' not in said
  assert not (tmp_path / 'model').exists()
  assert os.listdir(str(tmp_path)) == ['speech'] or not (tmp_path / 'cache').exists()
