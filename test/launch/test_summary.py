"""The final result and the files beside it: measured values as they were logged, or none."""

import json
import platform

import pytest

from npu_adapter.launch import summary

START = {'event': 'start', 'step': 0, 'batch_size': 100}
LOSSES = [0.1 + 0.2, 1e-05, 0.123456789012345]


def train(loss=1.0, seconds=0.5):
  return {'event': 'train', 'step': 1, 'loss': loss, 'seconds_per_step': seconds}


def evaluate(split, accuracy):
  return {'event': 'evaluate', 'split': split, 'accuracy': accuracy, 'loss': 0.1}


def sum_up(*events, batch_size=100):
  return summary.sum_up(
    list(events),
    network='toy',
    batch_size=batch_size,
    case_ending='acc',
    is_bound=False,
    duration_seconds=12.4,
  )


def facts_of(path):
  return dict(line.split(' = ') for line in path.read_text().splitlines())


def test_all_keys_of_the_contract_stand_in_the_log_of_the_case(toy):
  done = toy.launch('--batch_size=20')
  assert done.returncode == 0
  facts = facts_of(toy.run_folder / 'toy_bs20_1p_acc.log')
  assert int(facts.pop('E2ETrainingTime')) >= 0
  assert facts == {
    'Network': 'toy',
    'RankSize': '1',
    'BatchSize': '20',
    'DeviceType': platform.machine(),
    'CaseName': 'toy_bs20_1p_acc',
    'ActualFPS': '40.0',
    'TrainingTime': '0.5',
    'ActualLoss': str(1 / 30),
    'TrainAccuracy': '0.8125',
    'AccuracyOf': 'validation',
  }


def test_the_final_result_is_printed_last(toy):
  done = toy.launch()
  facts = facts_of(toy.run_folder / 'toy_bs100_1p_acc.log')
  assert done.stdout.splitlines()[-5:] == [
    '------------------ Final result ------------------',
    'Final Performance images/sec : 200.0',
    'Final Performance sec/step : 0.5',
    'Final Train Accuracy : 0.8125',
    f'E2E Training Duration sec : {facts["E2ETrainingTime"]}',
  ]


def test_losses_are_listed_one_a_line_as_they_were_logged(toy):
  act = ''.join(f"tell(event='train', step=40, loss={loss!r}); " for loss in LOSSES)
  assert toy.launch(f'--act={act}').returncode == 0
  lines = (toy.run_folder / 'train_toy_bs100_1p_acc_loss.txt').read_text().splitlines()
  log = (toy.run_folder / 'ckpt' / 'training_log.jsonl').read_text().splitlines()
  events = [json.loads(line) for line in log]
  assert [float(line) for line in lines] == [
    event['loss'] for event in events if event['event'] == 'train'
  ]
  assert facts_of(toy.run_folder / 'toy_bs100_1p_acc.log')['ActualLoss'] == str(LOSSES[-1])


def test_the_batch_size_that_was_logged_names_the_case(toy):
  assert toy.launch("--act=tell(event='start', step=0, batch_size=33)").returncode == 0
  assert facts_of(toy.run_folder / 'toy_bs33_1p_acc.log')['BatchSize'] == '33'


def test_the_first_line_is_not_in_the_mean_unless_it_is_the_only_one():
  assert sum_up(START, train(seconds=9.0), train(seconds=1.0), train(seconds=3.0)) == (
    sum_up(START, train(seconds=2.0), train(), train())._replace(
      seconds_per_step=2.0, images_per_second=50.0
    )
  )
  assert sum_up(START, train(seconds=9.0)).seconds_per_step == 9.0


def test_the_test_split_wins_over_validation_and_the_last_over_the_first():
  test = sum_up(evaluate('validation', 0.9), evaluate('test', 0.5), evaluate('validation', 0.95))
  assert (test.accuracy, test.accuracy_of) == (0.5, 'test')
  other = sum_up(evaluate('validation', 0.9), evaluate('validation', 0.95))
  assert (other.accuracy, other.accuracy_of) == (0.95, 'validation')


def test_the_accuracy_of_the_untrained_network_is_not_that_of_training():
  found = sum_up(START, evaluate('test', 0.1), train(), evaluate('validation', 0.7))
  assert (found.accuracy, found.accuracy_of) == (0.7, 'validation')
  assert sum_up(START, evaluate('test', 0.1), train()).accuracy is None


@pytest.mark.parametrize('events', [[], [START], [{'event': 'train', 'step': 1}]])
def test_what_was_not_measured_is_not_invented(tmp_path, events):
  found = sum_up(*events)
  found.write(str(tmp_path))
  facts = facts_of(tmp_path / 'toy_bs100_1p_acc.log')
  for name in ('ActualFPS', 'TrainingTime', 'ActualLoss', 'TrainAccuracy', 'AccuracyOf'):
    assert facts[name] == 'not measured'
  assert found.final_result().count('not measured') == 3
  assert (tmp_path / 'train_toy_bs100_1p_acc_loss.txt').read_text() == ''


def test_a_number_that_is_not_finite_does_not_pass_for_the_one_before(tmp_path):
  found = sum_up(START, train(loss=0.5), train(loss=None), evaluate('test', 0.9))
  found.write(str(tmp_path))
  assert facts_of(tmp_path / 'toy_bs100_1p_acc.log')['ActualLoss'] == 'nan'
  losses = (tmp_path / 'train_toy_bs100_1p_acc_loss.txt').read_text()
  assert losses == '0.5\nnan\n'
  assert 'Accuracy : nan' in sum_up(evaluate('test', 0.9), evaluate('test', None)).final_result()


def test_a_zero_is_a_measurement():
  assert 'Final Train Accuracy : 0.0' in sum_up(evaluate('test', 0.0)).final_result()


def test_a_training_that_wrote_no_log_is_said_to_have_measured_nothing(toy):
  done = toy.launch('--act=os.remove(F.output_path + "/training_log.jsonl")')
  assert done.returncode == 0
  assert 'nothing was measured' in done.stderr
  assert 'Final Train Accuracy : not measured' in done.stdout


def test_a_damaged_training_log_is_no_success(toy):
  damage = "open(F.output_path + '/training_log.jsonl', 'a').write('{dam\\n'); tell(event='end')"
  done = toy.launch(f'--act={damage}')
  assert done.returncode == 1
  assert 'training_log.jsonl' in done.stderr
  assert 'Traceback' not in done.stderr
  assert 'Final' not in done.stdout
