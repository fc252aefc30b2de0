"""TrainSpec and EvalSpec: arguments, defaults, what is refused and in which words."""

import inspect

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.runtime import export, exporter
from npu_adapter.runtime.train_eval_specs import EvalSpec, TrainSpec

RAW = export.build_raw_serving_input_receiver_fn({'x': np.zeros([1, 3], np.float32)})
needs_tf_estimator = pytest.mark.skipif(
  not hasattr(tf, 'estimator'), reason='no tf.estimator in this TensorFlow'
)


def named(name):
  """An exporter of that name."""
  return exporter.FinalExporter(name, RAW)


# Arguments, the error, a part of its message.
BAD_TRAINING = (
  ({'input_fn': 'data'}, TypeError, '`input_fn` must be callable, given: data'),
  ({'max_steps': 0}, ValueError, 'Must specify max_steps > 0, given: 0'),
  ({'hooks': [3]}, TypeError, 'All hooks must be `SessionRunHook` instances, given: 3'),
)
BAD_EVALUATION = (
  ({'input_fn': 'data'}, TypeError, '`input_fn` must be callable, given: data'),
  ({'steps': 0}, ValueError, 'Must specify steps > 0, given: 0'),
  ({'name': 3}, TypeError, '`name` must be string, given: 3'),
  ({'hooks': [3]}, TypeError, 'All hooks must be `SessionRunHook` instances, given: 3'),
  ({'start_delay_secs': -1}, ValueError, 'Must specify start_delay_secs >= 0, given: -1'),
  ({'throttle_secs': -1}, ValueError, 'Must specify throttle_secs >= 0, given: -1'),
  ({'exporters': 3}, TypeError, '`exporters` must be an Exporter, an iterable of Exporter'),
  ({'exporters': [exporter.FinalExporter]}, TypeError, '`exporters` must be an Exporter'),
  ({'exporters': [named('a'), None]}, TypeError, '`exporters` must be an Exporter'),
  ({'exporters': [named('')]}, ValueError, 'cannot have a name that is `None` or empty'),
  ({'exporters': named(3)}, ValueError, 'An Exporter must have a string name'),
  ({'exporters': [named('a'), named('a')]}, ValueError, '`exporters` must have unique names'),
)
BAD = [(TrainSpec, *case) for case in BAD_TRAINING] + [(EvalSpec, *case) for case in BAD_EVALUATION]


def error_of(kind, arguments):
  with pytest.raises(Exception) as error:  # noqa: B017 - which one is what is asked
    kind(**{'input_fn': dict, **arguments})
  return error.type, str(error.value)


@pytest.mark.parametrize('kind, arguments, error, words', BAD)
def test_values_that_mean_nothing_are_refused(kind, arguments, error, words):
  kind_of_error, text = error_of(kind, arguments)
  assert kind_of_error is error
  assert words in text


@needs_tf_estimator
@pytest.mark.parametrize('kind, arguments, error, words', BAD)
def test_errors_are_those_of_tf_estimator(kind, arguments, error, words, monkeypatch):
  theirs = getattr(tf.estimator, kind.__name__)
  # Its check knows its own exporters only.
  monkeypatch.setattr(inspect.getmodule(theirs).exporter_lib, 'Exporter', exporter.Exporter)
  assert error_of(kind, arguments) == error_of(theirs, arguments)


@needs_tf_estimator
@pytest.mark.parametrize('kind', [TrainSpec, EvalSpec])
def test_arguments_and_defaults_are_tf_estimators(kind):
  theirs = inspect.signature(getattr(tf.estimator, kind.__name__)).parameters
  ours = inspect.signature(kind).parameters
  # TrainSpec of TF 1.15 has no saving_listeners yet.
  assert set(ours) - set(theirs) <= {'saving_listeners'}
  assert list(ours)[: len(theirs)] == list(theirs)
  assert [ours[name].default for name in theirs] == [p.default for p in theirs.values()]


def test_listeners_of_another_type_are_refused():
  words = 'All saving_listeners must be `CheckpointSaverListener` instances, given: 3'
  assert error_of(TrainSpec, {'saving_listeners': [3]}) == (TypeError, words)


def test_hooks_listeners_and_exporters_become_tuples():
  hook, listener = tf.train.SessionRunHook(), tf.train.CheckpointSaverListener()
  train_spec = TrainSpec(dict, hooks=[hook], saving_listeners=[listener])
  assert (train_spec.hooks, train_spec.saving_listeners) == ((hook,), (listener,))
  assert EvalSpec(dict, hooks=[hook]).hooks == (hook,)
  assert EvalSpec(dict).exporters == ()


def test_exporters_may_come_alone_or_from_a_generator():
  one, other = named('one'), named('other')
  assert EvalSpec(dict, exporters=one).exporters == (one,)
  assert EvalSpec(dict, exporters=(found for found in (one, other))).exporters == (one, other)


@needs_tf_estimator
def test_an_exporter_of_tf_estimator_is_one():
  theirs = tf.estimator.FinalExporter('final', RAW)
  assert EvalSpec(dict, exporters=theirs).exporters == (theirs,)
