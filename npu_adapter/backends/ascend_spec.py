"""Turns what a model_fn returns, and what warm-starts it, into the types the vendor asks for."""

from __future__ import annotations

import inspect
from typing import Any, Callable, Mapping

import tensorflow.compat.v1 as tf

from npu_adapter import errors
from npu_adapter.runtime import model_fn as runtime_model_fn
from npu_adapter.runtime.warm_start import WarmStartSettings

_FIELDS = (
  'mode', 'predictions', 'loss', 'train_op', 'eval_metric_ops', 'export_outputs',
  'training_chief_hooks', 'training_hooks', 'scaffold', 'evaluation_hooks', 'prediction_hooks',
)  # fmt: skip


def converting(
  user_fn: Callable[..., Any], config: Any, params: Mapping[str, Any] | None, npu: Any
) -> Callable[..., Any]:
  """Returns `user_fn` with the vendor's signature, handing on vendor specs.

  The vendor's estimator inspects the argument names; `user_fn` gets those it asks for, and our
  config where the vendor would give its own.
  """
  accepted = _argument_names(user_fn)
  if params is not None and 'params' not in accepted:
    raise ValueError(
      f'model_fn ({user_fn}) does not include params argument, but params ({params}) is passed to '
      'Estimator.'
    )

  def vendor_model_fn(features: Any, labels: Any, mode: Any, params: Any) -> Any:
    offered = {'labels': labels, 'mode': mode, 'params': params, 'config': config}
    taken = {name: value for name, value in offered.items() if name in accepted}
    return to_vendor(user_fn(features, **taken), npu)

  return vendor_model_fn


def _argument_names(user_fn: Callable[..., Any]) -> tuple[str, ...]:
  names = tuple(inspect.signature(user_fn).parameters)
  if 'features' not in names:
    raise ValueError(f'model_fn ({user_fn}) must include features argument.')
  return names


def to_vendor(spec: Any, npu: Any) -> Any:
  """Returns our spec as NPUEstimatorSpec (with host_call) or tf.estimator's; others as they are."""
  if not isinstance(spec, runtime_model_fn.EstimatorSpec):
    if isinstance(spec, tf.estimator.EstimatorSpec):
      return spec
    raise errors.OptionTypeError(
      f'model_fn should return an EstimatorSpec; got {type(spec).__name__}. Return '
      'npu_adapter.NPUEstimatorSpec or npu_adapter.EstimatorSpec.'
    )
  fields = {name: getattr(spec, name) for name in _FIELDS}
  fields['export_outputs'] = _export_outputs(spec.export_outputs)
  host_call = getattr(spec, 'host_call', None)
  if host_call is not None:
    return npu.NPUEstimatorSpec(host_call=host_call, **fields)
  return tf.estimator.EstimatorSpec(**fields)


def _export_outputs(outputs: Mapping[str, Any] | None) -> dict[str, Any] | None:
  """Returns the same outputs in tf.estimator's classes, which its exporter asks for by type."""
  if outputs is None:
    return None
  return {name: _export_output(output) for name, output in outputs.items()}


def _export_output(output: Any) -> Any:
  vendor = tf.estimator.export
  kind = type(output).__name__
  if kind == 'PredictOutput':
    return vendor.PredictOutput(output.outputs)
  if kind == 'RegressionOutput':
    return vendor.RegressionOutput(output.value)
  if kind == 'ClassificationOutput':
    return vendor.ClassificationOutput(output.scores, output.classes)
  return output


def warm_start(settings: Any) -> Any:
  """Returns our WarmStartSettings as tf.estimator's; paths and None as they are."""
  if not isinstance(settings, WarmStartSettings):
    return settings
  return tf.estimator.WarmStartSettings(**settings._asdict())
