"""A trained network for the tools: found by its checkpoint, built for inference, restored."""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence

import tensorflow.compat.v1 as tf

import npu_adapter
from estimators.ds_cnn import model
from estimators.ds_cnn import settings as model_settings
from npu_adapter import best_checkpoint, errors, run_settings


class Trained(NamedTuple):
  """A checkpoint and what it was trained with."""

  checkpoint: str
  settings: model_settings.Settings


def find(path: str) -> Trained:
  """Returns what `path` means: a checkpoint, or the best of a model folder."""
  checkpoint = best_checkpoint.find(path)
  return Trained(checkpoint, model_settings.read(checkpoint))


def probabilities(fingerprint: Any, settings: model_settings.Settings) -> Any:
  """Adds the network; float32 [batch, frames * coefficients] -> `labels_softmax` [batch, classes].

  Its variables are of the old kind whatever the program has switched on: in a frozen graph they
  leave a constant and an Identity, in every version of TensorFlow.
  """
  with tf.variable_scope(tf.get_variable_scope(), use_resource=False):
    spec = model.model_fn(
      {'fingerprint': fingerprint}, None, npu_adapter.ModeKeys.PREDICT, settings.params()
    )
  return spec.predictions['probabilities']


def restore(session: Any, trained: Trained) -> None:
  """Gives all variables of the session's graph their trained values."""
  with session.graph.as_default():
    variables = tf.global_variables()
    try:
      _check_variables(variables, trained)
      tf.train.Saver(variables).restore(session, trained.checkpoint)
    except tf.errors.OpError as error:
      # TensorFlow says it in pages.
      raise _not_whole(trained, str(error).strip().split('\n')[0]) from error


def _check_variables(variables: Sequence[Any], trained: Trained) -> None:
  there = dict(tf.train.list_variables(trained.checkpoint))
  missing = [variable.op.name for variable in variables if variable.op.name not in there]
  if missing and all('/batch_norm/' in name for name in missing):
    raise _not_whole(
      trained,
      'it has no batch norm. If fold_batch_norm.py wrote it, quantize.py takes it; the other tools '
      'fold by themselves, and take the checkpoint it was made of.',
    )
  if missing:
    raise _not_whole(trained, f'it has no {missing[0]}')
  for variable in variables:
    shape, found = variable.shape.as_list(), list(there[variable.op.name])
    if shape != found:
      raise _not_whole(trained, f'{variable.op.name} must be {shape} and is {found}')


def _not_whole(trained: Trained, reason: str) -> errors.InputError:
  return errors.InputError(
    f'a checkpoint must hold all of the {trained.settings.architecture} that '
    f'{run_settings.FILE_NAME} beside it describes; {trained.checkpoint!r} does not: {reason}'
  )


def check(trained: Trained) -> None:
  """Raises InputError for a checkpoint that cannot be restored."""
  size = trained.settings.shape.fingerprint_size
  with tf.Graph().as_default() as graph:
    probabilities(tf.placeholder(tf.float32, [None, size]), trained.settings)
    with tf.Session(graph=graph) as session:
      restore(session, trained)
