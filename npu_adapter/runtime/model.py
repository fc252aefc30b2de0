"""A user's model_fn with everything it is called with, and the graphs it is built in."""

from __future__ import annotations

import contextlib
import copy
from typing import Any, Callable, Iterator, Mapping

import tensorflow.compat.v1 as tf

from npu_adapter.runtime import call_arguments, inputs, model_fn, tf1


class Model:
  """Builds one mode of a model in the default graph. `config` has a model_dir and a session_config.

  `spec_transform(spec, mode)` is called in the graph right after model_fn, before anything is made
  of the spec; what it returns takes the spec's place.
  """

  def __init__(
    self,
    function: Callable[..., Any],
    params: Mapping[str, Any] | None,
    config: Any,
    spec_transform: Callable[[Any, str], Any] | None = None,
  ):
    model_fn.check_arguments(function, params)
    self.config = config
    self._function = function
    self._params = copy.deepcopy(params or {})
    self._spec_transform = spec_transform

  @property
  def params(self) -> Any:
    """A copy, so that no model_fn or input_fn can change what the next one gets."""
    return copy.deepcopy(self._params)

  def inputs(self, input_fn: Callable[..., Any], mode: str) -> inputs.Inputs:
    """Builds the input pipeline of `mode`."""
    config = copy.deepcopy(self.config)
    return inputs.call(input_fn, {'mode': mode, 'params': self.params, 'config': config})

  def spec(self, features: Any, labels: Any, mode: str, config: Any = None) -> Any:
    """Calls model_fn and returns its checked spec."""
    names = call_arguments.names_of(self._function)
    if labels is not None and 'labels' not in names:
      raise ValueError(
        'model_fn does not take labels, but input_fn returns labels. '
        'Give model_fn an argument `labels`, or let input_fn return features alone.'
      )
    config = config or copy.deepcopy(self.config)
    offered = {'labels': labels, 'mode': mode, 'params': self.params, 'config': config}
    taken = {name: value for name, value in offered.items() if name in names}
    tf.logging.info('Calling model_fn.')
    spec = model_fn.as_estimator_spec(self._call(features, taken))
    tf.logging.info('Done calling model_fn.')
    if self._spec_transform is None:
      return spec
    return model_fn.as_estimator_spec(self._spec_transform(spec, mode))

  def _call(self, features: Any, taken: Mapping[str, Any]) -> Any:
    try:
      return self._function(features=features, **taken)
    except AttributeError as error:
      problem = tf1.layers_problem()
      # TensorFlow words it "`dense` is not available with Keras 3."
      if problem is None or 'Keras 3' not in str(error):
        raise
      raise AttributeError(f'{error} {problem}') from error


@contextlib.contextmanager
def new_graph(config: Any, device_fn: Any = None) -> Iterator[Any]:
  """A fresh default graph with the run's random seed and a global step in it."""
  with tf.Graph().as_default() as graph, graph.device(device_fn):
    tf.set_random_seed(config.tf_random_seed)
    tf.train.create_global_step(graph)
    yield graph
