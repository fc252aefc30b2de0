"""A trained network for the tools: found by its checkpoint, built for inference, frozen.

The nodes of the graph that the tools know by name:
  X       placeholder, float32 [None, 128, channels]: windows as measured
  output  int32 [None]: the number of the activity, from 0
"""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from estimators.lstm_har import architecture, model
from estimators.lstm_har import settings as model_settings
from npu_adapter import best_checkpoint, constant_graph, errors, lstm_layer, run_settings

INPUT, OUTPUT = 'X', 'output'
_CHECKED_WINDOWS = 64


class Trained(NamedTuple):
  """A checkpoint and what it was trained with."""

  checkpoint: str
  settings: model_settings.Settings


def find(path: str) -> Trained:
  """Returns what `path` means: a checkpoint, or the best of a model folder."""
  checkpoint = best_checkpoint.find(path)
  return Trained(checkpoint, model_settings.read(checkpoint))


def frozen(trained: Trained, is_unrolled: bool = False) -> Any:
  """The GraphDef with constants for variables, and with nothing that inference does not use."""
  with restored(trained, is_unrolled) as session:
    return constant_graph.of_session(session, [OUTPUT])


def restored(trained: Trained, is_unrolled: bool = False) -> Any:
  """A session of a new graph with the weights of a checkpoint."""
  # Variables of the old kind whatever the program has switched on: in a frozen graph they leave a
  # constant and an Identity, in every version of TensorFlow.
  with tf.Graph().as_default() as graph, tf.variable_scope('', use_resource=False):
    windows = tf.placeholder(tf.float32, [None, *trained.settings.window_shape], INPUT)
    with lstm_layer.unrolled() if is_unrolled else contextlib.nullcontext():
      logits = model.network(windows, trained.settings.params(), is_training=False)
    tf.argmax(logits, axis=1, output_type=tf.int32, name=OUTPUT)
    session = tf.Session(graph=graph)
    _restore(session, trained)
  return session


def answers(session: Any, windows: np.ndarray) -> np.ndarray:
  """Int32 [windows]: the activities, from 0, of float32 [windows, 128, channels]."""
  return session.run(f'{OUTPUT}:0', {f'{INPUT}:0': windows})


def check_frozen(definition: Any, trained: Trained) -> int:
  """Raises unless the frozen graph answers as the checkpoint; returns how many windows were asked.

  They are noise of the mean and the deviation of the data: what is answered does not matter.
  """
  chance = np.random.RandomState(0).standard_normal(
    [_CHECKED_WINDOWS, *trained.settings.window_shape]
  )
  windows = (chance * trained.settings.deviation + trained.settings.mean).astype(np.float32)
  with restored(trained) as session:
    expected = answers(session, windows)
  with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
    tf.import_graph_def(definition, name='')
    found = answers(session, windows)
  if not np.array_equal(found, expected):
    raise errors.AdapterError(
      f'the frozen graph must answer as {trained.checkpoint!r} does; of {len(windows)} windows '
      f'{int((found != expected).sum())} have another answer.'
    )
  return len(windows)


def _restore(session: Any, trained: Trained) -> None:
  """Gives all variables of the session's graph their trained values."""
  variables = tf.global_variables()
  there = dict(tf.train.list_variables(trained.checkpoint))
  for variable in variables:
    name, shape = variable.op.name, variable.shape.as_list()
    if there.get(name) != shape:
      title = architecture.title(trained.settings.architecture)
      raise errors.InputError(
        f'a checkpoint must hold all of the {title} network that {run_settings.FILE_NAME} beside '
        f'it describes; {trained.checkpoint!r} does not: {name} must be {shape} and is '
        f'{there.get(name, "not there")}.'
      )
  tf.train.Saver(variables).restore(session, trained.checkpoint)
  session.run(tf.local_variables_initializer())
