"""A training in this process: what it leaves; how it stops, goes on and replays, to the bit."""

import json
import shutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from estimators.lstm_har import model, training_run
from npu_adapter import averaging_plan, errors


def variables(folder, checkpoint=None):
  """{name: value} of a checkpoint, the last one by default."""
  reader = tf.train.load_checkpoint(str(folder / checkpoint) if checkpoint else str(folder))
  return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def check_same_bits(found, expected):
  assert set(found) == set(expected)
  for name, value in expected.items():
    np.testing.assert_array_equal(found[name], value, err_msg=name)


def events(folder, kind):
  lines = (folder / 'training_log.jsonl').read_text().splitlines()
  return [event for event in map(json.loads, lines) if event['event'] == kind]


def test_it_leaves_checkpoints_pictures_a_log_and_the_result(trained, uci_data):
  names = {path.name for path in trained.iterdir()}
  assert {'best', 'checkpoint', 'settings.json', 'result.json', 'mode.ckpt.index'} <= names
  for picture in ('learning_curve.png', 'confusion_matrix.png'):
    assert (trained / picture).read_bytes()[:4] == b'\x89PNG'
  assert len(list((trained / 'best').glob('lstm_har_*.ckpt-*.index'))) == 1
  check_same_bits(variables(trained, 'mode.ckpt'), variables(trained, 'model.ckpt-8'))


def test_the_result_agrees_with_the_log_and_its_own_confusion_matrix(trained, uci_data):
  result = json.loads((trained / 'result.json').read_text())
  evaluated = events(trained, 'evaluate')
  validations = [event for event in evaluated if event['split'] == 'validation']
  tests = [event for event in evaluated if event['split'] == 'test']
  assert [event['step'] for event in validations] == [0, 4, 8]
  assert result['accuracy']['validation'] == max(event['accuracy'] for event in validations)
  assert result['accuracy']['test_of_untrained_network'] == tests[0]['accuracy']
  assert result['test']['accuracy'] == result['accuracy']['test'] == tests[-1]['accuracy']
  assert result['test']['step'] == tests[-1]['of_step']
  counts = np.array(result['confusion_matrix']['counts'])
  assert counts.sum() == len(uci_data.splits['test'].rows)
  assert np.trace(counts) / counts.sum() == pytest.approx(result['test']['accuracy'])
  assert list(result['test']['classes']) == list(uci_data.labels)
  f1 = [found['f1'] for found in result['test']['classes'].values()]
  assert np.mean(f1) == pytest.approx(result['test']['macro_f1'])
  assert result['trainable_parameters'] == 4 * (10 * 4 + 9 * 16) + 2 + 9 * 6


def test_the_best_is_chosen_by_validation_and_never_by_the_test(trained):
  evaluated = events(trained, 'evaluate')
  validation = {e['step']: e['accuracy'] for e in evaluated if e['split'] == 'validation'}
  best = max(validation, key=lambda step: (validation[step], step))
  assert json.loads((trained / 'result.json').read_text())['test']['step'] == best
  # Before the end, only the untrained network was tested.
  assert [event['step'] for event in evaluated if event['split'] == 'test'] == [0, 8]


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(
  trained, uci_data, run_in_process, tmp_path
):
  said = []
  run_in_process(uci_data, tmp_path / 'cut', steps=3)
  run_in_process(uci_data, tmp_path / 'cut', steps=8, show=said.append)
  assert any('going on from step 3 of 8' in line for line in said)
  check_same_bits(variables(tmp_path / 'cut'), variables(trained))
  assert [event['step'] for event in events(tmp_path / 'cut', 'train')] == list(range(1, 9))


def test_a_finished_run_is_not_trained_again(trained, uci_data, run_in_process, tmp_path):
  folder = tmp_path / 'again'
  shutil.copytree(str(trained), str(folder))
  before = (folder / 'model.ckpt-8.index').stat().st_mtime_ns
  result = run_in_process(uci_data, folder, steps=8)
  assert (folder / 'model.ckpt-8.index').stat().st_mtime_ns == before
  assert result['accuracy'] == json.loads((trained / 'result.json').read_text())['accuracy']


def _undo_validation(folder, step):
  """Leaves what a kill in that validation leaves: the checkpoint, and nothing that came after."""
  log = folder / 'training_log.jsonl'
  kept = [line for line in log.read_text().splitlines(True) if json.loads(line)['step'] < step]
  log.write_text(''.join(kept))
  if list((folder / 'best').glob(f'*.ckpt-{step}.index')):
    shutil.rmtree(str(folder / 'best'))


def test_a_run_killed_in_its_last_validation_makes_up_for_it(
  trained, uci_data, run_in_process, tmp_path
):
  folder = tmp_path / 'cut'
  shutil.copytree(str(trained), str(folder))
  whole = json.loads((folder / 'result.json').read_text())
  _undo_validation(folder, 8)
  run_in_process(uci_data, folder, steps=8)
  found = json.loads((folder / 'result.json').read_text())
  for name in ('accuracy', 'best_checkpoint', 'confusion_matrix'):
    assert found[name] == whole[name]


def test_another_run_in_the_same_folder_is_refused(trained, uci_data, run_in_process):
  with pytest.raises(errors.InputError, match='seed was 1 and is 2'):
    run_in_process(uci_data, trained, seed=2)


def test_weights_of_another_run_are_where_training_starts(
  trained, uci_data, run_in_process, tmp_path
):
  plan = {'start_checkpoint': str(trained / 'mode.ckpt')}
  run_in_process(uci_data, tmp_path / 'second', steps=1, learning_rate=1e-9, plan=plan)
  before, after = variables(trained), variables(tmp_path / 'second')
  assert after['global_step'] == 1
  for name in ('lstm_har/logits/kernel', 'lstm_har/layer_0/cell_1/backward/lstm/kernel'):
    np.testing.assert_allclose(after[name], before[name], atol=1e-6)


def test_patience_counts_the_validations_after_the_best(tmp_path):
  log = _up_and_down(tmp_path)
  for patience, has_stopped in ((2, True), (3, False), (0, False)):
    plan = training_run.Plan(1, 1, patience=patience)
    assert training_run._has_stopped(log, plan) is has_stopped


def _up_and_down(folder):
  from npu_adapter import training_log

  log = training_log.TrainingLog(str(folder / 'log.jsonl'), 1)
  for step, accuracy in enumerate([0.1, 0.5, 0.3, 0.5, 0.4, 0.2]):
    log.write('evaluate', step, split='validation', accuracy=accuracy)
    log.write('evaluate', step, split='test', accuracy=1 - accuracy)
  return log


def test_patience_ends_a_training_and_its_resumption(
  uci_data, run_in_process, tmp_path, monkeypatch
):
  """Accuracies are made to fall: of equal ones the later counts as the best."""
  from estimators.lstm_har import scoring

  real = scoring.logged
  monkeypatch.setattr(
    scoring, 'logged', lambda found: {**real(found), 'accuracy': 0.5 - found.step / 100}
  )
  said = []
  plan = {'patience': 2, 'evaluation_steps': 1}
  run_in_process(uci_data, tmp_path, steps=20, plan=plan, show=said.append)
  assert variables(tmp_path)['global_step'] == 2
  assert '2 validations without a better one: training ends here' in said
  run_in_process(uci_data, tmp_path, steps=20, plan=plan)
  assert variables(tmp_path)['global_step'] == 2
  # Nor is one that was killed in the validation which would have ended it.
  _undo_validation(tmp_path, 2)
  run_in_process(uci_data, tmp_path, steps=20, plan=plan)
  assert variables(tmp_path)['global_step'] == 2


def test_the_hardest_batches_of_each_epoch_are_trained_on_again(uci_data, run_in_process, tmp_path):
  """108 windows make 2 batches of 40; with the replay an epoch is 3 steps."""
  said = []
  straight, cut = tmp_path / 'straight', tmp_path / 'cut'
  options = {'replay_hardest': 1, 'plan': {'evaluation_steps': 9}}
  run_in_process(uci_data, straight, steps=6, show=said.append, **options)
  chosen = [line for line in said if 'again the batches' in line]
  expected = []
  for epoch in range(2):
    # At the end of the epoch, before what is replayed.
    losses = variables(straight, f'model.ckpt-{3 * epoch + 2}')[model.LOSSES]
    assert losses[:2].min() > 0
    hardest = int(np.argmax(losses[:2]))
    expected.append(f'step {3 * epoch + 2}: again the batches {hardest} of epoch {epoch}')
  assert chosen == expected
  # In an epoch, and between an epoch and its replay.
  for steps in (1, 5, 6):
    run_in_process(uci_data, cut, steps=steps, **options)
  check_same_bits(variables(cut), variables(straight))


def test_an_average_of_the_weights_is_tested_beside_the_best_also_after_a_stop(
  uci_data, run_in_process, tmp_path
):
  options = {'averaging': averaging_plan.Averaging(2, 2, 'cyclic', 0.001, 0.01)}
  said = []
  whole = run_in_process(uci_data, tmp_path / 'whole', steps=8, show=said.append, **options)
  assert whole['average']['samples'] == 3
  assert whole['average']['checkpoint'] == 'average/model.ckpt-8'
  share = 100 * whole['average']['test']['accuracy']
  assert any(
    f'average of 3 samples of the weights: test accuracy = {share:.2f}%' in x for x in said
  )
  # A step is logged with the rate it was trained with: the lowest before each sample.
  rates = [event['learning_rate'] for event in events(tmp_path / 'whole', 'train')]
  np.testing.assert_allclose(rates[2:], [0.0055, 0.001] * 3, rtol=1e-5)
  run_in_process(uci_data, tmp_path / 'cut', steps=5, **options)
  cut = run_in_process(uci_data, tmp_path / 'cut', steps=8, **options)
  assert cut['average'] == whole['average']
  check_same_bits(
    variables(tmp_path / 'cut', 'average/model.ckpt-8'),
    variables(tmp_path / 'whole', 'average/model.ckpt-8'),
  )


def test_a_training_that_ends_before_the_first_sample_has_no_average(
  uci_data, run_in_process, tmp_path, monkeypatch
):
  from estimators.lstm_har import scoring

  real = scoring.logged
  monkeypatch.setattr(
    scoring, 'logged', lambda found: {**real(found), 'accuracy': 0.5 - found.step / 100}
  )
  said = []
  result = run_in_process(
    uci_data, tmp_path, steps=20, averaging=averaging_plan.Averaging(9, 1), show=said.append,
    plan={'patience': 2, 'evaluation_steps': 1},
  )  # fmt: skip
  assert 'training ended before the first sample of the weights: there is no average' in said
  assert 'average' not in result
