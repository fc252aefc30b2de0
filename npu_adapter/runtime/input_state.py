"""How far a training graph has read its data: saved beside a checkpoint, and brought back.

Both classes have the same methods. Make one of them when the training graph is complete but not
finalized, train with what `counting` returns, and call `restore` each time the session is new and
the iterators are initialized.
"""

from __future__ import annotations

import re
from typing import Any

import tensorflow.compat.v1 as tf

from npu_adapter.runtime import input_file
from npu_adapter.runtime.graph_walk import GraphWalk, producer
from npu_adapter.runtime.input_file import InputStateError

# Refuse what cannot be saved in full; TensorFlow's default is to warn and leave it out.
_FAIL = 2
# Which iterator they stand for is decided in each run, or there are several behind them.
_UNKNOWN_ITERATORS = ('IteratorFromStringHandle', 'MultiDeviceIterator', 'AnonymousIterator')
_DRAWS = ('IteratorGetNext', 'IteratorGetNextSync', 'IteratorGetNextAsOptional')
# A lost machine and the end of the data are not about the state: sessions recover by their type.
_REFUSALS = (
  tf.errors.FailedPreconditionError,
  tf.errors.InternalError,
  tf.errors.InvalidArgumentError,
  tf.errors.UnimplementedError,
)


class _Input:
  """The iterators of a graph, and what the header of their file must say."""

  mode: Any = None

  def __init__(self, fetches: Any):
    self._walk = GraphWalk()
    names = self._walk.names(fetches)
    _check_known(self._walk.ancestors(names))
    self._iterators = self._walk.iterators(names)
    self._pipelines = [self._walk.digest(node) for node in self._iterators]
    self._step = tf.train.get_global_step()
    if self._step is None:
      raise InputStateError(
        'exact_resume needs a training graph with a global step; got one without. Call '
        'tf.train.get_or_create_global_step() before the model is built.'
      )

  def counting(self, train_op: Any) -> Any:
    """Returns the operation to train with in place of `train_op`."""
    return train_op

  def _header(self, step: Any) -> dict[str, Any]:
    return {
      'exact_resume': self.mode,
      'tensorflow': tf.__version__,
      'pipelines': self._pipelines,
      'step': int(step),
    }


class InputState(_Input):
  """The position of every iterator, as TensorFlow saves it: exact_resume=True."""

  mode = True

  def __init__(self, fetches: Any):
    super().__init__(fetches)
    graph = tf.get_default_graph()
    self._saved: list[Any] = []
    self._given: list[Any] = []
    self._restores: list[Any] = []
    with tf.name_scope('input_state'):
      for node in self._iterators:
        self._add_operations(graph.get_tensor_by_name(f'{node.name}:0'))

  def _add_operations(self, handle: Any) -> None:
    # Where the iterator is; without a word on it, wherever TensorFlow puts the two of them.
    with tf.device(handle.device or None):
      variant = _serialized(handle)
    with tf.device('/cpu:0'):
      self._saved.append(tf.io.serialize_tensor(variant))
      given = tf.placeholder(tf.string, [])
      variant = tf.io.parse_tensor(given, tf.variant)
    self._given.append(given)
    with tf.device(handle.device or None):
      restore = tf.raw_ops.DeserializeIterator(resource_handle=handle, serialized=variant)
    self._restores.append(restore)

  def save(self, session: Any, prefix: str) -> None:
    """Writes the file of the checkpoint `prefix`."""
    step, payloads = self._read(session)
    input_file.write(prefix, self._header(step), payloads)

  def restore(self, session: Any, prefix: str | None) -> None:
    """Goes to where the data were when the checkpoint was written; None is for a new training.

    A new training saves and restores once, so that what cannot be saved is known at once.
    """
    if prefix is None:
      _, payloads = self._read(session)
    else:
      expected = self._header(session.run(self._step))
      _, payloads = input_file.read(prefix, expected)
    try:
      session.run(self._restores, dict(zip(self._given, payloads)))
    except _REFUSALS as error:
      raise InputStateError(_refusal('restore', error)) from error

  def _read(self, session: Any) -> Any:
    try:
      return session.run([self._step, self._saved])
    except _REFUSALS as error:
      raise InputStateError(_refusal('save', error)) from error


class ReplayedInput(_Input):
  """The number of batches drawn, which a restart draws again: exact_resume='replay'."""

  mode = 'replay'

  def __init__(self, fetches: Any):
    super().__init__(fetches)
    self._draws = self._draw_operations(self._walk.names(fetches))
    with tf.name_scope('input_state'), tf.device('/cpu:0'):
      # In no collection: neither a checkpoint nor an initializer of the model's knows of it.
      self._drawn = tf.Variable(
        tf.zeros([], tf.int64), trainable=False, collections=[], use_resource=True, name='drawn'
      )
      self._given = tf.placeholder(tf.int64, [])
      self._set = self._drawn.assign(self._given, read_value=False)
      self._count = self._drawn.read_value()

  def _draw_operations(self, names: list[str]) -> list[Any]:
    """The operations that take a batch in each step; one behind a condition cannot be counted."""
    handles = {node.name for node in self._iterators}
    graph = tf.get_default_graph()
    draws = []
    for node in self._walk.ancestors(names):
      if not handles.intersection(producer(source) for source in node.input):
        continue
      if node.op not in _DRAWS:
        raise InputStateError(
          "exact_resume='replay' needs batches that are drawn in every step alike; got an iterator "
          f'used by {node.name} ({node.op}), in a condition, a loop or a function. Call get_next() '
          'outside of it.'
        )
      draws.append(graph.get_operation_by_name(node.name))
    return draws

  def counting(self, train_op: Any) -> Any:
    """Returns an operation that trains and, when that went well, counts the batch."""
    with tf.name_scope('input_state'), tf.device('/cpu:0'), tf.control_dependencies([train_op]):
      return tf.group(self._drawn.assign_add(1, read_value=False))

  def save(self, session: Any, prefix: str) -> None:
    """Writes the file of the checkpoint `prefix`."""
    step, drawn = session.run([self._step, self._count])
    input_file.write(prefix, {**self._header(step), 'drawn': int(drawn)})

  def restore(self, session: Any, prefix: str | None) -> None:
    """Draws what was drawn before the checkpoint was written; None is for a new training."""
    drawn = 0
    if prefix is not None:
      header, _ = input_file.read(prefix, self._header(session.run(self._step)))
      drawn = header['drawn']
      tf.logging.info(
        "exact_resume='replay': drawing %d batches again, to be where the data were at %s.",
        drawn, prefix,
      )  # fmt: skip
      self._skip(session, drawn)
    session.run(self._set, {self._given: drawn})

  def _skip(self, session: Any, count: int) -> None:
    for number in range(count):
      try:
        session.run(self._draws)
      except tf.errors.OutOfRangeError as error:
        raise InputStateError(
          f"exact_resume='replay' needs the data that were there before: {count} batches; got "
          f'{number}. Put back what the training was started with, or train in a new model_dir.'
        ) from error


def _serialized(handle: Any) -> Any:
  if tf.__version__.startswith('1.'):
    # It knows no policy, and fails.
    return tf.raw_ops.SerializeIterator(resource_handle=handle)
  return tf.raw_ops.SerializeIterator(resource_handle=handle, external_state_policy=_FAIL)


def _check_known(nodes: list[Any]) -> None:
  for node in nodes:
    if node.op.startswith(_UNKNOWN_ITERATORS):
      raise InputStateError(
        f'exact_resume needs iterators that belong to the graph; got {node.name} ({node.op}). '
        'Return a Dataset from input_fn, or draw from the iterator itself.'
      )


def _refusal(doing: str, error: Any) -> str:
  return (
    f'exact_resume=True needs an input pipeline whose position TensorFlow {tf.__version__} can '
    f'save and restore; got, when trying to {doing} it: {_reason(error.message)} Change that '
    "dataset, or use exact_resume='replay'."
  )


def _reason(message: str) -> str:
  """The sentence that says what is wrong, out of the stack traces TensorFlow puts around it."""
  found = re.search(r'([^\n]+)\n\s*\[\[', message)
  return found.group(1) if found else message[:500]
