"""The training log: what is on disk when a process is killed, what a resumed run goes on with."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from npu_adapter import errors, training_log

REPOSITORY = pathlib.Path(__file__).parents[2]


def strictly_read(path):
  """Every line as JSON has it: no NaN, no Infinity."""

  def refuse(word):
    raise AssertionError(f'{word} is no JSON')

  lines = path.read_text(encoding='utf-8').splitlines()
  return [json.loads(line, parse_constant=refuse) for line in lines]


def run_python(code):
  command = [sys.executable, '-c', code]
  return subprocess.run(
    command, cwd=str(REPOSITORY), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
  )


def test_every_event_is_one_line_of_json_on_disk_at_once_in_a_folder_that_is_made(tmp_path):
  path = tmp_path / 'a new folder' / 'of a run' / training_log.FILE_NAME
  log = training_log.TrainingLog(str(path), 10, model='ds_cnn')
  start = {'event': 'start', 'step': 0, 'batch_size': 10, 'model': 'ds_cnn'}
  assert strictly_read(path) == [start]
  log.write('train', 1, loss=0.5, note='two\nlines')
  train = {'event': 'train', 'step': 1, 'loss': 0.5, 'note': 'two\nlines'}
  assert strictly_read(path) == [start, train]
  log.close()
  assert training_log.read(str(path)) == [start, train]
  assert os.listdir(str(path.parent)) == [training_log.FILE_NAME]


def test_a_log_in_the_working_directory_needs_no_folder(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  training_log.TrainingLog('log.jsonl', 1).close()
  assert len(training_log.read('log.jsonl')) == 1


def test_a_killed_process_leaves_every_event_it_wrote(tmp_path):
  path = tmp_path / 'log.jsonl'
  code = (
    'import os, signal\n'
    'from npu_adapter import training_log\n'
    f'log = training_log.TrainingLog({str(path)!r}, 1)\n'
    'for step in range(1, 6): log.write("train", step, loss=1.0, text="x" * 9000)\n'
    'os.kill(os.getpid(), signal.SIGKILL)\n'
  )
  assert run_python(code).returncode == -signal.SIGKILL
  assert [event['step'] for event in strictly_read(path)] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize('rest', [b'{"event": "train", "st', b'{"event": "train", "step": 2}'])
def test_a_last_line_that_was_cut_is_left_out(tmp_path, rest):
  path = tmp_path / 'log.jsonl'
  path.write_bytes(b'{"event": "train", "step": 1}\n' + rest)
  assert training_log.read(str(path)) == [{'event': 'train', 'step': 1}]


@pytest.mark.parametrize(
  'line',
  [
    b'{"event": "train", "st',
    b'[1, 2]',
    b'{"event": "train"}',
    b'{"step": 1}',
    b'{"event": "train", "step": null}',
    b'{"event": "train\xff", "step": 1}',
    b'',
  ],
)
def test_another_damaged_line_is_an_error_with_its_file_and_number(tmp_path, line):
  path = tmp_path / 'a log.jsonl'
  good = b'{"event": "train", "step": 1}\n'
  path.write_bytes(good + line + b'\n' + good)
  with pytest.raises(
    errors.AdapterError, match=r"line 2 of '.*a log\.jsonl' is .*Remove that line"
  ):
    training_log.read(str(path))


def test_a_resumed_log_goes_on_from_the_step_of_the_checkpoint(tmp_path):
  path = tmp_path / 'log.jsonl'
  log = training_log.TrainingLog(str(path), 10)
  log.write('train', 10, loss=3.0, seconds=100.0)
  log.write('evaluate', 20, split='validation', accuracy=0.5)
  log.write('train', 20, loss=2.0, seconds=200.0)
  log.write('end', 20, seconds=250.0)
  log.write('train', 30, loss=1.0, seconds=300.0)
  log.write('evaluate', 30, split='validation', accuracy=0.6)
  log.close()
  with path.open('ab') as file:
    file.write(b'{"event": "tra')
  resumed = training_log.TrainingLog(str(path), 20, first_step=20)
  found = [(event['event'], event['step']) for event in strictly_read(path)]
  assert found == [('start', 0), ('train', 10), ('evaluate', 20), ('train', 20), ('start', 20)]
  assert list(resumed.evaluations('validation')) == [20]
  assert resumed.seconds == 200.0
  resumed.start_clock()
  resumed.stop_clock()
  assert 200.0 < resumed.seconds < 250.0


def test_a_new_training_begins_a_new_log(tmp_path):
  path = tmp_path / 'log.jsonl'
  training_log.TrainingLog(str(path), 10).write('train', 5, seconds=7.0)
  log = training_log.TrainingLog(str(path), 20)
  assert strictly_read(path) == [{'event': 'start', 'step': 0, 'batch_size': 20}]
  assert log.seconds == 0.0


def test_a_training_that_is_resumed_without_its_log_begins_one(tmp_path):
  path = tmp_path / 'log.jsonl'
  training_log.TrainingLog(str(path), 10, first_step=5)
  assert strictly_read(path) == [{'event': 'start', 'step': 5, 'batch_size': 10}]


def test_a_damaged_log_is_not_written_over(tmp_path):
  path = tmp_path / 'log.jsonl'
  path.write_bytes(b'damaged\n')
  with pytest.raises(errors.AdapterError, match='line 1'):
    training_log.TrainingLog(str(path), 10, first_step=5)
  assert path.read_bytes() == b'damaged\n'


def wait_until_it_counts(log):
  seconds = log.seconds
  for _ in range(1000):
    time.sleep(0.001)
    if log.seconds > seconds:
      return
  raise AssertionError('the clock stands still')


def test_the_clock_counts_neither_what_is_before_its_start_nor_pauses(tmp_path):
  log = training_log.TrainingLog(str(tmp_path / 'log.jsonl'), 1)
  time.sleep(0.01)
  assert log.seconds == 0.0
  begin = time.monotonic()
  log.start_clock()
  wait_until_it_counts(log)
  with log.paused():
    at_pause, pause_begin = log.seconds, time.monotonic()
    time.sleep(0.05)
    assert log.seconds == at_pause
    pause_s = time.monotonic() - pause_begin
  log.start_clock()
  wait_until_it_counts(log)
  assert at_pause < log.seconds
  assert log.seconds <= time.monotonic() - begin - pause_s
  log.stop_clock()
  at_stop = log.seconds
  time.sleep(0.01)
  assert log.seconds == at_stop


def test_a_second_start_loses_nothing(tmp_path):
  log = training_log.TrainingLog(str(tmp_path / 'log.jsonl'), 1)
  log.start_clock()
  wait_until_it_counts(log)
  before = log.seconds
  log.start_clock()
  assert log.seconds >= before


def test_a_pause_starts_no_clock_that_stood_still(tmp_path):
  log = training_log.TrainingLog(str(tmp_path / 'log.jsonl'), 1)
  with log.paused():
    pass
  time.sleep(0.01)
  assert log.seconds == 0.0
  log.start_clock()
  with log.paused():
    with log.paused():
      pass
    inside = log.seconds
    time.sleep(0.01)
    assert log.seconds == inside


def test_the_clock_goes_on_after_a_pause_that_failed(tmp_path):
  log = training_log.TrainingLog(str(tmp_path / 'log.jsonl'), 1)
  log.start_clock()
  with pytest.raises(KeyError), log.paused():
    raise KeyError
  wait_until_it_counts(log)


def test_numbers_of_numpy_are_numbers_and_what_is_not_finite_is_null(tmp_path):
  path = tmp_path / 'log.jsonl'
  log = training_log.TrainingLog(str(path), np.int64(10))
  log.write(
    'train', np.int64(7), loss=np.float32(0.5), count=np.int32(3), right=np.bool_(True),
    scalar=np.array(2.5), matrix=np.array([[1.0, np.nan]]), bad=float('nan'),
    worse=np.float32('inf'), worst=float('-inf'), nested={'a': (np.float64(1.5), float('nan'))},
  )  # fmt: skip
  expected = {
    'event': 'train', 'step': 7, 'loss': 0.5, 'count': 3, 'right': True, 'scalar': 2.5,
    'matrix': [[1.0, None]], 'bad': None, 'worse': None, 'worst': None,
    'nested': {'a': [1.5, None]},
  }  # fmt: skip
  assert strictly_read(path)[1:] == [expected]


def test_evaluations_are_found_by_split_and_step(tmp_path):
  log = training_log.TrainingLog(str(tmp_path / 'log.jsonl'), 1)
  log.write('evaluate', 0, split='test', accuracy=0.1)
  log.write('evaluate', 0, split='validation', accuracy=0.2)
  log.write('train', 5, loss=1.0)
  log.write('evaluate', 5, split='validation', accuracy=0.3)
  log.write('evaluate', 5, split='validation', accuracy=0.4)
  by_step = {step: event['accuracy'] for step, event in log.evaluations('validation').items()}
  assert by_step == {0: 0.2, 5: 0.4}
  assert list(log.evaluations('test')) == [0]
  assert log.evaluations('training') == {}


@pytest.mark.parametrize('module', ['training_log', 'figures'])
def test_importing_it_imports_neither_tensorflow_nor_matplotlib(module):
  code = (
    f'import sys, npu_adapter.{module}\n'
    'print(sorted({"tensorflow", "numpy", "matplotlib"} & set(sys.modules)))\n'
  )
  assert run_python(code).stdout.decode().strip() == '[]'
