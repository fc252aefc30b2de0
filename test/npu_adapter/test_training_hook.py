"""The training hook in real trainings: which steps it logs, what they cost, what it says."""

import glob
import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import npu_adapter as npu
from npu_adapter import training_hook, training_log

BATCH_SIZE = 4
TENSORS = {'learning_rate': 'rate:0', 'loss': 'loss:0', 'batch': 'batch:0'}


def input_fn(first_step=0):
  """Batch n, for step n, holds the number n."""
  numbers = np.arange(first_step + 1, 100, dtype=np.float32)
  return tf.data.Dataset.from_tensor_slices(np.tile(numbers[:, None], [1, BATCH_SIZE]))


def model_fn(features, mode, params):
  """Nothing is learnt; the step counts, but for the batches of params['skipped']."""
  batch = tf.reduce_mean(features, name='batch')
  # Powers of two: exact in float32.
  tf.constant(0.125, name='rate')
  loss = tf.multiply(batch, np.nan if params.get('gives_nan') else 0.25, name='loss')

  def note(number):
    params['note'](number)
    return number

  # Runs where it is fetched, and nowhere else.
  tf.reshape(tf.py_func(note, [batch], tf.float32), [], name='noted')
  is_skipped = tf.reduce_any(tf.equal(batch, params.get('skipped', [0.0])))
  steps = tf.where(is_skipped, np.int64(0), np.int64(1))
  train_op = tf.assign_add(tf.train.get_global_step(), steps)
  return npu.EstimatorSpec(mode, loss=loss, train_op=train_op)


class Trained:
  """One training, and what its hook left."""

  def __init__(
    self, folder, last_step, every_steps, loop=1, first_step=0, tensors=TENSORS, max_steps=None,
    params=None, **hook
  ):  # fmt: skip
    self.fetched, self.shown = [], []
    hook = {'steps_per_run': loop, 'show': self.shown.append, **hook}
    self.path = str(folder / training_log.FILE_NAME)
    log = training_log.TrainingLog(self.path, BATCH_SIZE, first_step)
    made = training_hook.TrainingHook(log, tensors, every_steps, last_step, **hook)
    config = npu.NPURunConfig(iterations_per_loop=loop, save_checkpoints_steps=100)
    # A function, because the estimator copies its params.
    params = {'note': lambda number: self.fetched.append(int(number)), **(params or {})}
    estimator = npu.NPUEstimator(model_fn, str(folder), config, params)
    estimator.train(lambda: input_fn(first_step), [made], max_steps=max_steps or last_step)
    log.close()

  @property
  def events(self):
    return training_log.read(self.path)

  @property
  def lines(self):
    return [event for event in self.events if event['event'] == 'train']

  @property
  def steps(self):
    return [line['step'] for line in self.lines]


def test_there_is_a_line_every_so_many_steps_and_at_the_last_with_the_values_of_its_step(tmp_path):
  found = Trained(tmp_path, last_step=8, every_steps=3)
  assert found.steps == [3, 6, 8]
  for line in found.lines:
    assert line['batch'] == line['step']
    assert line['loss'] == line['step'] / 4
    assert line['learning_rate'] == 0.125
  assert [event['event'] for event in found.events] == ['start', 'train', 'train', 'train', 'end']
  assert found.events[-1]['step'] == 8
  assert found.events[-1]['seconds'] >= found.lines[-1]['seconds']


@pytest.mark.parametrize(
  'every_steps, steps', [(10, [10, 20]), (3, [5, 10, 15, 20]), (7, [10, 15, 20]), (50, [20])]
)
def test_with_iterations_per_loop_the_lines_are_at_loop_ends(tmp_path, every_steps, steps):
  found = Trained(tmp_path, last_step=20, every_steps=every_steps, loop=5)
  assert found.steps == steps
  assert [line['batch'] for line in found.lines] == steps


def test_a_loop_beyond_the_last_step_is_logged_at_its_end(tmp_path):
  found = Trained(tmp_path, last_step=8, every_steps=100, loop=5)
  assert found.steps == [10]
  assert re.match(r'step 10 of 8: .* 0 s left$', found.shown[0])


def test_a_hook_that_was_not_told_of_the_loops_is_an_error_in_the_first(tmp_path):
  with pytest.raises(ValueError, match='steps_per_run must be iterations_per_loop .* 5 steps'):
    Trained(tmp_path, last_step=20, every_steps=10, loop=5, steps_per_run=1)


@pytest.mark.parametrize('loop', [1, 5])
def test_the_tensors_are_fetched_in_the_steps_that_are_logged_only(tmp_path, loop):
  tensors = {'loss': 'loss:0', 'noted': 'noted:0'}
  found = Trained(tmp_path, last_step=25, every_steps=10, loop=loop, tensors=tensors)
  assert found.steps == [10, 20, 25]
  assert found.fetched == [10, 20, 25]


def test_a_step_that_was_skipped_is_not_counted(tmp_path):
  # A loss scale that overflows leaves the global step where it is.
  found = Trained(tmp_path, last_step=8, every_steps=4, params={'skipped': [1.0, 2.0, 6.0]})
  assert found.steps == [4, 8]
  assert [line['batch'] for line in found.lines] == [7, 11]


def assert_consistent(line, steps, seconds):
  assert line['seconds_per_step'] * steps == pytest.approx(seconds)
  assert line['samples_per_s'] * line['seconds_per_step'] == pytest.approx(BATCH_SIZE)


@pytest.mark.parametrize('loop, every_steps', [(1, 4), (4, 4), (2, 6)])
def test_the_times_of_a_line_are_those_of_the_steps_since_the_line_before(
  tmp_path, loop, every_steps
):
  lines = Trained(tmp_path, last_step=24, every_steps=every_steps, loop=loop).lines
  assert len(lines) == 24 // every_steps
  if every_steps == loop:
    # The first run builds and optimises the graph: no time is known after it.
    assert lines[0]['seconds'] == 0.0
    assert not {'seconds_per_step', 'samples_per_s'} & set(lines[0])
  else:
    assert_consistent(lines[0], every_steps - loop, lines[0]['seconds'])
  for before, line in zip(lines, lines[1:]):
    assert_consistent(line, every_steps, line['seconds'] - before['seconds'])


@pytest.mark.parametrize('name', ['absent:0', 'loss'])
def test_a_tensor_that_is_not_there_is_an_error_that_says_what_to_do(tmp_path, name):
  with pytest.raises(ValueError, match=r'(?s)by tf\.identity\(\.\.\., name\).*' + name):
    Trained(tmp_path, 2, 1, tensors={'loss': 'loss:0', 'other': name})


def test_a_hook_without_the_loss_is_an_error(tmp_path):
  with pytest.raises(ValueError, match=r"must have `loss`; got \['accuracy'\]"):
    Trained(tmp_path, 2, 1, tensors={'accuracy': 'accuracy:0'})


def summaries_in(folder):
  """{step: {name: value}} of the event files of a folder."""
  found = {}
  for path in glob.glob(f'{folder}/events.out.tfevents.*'):
    for event in tf.train.summary_iterator(path):
      for value in event.summary.value:
        found.setdefault(event.step, {})[value.tag] = value.simple_value
  return found


def test_the_values_become_summaries_where_a_folder_is_named_at_once(tmp_path):
  folder = tmp_path / 'for TensorBoard'
  seen = []
  found = Trained(
    tmp_path / 'model', 4, 2, summaries_dir=str(folder),
    show=lambda line: seen.append(sorted(summaries_in(folder))),
  )  # fmt: skip
  assert seen == [[2], [2, 4]]
  for line in found.lines:
    expected = {name: value for name, value in line.items() if name not in ('event', 'step')}
    assert summaries_in(folder)[line['step']] == pytest.approx(expected, rel=1e-6)


def test_a_resumed_training_starts_at_its_step(tmp_path):
  Trained(tmp_path, last_step=4, every_steps=3)
  found = Trained(tmp_path, last_step=9, every_steps=3, first_step=4)
  assert found.steps == [3, 4, 6, 9]
  assert [line['batch'] for line in found.lines] == found.steps
  by_step = {line['step']: line for line in found.lines}
  # Step 5 is the first of its process.
  assert_consistent(by_step[6], 1, by_step[6]['seconds'] - by_step[4]['seconds'])
  assert_consistent(by_step[9], 3, by_step[9]['seconds'] - by_step[6]['seconds'])


def test_a_line_is_said_in_a_sentence(tmp_path):
  found = Trained(tmp_path, last_step=2, every_steps=1)
  assert found.shown[0] == 'step 1 of 2: learning rate 0.125, loss 0.25, batch 1'
  assert re.match(
    r'step 2 of 2: learning rate 0\.125, loss 0\.5, batch 2, [\d.]+ samples/s, 0 s left$',
    found.shown[1],
  )


def test_a_loss_that_is_not_a_number_is_logged_as_null_before_training_ends(tmp_path):
  with pytest.raises(tf.train.NanLossDuringTrainingError):
    Trained(tmp_path, last_step=2, every_steps=1, params={'gives_nan': True})
  *_, line = training_log.read(str(tmp_path / training_log.FILE_NAME))
  assert (line['event'], line['step'], line['loss']) == ('train', 1, None)
