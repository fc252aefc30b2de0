"""What EstimatorSpec demands of each of its fields; returns the field as the estimator uses it."""

from __future__ import annotations

from typing import Any, Iterable

import tensorflow.compat.v1 as tf

TRAIN = 'train'
EVAL = 'eval'
PREDICT = 'infer'


def checked_train_op(train_op: Any, mode: str) -> Any:
  """An operation or a tensor of the default graph; required when training."""
  if train_op is None:
    if mode == TRAIN:
      raise ValueError('Missing train_op.')
    return None
  if not isinstance(train_op, tf.Operation):
    if not _is_dense(train_op):
      raise TypeError(f'train_op must be Operation or Tensor, given: {train_op}')
    if not isinstance(train_op, tf.Tensor):
      # What assigning to a resource variable returns: reading it is not needed for the step.
      train_op = train_op.op
  _check_graph(train_op, 'train_op')
  return train_op


def checked_loss(loss: Any, mode: str) -> Any:
  """A scalar; a tensor of one element is reshaped to one."""
  if loss is None:
    if mode in (TRAIN, EVAL):
      raise ValueError('Missing loss.')
    return None
  loss = _tensor(loss, 'loss')
  if loss.shape.num_elements() not in (None, 1):
    raise ValueError(f'Loss must be scalar, given: {loss}')
  _check_graph(loss, 'loss')
  if not loss.shape.is_compatible_with([]):
    loss = tf.reshape(loss, [])
  return loss


def checked_predictions(predictions: Any, mode: str) -> Any:
  """A tensor or a dict of them; required when predicting."""
  if predictions is None:
    if mode == PREDICT:
      raise ValueError('Missing predictions.')
    return {}
  if not isinstance(predictions, dict):
    predictions = _tensor(predictions, 'predictions')
    _check_graph(predictions, 'prediction values')
    return predictions
  for key, value in predictions.items():
    _check_graph(_tensor(value, f'predictions[{key}]'), 'prediction values', f'{key}: ')
  return dict(predictions)


def checked_metrics(metrics: Any) -> dict[str, Any]:
  """Returns {name: (value, update_op)}; a Keras metric is taken apart into the two.

  A value may be nested: the metric is then evaluated to numbers nested in the same way.
  """
  if metrics is None:
    return {}
  if not isinstance(metrics, dict):
    raise TypeError(f'eval_metric_ops must be a dict, given: {metrics}')
  pairs = {name: _pair(name, metric) for name, metric in metrics.items()}
  for name, pair in pairs.items():
    for value in tf.nest.flatten(pair):
      _check_graph(value, 'eval_metric_ops', f'{name}: ')
  return pairs


def _pair(name: str, metric: Any) -> tuple[Any, Any]:
  if _is_keras_metric(metric):
    return _pair_of_keras_metric(metric)
  if not isinstance(metric, tuple) or len(metric) != 2:
    raise TypeError(
      'Values of eval_metric_ops must be (metric_value, update_op) tuples, '
      f'given: {metric} for key: {name}'
    )
  value, update = metric
  for part in tf.nest.flatten(metric):
    if not (isinstance(part, tf.Operation) or tf.is_tensor(part)):
      raise TypeError(
        'Values of eval_metric_ops must be (metric_value, update_op) tuples of tensors or '
        f'operations, given: {metric} for key: {name}'
      )
  return value, update


def _is_keras_metric(metric: Any) -> bool:
  # By shape: which package Keras comes from differs from TensorFlow to TensorFlow.
  return all(hasattr(metric, name) for name in ('updates', 'update_state', 'result', 'variables'))


def _pair_of_keras_metric(metric: Any) -> tuple[Any, Any]:
  if not metric.updates:
    raise ValueError(f'Please call update_state(...) on the "{metric.name}" metric')
  for collection in (tf.GraphKeys.LOCAL_VARIABLES, tf.GraphKeys.METRIC_VARIABLES):
    # Compared by identity: equality of variables is an op in some versions.
    known = {id(variable) for variable in tf.get_collection(collection)}
    for variable in metric.variables:
      if id(variable) not in known:
        tf.add_to_collection(collection, variable)
  return metric.result(), metric.updates[0]


def checked_hooks(hooks: Iterable[Any] | None) -> tuple[Any, ...]:
  """A tuple of session hooks."""
  hooks = tuple(hooks or ())
  for hook in hooks:
    if not isinstance(hook, tf.train.SessionRunHook):
      raise TypeError(f'All hooks must be SessionRunHook instances, given: {hook}')
  return hooks


def checked_scaffold(scaffold: Any) -> Any:
  """The scaffold, or a default one."""
  scaffold = scaffold or tf.train.Scaffold()
  if not isinstance(scaffold, tf.train.Scaffold):
    raise TypeError(f'scaffold must be tf.train.Scaffold. Given: {scaffold}')
  return scaffold


def checked_export_outputs(outputs: Any, default: Any) -> dict[str, Any]:
  """Returns the outputs with one of them under the name that is served by default.

  `default` stands in for None. An output is whatever has `as_signature_def`: tf.estimator's own
  classes count.
  """
  serving_default = tf.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY
  if outputs is None:
    return {serving_default: default()}
  if not isinstance(outputs, dict):
    raise TypeError(f'export_outputs must be dict, given: {outputs}')
  for output in outputs.values():
    if not callable(getattr(output, 'as_signature_def', None)):
      raise TypeError(f'Values in export_outputs must be ExportOutput objects. Given: {outputs}')
  if len(outputs) == 1:
    return {**outputs, serving_default: next(iter(outputs.values()))}
  if serving_default not in outputs:
    raise ValueError(
      'Multiple export_outputs were provided, but none of them is specified as the default.  '
      'Do this by naming one of them with signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY '
      f'({serving_default!r}); got {sorted(outputs)}.'
    )
  return dict(outputs)


def _is_dense(value: Any) -> bool:
  composite = (tf.SparseTensor, tf.RaggedTensor, tf.IndexedSlices)
  return tf.is_tensor(value) and not isinstance(value, composite)


def _tensor(value: Any, name: str) -> Any:
  if not _is_dense(value):
    raise TypeError(f'{name} must be Tensor, given: {value}')
  return value


def _check_graph(value: Any, what: str, prefix: str = '') -> None:
  if tf.executing_eagerly() or value.graph is tf.get_default_graph():
    return
  raise ValueError(
    f'{what} with "{prefix}{value.name}" must be from the default graph. Possible causes of this '
    f'error include: \n\n1) {what} was created outside the context of the default graph.\n\n'
    '2) The object passed through to EstimatorSpec was not created in the most recent call to '
    '"model_fn".'
  )
