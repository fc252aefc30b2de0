"""From a checkpoint of a training that averages its weights to one of the averaged network."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import Any, Callable, Mapping

import numpy as np
import tensorflow.compat.v1 as tf

from npu_adapter import batch_statistics, best_checkpoint, errors, session, weight_averaging
from npu_adapter.runtime import inputs as runtime_inputs
from npu_adapter.runtime.model import new_graph
from npu_adapter.runtime.model_fn import ModeKeys


def folder_of(model_dir: str) -> str:
  """Where the averaged checkpoint of a model folder is."""
  return os.path.join(model_dir, 'average')


def write_averaged_checkpoint(
  estimator: Any,
  input_fn: Callable[..., Any],
  batches: int | None = None,
  checkpoint: str | None = None,
) -> str:
  """Writes the averaged network beside the checkpoints of an estimator, and returns its path.

  The averages take the place of the weights; batch norm's statistics are taken anew, over so many
  batches of `input_fn` (over all it gives with None); the rest, as the optimizer's state, is as in
  the checkpoint: the last one of the estimator by default.
  """
  path = checkpoint or best_checkpoint.last(estimator.model_dir)
  if path is None:
    raise errors.InputError(
      f'model_dir must have a checkpoint to average; none is in {estimator.model_dir!r}.'
    )
  values = averaged(path)
  with tempfile.TemporaryDirectory(prefix='.average-', dir=estimator.model_dir) as scratch:
    whole = _save(values, scratch, 'weights')
    found = _statistics(estimator, input_fn, batches, whole)
    for name, value in found.items():
      values[name] = value.astype(values[name].dtype)
    if found:
      whole = _save(values, scratch, 'whole')
    name = f'model.ckpt-{int(values[tf.GraphKeys.GLOBAL_STEP])}'
    best_checkpoint.keep(whole, folder_of(estimator.model_dir), name)
  return os.path.join(folder_of(estimator.model_dir), name)


def samples_of(checkpoint: str) -> int:
  """How many samples of the weights the average in a checkpoint is of."""
  reader = tf.train.load_checkpoint(checkpoint)
  if not reader.has_tensor(weight_averaging.SAMPLES):
    raise errors.InputError(
      f'a checkpoint must be of a training that averages its weights; {checkpoint!r} is not. '
      'model_fn calls npu_adapter.average_weights for that.'
    )
  return int(reader.get_tensor(weight_averaging.SAMPLES))


def averaged(checkpoint: str) -> dict[str, np.ndarray]:
  """{name: value} of a checkpoint, with the averages in the place of the weights."""
  if not samples_of(checkpoint):
    step = int(tf.train.load_variable(checkpoint, tf.GraphKeys.GLOBAL_STEP))
    raise errors.InputError(
      f'a checkpoint must have a sample to average; {checkpoint!r} of step {step} is from before '
      'the first one.'
    )
  reader = tf.train.load_checkpoint(checkpoint)
  values = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
  below = f'{weight_averaging.SCOPE}/'
  for name in list(values):
    if name.startswith(below) and name[len(below) :] in values:
      values[name[len(below) :]] = values[name]
  return values


def _statistics(
  estimator: Any, input_fn: Callable[..., Any], batches: int | None, checkpoint: str
) -> dict[str, np.ndarray]:
  """Batch norm's averages for the weights of a checkpoint; {} for a network without any."""
  config = estimator.config
  with new_graph(config) as graph:
    offered = {'mode': ModeKeys.TRAIN, 'params': estimator.params, 'config': config}
    given = runtime_inputs.call(input_fn, offered)
    # The device's own estimator asks its own configuration.
    own = estimator.native.config
    spec = estimator.model_fn(given.features, given.labels, ModeKeys.TRAIN, own)
    found = batch_statistics.find(graph)
    if not found:
      return {}
    creator = tf.train.ChiefSessionCreator(
      scaffold=spec.scaffold or tf.train.Scaffold(),
      checkpoint_filename_with_path=checkpoint,
      config=session.session_config(config),
    )
    with tf.train.MonitoredSession(creator, given.hooks) as running:
      return batch_statistics.over_batches(running, found, batches)


def _save(values: Mapping[str, np.ndarray], folder: str, name: str) -> str:
  """Writes a checkpoint of these values."""
  prefix = os.path.join(folder, name)
  names = sorted(values)
  with tf.Graph().as_default(), contextlib.closing(tf.Session()) as running:
    tensors = [tf.placeholder(tf.as_dtype(values[each].dtype)) for each in names]
    save = tf.raw_ops.SaveV2(
      prefix=prefix, tensor_names=names, shape_and_slices=[''] * len(names), tensors=tensors
    )
    running.run(save, {tensor: values[each] for tensor, each in zip(tensors, names)})
  return prefix
