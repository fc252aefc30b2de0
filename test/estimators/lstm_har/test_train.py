"""train.py as a user starts it: its flags, a kill -9 in the middle, what it refuses."""

import importlib.util
import json
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

HERE = pathlib.Path(__file__).resolve().parent
TRAIN = HERE.parents[2] / 'estimators' / 'lstm_har' / 'train.py'
_spec = importlib.util.spec_from_file_location('small_run_of_lstm_har', str(HERE / 'small_run.py'))
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


def variables(model_folder):
  """{name: value} of the last checkpoint."""
  import tensorflow.compat.v1 as tf

  reader = tf.train.load_checkpoint(str(model_folder))
  return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def wait_for(path, seconds=240):
  until = time.monotonic() + seconds
  while not path.exists():
    assert time.monotonic() < until, f'{path} did not appear'
    time.sleep(0.02)


def test_a_killed_run_goes_on_to_the_same_bits(tmp_path):
  """With dropout, in a folder with a space, under the flag's misspelt name and the right one."""
  folder = tmp_path / 'a folder'
  folder.mkdir()
  flags = ['--steps=12', '--eval_step_interval=4', '--learing_rata=0.002', '--dropout_rate=0.3']
  said = train(folder, 'whole', *flags)
  assert 'Final test accuracy = ' in said
  killed = subprocess.Popen(
    command(folder, 'cut', *flags), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
  )
  wait_for(folder / 'cut' / 'model.ckpt-4.index')
  killed.send_signal(signal.SIGKILL)
  killed.wait()
  said = train(folder, 'cut', *(flag.replace('learing_rata', 'learning_rate') for flag in flags))
  assert 'going on from step' in said
  assert 'going on from step 12' not in said
  whole, cut = variables(folder / 'whole'), variables(folder / 'cut')
  assert set(whole) == set(cut)
  for name, value in whole.items():
    np.testing.assert_array_equal(cut[name], value, err_msg=name)
  result = json.loads((folder / 'whole' / 'result.json').read_text())
  assert (result['learning_rate'], result['dropout_rate']) == (0.002, 0.3)
  assert (result['steps'], result['batch_size'], result['precision_mode']) == (
    12, 20, 'allow_mix_precision',
  )  # fmt: skip
  # --ckpt_count
  assert len(list((folder / 'whole').glob('model.ckpt-*.index'))) == 2


@pytest.mark.parametrize(
  ('flag', 'message'),
  [
    ('--architecture=3x4', "Did you mean '3x3'?"),
    ('--data_path=no/such folder', "must be the folder 'UCI HAR Dataset'"),
    ('--validation_people=7,x', "must be numbers with commas between, as 7,8; got '7,x'"),
  ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(tmp_path, flag, message):
  said = train(tmp_path, 'model', flag, status=2)
  assert message in said
  assert 'Traceback' not in said
  assert not (tmp_path / 'model').exists()


def test_the_default_is_the_network_of_the_title_and_every_flag_is_told():
  done = subprocess.run([sys.executable, str(TRAIN), '--help'], stdout=subprocess.PIPE, text=True)
  for flag in (
    'architecture', 'n_layers_in_highway', 'n_stacked_layers', 'bidirectional', 'n_hidden',
    'batch_size', 'learning_rate', 'steps', 'epochs', 'data_path', 'output_path', 'precision_mode',
    'ckpt_count', 'patience', 'replay_hardest',
  ):  # fmt: skip
    assert f'--{flag}\n' in done.stdout or f'--[no]{flag}\n' in done.stdout
  assert '(default: 3x3_bidirectional)' in ' '.join(done.stdout.split())
