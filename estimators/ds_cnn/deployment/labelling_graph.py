"""A graph that labels wav files: from a pb, a SavedModel or a checkpoint, in a session."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf
from google.protobuf import message

from estimators.ds_cnn import clip_shape
from estimators.ds_cnn.dataset import sound_file
from estimators.ds_cnn.deployment import label_file, trained_network, wav_bytes, wav_graph
from npu_adapter import constant_graph, errors

_MOST_NAMED = 10


class Graph(NamedTuple):
  """A session, the tensors that matter in it, and what its scores are of."""

  session: Any
  wav: Any  # string scalar
  output: Any  # float32 [1, labels]
  labels: tuple[str, ...]
  sample_rate: int

  def scores(self, path: str) -> dict[str, float]:
    """Returns {label: score} of a sound file; BadSound when it cannot be read."""
    content = wav_bytes.read(path, self.sample_rate)
    try:
      scores = self.session.run(self.output, {self.wav: content}).ravel()
    except tf.errors.InvalidArgumentError as error:
      raise sound_file.BadSound(f'does not fit the graph: {error.message}') from None
    if len(scores) != len(self.labels):
      raise errors.InputError(
        f'labels must be as many as the graph has scores, {len(scores)}; got {len(self.labels)}: '
        f'{", ".join(self.labels)}.'
      )
    return {label: float(score) for label, score in zip(self.labels, scores)}


def open_graph(source: Any) -> Graph:
  """Opens what one of `source.graph`, `.saved_model` and `.checkpoint` names."""
  session, labels = _opened(source)
  try:
    wav = _tensor(session.graph, 'input_name', source.input_name)
    output = _tensor(session.graph, 'output_name', source.output_name)
    if wav.dtype != tf.string:
      raise errors.InputError(
        'input_name must be a tensor that takes the bytes of a wav file; '
        f'{source.input_name!r} takes {wav.dtype.name}. {_ends(session.graph)}'
      )
    if source.labels:
      labels = label_file.read(source.labels)
    elif isinstance(labels, str):
      labels = label_file.read(labels)
    return Graph(session, wav, output, tuple(labels), _sample_rate(session.graph))
  except BaseException:
    session.close()
    raise


def _opened(source: Any) -> tuple[Any, Any]:
  """A session, and the labels or the file they are in."""
  if source.checkpoint:
    trained = trained_network.find(source.checkpoint)
    return wav_graph.restored(trained), trained.settings.labels
  session = tf.Session(graph=tf.Graph())
  if source.graph:
    _read_pb(session.graph, source.graph)
    return session, label_file.beside_pb(source.graph)
  try:
    with constant_graph.quiet():
      tf.saved_model.load(session, ['serve'], source.saved_model)
  except (OSError, RuntimeError, tf.errors.OpError) as error:
    raise errors.InputError(
      f'saved_model must be the folder of a SavedModel; {source.saved_model!r} cannot be read: '
      f'{_first_line(error)}'
    ) from None
  return session, label_file.in_saved_model(source.saved_model)


def _read_pb(graph: Any, path: str) -> None:
  try:
    with open(path, 'rb') as file:
      definition = tf.GraphDef.FromString(file.read())
    with graph.as_default():
      tf.import_graph_def(definition, name='')
  except (OSError, message.DecodeError, ValueError) as error:
    raise errors.InputError(
      f'graph must be a frozen graph; {path!r} cannot be read: {_first_line(error)}'
    ) from None


def _first_line(error: Exception) -> str:
  return str(error).strip().split('\n')[0]


def _tensor(graph: Any, flag: str, name: str) -> Any:
  full_name = name if ':' in name else f'{name}:0'
  try:
    return graph.get_tensor_by_name(full_name)
  except (KeyError, ValueError):
    known = [tensor.name for op in graph.get_operations() for tensor in op.outputs]
    raise errors.InputError(
      f'{flag} must be a tensor of the graph; it has no {full_name!r}.'
      f'{errors.nearest(full_name, known)} {_ends(graph)}'
    ) from None


def _ends(graph: Any) -> str:
  """Says where a graph begins and ends."""
  operations = graph.get_operations()
  first = [op.name + ':0' for op in operations if op.type == 'Placeholder']
  last = [
    op.outputs[0].name
    for op in operations
    if op.outputs and not any(tensor.consumers() for tensor in op.outputs)
  ]
  return f'Its inputs: {_some(first)}; its outputs: {_some(last)}.'


def _some(names: list[str]) -> str:
  more = f' and {len(names) - _MOST_NAMED} more' if len(names) > _MOST_NAMED else ''
  return (', '.join(names[:_MOST_NAMED]) or 'none') + more


def _sample_rate(graph: Any) -> int:
  """What the graph was made for; that of the published models where it does not say."""
  for operation in graph.get_operations():
    if operation.type == 'Mfcc':
      rate = tf.get_static_value(operation.inputs[1])
      if rate is not None:
        return int(rate)
  return clip_shape.ClipShape().sample_rate
