"""Training batches of maps that were computed before: the same frames as input_pipeline chooses."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import tensorflow.compat.v1 as tf

from estimators.tcc import data_source, input_pipeline
from estimators.tcc.dataset import frame_sampling, record_index
from estimators.tcc.feature_cache import Cached

# No Python branch or loop below depends on a tensor; looking for them takes TensorFlow a second.
_as_written = tf.autograph.experimental.do_not_convert


def train_input_fn(
  data: data_source.Data,
  cached: Cached,
  frames: input_pipeline.Frames,
  order: input_pipeline.Order,
  first_step: int = 0,
) -> Callable[[], Any]:
  """Returns an input_fn as input_pipeline.train_input_fn's, with maps in the place of frames.

  features: 'maps' float32 [batch, chosen * context, height, width, channels], the others as there.
  """
  maps = np.load(cached.path, mmap_mode='r')
  sets = data.sets['train']
  labels = [[_labels(record) for record in records] for records in sets]

  def read(data_set: Any, clip: Any, steps: Any) -> Any:
    return maps[cached.first_rows[int(data_set)][int(clip)] + steps]

  def read_labels(data_set: Any, clip: Any, steps: Any) -> Any:
    return labels[int(data_set)][int(clip)][steps]

  def name(data_set: Any, clip: Any) -> bytes:
    return sets[int(data_set)][int(clip)].name.encode()

  def length(data_set: Any, clip: Any) -> Any:
    return np.int32(cached.lengths[int(data_set)][int(clip)])

  def input_fn() -> Any:
    @_as_written
    def example(number: Any) -> dict[str, Any]:
      place = input_pipeline.chosen_clip(number, [len(records) for records in sets], order)
      frames_in_clip = tf.ensure_shape(tf.numpy_function(length, place, tf.int32), [])
      steps = frame_sampling.choose(
        frames.sampling, frames_in_clip, input_pipeline.key_of(order, number)
      )
      shown = frame_sampling.with_context(steps, frames_in_clip, frames.context)
      count = steps.shape[0]
      found = tf.numpy_function(read, [*place, shown], tf.float32)
      return {
        'maps': tf.ensure_shape(found, [count * frames.context.num_steps, *maps.shape[1:]]),
        'steps': steps,
        'length': frames_in_clip,
        'frame_labels': tf.ensure_shape(
          tf.numpy_function(read_labels, [*place, steps], tf.int32), [count]
        ),
        'name': tf.ensure_shape(tf.numpy_function(name, place, tf.string), []),
      }

    numbers = input_pipeline.example_numbers(order, first_step)
    examples = numbers.map(example, num_parallel_calls=2)
    return examples.batch(order.batch_size, drop_remainder=True).prefetch(2)

  return input_fn


def _labels(record: record_index.Record) -> Any:
  if not record.has_labels:
    return np.full(record.frames, -1, np.int32)
  return np.array(record_index.read_clip(record).frame_labels, np.int32)
