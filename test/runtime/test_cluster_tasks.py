"""The tasks TF_CONFIG names: what each of them does in train_and_evaluate."""

import json
import types

import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.runtime import checkpoint_evaluation, exporter, train_and_evaluate
from npu_adapter.runtime.run_config import RunConfig
from npu_adapter.runtime.train_and_evaluate import EvalSpec, TrainSpec

JOBS = {'chief': ['a:1'], 'worker': ['b:1'] * 20, 'ps': ['c:1']}


def as_task(kind, index, **jobs):
  return {'cluster': jobs, 'task': {'type': kind, 'index': index}}


@pytest.fixture
def tf_config(monkeypatch):
  """Returns set(value), which puts TF_CONFIG into the environment."""
  return lambda value: monkeypatch.setenv('TF_CONFIG', json.dumps(value))


@pytest.fixture
def eval_spec(input_fn):
  """Returns make(*exporters, **options) -> EvalSpec, without a wait unless told."""

  def make(*exporters, **options):
    options = {'throttle_secs': 0, 'start_delay_secs': 0, **options}
    return EvalSpec(input_fn, exporters=list(exporters), **options)

  return make


class Remembering(exporter.Exporter):
  """Writes down for which steps it was called."""

  name = 'remembering'

  def __init__(self):
    self.calls = []

  def export(self, estimator, export_path, checkpoint_path, eval_result, is_the_final_export):
    self.calls.append((int(eval_result['global_step']), is_the_final_export))


class Listener(checkpoint_evaluation.ContinuousEvalListener):
  """Keeps the results; does not begin evaluation `before`, ends with evaluation `after`."""

  def __init__(self, before=None, after=None, then=lambda: None):
    self.results = []
    self._before, self._after, self._then = before, after, then

  def before_eval(self):
    return len(self.results) + 1 != self._before

  def after_eval(self, eval_result):
    self.results.append(eval_result)
    self._then()
    return len(self.results) != self._after

  def statuses(self):
    return [result.status for result in self.results]


def test_an_evaluator_evaluates_new_checkpoints_until_one_has_reached_max_steps(
  make_estimator, model_fn, endless_input_fn, eval_spec, tf_config, log
):
  trainer = make_estimator(model_fn, save_checkpoints_steps=4)
  trainer.train(endless_input_fn, max_steps=4)
  # How far it has come by the next look; after one of them there is nothing new.
  progress = iter([8, 8, 12, 14])

  def train_on():
    trainer.train(endless_input_fn, max_steps=next(progress, 14))

  # If it did not stop by itself, it would after nine looks.
  listener = Listener(after=9, then=train_on)
  tf_config(as_task('evaluator', 0, chief=['host:1'], worker=['host:2']))
  remembering = Remembering()
  executor = train_and_evaluate._TrainingExecutor(
    make_estimator(model_fn),
    TrainSpec(endless_input_fn, max_steps=13),
    eval_spec(remembering),
    continuous_eval_listener=listener,
  )
  assert executor.run() is None
  assert remembering.calls == [(4, False), (8, False), (12, False), (14, True)]
  done, nothing = 'evaluated', 'no new checkpoint'
  assert listener.statuses() == [done, done, nothing, done, done]
  assert any('Exiting evaluation, global_step=14 >= train max_steps=13' in line for line in log)
  assert any('throttle_secs is set as 0' in line for line in log)


@pytest.mark.parametrize('asked', [{'before': 2}, {'after': 1}])
def test_a_listener_can_end_an_evaluator(
  make_estimator, model_fn, input_fn, eval_spec, tf_config, asked
):
  make_estimator(model_fn).train(input_fn)
  tf_config(as_task('evaluator', 0, chief=['host:1']))
  listener = Listener(**asked)
  train_and_evaluate._TrainingExecutor(
    make_estimator(model_fn), TrainSpec(input_fn), eval_spec(), continuous_eval_listener=listener
  ).run()
  assert listener.statuses() == ['evaluated']


def test_an_evaluator_waits_before_it_begins_and_between_two_looks(
  make_estimator, model_fn, input_fn, eval_spec, tf_config, monkeypatch, log
):
  waits = []
  clock = types.SimpleNamespace(time=lambda: 5.0, sleep=waits.append)
  monkeypatch.setattr(train_and_evaluate, 'time', clock)
  tf_config(as_task('evaluator', 0, chief=['host:1']))
  listener = Listener(after=3)
  train_and_evaluate._TrainingExecutor(
    make_estimator(model_fn),
    TrainSpec(input_fn, max_steps=10),
    eval_spec(start_delay_secs=30, throttle_secs=7),
    continuous_eval_listener=listener,
  ).run()
  assert waits == [30, 7, 7]
  assert listener.statuses() == ['missing checkpoint'] * 3
  # Said once in ten minutes, not at every look.
  assert sum('Estimator is not trained yet' in line for line in log) == 1


def test_a_second_evaluator_is_refused(make_estimator, model_fn, input_fn, eval_spec, tf_config):
  make_estimator(model_fn).train(input_fn)
  tf_config(as_task('evaluator', 1, chief=['host:1']))
  estimator = make_estimator(model_fn)
  with pytest.raises(ValueError, match=r'only be one `evaluator` task .* id 1'):
    train_and_evaluate.train_and_evaluate(estimator, TrainSpec(input_fn, max_steps=8), eval_spec())


def test_a_lone_chief_trains_and_leaves_the_evaluation_to_the_evaluator(
  make_estimator, model_fn, endless_input_fn, eval_spec, tf_config
):
  tf_config(as_task('chief', 0, chief=['localhost:1']))
  chief = make_estimator(model_fn)
  remembering = Remembering()
  train_spec = TrainSpec(endless_input_fn, max_steps=3)
  assert train_and_evaluate.train_and_evaluate(chief, train_spec, eval_spec(remembering)) is None
  assert int(chief.get_variable_value('global_step')) == 3
  assert remembering.calls == []


def test_a_lone_master_trains_and_evaluates(
  make_estimator, model_fn, endless_input_fn, eval_spec, tf_config
):
  tf_config(as_task('master', 0, master=['localhost:1']))
  remembering = Remembering()
  train_and_evaluate.train_and_evaluate(
    make_estimator(model_fn, save_checkpoints_steps=4),
    TrainSpec(endless_input_fn, max_steps=6),
    eval_spec(remembering),
  )
  assert remembering.calls == [(4, False), (6, True)]


class InCluster:
  """Stands for an estimator that may be one task of many, which ours refuses to be today."""

  def __init__(self, calls):
    self.config = RunConfig(session_config=tf.ConfigProto(log_device_placement=True))
    self._calls = calls

  def train(self, input_fn, hooks, max_steps, saving_listeners):
    self._calls.append(('train', len(saving_listeners or ())))

  def evaluate(self, **arguments):
    raise AssertionError('These tasks do not evaluate.')

  export_saved_model = latest_checkpoint = evaluate


@pytest.fixture
def cluster_calls(monkeypatch):
  """What the server, the clock and the estimator are asked for."""
  calls = []

  class Server:
    def __init__(self, cluster_spec, job_name, task_index, config, start, protocol):
      assert not config.log_device_placement
      assert cluster_spec.as_dict() == JOBS
      calls.append((job_name, task_index, start))

    def start(self):
      calls.append('start')

    def join(self):
      calls.append('join')

  monkeypatch.setattr(tf.train, 'Server', Server)
  clock = types.SimpleNamespace(sleep=lambda seconds: calls.append(('sleep', seconds)))
  monkeypatch.setattr(train_and_evaluate, 'time', clock)
  return calls


@pytest.mark.parametrize(
  'kind, index, asked_for',
  [
    ('chief', 0, ['start', ('train', 1)]),
    ('worker', 1, ['start', ('sleep', 10), ('train', 0)]),
    ('worker', 19, ['start', ('sleep', 60), ('train', 0)]),
    ('ps', 0, ['start', 'join']),
  ],
)
def test_a_task_of_a_cluster_starts_its_server_before_it_waits_and_trains(
  input_fn, eval_spec, tf_config, cluster_calls, kind, index, asked_for
):
  tf_config(as_task(kind, index, **JOBS))
  train_spec = TrainSpec(input_fn, saving_listeners=[tf.train.CheckpointSaverListener()])
  train_and_evaluate.train_and_evaluate(InCluster(cluster_calls), train_spec, eval_spec())
  assert cluster_calls == [(kind, index, False), *asked_for]


def test_servers_that_somebody_else_started_are_used(input_fn, eval_spec, tf_config, cluster_calls):
  tf_config({**as_task('chief', 0, **JOBS), 'environment': 'google'})
  train_and_evaluate.train_and_evaluate(InCluster(cluster_calls), TrainSpec(input_fn), eval_spec())
  assert cluster_calls == [('train', 0)]


@pytest.mark.parametrize(
  'kind, words',
  [
    (
      'painter',
      'Task type painter is not supported. Supported task types are '
      r"\['chief', 'evaluator', 'master', 'ps', 'worker'\]",
    ),
    ('local', '`task.type` in TF_CONFIG cannot be `local`'),
  ],
)
def test_a_task_nobody_can_run_is_refused(
  input_fn, eval_spec, tf_config, cluster_calls, kind, words
):
  tf_config(as_task(kind, 0, chief=['a:1'], **{kind: ['b:1']}))
  estimator = InCluster(cluster_calls)
  with pytest.raises(ValueError, match=words):
    train_and_evaluate.train_and_evaluate(estimator, TrainSpec(input_fn), eval_spec())
  assert cluster_calls == []


def test_a_task_that_does_not_know_its_address_cannot_start_its_server(
  input_fn, eval_spec, tf_config, cluster_calls
):
  tf_config({**as_task('ps', 0, **JOBS), 'session_master': ''})
  with pytest.raises(RuntimeError, match='Could not start server; be sure to specify master'):
    train_and_evaluate.train_and_evaluate(
      InCluster(cluster_calls), TrainSpec(input_fn), eval_spec()
    )


def test_our_estimator_refuses_to_be_one_task_of_many(make_estimator, model_fn, tf_config):
  tf_config(as_task('worker', 0, **JOBS))
  with pytest.raises(ValueError, match='training with several is not implemented yet'):
    make_estimator(model_fn)
