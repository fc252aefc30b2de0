"""The input pipeline: from a user's input_fn to tensors, with the iterator they come from."""

from __future__ import annotations

from typing import Any, Callable, Mapping, NamedTuple

import tensorflow.compat.v1 as tf
import tensorflow.compat.v2 as tf2

from npu_adapter.runtime import call_arguments

# The base of both versions of Dataset; tf.data.Dataset is the younger class of the two.
_Dataset = tf2.data.Dataset


class Inputs(NamedTuple):
  """What a graph reads. `iterator` is the handle to the position in the data, None for tensors."""

  features: Any
  labels: Any
  hooks: list[Any]
  iterator: Any


def call(input_fn: Callable[..., Any], offered: Mapping[str, Any]) -> Inputs:
  """Calls `input_fn` with those of `offered` (mode, params, config) that it takes by name."""
  names = call_arguments.names_of(input_fn)
  taken = {name: value for name, value in offered.items() if name in names}
  # A pipeline on an accelerator would copy every batch back and forth.
  with tf.device('/cpu:0'):
    result = input_fn(**taken)
  return from_result(result)


def from_result(result: Any) -> Inputs:
  """Returns the tensors of a Dataset, of (features, labels), or of features alone."""
  if result is None:
    raise ValueError(
      'input_fn should return a tf.data.Dataset, (features, labels) or features; got None. '
      'Is a return statement missing?'
    )
  iterator = None
  hooks: list[Any] = []
  if isinstance(result, _Dataset):
    iterator = tf.data.make_initializable_iterator(result)
    hooks.append(_InitializeIterator(iterator))
    result = iterator.get_next()
  features, labels = _split(result)
  return Inputs(features, labels, hooks, iterator)


def _split(result: Any) -> tuple[Any, Any]:
  if not isinstance(result, (list, tuple)):
    return result, None
  if len(result) != 2:
    raise ValueError(
      'input_fn should return (features, labels) as a len 2 tuple. '
      f'Got {len(result)} elements: {result}'
    )
  return result[0], result[1]


class _InitializeIterator(tf.train.SessionRunHook):
  """Starts the data once the session stands.

  Not through TABLE_INITIALIZERS: a model's own Scaffold(local_init_op=...) would leave those out,
  and a pipeline may look words up in tables that the same op initialises.
  """

  def __init__(self, iterator: Any):
    self._iterator = iterator
    self._initializer: Any = None

  def begin(self) -> None:
    self._initializer = self._iterator.initializer

  def after_create_session(self, session: Any, coord: Any) -> None:
    session.run(self._initializer)


def ends(features: Any) -> bool:
  """Whether the data can run out: it comes from a Dataset or a queue."""
  tensors = [value for value in tf.nest.flatten(features) if isinstance(value, tf.Tensor)]
  from_iterator = any(tensor.op.type == 'IteratorGetNext' for tensor in tensors)
  return from_iterator or bool(tf.get_collection(tf.GraphKeys.QUEUE_RUNNERS))
