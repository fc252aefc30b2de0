"""What a model offers to a server: kinds of output, each able to describe itself as a signature."""

from __future__ import annotations

import abc
from typing import Any, Mapping

import tensorflow.compat.v1 as tf

# Names TensorFlow writes into a SavedModel but does not export under a public name.
TRAIN_SIGNATURE = 'train'
EVAL_SIGNATURE = 'eval'
_TRAIN_METHOD = 'tensorflow/supervised/training'
_EVAL_METHOD = 'tensorflow/supervised/eval'


class ExportOutput(abc.ABC):
  """One output of a model, typically of one of its heads."""

  @abc.abstractmethod
  def as_signature_def(self, receiver_tensors: Mapping[str, Any]) -> Any:
    """Returns a SignatureDef from `receiver_tensors` to this output.

    Raises ValueError where this kind of output cannot be served from such inputs.
    """


class ClassificationOutput(ExportOutput):
  """Scores, string labels, or both; both together are zipped.

  Labels alone are the best k in descending order; scores alone are in the order of the class ids.
  """

  def __init__(self, scores: Any = None, classes: Any = None):
    if scores is not None and not (_is_tensor(scores) and scores.dtype.is_floating):
      raise ValueError(f'Classification scores must be a float32 Tensor; got {scores}')
    if classes is not None and not (_is_tensor(classes) and classes.dtype == tf.string):
      raise ValueError(f'Classification classes must be a string Tensor; got {classes}')
    if scores is None and classes is None:
      raise ValueError('At least one of scores and classes must be set.')
    self._scores = scores
    self._classes = classes

  @property
  def scores(self) -> Any:
    """Shape (batch, classes) or None."""
    return self._scores

  @property
  def classes(self) -> Any:
    """Shape (batch, classes) or None."""
    return self._classes

  def as_signature_def(self, receiver_tensors: Mapping[str, Any]) -> Any:
    examples = _single_string(receiver_tensors, 'Classification')
    return tf.saved_model.classification_signature_def(examples, self.classes, self.scores)


class RegressionOutput(ExportOutput):
  """One float an example."""

  def __init__(self, value: Any):
    if not (_is_tensor(value) and value.dtype.is_floating):
      raise ValueError(f'Regression output value must be a float32 Tensor; got {value}')
    self._value = value

  @property
  def value(self) -> Any:
    """The predicted values."""
    return self._value

  def as_signature_def(self, receiver_tensors: Mapping[str, Any]) -> Any:
    examples = _single_string(receiver_tensors, 'Regression')
    return tf.saved_model.regression_signature_def(examples, self.value)


class PredictOutput(ExportOutput):
  """Any tensors by name; a single tensor is called `output`."""

  def __init__(self, outputs: Any):
    self._outputs = _named(outputs, 'output', 'Prediction')

  @property
  def outputs(self) -> dict[str, Any]:
    """The tensors by name."""
    return self._outputs

  def as_signature_def(self, receiver_tensors: Mapping[str, Any]) -> Any:
    return tf.saved_model.predict_signature_def(receiver_tensors, self.outputs)


class SupervisedOutput(ExportOutput):
  """Loss, predictions and metrics of a training or evaluation graph."""

  method_name = ''

  def __init__(self, loss: Any = None, predictions: Any = None, metrics: Any = None):
    self._loss = _prefixed(loss, 'loss')
    self._predictions = _prefixed(predictions, 'predictions')
    self._metrics = None if metrics is None else _flat_metrics(metrics)

  @property
  def loss(self) -> dict[str, Any] | None:
    """Tensors named loss or loss/..."""
    return self._loss

  @property
  def predictions(self) -> dict[str, Any] | None:
    """Tensors named predictions or predictions/..."""
    return self._predictions

  @property
  def metrics(self) -> dict[str, Any] | None:
    """Tensors named metrics/<name>/value and metrics/<name>/update_op."""
    return self._metrics

  def as_signature_def(self, receiver_tensors: Mapping[str, Any]) -> Any:
    if not receiver_tensors:
      raise ValueError(f'{self.method_name} inputs cannot be None or empty.')
    outputs: dict[str, Any] = {}
    for tensors in (self.loss, self.predictions, self.metrics):
      outputs.update(tensors or {})
    return tf.saved_model.build_signature_def(
      _tensor_infos(receiver_tensors), _tensor_infos(outputs), self.method_name
    )


class TrainOutput(SupervisedOutput):
  """Of a training graph."""

  method_name = _TRAIN_METHOD


class EvalOutput(SupervisedOutput):
  """Of an evaluation graph."""

  method_name = _EVAL_METHOD


def _is_tensor(value: Any) -> bool:
  return isinstance(value, tf.Tensor)


def _single_string(receiver_tensors: Mapping[str, Any], kind: str) -> Any:
  tensors = list(receiver_tensors.values())
  if len(tensors) != 1 or tensors[0].dtype != tf.string:
    raise ValueError(f'{kind} input must be a single string Tensor; got {receiver_tensors}')
  return tensors[0]


def _named(outputs: Any, single_name: str, label: str) -> dict[str, Any]:
  """Returns {name: tensor}; a name given as a tuple, as heads do, is joined with slashes."""
  if not isinstance(outputs, dict):
    outputs = {single_name: outputs}
  named = {_key(name, label): value for name, value in outputs.items()}
  for value in named.values():
    if not _is_tensor(value):
      raise ValueError(f'{label} output value must be a Tensor; got {value}.')
  return named


def _key(name: Any, label: str) -> str:
  if isinstance(name, tuple):
    name = '/'.join(name)
  if not isinstance(name, str):
    raise ValueError(f'{label} output key must be a string; got {name}.')
  return name


def _prefixed(outputs: Any, prefix: str) -> dict[str, Any] | None:
  if outputs is None:
    return None
  named = _named(outputs, prefix, prefix)
  return {_with_prefix(name, prefix): value for name, value in named.items()}


def _with_prefix(name: str, prefix: str) -> str:
  return name if name.startswith(prefix) else f'{prefix}/{name}'


def _flat_metrics(metrics: Any) -> dict[str, Any]:
  if not isinstance(metrics, dict):
    metrics = {'metrics': metrics}
  flat = {}
  for name, metric in metrics.items():
    value, update = metric if isinstance(metric, tuple) else (metric.result(), metric.updates[0])
    key = _with_prefix(_key(name, 'metrics'), 'metrics')
    if not _is_tensor(value):
      raise ValueError(f'{key} output value must be a Tensor; got {value}.')
    if not (_is_tensor(update) or isinstance(update, tf.Operation)):
      raise ValueError(f'{key} update_op must be a Tensor or Operation; got {update}.')
    flat[f'{key}/value'] = value
    flat[f'{key}/update_op'] = _as_tensor(update)
  return flat


def _as_tensor(update: Any) -> Any:
  """A signature can name tensors only: an operation gets an empty one that depends on it."""
  if _is_tensor(update):
    return update
  with tf.control_dependencies([update]):
    return tf.constant([], name='metric_op_wrapper')


def _tensor_infos(tensors: Mapping[str, Any]) -> dict[str, Any]:
  return {name: tf.saved_model.build_tensor_info(tensor) for name, tensor in tensors.items()}
