"""Early stopping: when a training ends by its evaluations, and what is read of them."""

import functools
import os
import types

import pytest
import tensorflow.compat.v1 as tf

import npu_adapter
from npu_adapter.runtime import early_stopping, evaluation
from npu_adapter.runtime.train_and_evaluate import EvalSpec, TrainSpec, train_and_evaluate

EVALUATIONS = {1000: (0.8, 0.5), 2000: (0.7, 0.6), 3000: (0.4, 0.7), 3500: (0.41, 0.68)}


@pytest.fixture
def estimator(make_estimator, model_fn):
  return make_estimator(model_fn, save_checkpoints_steps=4)


@pytest.fixture
def evaluated(estimator):
  """The same with the evaluations of a long training in its folder."""
  write(estimator.eval_dir(), EVALUATIONS)
  return estimator


def write(folder, evaluations):
  for step, (loss, accuracy) in evaluations.items():
    results = {'loss': loss, 'accuracy': accuracy, 'global_step': step}
    evaluation.write_summaries(folder, results, None)


def last_step(estimator, input_fn, *hooks):
  estimator.train(input_fn, hooks=hooks, steps=6)
  return int(estimator.get_variable_value('global_step'))


def test_training_ends_at_the_step_at_which_the_function_says_so(estimator, endless_input_fn, log):
  asked = []

  def is_third_time():
    asked.append(len(asked))
    return len(asked) == 3

  hook = early_stopping.make_early_stopping_hook(
    estimator, is_third_time, run_every_secs=None, run_every_steps=2
  )
  estimator.train(endless_input_fn, hooks=[hook], steps=20)
  # Asked at steps 1, 3 and 5; but the step a hook sees may be the one before.
  assert 4 <= estimator.get_variable_value('global_step') <= 7
  assert asked == [0, 1, 2]
  assert any(line.startswith('Requesting early stopping at global step') for line in log)


def test_a_stop_is_left_in_a_variable_of_the_model_named_as_in_tf_estimator(
  estimator, endless_input_fn
):
  for wanted in (False, True):
    hook = early_stopping.make_early_stopping_hook(
      estimator, functools.partial(bool, wanted), run_every_secs=None, run_every_steps=1
    )
    estimator.train(endless_input_fn, hooks=[hook], steps=3)
    assert estimator.get_variable_value('signal_early_stopping/STOP') == wanted


class _Worker:
  """What the hooks use of an estimator, as a process that is not the chief has it."""

  def __init__(self, estimator):
    self.config = estimator.config
    self.config._is_chief = False
    self.model_dir = estimator.model_dir
    self.eval_dir = estimator.eval_dir
    self.train = estimator.train


def test_a_worker_stops_when_the_chief_has_set_the_variable(estimator, endless_input_fn, log):
  asked = []
  worker = early_stopping.make_early_stopping_hook(_Worker(estimator), lambda: asked.append(1))

  class Chief(tf.train.SessionRunHook):
    """Sets it with the second step, as the chief's session would."""

    def begin(self):
      self._runs = 0
      with tf.variable_scope('signal_early_stopping', reuse=True):
        self._stop = tf.assign(tf.get_variable('STOP', dtype=tf.bool), True)

    def after_run(self, run_context, run_values):
      self._runs += 1
      if self._runs == 2:
        run_context.session.run(self._stop)

  assert last_step(estimator, endless_input_fn, worker, Chief()) == 3
  assert asked == []
  assert 'Early stopping requested, suspending run.' in log


@pytest.mark.parametrize(
  'make, metric, limit, min_steps, stops',
  [
    ('stop_if_higher_hook', 'accuracy', 0.69, 0, True),
    ('stop_if_higher_hook', 'accuracy', 0.71, 0, False),
    ('stop_if_higher_hook', 'accuracy', 0.69, 3500, False),
    ('stop_if_lower_hook', 'loss', 0.405, 0, True),
    ('stop_if_lower_hook', 'loss', 0.39, 0, False),
    ('stop_if_lower_hook', 'loss', 0.405, 3001, False),
    ('stop_if_no_increase_hook', 'accuracy', 500, 0, True),
    ('stop_if_no_increase_hook', 'accuracy', 501, 1001, False),
    ('stop_if_no_increase_hook', 'accuracy', 1001, 0, False),
    ('stop_if_no_increase_hook', 'accuracy', 500, 3500, False),
    ('stop_if_no_decrease_hook', 'loss', 500, 0, True),
    ('stop_if_no_decrease_hook', 'loss', 1001, 0, False),
    ('stop_if_no_decrease_hook', 'loss', 500, 3001, False),
  ],
)
def test_the_evaluations_decide(evaluated, endless_input_fn, make, metric, limit, min_steps, stops):
  hook = getattr(early_stopping, make)(
    evaluated, metric, limit, min_steps=min_steps, run_every_secs=None, run_every_steps=1
  )
  assert last_step(evaluated, endless_input_fn, hook) == (1 if stops else 6)


def test_another_folder_of_evaluations_may_be_named(estimator, endless_input_fn, tmp_path):
  write(str(tmp_path / 'other'), EVALUATIONS)
  options = {'run_every_secs': None, 'run_every_steps': 1}
  named = early_stopping.stop_if_lower_hook(
    estimator, 'loss', 0.5, eval_dir=str(tmp_path / 'other'), **options
  )
  by_default = early_stopping.stop_if_lower_hook(estimator, 'loss', 0.5, **options)
  assert last_step(estimator, endless_input_fn, by_default) == 6
  assert last_step(estimator, endless_input_fn, named) == 7


def test_the_reason_is_logged(evaluated, endless_input_fn, log):
  every_step = {'run_every_secs': None, 'run_every_steps': 1}
  higher = early_stopping.stop_if_higher_hook(evaluated, 'accuracy', 0.55, **every_step)
  stalled = early_stopping.stop_if_no_decrease_hook(evaluated, 'loss', 400, **every_step)
  last_step(evaluated, endless_input_fn, higher, stalled)
  for words in (
    'At step 2000, metric "accuracy" has value 0.6',
    'which is greater than the configured threshold (0.55) for early stopping.',
    'No decrease in metric "loss" for 500 steps, which is greater than or equal to max steps (400)',
  ):
    assert any(words in line for line in log), words


def test_train_and_evaluate_ends_early(estimator, endless_input_fn, input_fn):
  hook = early_stopping.stop_if_lower_hook(
    estimator, 'loss', 1e9, min_steps=8, run_every_secs=None, run_every_steps=1
  )
  train_and_evaluate(
    estimator,
    TrainSpec(endless_input_fn, max_steps=40, hooks=[hook]),
    EvalSpec(input_fn, throttle_secs=0),
  )
  # With the evaluation of step 8; but the step a hook sees may be the one before.
  assert estimator.get_variable_value('global_step') in (8, 9)


def test_an_npu_estimator_is_taken_too(tmp_path, model_fn, endless_input_fn):
  estimator = npu_adapter.NPUEstimator(model_fn, str(tmp_path / 'npu'))
  hook = early_stopping.make_early_stopping_hook(
    estimator, lambda: True, run_every_secs=None, run_every_steps=1
  )
  assert last_step(estimator, endless_input_fn, hook) == 1


def test_metrics_are_read_by_rising_step_and_the_later_file_wins(tmp_path):
  folder = str(tmp_path)
  write(folder, {3000: (0.4, 0.7), 1000: (1.0, 0.5)})
  metrics = early_stopping.read_eval_metrics(folder)
  assert list(metrics) == [1000, 3000]
  assert metrics[3000] == {'loss': pytest.approx(0.4), 'accuracy': pytest.approx(0.7)}


def test_no_folder_and_an_empty_one_hold_no_metrics(tmp_path):
  assert early_stopping.read_eval_metrics(str(tmp_path)) == {}
  assert early_stopping.read_eval_metrics(str(tmp_path / 'none')) == {}


def test_a_file_with_a_broken_end_is_read_up_to_there(tmp_path, log):
  write(str(tmp_path), {1000: (1.0, 0.5), 2000: (0.5, 0.6)})
  tf.summary.FileWriterCache.clear()
  (path,) = tmp_path.glob('events.out.tfevents.*')
  os.truncate(str(path), path.stat().st_size - 5)
  assert list(early_stopping.read_eval_metrics(str(tmp_path))) == [1000]
  assert any(f'{path} ends in a broken record' in line for line in log)


def test_an_evaluation_without_the_metric_is_named(evaluated, endless_input_fn):
  hook = early_stopping.stop_if_lower_hook(
    evaluated, 'accurracy', 0.5, run_every_secs=None, run_every_steps=1
  )
  with pytest.raises(KeyError, match=r"'accurracy' must be a metric .* step 1000 has \['accuracy'"):
    evaluated.train(endless_input_fn, hooks=[hook], steps=2)


def test_arguments_that_mean_nothing_are_refused(estimator):
  make = early_stopping.make_early_stopping_hook
  with pytest.raises(TypeError, match='`estimator` must have type `tf.estimator.Estimator`. Got:'):
    make(object(), lambda: True)
  with pytest.raises(ValueError, match='Only one of `run_every_secs` and `run_every_steps`'):
    make(estimator, lambda: True, run_every_secs=60, run_every_steps=100)
  with pytest.raises(ValueError, match='Either every_secs or every_steps should be provided'):
    make(estimator, lambda: True, run_every_secs=None)
  with pytest.raises(TypeError, match='`should_stop_fn` must be callable.'):
    make(estimator, True)


def test_the_chief_stops_at_a_step_by_counting(estimator, endless_input_fn):
  hook = early_stopping.make_stop_at_checkpoint_step_hook(estimator, 3)
  assert last_step(estimator, endless_input_fn, hook) == 3


def test_a_worker_stops_when_the_checkpoint_of_the_step_is_there(
  estimator, endless_input_fn, monkeypatch
):
  waited = []
  # Its own alone: threads that other tests have left behind may sleep too.
  monkeypatch.setattr(early_stopping, 'time', types.SimpleNamespace(sleep=waited.append))
  hook = early_stopping.make_stop_at_checkpoint_step_hook(
    _Worker(estimator), 3, wait_after_file_check_secs=0.5
  )
  # Checkpoints are written every 4 steps.
  assert last_step(estimator, endless_input_fn, hook) in (4, 5)
  assert waited and set(waited) == {0.5}


def test_a_worker_needs_a_folder_and_a_step(estimator):
  for lacking in ('model_dir', 'last_step'):
    given = {'model_dir': 'x', 'last_step': 3, lacking: None}
    with pytest.raises(ValueError, match=f'{lacking} must be specified.'):
      early_stopping._StopAtCheckpointStepHook(**given)
