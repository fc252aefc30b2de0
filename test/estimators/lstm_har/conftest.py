"""A small folder as UCI HAR is published, and a network trained on it for some steps."""

import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
if str(ROOT) not in sys.path:
  sys.path.insert(0, str(ROOT))

WINDOWS_EACH = 3  # of each person and exercise


@pytest.fixture(scope='session')
def uci_folder(tmp_path_factory):
  """Made by the model's own command; its folder has the published name, with spaces."""
  from estimators.lstm_har import make_uci_data

  folder = tmp_path_factory.mktemp('data') / 'UCI HAR Dataset'
  assert make_uci_data.main(['--out', str(folder), '--windows', str(WINDOWS_EACH)]) == 0
  return folder


@pytest.fixture(scope='session')
def cache(tmp_path_factory):
  return str(tmp_path_factory.mktemp('cache'))


@pytest.fixture(scope='session')
def uci_data(uci_folder, cache):
  from estimators.lstm_har import data_source

  return data_source.open_data(str(uci_folder), cache, show=lambda line: None)


@pytest.fixture(scope='session')
def run_in_process():
  """The function (data, folder, ...) that trains as train.py does, without a process of its own."""
  return train


def train(data, folder, steps=4, plan=(), show=lambda line: None, **changed):
  """Returns what result.json holds; `changed` are fields of the settings, `plan` of the plan."""
  import npu_adapter
  from estimators.lstm_har import architecture, input_pipeline, settings, training_run

  values = {
    'architecture': architecture.Architecture(2, 1, True, 8), 'batch_size': 40,
    'learning_rate': 0.01, 'learning_rate_decay': 0.9, 'dropout_rate': 0.15, 'replay_hardest': 0,
    'seed': 1, **changed,
  }  # fmt: skip
  mean, deviation = settings.standard(data)
  batches = input_pipeline.steps_per_epoch(data, values['batch_size'])
  made = settings.check(
    settings.Settings(
      channels=data.channels, labels=data.labels, mean=mean, deviation=deviation,
      validation_people=data.splits['validation'].people, steps=steps,
      steps_per_epoch=batches + values['replay_hardest'], **values,
    )
  )  # fmt: skip
  plan = {'evaluation_steps': 4, 'log_steps': 1, **dict(plan)}
  config = npu_adapter.NPURunConfig(
    model_dir=str(folder), tf_random_seed=made.seed, keep_checkpoint_max=20,
    save_checkpoints_steps=plan['evaluation_steps'],
  )  # fmt: skip
  return training_run.run(made, data, config, training_run.Plan(**plan), show)


@pytest.fixture(autouse=True)
def on_host(monkeypatch):
  monkeypatch.setenv('NPU_ADAPTER_BACKEND', 'host')


@pytest.fixture(scope='session')
def trained(uci_data, tmp_path_factory):
  """The model folder of a short training, in a folder with a space in its name."""
  import os

  folder = tmp_path_factory.mktemp('a model')
  before = os.environ.get('NPU_ADAPTER_BACKEND')
  os.environ['NPU_ADAPTER_BACKEND'] = 'host'
  train(uci_data, folder, steps=8)
  if before is None:
    del os.environ['NPU_ADAPTER_BACKEND']
  return folder
