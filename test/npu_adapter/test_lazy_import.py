"""`import npu_adapter`: cheap, lazy, and without effect on TensorFlow; the public names."""

import os
import pathlib
import subprocess
import sys

import npu_adapter

ROOT = pathlib.Path(__file__).resolve().parents[2]


def python(code):
  # Other tests of this process have switched TensorFlow already, which shows in the environment.
  clean = {name: value for name, value in os.environ.items() if name != 'TF_USE_LEGACY_KERAS'}
  done = subprocess.run(
    [sys.executable, '-c', code],
    env={**clean, 'PYTHONPATH': str(ROOT), 'NPU_ADAPTER_LOG_LEVEL': 'ERROR'},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  return done.stdout.split()


def test_the_public_names_are_these():
  assert npu_adapter.__all__ == [
    'AdapterError', 'Averaging', 'BackendError', 'BestExporter', 'ClassificationOutput',
    'DumpConfig', 'DynamicInputConfig', 'EstimatorSpec', 'EvalSpec', 'ExperimentalConfig',
    'ExponentialUpdateLossScaleManager', 'Exporter', 'FinalExporter', 'FixedLossScaleManager',
    'GraphMemoryOptimizeConfig', 'LatestExporter', 'MemoryConfig', 'ModeKeys', 'NPUEstimator',
    'NPUEstimatorSpec', 'NPURunConfig', 'OptionError', 'PredictOutput', 'ProfilingConfig',
    'RegressionOutput', 'SWA', 'ServingInputReceiver', 'TensorServingInputReceiver', 'TrainSpec',
    'VocabInfo', 'WarmStartSettings', '__version__', 'average_weights', 'averaging_rate',
    'batch_norm', 'build_parsing_serving_input_receiver_fn', 'build_raw_serving_input_receiver_fn',
    'confusion_matrix', 'dropout', 'flags', 'install_tf_estimator', 'keep_batch_statistics',
    'keras_callbacks', 'keras_optimizer', 'lstm', 'session_config', 'set_keras_session',
    'train_and_evaluate', 'wrap_optimizer', 'write_averaged_checkpoint',
  ]  # fmt: skip


def test_every_public_name_is_there_and_listed():
  for name in npu_adapter.__all__:
    assert getattr(npu_adapter, name) is not None
  assert dir(npu_adapter) == npu_adapter.__all__


def test_a_misspelt_name_is_told_with_its_nearest_match():
  try:
    npu_adapter.NpuEstimator  # noqa: B018 - reading it is the test
  except AttributeError as error:
    assert "Did you mean 'NPUEstimator'?" in str(error)
  else:
    raise AssertionError('npu_adapter.NpuEstimator exists')


def test_importing_loads_no_tensorflow_and_options_do_not_either():
  code = (
    'import sys, npu_adapter; npu_adapter.DumpConfig(); npu_adapter.OptionError; '
    'npu_adapter.flags; print("tensorflow" in sys.modules, "numpy" in sys.modules)'
  )
  assert python(code) == ['False', 'False']


def test_importing_and_configuring_change_nothing_in_tensorflow():
  code = (
    'import os, tensorflow as tf, npu_adapter; npu_adapter.NPURunConfig(); npu_adapter.ModeKeys; '
    'print(tf.executing_eagerly(), "TF_USE_LEGACY_KERAS" in os.environ)'
  )
  is_tf2 = python('import tensorflow as tf; print(tf.__version__[0])') == ['2']
  assert python(code) == [str(is_tf2), 'False']


def test_the_first_session_config_switches_to_tf1_behaviour():
  code = (
    'import tensorflow.compat.v1 as tf, npu_adapter; npu_adapter.session_config(); '
    'print(tf.executing_eagerly(), tf.get_default_graph() is tf.get_default_graph())'
  )
  assert python(code) == ['False', 'True']
