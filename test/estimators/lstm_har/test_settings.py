"""The settings of a run: checked, written, read back."""

import numpy as np
import pytest

from estimators.lstm_har import settings
from estimators.lstm_har.architecture import Architecture
from npu_adapter import errors

RUN = settings.Settings(
  architecture=Architecture(3, 3, True),
  channels=('x', 'y'),
  labels=('walks', 'sits'),
  mean=(0.1, -0.2),
  deviation=(1.0, 2.5),
  validation_people=(3, 8),
  batch_size=100,
  steps_per_epoch=22,
  steps=220,
  learning_rate=0.001,
  learning_rate_decay=1.0,
  dropout_rate=0.15,
  replay_hardest=2,
  seed=1,
)


def test_what_was_written_is_read_from_beside_a_checkpoint(tmp_path):
  settings.write(RUN, str(tmp_path))
  assert settings.read(str(tmp_path / 'best' / 'lstm_har_9000.ckpt-100')) == RUN


@pytest.mark.parametrize(
  'changed, message',
  [
    ({'learning_rate': 0.0}, 'learning_rate must be above 0; got 0.0'),
    ({'learning_rate': float('nan')}, 'learning_rate must be above 0; got nan'),
    ({'learning_rate_decay': 1.1}, 'learning_rate_decay must be at most 1'),
    ({'dropout_rate': 1.0}, 'dropout_rate must be from 0 to below 1; got 1.0'),
    ({'replay_hardest': 12}, 'from 0 to the batches of an epoch, 10; got 12'),
    ({'seed': 2**31}, 'seed must be from 0 to'),
    ({'architecture': Architecture(3, 0, True)}, 'n_stacked_layers'),
  ],
)
def test_a_run_that_cannot_be_made_is_told(changed, message):
  with pytest.raises(errors.InputError, match=message):
    settings.check(RUN._replace(**changed))


def test_a_file_of_another_program_is_told(tmp_path):
  (tmp_path / 'settings.json').write_text('{"architecture": {}}')
  with pytest.raises(errors.InputError, match='is not what train.py writes'):
    settings.read(str(tmp_path / 'model.ckpt-1'))


def test_the_standard_is_of_the_training_windows_alone(uci_data):
  mean, deviation = settings.standard(uci_data)
  windows = uci_data.windows('training').reshape(-1, 9).astype(np.float64)
  np.testing.assert_allclose(mean, windows.mean(axis=0), rtol=1e-5)
  np.testing.assert_allclose(deviation, windows.std(axis=0), rtol=1e-5)
  all_windows = np.load(uci_data.windows_path).reshape(-1, 9).astype(np.float64)
  assert np.abs(np.array(deviation) / all_windows.std(axis=0) - 1).max() > 1e-4
