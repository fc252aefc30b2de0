"""The loop of Estimator.train: which runs the hooks see, what they may ask, what ends it."""

import threading
import time

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.runtime import hooked_run, loop
from npu_adapter.runtime.model_fn import EstimatorSpec
from npu_adapter.runtime.schedule import NEVER, ScheduledHook


def steps_of(events_in, folder, tag):
  return [
    event.step for event in events_in(folder) for value in event.summary.value if value.tag == tag
  ]


def test_summaries_and_speed_are_of_the_steps_tf_estimator_chooses(
  make_estimator, model_fn, endless_input_fn, events_in
):
  estimator = make_estimator(model_fn, save_summary_steps=4, log_step_count_steps=5)
  estimator.train(endless_input_fn, steps=13)
  assert steps_of(events_in, estimator.model_dir, 'loss') == [1, 5, 9, 13]
  assert steps_of(events_in, estimator.model_dir, 'global_step/sec') == [6, 11]


def test_the_loss_is_logged_of_the_first_run_and_then_every_so_many(
  make_estimator, model_fn, endless_input_fn, log
):
  make_estimator(model_fn, log_step_count_steps=5).train(endless_input_fn, steps=12)
  lines = [line for line in log if line.startswith('loss = ')]
  assert [line.partition(', ')[2].partition(' (')[0] for line in lines] == [
    'step = 0', 'step = 5', 'step = 10',
  ]  # fmt: skip
  assert '(' not in lines[0]
  assert lines[1].endswith(' sec)')


class Watcher(tf.train.SessionRunHook):
  """Keeps what it is given."""

  def __init__(self, request=None):
    self._request = request
    self.results, self.contexts = [], []

  def before_run(self, run_context):
    self.contexts.append(run_context)
    return self._request() if self._request else None

  def after_run(self, run_context, run_values):
    assert run_context is self.contexts[-1]
    self.results.append(run_values.results)


def test_a_hook_that_asks_for_nothing_is_still_called_at_every_step(
  make_estimator, model_fn, endless_input_fn
):
  watcher = Watcher()
  make_estimator(model_fn).train(endless_input_fn, hooks=[watcher], steps=7)
  assert watcher.results == [None] * 7
  assert all(isinstance(context.session, tf.Session) for context in watcher.contexts)
  assert len(watcher.contexts[0].original_args.fetches) == 2


def test_a_method_that_is_set_on_the_hook_itself_is_called(
  make_estimator, model_fn, endless_input_fn
):
  hook, calls = tf.train.SessionRunHook(), []
  hook.after_run = lambda run_context, run_values: calls.append(run_values)
  make_estimator(model_fn).train(endless_input_fn, hooks=[hook], steps=7)
  assert len(calls) == 7


REQUESTS = {
  'a tensor': lambda: tf.losses.get_losses()[0],
  'a name': lambda: tf.losses.get_losses()[0].name,
  'a list': lambda: [tf.losses.get_losses()[0]],
}


@pytest.mark.parametrize('kind', REQUESTS)
def test_a_hook_gets_what_it_asks_for_in_the_form_it_asks(
  make_estimator, model_fn, endless_input_fn, kind
):
  watcher = Watcher(lambda: tf.train.SessionRunArgs(REQUESTS[kind]()))
  plain = Watcher(lambda: tf.train.SessionRunArgs({'loss': tf.losses.get_losses()[0]}))
  make_estimator(model_fn).train(endless_input_fn, hooks=[watcher, plain], steps=5)
  losses = [results['loss'] for results in plain.results]
  assert len(set(losses)) == 5
  assert watcher.results == [[loss] if kind == 'a list' else loss for loss in losses]


def test_a_hook_may_ask_for_something_else_at_every_step(
  make_estimator, model_fn, endless_input_fn
):
  class Changing(Watcher):
    def begin(self):
      self.tensors = [tf.constant(number) for number in range(40)]

    def before_run(self, run_context):
      super().before_run(run_context)
      return tf.train.SessionRunArgs(self.tensors[len(self.results)])

  assert hooked_run._KEPT_CALLABLES < 40
  changing = Changing()
  make_estimator(model_fn).train(endless_input_fn, hooks=[changing], steps=40)
  assert changing.results == list(range(40))


def fed_model_fn(features, labels, mode):
  rate = tf.placeholder_with_default(0.0, [], name='fed')
  weight = tf.get_variable('weight', [], initializer=tf.zeros_initializer())
  train_op = tf.group(tf.assign_add(weight, rate), tf.assign_add(tf.train.get_global_step(), 1))
  return EstimatorSpec(mode, loss=tf.identity(weight), train_op=train_op)


class Feeder(tf.train.SessionRunHook):
  def before_run(self, run_context):
    return tf.train.SessionRunArgs(None, feed_dict={'fed:0': 2.0})


def test_a_hook_may_feed_and_two_may_not_feed_the_same(make_estimator, endless_input_fn):
  estimator = make_estimator(fed_model_fn).train(endless_input_fn, hooks=[Feeder()], steps=3)
  assert estimator.get_variable_value('weight') == 6
  with pytest.raises(RuntimeError, match='Same tensor is fed by two hooks'):
    estimator.train(endless_input_fn, hooks=[Feeder(), Feeder()], steps=3)


def test_a_hook_may_ask_for_a_trace(make_estimator, model_fn, endless_input_fn):
  class Tracer(tf.train.SessionRunHook):
    traces = ()

    def before_run(self, run_context):
      options = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
      return tf.train.SessionRunArgs(None, options=options)

    def after_run(self, run_context, run_values):
      assert run_values.options.trace_level == tf.RunOptions.FULL_TRACE
      self.traces = run_values.run_metadata.step_stats.dev_stats

  tracer = Tracer()
  make_estimator(model_fn).train(endless_input_fn, hooks=[tracer, Watcher()], steps=1)
  assert len(tracer.traces)


NAN_AT = 7


def diverging(features, labels, mode):
  weight = tf.get_variable('weight', [], initializer=tf.ones_initializer())
  step = tf.train.get_global_step()
  loss = weight * tf.where(tf.equal(step, NAN_AT), float('nan'), 1.0)
  train_op = tf.train.GradientDescentOptimizer(0.1).minimize(loss, step)
  return EstimatorSpec(mode, loss=loss, train_op=train_op)


@pytest.mark.parametrize('hooks', [(), (Watcher,)])
def test_a_loss_that_is_no_number_stops_at_its_step_and_the_checkpoint_before_it_stays(
  make_estimator, endless_input_fn, log, hooks
):
  # Also where a checkpoint and a summary are due at that very step.
  estimator = make_estimator(diverging, save_checkpoints_steps=4, save_summary_steps=1)
  hooks = [make() for make in hooks]
  with pytest.raises(tf.train.NanLossDuringTrainingError):
    estimator.train(endless_input_fn, hooks=hooks, steps=20)
  assert any('loss = NaN, at global step 8' in line for line in log)
  assert estimator.latest_checkpoint().endswith('-4')
  assert np.isfinite(estimator.get_variable_value('weight'))
  for hook in hooks:
    assert len(hook.results) == NAN_AT + 1


def test_a_scheduled_hook_is_called_at_its_points_only(make_estimator, model_fn, endless_input_fn):
  class Every3(ScheduledHook):
    due_step = 3

    def __init__(self):
      self.moments = []

    def after_step(self, moment):
      self.moments.append(moment)
      self.due_step = moment.step + 3

  hook = Every3()
  make_estimator(model_fn).train(endless_input_fn, hooks=[hook], steps=10)
  assert [moment.step for moment in hook.moments] == [3, 6, 9]
  assert [moment.step_before for moment in hook.moments] == [2, 5, 8]
  assert [moment.run for moment in hook.moments] == [3, 6, 9]


def test_runs_without_a_hook_go_past_monitored_session(
  make_estimator, model_fn, endless_input_fn, monkeypatch
):
  def hooked_run(self, fetching):
    raise AssertionError(f'step {self._step} was run for {fetching}')

  monkeypatch.setattr(loop.Loop, '_hooked_run', hooked_run)
  # The progress line asks the first run for the size of a batch.
  estimator = make_estimator(model_fn, estimator={'progress': False}, save_summary_steps=None)
  estimator.train(endless_input_fn, steps=20)
  assert int(estimator.get_variable_value('global_step')) == 20


def test_an_error_in_the_thread_that_fills_a_queue_is_the_one_that_is_told(make_estimator):
  def queue_input_fn():
    number = tf.train.limit_epochs(tf.constant([1.0]), num_epochs=3)
    good = tf.debugging.assert_less(tf.random_uniform([], 0, 1), -1.0, message='bad data')
    with tf.control_dependencies([good]):
      queue = tf.train.batch([tf.identity(number)], 1)
    return {'x': tf.reshape(queue, [1, 1])}, tf.ones([1, 1])

  def linear(features, labels, mode):
    weight = tf.get_variable('weight', [1, 1])
    loss = tf.reduce_mean(tf.square(tf.matmul(features['x'], weight) - labels))
    train_op = tf.train.AdamOptimizer().minimize(loss, tf.train.get_global_step())
    return EstimatorSpec(mode, loss=loss, train_op=train_op)

  with pytest.raises(tf.errors.InvalidArgumentError, match='bad data'):
    make_estimator(linear).train(queue_input_fn, steps=5)


def test_a_lost_session_is_made_anew_from_the_last_checkpoint(
  make_estimator, model_fn, endless_input_fn
):
  class Lose(tf.train.SessionRunHook):
    runs = sessions = 0

    def after_create_session(self, session, coord):
      self.sessions += 1

    def after_run(self, run_context, run_values):
      self.runs += 1
      if self.runs == 6:
        raise tf.errors.UnavailableError(None, None, 'gone')

  lose = Lose()
  estimator = make_estimator(model_fn, save_checkpoints_steps=4)
  estimator.train(endless_input_fn, hooks=[lose], max_steps=10)
  assert lose.sessions == 2
  # Six runs to the loss of the session at step 6, then from the checkpoint of step 4.
  assert lose.runs == 12
  assert int(estimator.get_variable_value('global_step')) == 10


def test_the_time_decides_about_a_checkpoint_between_two_log_lines(
  make_estimator, model_fn, endless_input_fn
):
  def slow(features, labels, mode):
    spec = model_fn(features, labels, mode)

    def wait():
      time.sleep(0.02)
      return np.float32(0)

    return spec._replace(loss=spec.loss + tf.py_func(wait, [], tf.float32))

  estimator = make_estimator(slow, save_checkpoints_secs=0.3, save_summary_steps=None)
  estimator.train(endless_input_fn, steps=60)
  state = tf.train.get_checkpoint_state(estimator.model_dir)
  steps = [int(path.split('-')[-1]) for path in state.all_model_checkpoint_paths]
  assert len(steps) > 2
  assert steps[-1] == 60


def test_a_thread_that_asks_for_the_end_is_obeyed(make_estimator, model_fn, endless_input_fn):
  class FromAThread(ScheduledHook):
    due_run = 1

    def after_create_session(self, session, coord):
      self._coordinator = coord

    def after_step(self, moment):
      self.due_run = NEVER
      threading.Timer(0.2, self._coordinator.request_stop).start()

  estimator = make_estimator(model_fn).train(
    endless_input_fn, hooks=[FromAThread()], max_steps=10**7
  )
  assert 0 < int(estimator.get_variable_value('global_step')) < 10**7
