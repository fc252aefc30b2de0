"""The names users know as tf.estimator.export; holds no code."""

from npu_adapter.runtime.export_outputs import (
  ClassificationOutput,
  EvalOutput,
  ExportOutput,
  PredictOutput,
  RegressionOutput,
  TrainOutput,
)
from npu_adapter.runtime.receivers import (
  ServingInputReceiver,
  SupervisedInputReceiver,
  TensorServingInputReceiver,
  UnsupervisedInputReceiver,
  build_parsing_serving_input_receiver_fn,
  build_raw_serving_input_receiver_fn,
  build_raw_supervised_input_receiver_fn,
  build_supervised_input_receiver_fn_from_input_fn,
)

__all__ = [
  'ClassificationOutput',
  'EvalOutput',
  'ExportOutput',
  'PredictOutput',
  'RegressionOutput',
  'ServingInputReceiver',
  'SupervisedInputReceiver',
  'TensorServingInputReceiver',
  'TrainOutput',
  'UnsupervisedInputReceiver',
  'build_parsing_serving_input_receiver_fn',
  'build_raw_serving_input_receiver_fn',
  'build_raw_supervised_input_receiver_fn',
  'build_supervised_input_receiver_fn_from_input_fn',
]
