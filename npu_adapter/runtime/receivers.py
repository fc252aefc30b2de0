"""Where a served model takes its input from: input receivers and functions that build them."""

from __future__ import annotations

import collections
from typing import Any, Callable

import tensorflow.compat.v1 as tf

from npu_adapter.runtime import inputs

_FEATURE = 'feature'
_LABEL = 'label'
_RECEIVER = 'input'
_DEFAULT_NAMES = {
  'feature': _FEATURE,
  'label': _LABEL,
  'receiver_tensor': _RECEIVER,
  'receiver_tensors_alternative': _RECEIVER,
}

_ServingFields = collections.namedtuple(
  '_ServingFields', 'features receiver_tensors receiver_tensors_alternatives'
)
_SupervisedFields = collections.namedtuple('_SupervisedFields', 'features labels receiver_tensors')


class ServingInputReceiver(_ServingFields):
  """Features for the model, and the placeholders a server feeds.

  `features` becomes a dict: a single tensor is called `feature`. `receiver_tensors` is what is fed,
  typically one placeholder of serialised tf.Examples; a single tensor is called `input`.
  `receiver_tensors_alternatives` ({name: tensors}) are other places of the same graph to feed, each
  of which gives one more signature.
  """

  def __new__(
    cls, features: Any, receiver_tensors: Any, receiver_tensors_alternatives: Any = None
  ) -> Any:
    alternatives = receiver_tensors_alternatives
    if alternatives is not None:
      if not isinstance(alternatives, dict):
        raise ValueError(f'receiver_tensors_alternatives must be a dict: {alternatives}.')
      alternatives = {
        name: _named(tensors, 'receiver_tensors_alternative')
        for name, tensors in alternatives.items()
      }
    return super().__new__(
      cls,
      features=_named(features, 'feature', with_int_keys=True),
      receiver_tensors=_named(receiver_tensors, 'receiver_tensor'),
      receiver_tensors_alternatives=alternatives,
    )


class TensorServingInputReceiver(_ServingFields):
  """The same for a model whose `features` is one tensor and not a dict."""

  def __new__(
    cls, features: Any, receiver_tensors: Any, receiver_tensors_alternatives: Any = None
  ) -> Any:
    if features is None:
      raise ValueError('features must be defined.')
    _check_tensor(features, '', 'feature')
    receiver = ServingInputReceiver(features, receiver_tensors, receiver_tensors_alternatives)
    return super().__new__(cls, features, *receiver[1:])


class UnsupervisedInputReceiver(ServingInputReceiver):
  """Features without labels, for exporting a training or evaluation graph."""

  def __new__(cls, features: Any, receiver_tensors: Any) -> Any:
    return super().__new__(cls, features, receiver_tensors)


class SupervisedInputReceiver(_SupervisedFields):
  """Features and labels, each a tensor or a dict, for exporting a training or evaluation graph."""

  def __new__(cls, features: Any, labels: Any, receiver_tensors: Any) -> Any:
    _named(features, 'feature', with_int_keys=True)
    _named(labels, 'label', with_int_keys=True)
    return super().__new__(cls, features, labels, _named(receiver_tensors, 'receiver_tensor'))


def build_parsing_serving_input_receiver_fn(
  feature_spec: Any, default_batch_size: int | None = None
) -> Callable[[], ServingInputReceiver]:
  """Returns a receiver function that is fed serialised tf.Examples and parses `feature_spec`."""

  def serving_input_receiver_fn() -> ServingInputReceiver:
    serialized = tf.placeholder(tf.string, [default_batch_size], name='input_example_tensor')
    features = tf.io.parse_example(serialized, feature_spec)
    return ServingInputReceiver(features, {'examples': serialized})

  return serving_input_receiver_fn


def build_raw_serving_input_receiver_fn(
  features: Any, default_batch_size: int | None = None
) -> Callable[[], ServingInputReceiver]:
  """Returns a receiver function that is fed tensors like `features`, {name: tensor or array}.

  Shape and type are taken from `features`, except the first dimension, which is the batch's.
  """

  def serving_input_receiver_fn() -> ServingInputReceiver:
    placeholders = _placeholders(features, default_batch_size)
    return ServingInputReceiver(placeholders, placeholders)

  return serving_input_receiver_fn


def build_raw_supervised_input_receiver_fn(
  features: Any, labels: Any, default_batch_size: int | None = None
) -> Callable[[], SupervisedInputReceiver]:
  """Returns a receiver function that is fed tensors like `features` and `labels`, dicts or not."""
  overlap = set(_as_dict(features, _RECEIVER)) & set(_as_dict(labels, _LABEL))
  if overlap:
    raise ValueError(
      f'Features and labels must have distinct keys. Found overlapping keys: {overlap}'
    )

  def supervised_input_receiver_fn() -> SupervisedInputReceiver:
    fed_features = _placeholders(_as_dict(features, _RECEIVER), default_batch_size)
    fed_labels = _placeholders(_as_dict(labels, _LABEL), default_batch_size)
    return SupervisedInputReceiver(
      fed_features if isinstance(features, dict) else fed_features[_RECEIVER],
      fed_labels if isinstance(labels, dict) else fed_labels[_LABEL],
      {**fed_features, **fed_labels},
    )

  return supervised_input_receiver_fn


def build_supervised_input_receiver_fn_from_input_fn(
  input_fn: Callable[..., Any], **input_fn_args: Any
) -> Callable[[], SupervisedInputReceiver]:
  """The same with shapes and types taken from what `input_fn` returns."""
  with tf.Graph().as_default():
    found = inputs.from_result(input_fn(**input_fn_args))
  return build_raw_supervised_input_receiver_fn(found.features, found.labels)


def _as_dict(tensors: Any, single_name: str) -> dict[str, Any]:
  return tensors if isinstance(tensors, dict) else {single_name: tensors}


def _placeholders(like: dict[str, Any], batch_size: int | None) -> dict[str, Any]:
  return {name: _placeholder(value, batch_size) for name, value in like.items()}


def _placeholder(like: Any, batch_size: int | None) -> Any:
  shape = tf.TensorShape([batch_size]).concatenate(tf.TensorShape(like.shape)[1:])
  # Eager tensors and arrays have no operation to take a name from.
  name = like.op.name if isinstance(like, tf.Tensor) and hasattr(like, 'graph') else None
  return tf.placeholder(like.dtype, shape, name=name)


def _named(tensors: Any, label: str, with_int_keys: bool = False) -> dict[Any, Any]:
  if tensors is None:
    raise ValueError(f'{label}s must be defined.')
  named = _as_dict(tensors, _DEFAULT_NAMES[label])
  for name, tensor in named.items():
    if not isinstance(name, (str, int) if with_int_keys else str):
      kinds = 'strings or ints' if with_int_keys else 'strings'
      raise ValueError(f'{label} keys must be {kinds}: {name}.')
    _check_tensor(tensor, f' {name}', label)
  return named


def _check_tensor(tensor: Any, name: str, label: str) -> None:
  if isinstance(tensor, (tf.Tensor, tf.SparseTensor, tf.RaggedTensor)) or _wraps_tensor(tensor):
    return
  raise ValueError(
    f'{label}{name} must be a Tensor, SparseTensor, or RaggedTensor. Got {tensor!r}.'
  )


def _wraps_tensor(value: Any) -> bool:
  """Whether this is a labelled tensor or the like, which TensorFlow has been told to convert."""
  if not hasattr(value, 'tensor'):
    return False
  try:
    tf.convert_to_tensor(value)
  except (TypeError, ValueError):
    return False
  return True
