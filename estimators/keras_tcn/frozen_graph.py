"""A checkpoint of train.py as one graph of constants: sequences in, answers out.

Its nodes: input_1, placeholder float32 [batch, steps, channels], and output, float32 [batch,
outputs]; where the task has an answer at each step [batch, steps, outputs].
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

import npu_adapter
from estimators.keras_tcn import input_pipeline, model
from estimators.keras_tcn import settings as model_settings
from npu_adapter import constant_graph, errors

INPUT, OUTPUT = 'input_1', 'output'
# Between the checkpoint's answers and the graph's, of numbers around 1.
_TOLERANCE = 1e-4


def build(settings: model_settings.Settings, batch: int | None = None) -> Any:
  """Adds the network to the default graph and returns its output.

  Its variables are of the old kind whatever the program has switched on: in a frozen graph they
  leave a constant and an Identity, in every version of TensorFlow.
  """
  shape = [batch, settings.task.steps, settings.task.channels]
  sequence = tf.placeholder(tf.float32, shape, INPUT)
  with tf.variable_scope(tf.get_variable_scope(), use_resource=False):
    spec = model.model_fn(
      {'sequence': sequence}, None, npu_adapter.ModeKeys.PREDICT, settings.params()
    )
  return spec.predictions['output']


def freeze(settings: model_settings.Settings, checkpoint: str, batch: int | None = None) -> Any:
  """Returns the GraphDef, after comparing its answers with those of the checkpoint."""
  with tf.Graph().as_default() as graph:
    output = build(settings, batch)
    saver = tf.train.Saver()
  sequences = _some_sequences(settings, batch or 4)
  with tf.Session(graph=graph) as session:
    try:
      saver.restore(session, checkpoint)
    except tf.errors.OpError as error:
      reason = str(error).strip().split('\n')[0]
      raise errors.InputError(f'{checkpoint!r} is not a whole checkpoint: {reason}') from error
    expected = session.run(output, {f'{INPUT}:0': sequences})
    frozen = constant_graph.of_session(session, [OUTPUT])
  _check(answers(frozen, sequences), expected)
  return frozen


def answers(frozen: Any, sequences: Any) -> Any:
  """What a frozen graph says to sequences, float32 [batch, steps, channels]."""
  with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
    tf.import_graph_def(frozen, name='')
    return session.run(f'{OUTPUT}:0', {f'{INPUT}:0': sequences})


def _some_sequences(settings: model_settings.Settings, count: int) -> Any:
  """A few sequences of the task; of pictures, noise in their range."""
  task = settings.task
  if task.name == 'digits':
    return np.random.RandomState(0).uniform(size=[count, task.steps, 1]).astype(np.float32)
  with tf.Graph().as_default(), tf.Session() as session:
    made = [input_pipeline.example(task, 1, number)[0] for number in range(count)]
    return session.run(tf.stack(made))


def _check(found: Any, expected: Any) -> None:
  error = float(np.max(np.abs(found - expected)))
  if not error <= _TOLERANCE:
    raise errors.AdapterError(
      'the frozen graph must answer as the checkpoint does; its answers are off by up to '
      f'{error:g}. Report this as a defect.'
    )
