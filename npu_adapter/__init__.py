"""One API that runs a TF1 model_fn on Ascend NPU, GPU and CPU.

Importing this package imports no TensorFlow and changes nothing in it: names load when they are
first used. The first that builds something for TensorFlow (NPUEstimator, session_config,
wrap_optimizer, a loss-scale manager, a keras_* function) ends eager execution for the program.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from npu_adapter.averaged_checkpoint import write_averaged_checkpoint
  from npu_adapter.averaging_plan import Averaging
  from npu_adapter.batch_norm_layer import batch_norm
  from npu_adapter.batch_statistics import keep_batch_statistics
  from npu_adapter.config_objects import (
    DumpConfig,
    DynamicInputConfig,
    ExperimentalConfig,
    GraphMemoryOptimizeConfig,
    MemoryConfig,
    ProfilingConfig,
  )
  from npu_adapter.confusion_matrix import confusion_matrix
  from npu_adapter.errors import AdapterError, BackendError, OptionError
  from npu_adapter.estimator import NPUEstimator, NPUEstimatorSpec
  from npu_adapter.keras_averaging import SWA
  from npu_adapter.loss_scale import ExponentialUpdateLossScaleManager, FixedLossScaleManager
  from npu_adapter.lstm_layer import lstm
  from npu_adapter.optimizer import wrap_optimizer
  from npu_adapter.run_config import NPURunConfig
  from npu_adapter.runtime.export import (
    ClassificationOutput,
    PredictOutput,
    RegressionOutput,
    ServingInputReceiver,
    TensorServingInputReceiver,
    build_parsing_serving_input_receiver_fn,
    build_raw_serving_input_receiver_fn,
  )
  from npu_adapter.runtime.exporter import (
    BestExporter,
    Exporter,
    FinalExporter,
    LatestExporter,
  )
  from npu_adapter.runtime.model_fn import EstimatorSpec, ModeKeys
  from npu_adapter.runtime.train_and_evaluate import train_and_evaluate
  from npu_adapter.runtime.train_eval_specs import EvalSpec, TrainSpec
  from npu_adapter.runtime.warm_start import VocabInfo, WarmStartSettings
  from npu_adapter.session import (
    keras_callbacks,
    keras_optimizer,
    session_config,
    set_keras_session,
  )
  from npu_adapter.stateless_dropout import dropout
  from npu_adapter.tf_estimator import install_tf_estimator
  from npu_adapter.weight_averaging import average_weights, averaging_rate

__version__ = '0.1.0'

_MODULE_OF = {
  'config_objects': (
    'DumpConfig', 'DynamicInputConfig', 'ExperimentalConfig', 'GraphMemoryOptimizeConfig',
    'MemoryConfig', 'ProfilingConfig',
  ),
  'averaged_checkpoint': ('write_averaged_checkpoint',),
  'averaging_plan': ('Averaging',),
  'batch_norm_layer': ('batch_norm',),
  'batch_statistics': ('keep_batch_statistics',),
  'confusion_matrix': ('confusion_matrix',),
  'errors': ('AdapterError', 'BackendError', 'OptionError'),
  'estimator': ('NPUEstimator', 'NPUEstimatorSpec'),
  'keras_averaging': ('SWA',),
  'loss_scale': ('ExponentialUpdateLossScaleManager', 'FixedLossScaleManager'),
  'lstm_layer': ('lstm',),
  'optimizer': ('wrap_optimizer',),
  'run_config': ('NPURunConfig',),
  'runtime.export': (
    'ClassificationOutput', 'PredictOutput', 'RegressionOutput', 'ServingInputReceiver',
    'TensorServingInputReceiver', 'build_parsing_serving_input_receiver_fn',
    'build_raw_serving_input_receiver_fn',
  ),
  'runtime.exporter': ('BestExporter', 'Exporter', 'FinalExporter', 'LatestExporter'),
  'runtime.model_fn': ('EstimatorSpec', 'ModeKeys'),
  'runtime.train_and_evaluate': ('train_and_evaluate',),
  'runtime.train_eval_specs': ('EvalSpec', 'TrainSpec'),
  'runtime.warm_start': ('VocabInfo', 'WarmStartSettings'),
  'session': ('keras_callbacks', 'keras_optimizer', 'session_config', 'set_keras_session'),
  'stateless_dropout': ('dropout',),
  'tf_estimator': ('install_tf_estimator',),
  'weight_averaging': ('average_weights', 'averaging_rate'),
}  # fmt: skip
_HOME = {name: module for module, names in _MODULE_OF.items() for name in names}
__all__ = sorted([*_HOME, 'flags', '__version__'])


def __getattr__(name: str) -> Any:
  if name == 'flags':
    return importlib.import_module('npu_adapter.flags')
  if name not in _HOME:
    from npu_adapter.errors import nearest

    raise AttributeError(f"npu_adapter has no name '{name}'.{nearest(name, __all__)}")
  value = getattr(importlib.import_module(f'npu_adapter.{_HOME[name]}'), name)
  globals()[name] = value
  return value


def __dir__() -> list:
  return __all__
