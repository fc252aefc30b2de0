"""Temporal cycle-consistency: frames find their match in another clip and go back from there.

Dwibedi, Aytar, Tompson, Sermanet and Zisserman, arXiv 1904.07846.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from estimators.tcc.algorithms import (
  algorithm_options,
  alignment_losses,
  batch_of_clips,
  cross_entropy,
)
from estimators.tcc.algorithms.algorithm_options import Alignment
from estimators.tcc.algorithms.batch_of_clips import Clips
from estimators.tcc.algorithms.draws import Draws


class Cycles(NamedTuple):
  """Ways through a batch; a way may visit a clip again. All int32."""

  clips: Any  # [cycles, clips on the way]; from the last it goes back to the first
  starts: Any  # [cycles], the frame of the first clip that it starts at


def loss(
  clips: Clips, options: Alignment, draws: Draws, is_training: bool
) -> tuple[Any, dict[str, Any]]:
  """The loss, and the share of frames that come back to themselves."""
  batch, frames, _ = batch_of_clips.shape_of(clips)
  if options.stochastic_matching:
    matches = follow(clips.embeddings, draw_cycles(batch, frames, options, draws), options)
  else:
    matches = match_all_pairs(clips.embeddings, options)
  right = cross_entropy.are_right(matches.logits, matches.labels)
  found = alignment_losses.loss(matches, clips.steps, clips.lengths, options)
  return found, {'alignment_accuracy': tf.reduce_mean(right)}


def match_all_pairs(embeddings: Any, options: Alignment) -> alignment_losses.Matches:
  """Sends every frame of every clip to every other clip and back.

  All pairs at once: of 8 clips the graph is built 40 times faster than pair by pair, and the loss
  with its gradient computed 4 times faster.
  """
  batch, frames, _ = embeddings.shape.as_list()
  pairs = np.array([(i, j) for i in range(batch) for j in range(batch) if i != j], np.int32)
  embeddings = _centred(embeddings, options)
  own, other = tf.gather(embeddings, pairs[:, 0]), tf.gather(embeddings, pairs[:, 1])
  back = similarity(_nearest(own, other, options), own, options)  # [pairs, frames, frames]
  labels = np.tile(np.arange(frames, dtype=np.int32), len(pairs))
  return alignment_losses.Matches(
    tf.reshape(back, [-1, frames]), tf.constant(labels), tf.constant(pairs[:, 0].repeat(frames))
  )


def draw_cycles(batch: int, frames: int, options: Alignment, draws: Draws) -> Cycles:
  """Draws the cycles of a step, each through different clips in any order.

  The original's shuffle leaves every cycle as it is, from the first clip of the batch on, wherever
  the number of cycles is a multiple of the batch's clips.
  """
  count = algorithm_options.cycles(options, batch, frames)
  clips = draws.distinct('alignment/clips', batch, options.cycle_length, count)
  return Cycles(clips, draws.below('alignment/start', frames, count))


def follow(embeddings: Any, cycles: Cycles, options: Alignment) -> alignment_losses.Matches:
  """Sends one frame through the clips of each cycle and back to its first clip."""
  embeddings = _centred(embeddings, options)
  first, *others = tf.unstack(cycles.clips, axis=1)
  at = tf.expand_dims(batch_of_clips.frames_at(embeddings, first, cycles.starts), 1)
  for clip in others:
    at = _nearest(at, tf.gather(embeddings, clip), options)  # [cycles, 1, size]
  back = similarity(at, tf.gather(embeddings, first), options)
  return alignment_losses.Matches(tf.squeeze(back, 1), cycles.starts, first)


def similarity(some: Any, others: Any, options: Alignment) -> Any:
  """[clips, n, size] and [clips, m, size] -> [clips, n, m], over the size and the temperature.

  l2: minus the squared distance. cosine: the dot product, as in the original: the cosine of the
  angle only where the embedder normalises what it returns, which by default it does not.
  """
  products = tf.matmul(some, others, transpose_b=True)
  if options.similarity_type == 'l2':
    squares = [tf.reduce_sum(tf.square(x), axis=-1) for x in (some, others)]
    products = 2 * products - squares[0][:, :, None] - squares[1][:, None, :]
  return products / (some.shape.as_list()[-1] * options.softmax_temperature)


def _nearest(some: Any, others: Any, options: Alignment) -> Any:
  """The soft nearest neighbour of each of `some` among the others, of the shape of `some`."""
  return tf.matmul(tf.nn.softmax(similarity(some, others, options)), others)


def _centred(embeddings: Any, options: Alignment) -> Any:
  """Less the mean of the batch where only distances count.

  Embeddings of a network that has not learnt yet are all alike; their distances would be what
  rounding leaves of differences of large squares. The mean needs no gradient: moving all embeddings
  alike changes no distance.
  """
  if options.similarity_type != 'l2':
    return embeddings
  return embeddings - tf.stop_gradient(tf.reduce_mean(embeddings, axis=[0, 1]))
