"""What batch norm's moving averages are of, found in a training graph; taken over a whole data set.

A layer tells with keep_batch_statistics what it moves its averages by. Of tf.layers and Keras,
which do not know it, it is read off the graph.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from npu_adapter import errors

# Names, as text: a collection is written down with its graph.
_KEPT = 'npu_adapter_batch_statistics'
_MEAN, _VARIANCE = 'moving_mean', 'moving_variance'
_SUBTRACTIONS = ('AssignSub', 'AssignSubVariableOp')
_PASSES_ON = ('Identity', 'Squeeze', 'Reshape')
_CHOICES = ('Select', 'SelectV2')
_FUSED = ('FusedBatchNorm', 'FusedBatchNormV2', 'FusedBatchNormV3')


class Statistics(NamedTuple):
  """What one layer sees in a batch; the names are those of the variables of its averages."""

  moving_mean: str
  moving_variance: str
  mean: Any
  variance: Any  # of the numbers themselves: divided by their count
  count: Any  # of how many numbers each mean is


def keep_batch_statistics(
  moving_mean: Any, moving_variance: Any, mean: Any, variance: Any, count: Any
) -> None:
  """Tells what the moving averages are of. Moving them is the caller's own.

  variance is divided by the count: tf.nn.fused_batch_norm returns one that is divided by one less.
  """
  tensors = [tf.identity(tf.convert_to_tensor(each)).name for each in (mean, variance, count)]
  names = [moving_mean.op.name, moving_variance.op.name, *tensors]
  tf.add_to_collection(_KEPT, json.dumps(names))


def find(graph: Any) -> list[Statistics]:
  """All layers with moving averages; raises OptionError for one that is of no known form."""
  with graph.as_default():
    found = [_kept(graph, line) for line in graph.get_collection(_KEPT)]
    known = {each.moving_mean for each in found}
    for variable in graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES):
      name = variable.op.name
      # A variable that is no layer's average, as an optimizer's slot, has another ending.
      if name.endswith(_MEAN) and name not in known:
        found.append(_read_off(graph, variable))
  return found


def over_batches(
  session: Any, statistics: list[Statistics], batches: int | None = None
) -> dict[str, np.ndarray]:
  """{variable: value} over so many batches, over all there are with None.

  Each layer's input is normalised, as in training, with the statistics of its batch.
  """
  totals = [_Total() for _ in statistics]
  wanted = [(each.mean, each.variance, each.count) for each in statistics]
  done = 0
  while batches is None or done < batches:
    try:
      values = session.run(wanted)
    except tf.errors.OutOfRangeError:
      break
    for total, value in zip(totals, values):
      total.add(*value)
    done += 1
  if not done:
    raise errors.InputError(
      'input_fn must give at least one batch to take statistics of; got none.'
    )
  found = {}
  for each, total in zip(statistics, totals):
    found[each.moving_mean] = np.asarray(total.mean)
    found[each.moving_variance] = np.asarray(total.squares / total.count)
  return found


class _Total:
  """Mean and sum of squared distances from it, over batches of any size, in double precision."""

  def __init__(self) -> None:
    self.count, self.mean, self.squares = 0.0, np.float64(0), np.float64(0)

  def add(self, mean: Any, variance: Any, count: Any) -> None:
    mean, variance, count = np.float64(mean), np.float64(variance), float(count)
    total = self.count + count
    distance = mean - self.mean
    self.mean = self.mean + distance * (count / total)
    self.squares = (
      self.squares + variance * count + distance * distance * (self.count * count / total)
    )
    self.count = total


def _kept(graph: Any, line: str) -> Statistics:
  mean_name, variance_name, *tensors = json.loads(line)
  return Statistics(mean_name, variance_name, *map(graph.get_tensor_by_name, tensors))


def _read_off(graph: Any, variable: Any) -> Statistics:
  """Statistics of a layer of tf.layers or Keras, of the tensor it takes its mean of."""
  name = variable.op.name
  taken = _mean_of(graph, variable)
  if taken is None:
    raise errors.OptionError(
      f'what {name} is the average of must be told by npu_adapter.keep_batch_statistics, or be the '
      'mean of a layer of tf.layers or Keras in training; found no such update in the graph.'
    )
  x, axes = taken
  mean, variance = tf.nn.moments(tf.cast(x, tf.float32), axes)
  count = tf.size(x) / tf.size(mean)
  variance_name = name[: -len(_MEAN)] + _VARIANCE
  return Statistics(name, variance_name, mean, variance, count)


def _mean_of(graph: Any, variable: Any) -> tuple[Any, list[int]] | None:
  """The tensor whose mean moves the variable, and over which of its dimensions."""
  handle = variable.op.outputs[0]
  updates = [
    each
    for each in graph.get_operations()
    if each.type in _SUBTRACTIONS and each.inputs[0] is handle
  ]
  for update in updates:
    value = _moved_to(update.inputs[1].op, handle)
    taken = value and _averaged_by(_source(value))
    if taken:
      return taken
  return None


def _averaged_by(source: Any) -> tuple[Any, list[int]] | None:
  if source.type in _FUSED:
    return source.inputs[0], _all_but_channels(source)
  axes = tf.get_static_value(source.inputs[1]) if source.type == 'Mean' else None
  return None if axes is None else (source.inputs[0], [int(axis) for axis in np.ravel(axes)])


def _moved_to(step: Any, handle: Any) -> Any:
  """The operation whose result `average -= (average - result) * share` moves towards."""
  if step.type in _CHOICES:
    step = step.inputs[1].op
  if step.type != 'Mul':
    return None
  differences = [each.op for each in step.inputs if each.op.type == 'Sub']
  for difference in differences:
    read, value = difference.inputs
    if read is handle or any(each is handle for each in read.op.inputs):
      return value.op
  return None


def _source(step: Any) -> Any:
  while step.type in _PASSES_ON:
    step = step.inputs[0].op
  return step


def _all_but_channels(fused: Any) -> list[int]:
  layout = fused.get_attr('data_format').decode()
  return [axis for axis, letter in enumerate(layout) if letter != 'C']
