"""What a model_fn is called with and what it returns: ModeKeys and EstimatorSpec."""

from __future__ import annotations

import collections
from typing import Any, Callable

import tensorflow.compat.v1 as tf

from npu_adapter.runtime import call_arguments, spec_checks
from npu_adapter.runtime.export_outputs import PredictOutput

_ARGUMENTS = ('features', 'labels', 'mode', 'params', 'config', 'self')

_Fields = collections.namedtuple(
  '_Fields',
  'mode predictions loss train_op eval_metric_ops export_outputs training_chief_hooks '
  'training_hooks scaffold evaluation_hooks prediction_hooks',
)


class ModeKeys:
  """What a graph is built for; the values are tf.estimator's."""

  TRAIN = spec_checks.TRAIN
  EVAL = spec_checks.EVAL
  PREDICT = spec_checks.PREDICT


class EstimatorSpec(_Fields):
  """The ops and objects a model_fn hands to the estimator, checked when it is made.

  Required: `loss` and `train_op` in TRAIN, `loss` in EVAL, `predictions` in PREDICT. The other
  fields may be given in any mode; those the mode does not need are ignored.

  A subclass that adds attributes takes each as a keyword of `__new__`, sets it on the new instance,
  and names it in `added_fields`: then `_replace` keeps the class and the attributes.
  """

  added_fields: tuple[str, ...] = ()

  def __new__(
    cls,
    mode: str,
    predictions: Any = None,
    loss: Any = None,
    train_op: Any = None,
    eval_metric_ops: Any = None,
    export_outputs: Any = None,
    training_chief_hooks: Any = None,
    training_hooks: Any = None,
    scaffold: Any = None,
    evaluation_hooks: Any = None,
    prediction_hooks: Any = None,
  ) -> Any:
    train_op = spec_checks.checked_train_op(train_op, mode)
    loss = spec_checks.checked_loss(loss, mode)
    predictions = spec_checks.checked_predictions(predictions, mode)
    if mode == ModeKeys.PREDICT:
      export_outputs = spec_checks.checked_export_outputs(
        export_outputs, lambda: PredictOutput(predictions)
      )
    return super().__new__(
      cls,
      mode=mode,
      predictions=predictions,
      loss=loss,
      train_op=train_op,
      eval_metric_ops=spec_checks.checked_metrics(eval_metric_ops),
      export_outputs=export_outputs,
      training_chief_hooks=spec_checks.checked_hooks(training_chief_hooks),
      training_hooks=spec_checks.checked_hooks(training_hooks),
      scaffold=spec_checks.checked_scaffold(scaffold),
      evaluation_hooks=spec_checks.checked_hooks(evaluation_hooks),
      prediction_hooks=spec_checks.checked_hooks(prediction_hooks),
    )

  def _replace(self, **kwds: Any) -> Any:
    """Returns a checked spec of the same class with `kwds` in place of the fields they name."""
    if kwds.get('mode', self.mode) != self.mode:
      raise ValueError('mode of EstimatorSpec cannot be changed.')
    names = (*self._fields, *self.added_fields)
    unknown = [name for name in kwds if name not in names]
    if unknown:
      raise ValueError(f'EstimatorSpec has no field {unknown}; its fields are {list(names)}.')
    return type(self)(**{**{name: getattr(self, name) for name in names}, **kwds})


def as_estimator_spec(result: Any) -> EstimatorSpec:
  """Returns `result` if it is an EstimatorSpec of ours, or makes one of tf.estimator's."""
  if isinstance(result, EstimatorSpec):
    return result
  if not all(hasattr(result, name) for name in EstimatorSpec._fields):
    raise ValueError(
      f'model_fn should return an EstimatorSpec. Got {result!r}. Is a return statement missing?'
      if result is None
      else f'model_fn should return an EstimatorSpec. Got {type(result).__name__}: {result}'
    )
  return EstimatorSpec(**{name: getattr(result, name) for name in EstimatorSpec._fields})


def call_logit_fn(
  logit_fn: Callable[..., Any], features: Any, mode: str, params: Any, config: Any
) -> Any:
  """Calls `logit_fn` with what it takes by name; returns its logits, or a dict of them by head."""
  names = call_arguments.names_of(logit_fn)
  offered = {'mode': mode, 'params': params, 'config': config}
  taken = {name: value for name, value in offered.items() if name in names}
  logits = logit_fn(features=features, **taken)
  heads = logits if isinstance(logits, dict) else {'': logits}
  for name, value in heads.items():
    if not (isinstance(name, str) and isinstance(value, tf.Tensor)):
      raise ValueError(
        'logit_fn should return a Tensor or a dictionary mapping strings to Tensors.  '
        f'logit_fn returned: {logits}'
      )
  return logits


def check_arguments(model_fn: Callable[..., Any], params: Any) -> None:
  """Raises ValueError where `model_fn` cannot be called as an estimator calls it."""
  names = call_arguments.names_of(model_fn)
  if 'features' not in names:
    raise ValueError(f'model_fn ({model_fn}) must include features argument.')
  if params is not None and 'params' not in names:
    raise ValueError(
      f'model_fn ({model_fn}) does not include params argument, but params ({params}) is passed to '
      'Estimator.'
    )
  if params is None and 'params' in names:
    tf.logging.warning(
      "Estimator's model_fn (%s) includes params argument, but params are not passed to Estimator.",
      model_fn,
    )
  unexpected = [name for name in names if name not in _ARGUMENTS]
  if unexpected:
    raise ValueError(f'model_fn ({model_fn}) has following not expected args: {unexpected}')
