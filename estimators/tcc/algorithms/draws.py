"""The random choices of a step: each a function of its name, the seed and the step alone.

A training that is stopped and goes on at its step chooses what it would have chosen.
"""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from npu_adapter import errors

# Every evaluation chooses the same, whatever the seed of the training; no training has this step.
_EVALUATION_SEED, _EVALUATION_STEP = 0, -1


class Draws(NamedTuple):
  """The choices of one step of one training. Each has a name of its own."""

  seed: int
  step: Any  # a whole number, or a tensor of one

  def uniform(self, name: str, shape: list[int]) -> Any:
    """Numbers from 0 to below 1, float32 of a shape."""
    key = self.seed ^ zlib.crc32(name.encode()) % 2**31
    pair = tf.stack([key, tf.cast(self.step, tf.int32)])
    return tf.random.stateless_uniform(shape, pair)

  def coins(self, name: str, count: int) -> Any:
    """Heads or tails, bool [count]."""
    return self.uniform(name, [count]) < 0.5

  def below(self, name: str, limit: int, count: int) -> Any:
    """Whole numbers from 0 to below a limit, int32 [count]."""
    drawn = tf.cast(self.uniform(name, [count]) * limit, tf.int32)
    return tf.minimum(drawn, limit - 1)

  def distinct(self, name: str, limit: int, count: int, rows: int) -> Any:
    """Whole numbers below a limit, in any order, none twice in a row: int32 [rows, count]."""
    return tf.nn.top_k(self.uniform(name, [rows, limit]), count).indices


def of_step(is_training: bool, seed: int) -> Draws:
  """The choices of the training step that the graph is at, or those of every evaluation.

  The graph of a training must have its global step.
  """
  if not is_training:
    return Draws(_EVALUATION_SEED, _EVALUATION_STEP)
  step = tf.train.get_global_step()
  if step is None:
    raise errors.InputError(
      'the graph of a training must have a global step, by which its random choices change; got '
      'one without. Call tf.train.get_or_create_global_step() before the model is built.'
    )
  return Draws(seed, step)
