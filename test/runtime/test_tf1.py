"""Switching to TF1 behaviour: each test in a process of its own, because the switch is global."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.runtime import tf1

REPOSITORY = pathlib.Path(__file__).parents[2]
VERSION = tuple(int(number) for number in tf.__version__.split('.')[:2])
HAS_TF_KERAS = importlib.util.find_spec('tf_keras') is not None
# TF 1.15 starts where 2.x is switched to: it is switched to 2.x first.
PREAMBLE = """
import json, os
import tensorflow.compat.v1 as tf
import tensorflow
if tf.__version__[0] == '1':
  tf.enable_v2_behavior()
def state():
  return [tf.executing_eagerly(), tf.control_flow_v2_enabled(), tf.resource_variables_enabled()]
"""
TF2, TF1 = [True, True, True], [False, False, False]


def answer_of(code, **environ):
  """Runs `code` in a fresh process; returns what it puts into `answer`."""
  environ = {**os.environ, 'PYTHONPATH': str(REPOSITORY), **environ}
  for name in [name for name, value in environ.items() if value is None]:
    del environ[name]
  script = PREAMBLE + code + '\nprint("\\n" + json.dumps(answer))'
  done = subprocess.run(
    [sys.executable, '-c', script],
    capture_output=True,
    env=environ,
    check=False,
  )
  assert done.returncode == 0, done.stderr.decode()
  return json.loads(done.stdout.decode().splitlines()[-1])


def test_importing_the_runtime_changes_nothing():
  code = """
before = state(), dict(os.environ)
import npu_adapter.runtime.estimator, npu_adapter.runtime.export, npu_adapter.runtime.warm_start
answer = [before == (state(), dict(os.environ)), state()]
"""
  assert answer_of(code) == [True, TF2]


def test_enable_gives_graph_mode_and_control_flow_v1_however_often_it_is_called():
  code = """
from npu_adapter.runtime import tf1
answer = [tf1.enable(), state(), tf1.enable(), state()]
with tf.Graph().as_default():
  answer.append(tf.while_loop(lambda i: i < 3, lambda i: i + 1, [0]).op.type)
"""
  assert answer_of(code) == [None, TF1, None, TF1, 'Exit']


def test_a_program_in_tf1_mode_keeps_the_resource_variables_it_asked_for():
  code = """
from npu_adapter.runtime import tf1
tf.disable_v2_behavior()
tf.enable_resource_variables()
tf1.enable()
answer = state()
"""
  assert answer_of(code) == [False, False, True]


def test_graphs_work_after_eager_tensors_and_an_eager_tensor_in_them_is_refused():
  code = """
from npu_adapter.runtime import tf1
eager = tf.constant(1)
tf1.enable()
with tf.Graph().as_default(), tf.Session() as session:
  answer = [int(session.run(tf.constant(2) + 1))]
  try:
    eager + tf.constant(1)
  except Exception as error:
    answer.append(type(error).__name__)
"""
  value, error = answer_of(code)
  assert value == 3
  assert error in ('RuntimeError', 'ValueError', 'TypeError')


def test_a_call_inside_a_graph_of_an_eager_program_is_harmless_and_the_next_completes_it():
  code = """
from npu_adapter.runtime import tf1
with tf.Graph().as_default():
  tf1.enable()
  answer = [state()]
answer.append(state())
tf1.enable()
answer.append(state())
"""
  assert answer_of(code) == [TF1, [True, False, False], TF1]


def test_a_call_inside_tf_function_is_refused_and_changes_nothing():
  code = """
from npu_adapter.runtime import tf1
def inside():
  try:
    tf1.enable()
  except RuntimeError as error:
    answer.append(str(error))
  return tf.constant(1)
answer = []
tensorflow.function(inside, autograph=False)()
answer.append(state())
"""
  if VERSION < (2, 0):
    pytest.skip('TF 1.15 cannot tell tf.function from a graph')
  message, state = answer_of(code)
  assert 'outside of tf.function' in message
  assert state == TF2


KERAS = """
from npu_adapter.runtime import tf1
tf1.enable()
answer = [os.environ.get('TF_USE_LEGACY_KERAS'), tf1.layers_problem()]
"""


def test_legacy_keras_is_chosen_where_it_is_needed_and_installed_only():
  expected = '1' if VERSION >= (2, 16) and HAS_TF_KERAS else None
  assert answer_of(KERAS, TF_USE_LEGACY_KERAS=None)[0] == expected


@pytest.mark.skipif(VERSION < (2, 16), reason='Keras 2 comes with TensorFlow')
def test_the_users_choice_of_keras_is_kept():
  choice, problem = answer_of(KERAS, TF_USE_LEGACY_KERAS='0')
  assert choice == '0'
  assert 'TF_USE_LEGACY_KERAS=1' in problem if HAS_TF_KERAS else 'pip install tf_keras' in problem


@pytest.mark.skipif(VERSION < (2, 16), reason='Keras 2 comes with TensorFlow')
def test_a_model_fn_that_needs_layers_which_are_not_there_says_what_to_do():
  code = """
from npu_adapter.runtime.estimator import Estimator
def model_fn(features, labels, mode):
  tf.layers.dense(features, 1)
try:
  Estimator(model_fn).train(lambda: tf.constant([[1.0]]))
except AttributeError as error:
  answer = str(error)
"""
  message = answer_of(code, TF_USE_LEGACY_KERAS='0')
  assert 'not available with Keras 3' in message
  assert 'tf.layers, tf.nn.rnn_cell and graph-mode tf.keras need' in message


def test_the_package_to_install_is_named_where_keras_3_is_alone(monkeypatch):
  monkeypatch.setattr(tf1, '_has_keras_3', lambda: True)
  monkeypatch.setattr(tf1, '_has_tf_keras', lambda: False)
  assert 'pip install tf_keras' in tf1.layers_problem()


def test_layers_work_in_these_environments_once_enabled():
  assert tf1.layers_problem() is None


@pytest.mark.parametrize(
  'version, protobuf, refused',
  [('2.20.0', '7.36.2', True), ('2.20.0', '6.31.1', False), ('2.21.0', '7.36.2', False)],
)
def test_the_tensorflow_that_cannot_write_graphs_with_protobuf_7_is_told_what_to_install(
  monkeypatch, version, protobuf, refused
):
  import google.protobuf

  monkeypatch.setattr(tf, '__version__', version)
  monkeypatch.setattr(google.protobuf, '__version__', protobuf)
  if refused:
    with pytest.raises(RuntimeError, match=r"pip install 'protobuf<7'"):
      tf1.enable()
  else:
    tf1.enable()
