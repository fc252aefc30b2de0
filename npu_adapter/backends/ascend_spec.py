"""Turns what a model_fn returns, and what warm-starts it, into the types the vendor asks for."""

from __future__ import annotations

from typing import Any, Callable, Mapping

import tensorflow.compat.v1 as tf

from npu_adapter.runtime.model import Model
from npu_adapter.runtime.model_fn import EstimatorSpec
from npu_adapter.runtime.warm_start import WarmStartSettings


def converting(
  user_fn: Callable[..., Any], config: Any, params: Mapping[str, Any] | None, npu: Any
) -> Callable[..., Any]:
  """Returns `user_fn` with the vendor's signature, handing on vendor specs.

  The runtime calls it, so that it gets the same arguments and meets the same checks as on a host.
  """
  model = Model(user_fn, params, config)

  def vendor_model_fn(features: Any, labels: Any, mode: Any, params: Any) -> Any:
    del params  # The vendor's copy of what the model has already.
    return to_vendor(model.spec(features, labels, mode), npu)

  return vendor_model_fn


def to_vendor(spec: EstimatorSpec, npu: Any) -> Any:
  """Returns our spec as NPUEstimatorSpec if it has a host_call, else as tf.estimator's."""
  fields = {name: getattr(spec, name) for name in EstimatorSpec._fields}
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
