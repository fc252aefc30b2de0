"""Builds a prediction graph and yields what it predicts."""

from __future__ import annotations

from typing import Any, Callable, Iterable, Iterator, Sequence

import tensorflow.compat.v1 as tf

from npu_adapter.runtime import inputs, warm_start
from npu_adapter.runtime.model import Model, new_graph
from npu_adapter.runtime.model_fn import ModeKeys


def predict(
  model: Model,
  input_fn: Callable[..., Any],
  predict_keys: Iterable[str] | None,
  hooks: Sequence[Any],
  checkpoint_path: str | None,
  warm_start_settings: Any = None,
) -> Iterator[Any]:
  """Yields the predictions of one batch after the other, as the model gives them.

  The graph is the default one only while a batch is computed: between two batches the caller may
  build graphs of its own, or read from a second prediction.
  """
  config = model.config
  with new_graph(config) as graph:
    found = model.inputs(input_fn, ModeKeys.PREDICT)
    if not inputs.ends(found.features):
      tf.logging.warning(
        'Input graph does not use tf.data.Dataset or contain a QueueRunner. '
        'That means predict yields forever. This is probably a mistake.'
      )
    spec = model.spec(found.features, None, ModeKeys.PREDICT)
    if checkpoint_path is None:
      warm_start.apply(warm_start_settings)
    predictions = _chosen(spec.predictions, predict_keys)
    creator = tf.train.ChiefSessionCreator(
      checkpoint_filename_with_path=checkpoint_path,
      master=config.master,
      scaffold=spec.scaffold,
      config=config.session_config,
    )
    session = tf.train.MonitoredSession(
      session_creator=creator, hooks=[*found.hooks, *hooks, *spec.prediction_hooks]
    )
  with _InGraph(graph, session):
    while not session.should_stop():
      with graph.as_default():
        batch = session.run(predictions)
      yield batch


class _InGraph:
  """Closes a session with its graph as the default one, which the hooks' `end` may count on."""

  def __init__(self, graph: Any, session: Any):
    self._graph = graph
    self._session = session

  def __enter__(self) -> None:
    self._session.__enter__()

  def __exit__(self, *exception: Any) -> Any:
    with self._graph.as_default():
      return self._session.__exit__(*exception)


def _chosen(predictions: Any, keys: Iterable[str] | None) -> Any:
  if not keys:
    return predictions
  if not isinstance(predictions, dict):
    raise ValueError('predict_keys argument is not valid in case of non-dict predictions.')
  wanted = set(keys)
  chosen = {name: value for name, value in predictions.items() if name in wanted}
  if not chosen:
    raise ValueError(
      f'Expected to run at least one output from {list(predictions)}, provided {sorted(wanted)}.'
    )
  return chosen


def examples_of(batch: Any) -> Iterator[Any]:
  """Takes a batch apart: one value, or one dict of values, an example."""
  if not isinstance(batch, dict):
    yield from batch
    return
  for number in range(_batch_size(batch)):
    yield {name: values[number] for name, values in batch.items()}


def _batch_size(batch: dict[str, Any]) -> int:
  size = None
  for name, values in batch.items():
    if not values.shape:
      raise ValueError(
        f'Predictions must have one entry an example; {name} is a scalar. '
        'Ask for whole batches with yield_single_examples=False.'
      )
    size = size or values.shape[0]
    if values.shape[0] != size:
      raise ValueError(
        f'Batch length of predictions should be same. {name} has different batch length than '
        f'others: {values.shape[0]}, not {size}.'
      )
  return size or 0
