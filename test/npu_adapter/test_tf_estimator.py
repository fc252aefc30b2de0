"""install_tf_estimator: what `tf.estimator` is afterwards. Each in a process of its own."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# It replaces where there is a tf.estimator, so that all lines run the same programs.
INSTALL = """
import npu_adapter.tf_estimator
npu_adapter.tf_estimator.install_tf_estimator(replace=True)
"""
# All that tf.estimator of 2.15 (and its BoostedTrees of 1.15) has.
NAMES = """
BaselineClassifier BaselineEstimator BaselineRegressor BestExporter BinaryClassHead
BoostedTreesClassifier BoostedTreesEstimator BoostedTreesRegressor CheckpointSaverHook
CheckpointSaverListener DNNClassifier DNNEstimator DNNLinearCombinedClassifier
DNNLinearCombinedEstimator DNNLinearCombinedRegressor DNNRegressor Estimator EstimatorSpec EvalSpec
Exporter FeedFnHook FinalExporter FinalOpsHook GlobalStepWaiterHook Head LatestExporter
LinearClassifier LinearEstimator LinearRegressor LoggingTensorHook LogisticRegressionHead ModeKeys
MultiClassHead MultiHead MultiLabelHead NanLossDuringTrainingError NanTensorHook
PoissonRegressionHead ProfilerHook RegressionHead RunConfig SecondOrStepTimer SessionRunArgs
SessionRunContext SessionRunHook SessionRunValues StepCounterHook StopAtStepHook SummarySaverHook
TrainSpec VocabInfo WarmStartSettings add_metrics classifier_parse_example_spec
regressor_parse_example_spec train_and_evaluate
experimental.InMemoryEvaluatorHook experimental.KMeans experimental.LinearSDCA
experimental.RNNClassifier experimental.RNNEstimator
experimental.build_raw_supervised_input_receiver_fn experimental.call_logit_fn
experimental.dnn_logit_fn_builder experimental.linear_logit_fn_builder
experimental.make_early_stopping_hook experimental.make_stop_at_checkpoint_step_hook
experimental.stop_if_higher_hook experimental.stop_if_lower_hook
experimental.stop_if_no_decrease_hook experimental.stop_if_no_increase_hook
export.ClassificationOutput export.EvalOutput export.ExportOutput export.PredictOutput
export.RegressionOutput export.ServingInputReceiver export.TensorServingInputReceiver
export.build_parsing_serving_input_receiver_fn export.build_raw_serving_input_receiver_fn
inputs.numpy_input_fn inputs.pandas_input_fn
tpu.InputPipelineConfig tpu.RunConfig tpu.TPUConfig tpu.TPUEstimator tpu.TPUEstimatorSpec
tpu.experimental
""".split()  # noqa: SIM905 - a list literal would have a name a line

TF1_PROGRAM = """
import sys
import numpy as np
import tensorflow.compat.v1 as tf
from tensorflow.compat.v1.estimator import EstimatorSpec

def model_fn(features, labels, mode, params):
  y = tf.matmul(features['x'], tf.get_variable('w', [2, 1]))
  if mode == tf.estimator.ModeKeys.PREDICT:
    return tf.estimator.EstimatorSpec(mode, predictions={'y': y})
  loss = tf.losses.mean_squared_error(labels, y)
  metrics = {'error': tf.metrics.mean_absolute_error(labels, y)}
  train_op = tf.train.AdamOptimizer(params['rate']).minimize(loss, tf.train.get_global_step())
  return EstimatorSpec(mode, loss=loss, train_op=train_op, eval_metric_ops=metrics)

x = np.random.RandomState(0).uniform(size=[64, 2]).astype(np.float32)
y = x.sum(axis=1, keepdims=True)
input_fn = tf.estimator.inputs.numpy_input_fn({'x': x}, y, 8, num_epochs=None, shuffle=True)
eval_input_fn = tf.estimator.inputs.numpy_input_fn({'x': x}, y, shuffle=False)
config = tf.estimator.RunConfig(sys.argv[1], tf_random_seed=1, save_checkpoints_steps=50)
estimator = tf.estimator.Estimator(model_fn, config=config, params={'rate': 0.05})
receiver = tf.estimator.export.build_raw_serving_input_receiver_fn({'x': x[:1]})
exporter = tf.estimator.LatestExporter('latest', receiver)
stop = tf.estimator.experimental.stop_if_lower_hook(
  estimator, 'loss', 0.01, run_every_secs=None, run_every_steps=1)
evaluator = tf.estimator.experimental.InMemoryEvaluatorHook(estimator, eval_input_fn, name='memory')
result, _ = tf.estimator.train_and_evaluate(
  estimator,
  tf.estimator.TrainSpec(input_fn, max_steps=2000, hooks=[stop, evaluator]),
  tf.estimator.EvalSpec(eval_input_fn, throttle_secs=0, exporters=[exporter]))
assert result['loss'] < 0.01 and 50 <= result['global_step'] < 2000, result
assert len(list(estimator.predict(eval_input_fn))) == 64
print('done')
"""


def python(code, *arguments):
  clean = {name: value for name, value in os.environ.items() if name != 'TF_USE_LEGACY_KERAS'}
  done = subprocess.run(
    [sys.executable, '-c', code, *map(str, arguments)],
    env={**clean, 'PYTHONPATH': str(ROOT)},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  return done.stdout.splitlines()


@pytest.fixture(scope='module')
def has_its_own():
  code = 'import tensorflow.compat.v1 as tf; print(hasattr(tf, "estimator"))'
  return python(code) == ['True']


def test_a_tf1_program_runs_unchanged(tmp_path):
  assert python(INSTALL + TF1_PROGRAM, tmp_path / 'model')[-1] == 'done'
  assert os.listdir(str(tmp_path / 'model' / 'export' / 'latest'))


def test_every_name_is_there_or_says_what_to_do_instead():
  code = f"""{INSTALL}
import functools
import tensorflow.compat.v1 as tf
for name in {NAMES!r}:
  try:
    functools.reduce(getattr, name.split('.'), tf.estimator)
  except AttributeError as error:
    start = 'npu_adapter has no tensorflow.compat.v1.estimator.' + name + '. '
    assert str(error).startswith(start), error
    assert len(str(error)) > len(start) + 20, error
    print(name)
"""
  absent = [
    name
    for name in NAMES
    if name.startswith(('tpu.', 'Baseline', 'Boosted', 'DNN', 'Linear'))
    or name.endswith(('Head', '_spec', 'KMeans', 'SDCA', 'fn_builder', 'add_metrics'))
    or '.RNN' in name
  ]
  assert python(code) == absent


def test_the_list_above_is_tf_estimators(has_its_own):
  if not has_its_own:
    pytest.skip('no tf.estimator in this TensorFlow')
  code = """
import tensorflow.compat.v1 as tf
packages = ('', 'experimental', 'export', 'inputs', 'tpu')
for package in packages:
  for name in dir(getattr(tf.estimator, package) if package else tf.estimator):
    if name[0] != '_' and name not in packages:
      print(f'{package}.{name}'.lstrip('.'))
"""
  assert set(python(code)) - {'tpu.experimental'} <= set(NAMES)


def test_a_misspelt_name_is_told_with_its_nearest_match():
  code = f"""{INSTALL}
import tensorflow.compat.v1 as tf
try:
  tf.estimator.Estimatr
except AttributeError as error:
  print(error)
assert not hasattr(tf.estimator, '__file__')
"""
  assert python(code) == [
    "npu_adapter has no tensorflow.compat.v1.estimator.Estimatr. Did you mean 'Estimator'?"
  ]


def test_it_is_found_by_every_way_to_import_it():
  code = f"""{INSTALL}
import tensorflow as tf
import tensorflow.compat.v1 as v1
import tensorflow.estimator
import tensorflow.compat.v1.estimator as by_name
import tensorflow.compat.v1.estimator.export
from tensorflow import estimator as top
from tensorflow.compat.v1 import estimator as from_v1
from tensorflow.compat.v2 import estimator as from_v2
from tensorflow.estimator.export import PredictOutput
from tensorflow.estimator import *
from npu_adapter.runtime.estimator import Estimator as Ours
assert by_name is from_v1 is v1.estimator is tf.compat.v1.estimator
assert getattr(v1.compat, 'v1', v1).estimator is v1.estimator
assert getattr(v1.compat, 'v2', tf.compat.v2).estimator is from_v2
assert top is tf.estimator is tensorflow.estimator and from_v2 is tf.compat.v2.estimator
assert Estimator is top.Estimator is by_name.Estimator is from_v2.Estimator is Ours
assert PredictOutput is v1.estimator.export.PredictOutput
assert tf.estimator.SessionRunHook is v1.train.SessionRunHook
assert 'Estimator' in dir(tf.estimator) and 'export' in dir(tf.estimator)
assert hasattr(from_v1, 'inputs') and not hasattr(from_v2, 'inputs')
"""
  python(code)


def test_a_tf_estimator_that_is_there_is_replaced_on_request_only(has_its_own):
  code = """
import tensorflow.compat.v1 as tf
from npu_adapter.tf_estimator import install_tf_estimator
before = getattr(tf, 'estimator', None)
module = install_tf_estimator()
assert module is tf.estimator
print(module is before)
replaced = install_tf_estimator(replace=True)
assert replaced is tf.estimator is install_tf_estimator() is install_tf_estimator(replace=True)
print(replaced is module, tf.estimator.Estimator.__module__)
"""
  ours = 'npu_adapter.runtime.estimator'
  assert python(code) == [str(has_its_own), f'{not has_its_own} {ours}']


def test_importing_and_installing_switch_nothing_in_tensorflow():
  code = """
import sys
import npu_adapter.tf_estimator
assert 'tensorflow' not in sys.modules
npu_adapter.tf_estimator.install_tf_estimator(replace=True)
import tensorflow as tf
assert 'npu_adapter.runtime.estimator' not in sys.modules
print(tf.executing_eagerly() == (tf.__version__[0] == '2'))
"""
  assert python(code) == ['True']
