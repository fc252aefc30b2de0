"""What a training says on standard error about how far it is: on a terminal, and in a file."""

import os
import pathlib
import pty
import re
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.runtime import progress_line

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
LINE = re.compile(r'step (\d+)( of \d+)?: loss [\d.e-]+(, [\d.]+ (samples|steps)/s)?(, .* left)?')

PROGRAM = f"""
import sys
sys.path.insert(0, {str(REPOSITORY)!r})
import numpy as np
import tensorflow.compat.v1 as tf
from npu_adapter.runtime import progress_line
from npu_adapter.runtime.estimator import Estimator
from npu_adapter.runtime.model_fn import EstimatorSpec
from npu_adapter.runtime.run_config import RunConfig

def input_fn():
  return tf.data.Dataset.from_tensors(np.ones([4, 3], np.float32)).repeat()

def model_fn(features, labels, mode):
  loss = tf.reduce_mean(tf.square(tf.matmul(features, tf.get_variable('w', [3, 1])) - 1.0))
  train_op = tf.train.AdamOptimizer(0.01).minimize(loss, tf.train.get_global_step())
  return EstimatorSpec(mode, loss=loss, train_op=train_op)

class Fails(tf.train.SessionRunHook):
  def after_run(self, run_context, run_values):
    if run_context.session.run(tf.train.get_global_step()) == 8:
      raise ZeroDivisionError

progress_line._ON_TERMINAL_EVERY_S = 0
hooks = [Fails()] if 'fail' in sys.argv else []
if 'log' in sys.argv:
  tf.logging.set_verbosity(tf.logging.INFO)
config = RunConfig(sys.argv[1], log_step_count_steps=5)
Estimator(model_fn, config=config).train(input_fn, hooks, steps=12)
"""


@pytest.fixture
def at_every_step(monkeypatch):
  monkeypatch.setattr(progress_line, '_IN_FILE_EVERY_S', 0.0)


def lines_of(capsys):
  found = [LINE.fullmatch(line) for line in capsys.readouterr().err.splitlines()]
  return [match for match in found if match]


def test_a_file_gets_plain_lines_with_step_loss_speed_and_time_left(
  make_estimator, model_fn, endless_input_fn, at_every_step, capsys
):
  make_estimator(model_fn).train(endless_input_fn, max_steps=12)
  found = lines_of(capsys)
  assert [int(match.group(1)) for match in found] == list(range(2, 13))
  assert all(match.group(2) == ' of 12' for match in found)
  assert all(match.group(4) == 'samples' for match in found)
  # Nothing is left at the end.
  assert [bool(match.group(5)) for match in found] == [True] * 10 + [False]


def test_a_short_training_says_nothing_in_a_file(
  make_estimator, model_fn, endless_input_fn, capsys
):
  make_estimator(model_fn).train(endless_input_fn, steps=12)
  assert lines_of(capsys) == []


def test_a_training_that_is_asked_not_to_says_nothing(
  make_estimator, model_fn, endless_input_fn, at_every_step, capsys
):
  make_estimator(model_fn, estimator={'progress': False}).train(endless_input_fn, steps=12)
  assert lines_of(capsys) == []


def test_data_that_decide_about_the_end_leave_it_open(
  make_estimator, model_fn, input_fn, at_every_step, capsys
):
  make_estimator(model_fn).train(input_fn)
  found = lines_of(capsys)
  assert [match.group(2) for match in found] == [None] * len(found)
  assert [int(match.group(1)) for match in found] == list(range(2, 9))


class Shown:
  """A line of a training whose clock the test moves."""

  def __init__(self, features, monkeypatch, last_step=1000):
    self.now_s = 0.0
    monkeypatch.setattr(progress_line.time, 'time', lambda: self.now_s)
    self.line = progress_line.ProgressLine(features, lambda: last_step)

  def after(self, step, now_s, fetched=None):
    self.now_s = now_s
    moment = progress_line.Moment(None, None, 0.5, step, step - 1, step, fetched)
    if self.line.is_due(moment, now_s):
      self.line.after_step(moment)


def test_the_speed_is_of_the_last_seconds_and_the_rest_follows_from_it(monkeypatch, capsys):
  shown = Shown(tf.zeros([4, 3]), monkeypatch)
  shown.line.after_create_session(None, None)
  for step, now_s in ((1, 100.0), (601, 130.0), (611, 160.0), (612, 161.0), (711, 190.0)):
    shown.after(step, now_s)
  assert capsys.readouterr().err.splitlines() == [
    'step 601 of 1000: loss 0.5, 80 samples/s, 20 s left',
    'step 611 of 1000: loss 0.5, 1.33 samples/s, 19 min 27 s left',
    'step 711 of 1000: loss 0.5, 13.3 samples/s, 1 min 27 s left',
  ]


@pytest.mark.parametrize('step, last', [(14, 'step 14 of 14'), (15, 'step 11 of 14')])
def test_the_end_is_said_where_it_was_looked_at(monkeypatch, capsys, step, last):
  shown = Shown(tf.zeros([4, 3]), monkeypatch, 14)
  shown.line.after_create_session(None, None)
  shown.after(1, 100.0)
  shown.after(11, 130.0)
  shown.after(14, 131.0)
  with tf.Graph().as_default(), tf.Session() as session:
    tf.train.create_global_step()
    session.run(tf.assign(tf.train.get_global_step(), step))
    shown.line.end(session)
  assert capsys.readouterr().err.splitlines()[-1].startswith(last)


@pytest.mark.parametrize(
  'features, said',
  [
    (lambda: {'x': tf.placeholder(tf.float32, [None, 2])}, '35 samples/s'),
    (lambda: tf.sparse_placeholder(tf.float32, [None, 2]), '35 samples/s'),
    (lambda: (tf.zeros([]), tf.zeros([3, 1])), '15 samples/s'),
    (lambda: {'x': tf.zeros([])}, '5 steps/s'),
    (lambda: None, '5 steps/s'),
  ],
)
def test_samples_are_counted_where_the_features_have_a_batch(monkeypatch, capsys, features, said):
  shown = Shown(features(), monkeypatch)
  shown.line.after_create_session(None, None)
  shown.after(1, 100.0, 7 if shown.line.fetch_step == 0 else None)
  shown.after(151, 130.0)
  assert said in capsys.readouterr().err


def on_a_terminal(folder, *words):
  """What a terminal gets to see of a training of 12 steps, and its exit status."""
  terminal, end = pty.openpty()
  process = subprocess.Popen([sys.executable, '-c', PROGRAM, str(folder), *words], stderr=end)
  os.close(end)
  shown = b''
  while True:
    try:
      part = os.read(terminal, 10000)
    except OSError:
      # How Linux says that nobody holds the other end any more.
      break
    if not part:
      break
    shown += part
  os.close(terminal)
  return shown.decode().replace('\r\n', '\n'), process.wait()


def test_a_terminal_gets_one_line_that_is_written_over(tmp_path):
  shown, status = on_a_terminal(tmp_path)
  assert status == 0
  (line,) = [line for line in shown.split('\n') if 'step 12' in line]
  states = line.split('\r\x1b[K')
  assert states[0] == ''
  assert [state.partition(':')[0] for state in states[1:]] == [
    f'step {step} of 12' for step in range(1, 13)
  ]
  assert shown.endswith('\n')


def test_on_a_terminal_log_lines_stand_alone(tmp_path):
  shown, _ = on_a_terminal(tmp_path, 'log')
  (line,) = [line for line in shown.split('\n') if 'step = 10' in line]
  assert line.split('\x1b[K')[-1].startswith('INFO:')


def test_on_a_terminal_an_error_begins_a_line_of_its_own(tmp_path):
  shown, status = on_a_terminal(tmp_path, 'fail')
  assert status == 1
  assert re.search(r'step \d of 12: [^\n]*\nTraceback', shown)


@pytest.mark.parametrize(
  'seconds, text',
  [
    (-3, '0 s'),
    (0.4, '0 s'),
    (59.4, '59 s'),
    (59.6, '1 min 0 s'),
    (3599, '59 min 59 s'),
    (7325, '2 h 2 min'),
  ],
)
def test_a_duration_has_its_two_largest_units(seconds, text):
  assert progress_line.duration_text(seconds) == text


@pytest.mark.parametrize('rate, text', [(12345.6, '12346'), (99.44, '99.4'), (0.123456, '0.123')])
def test_a_rate_has_three_digits_or_all_before_the_point(rate, text):
  assert progress_line.rate_text(rate) == text
