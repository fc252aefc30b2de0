"""train.py and freeze.py as a user starts them: what they leave, what they refuse."""

import importlib.util
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

HERE = pathlib.Path(__file__).resolve().parent
MODEL = HERE.parents[2] / 'estimators' / 'keras_tcn'
_spec = importlib.util.spec_from_file_location('small_run', str(HERE / 'small_run.py'))
small_run = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(small_run)


def command(folder, output, *flags):
  return [
    sys.executable, str(MODEL / 'train.py'), *small_run.flags(folder),
    f'--output_path={folder / output}', *flags,
  ]  # fmt: skip


def run(words, folder, status=0):
  """Runs a command from another working directory; returns what it printed."""
  done = subprocess.run(
    [str(word) for word in words], cwd=str(folder), stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT, text=True,
  )  # fmt: skip
  assert done.returncode == status, done.stdout[-3000:]
  return done.stdout


def train(folder, output, *flags, status=0):
  return run(command(folder, output, *flags), folder, status)


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


def test_a_training_leaves_its_files_and_says_what_guessing_scores(finished):
  model = finished / 'model'
  there = {path.name for path in model.iterdir()}
  assert {
    'result.json', 'training_log.jsonl', 'settings.json', 'learning_curve.png', 'tcn.h5', 'best',
  } <= there  # fmt: skip
  said = (finished / 'said.txt').read_text()
  assert 'always answering 1: 0.1667' in said
  assert 'its val_loss is of sequences among them' in said
  result = json.loads((model / 'result.json').read_text())
  assert result['trivial']['mse'] == pytest.approx(1 / 6)
  assert result['sequences_seen'] == 32
  assert result['test']['sequences'] == 30


def test_the_seeds_own_settings_are_the_default():
  script = (
    f'import sys; sys.path.insert(0, {str(HERE.parents[2])!r})\n'
    'from estimators.keras_tcn import train\n'
    "train.FLAGS(['train.py', '--learing_rata=0.01'])\n"
    'given = train._given()\n'
    'settings = train._settings(given, None)\n'
    'print(settings.learning_rate, settings.batch_size, settings.task.steps, settings.steps)\n'
    'print(settings.architecture.receptive_field, settings.uses_last_step_form)\n'
  )
  said = run([sys.executable, '-c', script], HERE).splitlines()
  assert said[-2:] == ['0.01 512 600 19532', '7155 False']


def test_a_run_that_was_killed_ends_with_the_bits_of_one_that_was_not(finished, tmp_path):
  """Batch norm and dropout are on in the small run."""
  flags = ('--steps=30', '--save_step_interval=2')
  process = subprocess.Popen(
    command(tmp_path, 'killed', *flags), cwd=str(tmp_path), stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
  )  # fmt: skip
  deadline = time.monotonic() + 200
  while not list(tmp_path.glob('killed/model.ckpt-[2-9].index')) and time.monotonic() < deadline:
    time.sleep(0.02)
  process.send_signal(signal.SIGKILL)
  process.wait()
  assert 'going on from step' in train(tmp_path, 'killed', *flags)
  train(tmp_path, 'whole', *flags)
  killed, whole = variables(tmp_path / 'killed'), variables(tmp_path / 'whole')
  assert killed.keys() == whole.keys()
  for name, value in whole.items():
    assert value.tobytes() == killed[name].tobytes(), name


def test_a_run_killed_in_its_last_validation_makes_up_for_it(finished, tmp_path):
  cut = tmp_path / 'cut'
  shutil.copytree(str(finished / 'model'), str(cut))
  whole = json.loads((cut / 'result.json').read_text())
  # What such a kill leaves: the last checkpoint, and nothing that came after it.
  log = cut / 'training_log.jsonl'
  kept = [line for line in log.read_text().splitlines(True) if json.loads(line)['step'] < 4]
  log.write_text(''.join(kept))
  if list((cut / 'best').glob('*.ckpt-4.index')):
    shutil.rmtree(str(cut / 'best'))
  train(tmp_path, 'cut')
  found = json.loads((cut / 'result.json').read_text())
  for name in ('validation', 'test', 'best_checkpoint'):
    assert found[name] == whole[name]


def test_keras_loads_the_file_in_a_program_of_its_own_and_answers_as_the_frozen_graph(
  finished, tmp_path
):
  pb = tmp_path / 'a tcn.pb'
  said = run(
    [sys.executable, MODEL / 'freeze.py', f'--checkpoint={finished / "model"}', f'--output={pb}'],
    tmp_path,
  )
  assert 'its answers are those of' in said
  sequences = np.random.RandomState(2).uniform(size=[5, 20, 2]).astype(np.float32)
  np.save(str(tmp_path / 'x.npy'), sequences)
  program = (
    f'import sys; sys.path.insert(0, {str(HERE.parents[2])!r})\n'
    'import numpy as np\n'
    'from estimators.keras_tcn.keras_layer import TCN, keras\n'
    f'path = {str(finished / "model" / "tcn.h5")!r}\n'
    "model = keras.models.load_model(path, custom_objects={'TCN': TCN}, compile=False)\n"
    "np.save('y.npy', model.predict(np.load('x.npy')))\n"
  )
  run([sys.executable, '-c', program], tmp_path)
  from estimators.keras_tcn import frozen_graph
  from npu_adapter.runtime import tf1

  tf1.enable()
  import tensorflow.compat.v1 as tf

  definition = tf.GraphDef()
  definition.ParseFromString(pb.read_bytes())
  expected = frozen_graph.answers(definition, sequences)
  assert expected.shape == (5, 1)
  np.testing.assert_allclose(np.load(str(tmp_path / 'y.npy')), expected, rtol=1e-4, atol=1e-5)


def test_freeze_does_not_write_over_a_file(finished, tmp_path):
  (tmp_path / 'x.pb').write_text('mine')
  words = [sys.executable, MODEL / 'freeze.py', f'--checkpoint={finished / "model"}']
  said = run([*words, f'--output={tmp_path / "x.pb"}'], tmp_path, status=2)
  assert 'output must be new' in said
  assert (tmp_path / 'x.pb').read_text() == 'mine'


@pytest.mark.parametrize('task', ['copy_memory', 'digits'])
def test_the_other_tasks_train_and_report_their_own_trivial_line(task, tmp_path):
  length = [] if task == 'digits' else ['--sequence_length=30']
  small = [flag for flag in small_run.flags(tmp_path) if 'sequence_length' not in flag]
  words = [sys.executable, MODEL / 'train.py', *small, *length, f'--task={task}', '--norm=weight']
  said = run([*words, f'--output_path={tmp_path / "out"}'], tmp_path)
  assert 'Final test cross entropy' in said
  result = json.loads((tmp_path / 'out' / 'result.json').read_text())
  assert 0 < result['trivial']['accuracy'] < 0.2
  assert 0 <= result['test']['accuracy'] <= 1


@pytest.mark.parametrize(
  'flag, message',
  [
    ('--learing_rate=0.1', 'there is no flag --learing_rate. Did you mean'),
    ('--learing_rata=0', 'learning_rate must be above 0; got 0.0'),
    ('--dropout_rate=1', 'dropout_rate must be from 0 to below 1; got 1.0'),
    ('--dilations=1,x', 'dilations must be whole numbers with commas between'),
    ('--nb_filters=3,4', 'one for each dilation; got [3, 4]'),
    ('--data_path=/x', 'data_path must be left out for the task adding'),
    ('--norm=bath', "Did you mean 'batch'?"),
  ],
)
def test_what_cannot_be_trained_ends_with_2_before_anything_is_made(flag, message, tmp_path):
  assert message in train(tmp_path, 'model', flag, status=2)
  assert not (tmp_path / 'model').exists()


def test_a_second_training_in_the_folder_is_refused_with_the_others_pid(finished):
  from npu_adapter.runtime import model_folder

  with model_folder.claimed(str(finished / 'model')):
    said = train(finished, 'model', '--steps=6', status=1)
  assert f'process {os.getpid()} trains in' in said
  assert 'Traceback' not in said


def test_activations_are_computed_twice_where_keeping_them_takes_more_than_was_allowed():
  from estimators.keras_tcn import architecture, settings, tasks

  network = architecture.Architecture((24,) * 9, 8, 1, tuple(2**level for level in range(9)))
  own = settings.Settings(
    tasks.adding(None), network, 'never', 512, 1, 0.01, 'constant', 0.0, 1, 1, 1
  )
  # 512 sequences of 600 steps, 18 convolutions of 24 filters, 3 tensors of 4 bytes: 1,519 MiB.
  for allowed, is_forgetful in ((512, True), (1518, True), (1519, False)):
    assert own._replace(kept_activations_mb=allowed).is_forgetful is is_forgetful
  assert not own._replace(batch_size=172).is_forgetful
  assert own._replace(batch_size=173).is_forgetful


def test_another_network_in_the_same_folder_is_refused(finished):
  said = train(finished, 'model', '--kernel_size=2', status=2)
  assert 'a run of the same settings to go on with' in said


def test_help_needs_no_tensorflow(tmp_path):
  blocked = tmp_path / 'tensorflow.py'
  blocked.write_text('raise ImportError("imported")\n')
  environment = {**os.environ, 'PYTHONPATH': str(tmp_path)}
  for script, word in (('train.py', '--learing_rata'), ('freeze.py', '--checkpoint')):
    done = subprocess.run(
      [sys.executable, str(MODEL / script), '--help'], env=environment, cwd=str(tmp_path),
      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0
    assert word in done.stdout
