"""train_and_evaluate in one process: when it evaluates and exports, what it returns."""

import os
import signal

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import npu_adapter
from npu_adapter.runtime import (
  checkpoint_evaluation,
  export,
  exporter,
  interruption,
  train_and_evaluate,
)
from npu_adapter.runtime.estimator import Estimator
from npu_adapter.runtime.run_config import RunConfig
from npu_adapter.runtime.train_and_evaluate import EvalSpec, TrainSpec

RAW = export.build_raw_serving_input_receiver_fn({'x': np.zeros([1, 3], np.float32)})
needs_tf_estimator = pytest.mark.skipif(
  not hasattr(tf, 'estimator'), reason='no tf.estimator in this TensorFlow'
)


class Remembering(exporter.Exporter):
  """Writes down what it was called with; `then` is called at each export."""

  name = 'remembering'

  def __init__(self, then=lambda estimator: None):
    self.calls = []
    self._then = then

  def export(self, estimator, export_path, checkpoint_path, eval_result, is_the_final_export):
    step = int(checkpoint_path.rpartition('-')[2])
    assert step == eval_result['global_step']
    self.calls.append((step, is_the_final_export))
    self.path = export_path
    self._then(estimator)
    return f'export of {step}'


@pytest.fixture
def estimator(make_estimator, model_fn):
  return make_estimator(model_fn, save_checkpoints_steps=4)


@pytest.fixture
def eval_spec(input_fn):
  """Returns make(**options) -> EvalSpec, without a wait unless told."""

  def make(*exporters, **options):
    return EvalSpec(input_fn, **{'throttle_secs': 0, 'exporters': list(exporters), **options})

  return make


def evaluated_steps(events_in, folder):
  return [e.step for e in events_in(folder) if any(v.tag == 'loss' for v in e.summary.value)]


def test_every_new_checkpoint_is_evaluated_and_exported_and_the_last_result_returned(
  estimator, endless_input_fn, eval_spec, events_in
):
  remembering = Remembering()
  metrics, exports = train_and_evaluate.train_and_evaluate(
    estimator, TrainSpec(endless_input_fn, max_steps=10), eval_spec(remembering)
  )
  # Not the one of step 0: nothing has been trained by then.
  assert remembering.calls == [(4, False), (8, False), (10, True)]
  assert remembering.path == os.path.join(estimator.model_dir, 'export', 'remembering')
  assert evaluated_steps(events_in, estimator.eval_dir()) == [4, 8, 10]
  assert metrics['global_step'] == 10
  assert metrics == estimator.evaluate(eval_spec().input_fn)
  assert exports == ['export of 10']


def test_evaluations_keep_their_distance_but_the_last_checkpoint_is_always_evaluated(
  estimator, endless_input_fn, eval_spec, log
):
  remembering = Remembering()
  train_and_evaluate.train_and_evaluate(
    estimator,
    TrainSpec(endless_input_fn, max_steps=14),
    eval_spec(remembering, throttle_secs=10000),
  )
  assert [step for step, _ in remembering.calls] == [4, 14]
  assert 'Skip the current checkpoint eval due to throttle secs (10000 secs).' in log


def test_models_are_exported_below_the_model_folder(estimator, endless_input_fn, eval_spec):
  final, latest = exporter.FinalExporter('final', RAW), exporter.LatestExporter('latest', RAW)
  _, exports = train_and_evaluate.train_and_evaluate(
    estimator, TrainSpec(endless_input_fn, max_steps=8), eval_spec(final, latest)
  )
  base = os.path.join(estimator.model_dir, 'export')
  found = {name: sorted(os.listdir(os.path.join(base, name))) for name in os.listdir(base)}
  assert [len(found['final']), len(found['latest'])] == [1, 2]
  assert [os.fsdecode(path) for path in exports] == [
    os.path.join(base, name, found[name][-1]) for name in ('final', 'latest')
  ]


def test_training_goes_on_as_without_evaluations(
  estimator, make_estimator, model_fn, endless_input_fn, eval_spec
):
  train_and_evaluate.train_and_evaluate(
    estimator, TrainSpec(endless_input_fn, max_steps=10), eval_spec()
  )
  plain = make_estimator(model_fn, 'plain').train(endless_input_fn, max_steps=10)
  for name in plain.get_variable_names():
    np.testing.assert_array_equal(
      estimator.get_variable_value(name), plain.get_variable_value(name)
    )


def test_a_signal_ends_it_with_a_checkpoint_and_no_last_evaluation(
  estimator, endless_input_fn, eval_spec, events_in
):
  class Signal(tf.train.SessionRunHook):
    def after_run(self, run_context, run_values):
      if run_context.session.run(tf.train.get_global_step()) == 6:
        os.kill(os.getpid(), signal.SIGTERM)

  spec = TrainSpec(endless_input_fn, max_steps=10, hooks=[Signal()])
  with pytest.raises(interruption.Terminated):
    train_and_evaluate.train_and_evaluate(estimator, spec, eval_spec())
  assert estimator.latest_checkpoint().endswith('model.ckpt-6')
  assert evaluated_steps(events_in, estimator.eval_dir()) == [4]


def test_where_no_step_is_left_nothing_is_evaluated(estimator, endless_input_fn, eval_spec):
  train_spec = TrainSpec(endless_input_fn, max_steps=4)
  remembering = Remembering()
  train_and_evaluate.train_and_evaluate(estimator, train_spec, eval_spec(remembering))
  again = train_and_evaluate.train_and_evaluate(estimator, train_spec, eval_spec(remembering))
  assert again == (None, None)
  assert remembering.calls == [(4, True)]


def test_a_run_that_goes_on_does_not_evaluate_the_checkpoint_it_starts_from(
  estimator, endless_input_fn, eval_spec
):
  remembering = Remembering()
  for max_steps in (4, 8):
    train_and_evaluate.train_and_evaluate(
      estimator, TrainSpec(endless_input_fn, max_steps), eval_spec(remembering)
    )
  assert remembering.calls == [(4, True), (8, True)]


def test_without_max_steps_training_ends_with_the_data_and_no_export_is_final(
  estimator, input_fn, eval_spec
):
  remembering = Remembering()
  metrics, exports = train_and_evaluate.train_and_evaluate(
    estimator, TrainSpec(input_fn), eval_spec(remembering, exporter.FinalExporter('final', RAW))
  )
  assert metrics['global_step'] == 8
  assert remembering.calls == [(4, False), (8, False)]
  assert exports == ['export of 8', None]


def test_name_steps_and_hooks_of_an_evaluation_are_used(
  estimator, endless_input_fn, eval_spec, recorder, events_in
):
  train_and_evaluate.train_and_evaluate(
    estimator,
    TrainSpec(endless_input_fn, max_steps=4),
    eval_spec(name='other', steps=3, hooks=[recorder('hook')]),
  )
  assert evaluated_steps(events_in, estimator.eval_dir('other')) == [4]
  assert recorder.calls.count(('hook', 'after_run')) == 3


def test_hooks_and_listeners_of_the_training_are_called(
  estimator, endless_input_fn, eval_spec, recorder
):
  order = []

  class Listener(tf.train.CheckpointSaverListener):
    def after_save(self, session, global_step_value):
      order.append(int(global_step_value))

  remembering = Remembering(lambda estimator: order.append('exported'))
  train_spec = TrainSpec(
    endless_input_fn, max_steps=4, hooks=[recorder('hook')], saving_listeners=[Listener()]
  )
  train_and_evaluate.train_and_evaluate(estimator, train_spec, eval_spec(remembering))
  assert recorder.calls.count(('hook', 'after_run')) == 4
  assert order == [0, 4, 'exported']


def test_one_listener_can_serve_two_trainings(estimator, endless_input_fn, eval_spec):
  remembering = Remembering()
  spec = eval_spec(remembering)
  evaluator = checkpoint_evaluation.Evaluator(estimator, spec, max_training_steps=None)
  listener = checkpoint_evaluation.NewCheckpointListener(
    evaluator, 0, checkpoint_evaluation.ContinuousEvalListener()
  )
  for max_steps in (4, 8):
    estimator.train(endless_input_fn, max_steps=max_steps, saving_listeners=[listener])
  assert remembering.calls == [(4, False), (8, False)]


def test_an_estimator_that_writes_no_checkpoints_is_refused(
  make_estimator, model_fn, endless_input_fn, eval_spec
):
  silent = make_estimator(model_fn, save_checkpoints_steps=None, save_checkpoints_secs=None)
  with pytest.raises(ValueError, match='There should be a CheckpointSaverHook'):
    train_and_evaluate.train_and_evaluate(
      silent, TrainSpec(endless_input_fn, max_steps=4), eval_spec()
    )


def test_a_subclass_of_estimator_can_be_trained(model_fn, endless_input_fn, eval_spec, tmp_path):
  class Mine(Estimator):
    def latest_checkpoint(self):
      return super().latest_checkpoint()

  mine = Mine(model_fn, config=RunConfig(str(tmp_path), save_checkpoints_steps=4))
  metrics, _ = train_and_evaluate.train_and_evaluate(
    mine, TrainSpec(endless_input_fn, max_steps=4), eval_spec()
  )
  assert metrics['global_step'] == 4


def test_an_npu_estimator_can_be_trained(model_fn, endless_input_fn, eval_spec, tmp_path):
  config = npu_adapter.NPURunConfig(
    model_dir=str(tmp_path), save_checkpoints_steps=4, iterations_per_loop=2
  )
  remembering = Remembering()
  metrics, exports = train_and_evaluate.train_and_evaluate(
    npu_adapter.NPUEstimator(model_fn, config=config),
    TrainSpec(endless_input_fn, max_steps=8),
    eval_spec(remembering, exporter.BestExporter('best', RAW)),
  )
  assert metrics['global_step'] == 8
  assert remembering.calls == [(4, False), (8, True)]
  assert os.fsdecode(exports[1]).startswith(str(tmp_path / 'export' / 'best'))


class Asked(checkpoint_evaluation.ContinuousEvalListener):
  """Stops before the evaluation `before`, or after the evaluation `after`."""

  def __init__(self, before=None, after=None):
    self.results = []
    self._before, self._after = before, after

  def before_eval(self):
    return len(self.results) + 1 != self._before

  def after_eval(self, eval_result):
    self.results.append(eval_result)
    return len(self.results) != self._after


@pytest.mark.parametrize('asked', [{'before': 2}, {'after': 1}])
def test_a_listener_can_end_the_training(estimator, endless_input_fn, eval_spec, asked):
  listener = Asked(**asked)
  metrics, _ = train_and_evaluate._TrainingExecutor(
    estimator,
    TrainSpec(endless_input_fn, max_steps=40),
    eval_spec(),
    continuous_eval_listener=listener,
  ).run()
  assert metrics['global_step'] == 4
  assert [result.metrics['global_step'] for result in listener.results] == [4]
  assert int(estimator.get_variable_value('global_step')) < 40


def test_arguments_of_other_types_are_refused(estimator, input_fn, eval_spec):
  train_spec = TrainSpec(input_fn)
  for arguments, words in (
    (
      (3, train_spec, eval_spec()),
      '`estimator` must have type `tf.estimator.Estimator`. Got: .*int',
    ),
    ((estimator, eval_spec(), eval_spec()), '`train_spec` must have type .* Got: .*EvalSpec'),
    ((estimator, train_spec, train_spec), '`eval_spec` must have type .* Got: .*TrainSpec'),
    ((estimator, train_spec, None), '`eval_spec` must have type .* Got: .*NoneType'),
  ):
    with pytest.raises(TypeError, match=words):
      train_and_evaluate.train_and_evaluate(*arguments)


@pytest.mark.parametrize(
  'metrics, kind, words',
  [
    ({}, ValueError, 'should never return empty metrics'),
    ([1], TypeError, 'should return dict'),
    ({'loss': 1.0}, ValueError, 'should have `global_step` in result'),
  ],
)
def test_an_estimator_whose_metrics_cannot_be_used_is_told_so(
  estimator, endless_input_fn, eval_spec, metrics, kind, words
):
  estimator.evaluate = lambda **arguments: metrics
  with pytest.raises(kind, match=words):
    train_and_evaluate.train_and_evaluate(
      estimator, TrainSpec(endless_input_fn, max_steps=4), eval_spec()
    )


def test_a_hook_can_stop_training_after_some_time(estimator, endless_input_fn):
  estimator.train(endless_input_fn, hooks=[train_and_evaluate._StopAtSecsHook(0)])
  assert int(estimator.get_variable_value('global_step')) == 1


@needs_tf_estimator
def test_specs_and_exporters_of_tf_estimator_can_be_used(estimator, endless_input_fn, input_fn):
  train_spec = tf.estimator.TrainSpec(endless_input_fn, max_steps=4)
  final = tf.estimator.FinalExporter('final', RAW)
  theirs = tf.estimator.EvalSpec(input_fn, throttle_secs=0, exporters=final)
  ours = EvalSpec(input_fn, exporters=final)
  metrics, exports = train_and_evaluate.train_and_evaluate(estimator, train_spec, theirs)
  assert metrics['global_step'] == 4
  assert os.path.isdir(exports[0])
  assert ours.exporters == (final,)


@needs_tf_estimator
def test_the_result_and_the_files_are_tf_estimators(
  make_estimator, make_model_fn, endless_input_fn, input_fn, tmp_path
):
  def outputs_of(x):
    return tf.layers.dense(x, 1, kernel_initializer=tf.random_normal_initializer())

  options = {'tf_random_seed': 7, 'save_checkpoints_steps': 4}
  config = tf.estimator.RunConfig(model_dir=str(tmp_path / 'theirs'), **options)
  their_model_fn = make_model_fn(outputs_of, tf.estimator.EstimatorSpec)
  theirs = tf.estimator.Estimator(their_model_fn, config=config)
  ours = make_estimator(make_model_fn(outputs_of), 'ours', **options)
  results = []
  for estimator, module, exporters in (
    (theirs, tf.estimator, tf.estimator),
    (ours, train_and_evaluate, exporter),
  ):
    latest = exporters.LatestExporter('latest', RAW, exports_to_keep=1)
    final = exporters.FinalExporter('final', RAW)
    metrics, exports = module.train_and_evaluate(
      estimator,
      module.TrainSpec(endless_input_fn, max_steps=10),
      module.EvalSpec(input_fn, throttle_secs=0, exporters=[latest, final]),
    )
    assert len(exports) == 2
    results.append((metrics, files_of(estimator.model_dir)))
  assert results[0] == results[1]


def files_of(folder):
  """Every file below, without the times in the names."""
  found = []
  for parent, _, names in os.walk(folder):
    parts = os.path.relpath(parent, folder).split(os.sep)
    place = ['<seconds>' if part.isdigit() else part for part in parts]
    found += [(*place, name.split('.tfevents')[0]) for name in names]
  return sorted(found)
