"""A session's graph with constants for its variables, in a form that TF 1.15 reads too."""

from __future__ import annotations

import contextlib
from typing import Any, Iterator, Sequence

import tensorflow.compat.v1 as tf


def of_session(session: Any, outputs: Sequence[str]) -> Any:
  """The GraphDef, with nothing that the nodes `outputs` do not use."""
  # Without attributes at their default: a graph of the newest TensorFlow is read by TF 1.15.
  exported = tf.train.export_meta_graph(graph=session.graph, strip_default_attrs=True)
  with quiet():
    return tf.graph_util.convert_variables_to_constants(session, exported.graph_def, list(outputs))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
  """Without the warnings that a function is of TensorFlow 1: there is none that is of all."""
  verbosity = tf.logging.get_verbosity()
  tf.logging.set_verbosity(tf.logging.ERROR)
  try:
    yield
  finally:
    tf.logging.set_verbosity(verbosity)
