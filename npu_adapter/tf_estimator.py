"""Puts `tf.estimator` into a TensorFlow that has none; imports no TensorFlow until told to."""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any, Mapping

from npu_adapter import errors

# Package of tf.estimator ('' is itself) -> the module that has a name, and these names.
_HOMES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
  '': {
    'npu_adapter.runtime.estimator': ('Estimator',),
    'npu_adapter.runtime.exporter': ('BestExporter', 'Exporter', 'FinalExporter', 'LatestExporter'),
    'npu_adapter.runtime.model_fn': ('EstimatorSpec', 'ModeKeys'),
    'npu_adapter.runtime.run_config': ('RunConfig',),
    'npu_adapter.runtime.train_and_evaluate': ('EvalSpec', 'TrainSpec', 'train_and_evaluate'),
    'npu_adapter.runtime.warm_start': ('VocabInfo', 'WarmStartSettings'),
    'tensorflow.compat.v1.train': (
      'CheckpointSaverHook', 'CheckpointSaverListener', 'FeedFnHook', 'FinalOpsHook',
      'GlobalStepWaiterHook', 'LoggingTensorHook', 'NanLossDuringTrainingError', 'NanTensorHook',
      'ProfilerHook', 'SecondOrStepTimer', 'SessionRunArgs', 'SessionRunContext', 'SessionRunHook',
      'SessionRunValues', 'StepCounterHook', 'StopAtStepHook', 'SummarySaverHook',
    ),
  },
  'experimental': {
    'npu_adapter.runtime.early_stopping': (
      'make_early_stopping_hook', 'make_stop_at_checkpoint_step_hook', 'stop_if_higher_hook',
      'stop_if_lower_hook', 'stop_if_no_decrease_hook', 'stop_if_no_increase_hook',
    ),
    'npu_adapter.runtime.export': ('build_raw_supervised_input_receiver_fn',),
    'npu_adapter.runtime.in_memory_evaluator': ('InMemoryEvaluatorHook',),
    'npu_adapter.runtime.model_fn': ('call_logit_fn',),
  },
  'export': {
    'npu_adapter.runtime.export': (
      'ClassificationOutput', 'EvalOutput', 'ExportOutput', 'PredictOutput', 'RegressionOutput',
      'ServingInputReceiver', 'TensorServingInputReceiver',
      'build_parsing_serving_input_receiver_fn', 'build_raw_serving_input_receiver_fn',
    ),
  },
  'inputs': {
    'npu_adapter.runtime.inputs_from_arrays': ('numpy_input_fn', 'pandas_input_fn'),
  },
}  # fmt: skip

_WRITE_A_MODEL_FN = (
  'Write its network as a model_fn and give that to tf.estimator.Estimator, or run this program on '
  'TensorFlow 2.15, the last that has the ready-made estimators.'
)
_WRITE_TREES = (
  'Write it as a model_fn for tf.estimator.Estimator, or run this program on TensorFlow 1.15, the '
  'last supported one with boosted trees.'
)
_NO_TPU = (
  'There is no TPU here: take tf.estimator.Estimator, EstimatorSpec and RunConfig, or '
  'npu_adapter.NPUEstimator on Ascend.'
)
_PARSE_EXAMPLES = (
  'Take tf.feature_column.make_parse_example_spec and add the label to what it returns.'
)

# Package -> what to do instead, and of which names: all that tf.estimator had and we have not.
_ABSENT: Mapping[str, Mapping[str, tuple[str, ...]]] = {
  '': {
    _WRITE_A_MODEL_FN: (
      'BaselineClassifier', 'BaselineEstimator', 'BaselineRegressor', 'BinaryClassHead',
      'DNNClassifier', 'DNNEstimator', 'DNNLinearCombinedClassifier', 'DNNLinearCombinedEstimator',
      'DNNLinearCombinedRegressor', 'DNNRegressor', 'Head', 'LinearClassifier', 'LinearEstimator',
      'LinearRegressor', 'LogisticRegressionHead', 'MultiClassHead', 'MultiHead', 'MultiLabelHead',
      'PoissonRegressionHead', 'RegressionHead',
    ),
    _WRITE_TREES: ('BoostedTreesClassifier', 'BoostedTreesEstimator', 'BoostedTreesRegressor'),
    _PARSE_EXAMPLES: ('classifier_parse_example_spec', 'regressor_parse_example_spec'),
    'Give the metrics to EstimatorSpec(eval_metric_ops=...) in the model_fn.': ('add_metrics',),
    # In TensorFlow 2 it was in compat.v1 only, and so it is here.
    'Take tf.compat.v1.estimator.inputs.': ('inputs',),
    _NO_TPU: ('tpu',),
  },
  'experimental': {
    _WRITE_A_MODEL_FN: (
      'KMeans', 'LinearSDCA', 'RNNClassifier', 'RNNEstimator', 'dnn_logit_fn_builder',
      'linear_logit_fn_builder',
    ),
  },
  'tpu': {
    _NO_TPU: (
      'InputPipelineConfig', 'RunConfig', 'TPUConfig', 'TPUEstimator', 'TPUEstimatorSpec',
      'experimental',
    ),
  },
}  # fmt: skip

_PACKAGES = {'v1': ('experimental', 'export', 'inputs', 'tpu'), 'v2': ('experimental', 'export')}


class _EstimatorApi(types.ModuleType):
  """One package of tf.estimator; a name is imported from where it lives when it is first used."""

  def __init__(self, name: str, package: str):
    super().__init__(name, 'tf.estimator of npu_adapter: ' + (package or 'the package itself'))
    homes, absent = _HOMES.get(package, {}), _ABSENT.get(package, {})
    self._home = {name: module for module, names in homes.items() for name in names}
    self._advice = {name: advice for advice, names in absent.items() for name in names}
    self.__all__ = sorted(self._home)

  def __getattr__(self, name: str) -> Any:
    if name not in self._home:
      hint = self._advice.get(name) or errors.nearest(name, self.__all__).strip()
      raise AttributeError(f'npu_adapter has no {self.__name__}.{name}. {hint}'.rstrip())
    value = getattr(importlib.import_module(self._home[name]), name)
    setattr(self, name, value)
    return value

  def __dir__(self) -> list[str]:
    return [*self.__all__, *super().__dir__()]


def install_tf_estimator(replace: bool = False) -> Any:
  """Makes tf.estimator and tf.compat.v1.estimator those of npu_adapter; returns the latter.

  A TensorFlow that has them keeps its own, unless `replace`. To be called before the program uses
  tf.estimator; twice does no harm. Names that npu_adapter does not have say what to do instead.
  """
  import tensorflow as tf
  import tensorflow.compat.v1 as tf_v1
  import tensorflow.compat.v2 as tf_v2

  found = getattr(tf_v1, 'estimator', None)
  if isinstance(found, _EstimatorApi) or (found is not None and not replace):
    return found
  top_version = tf.__version__.partition('.')[0]
  places = (
    (tf, 'tensorflow', f'v{top_version}'),
    (tf_v1, 'tensorflow.compat.v1', 'v1'),
    (tf_v2, 'tensorflow.compat.v2', 'v2'),
  )
  for parent, name, version in places:
    _install_into(parent, name, version)
  # What `tf.compat.v1` is where tf is tensorflow.compat.v1; TF 1.15 does not have it everywhere.
  for compat in (tf_v1.compat, tf_v2.compat):
    for version, module in (('v1', tf_v1), ('v2', tf_v2)):
      if hasattr(compat, version):
        getattr(compat, version).estimator = module.estimator
  return tf_v1.estimator


def _install_into(parent: Any, parent_name: str, version: str) -> None:
  """Makes the packages importable below `parent_name`, and attributes of one another."""
  top = _EstimatorApi(f'{parent_name}.estimator', '')
  sys.modules[top.__name__] = top
  for package in _PACKAGES[version]:
    module = _EstimatorApi(f'{top.__name__}.{package}', package)
    sys.modules[module.__name__] = module
    setattr(top, package, module)
    top.__all__.append(package)
  # TF 1.15 has two objects for one name: the attribute, and what `from ... import` looks into.
  owners: tuple[Any, ...] = (parent, sys.modules[parent_name])
  for owner in owners:
    owner.estimator = top
