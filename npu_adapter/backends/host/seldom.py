"""An operation that runs in few steps, and costs next to nothing in the others."""

from __future__ import annotations

from typing import Any, Callable

import tensorflow.compat.v1 as tf


def only_when(condition: Any, make: Callable[[], Any]) -> Any:
  """Returns an operation that runs what `make` makes where `condition`, a bool tensor, holds.

  tf.cond puts a Switch, which runs in every step, before each tensor that its branch takes from
  outside: two for each variable that is averaged. Here one Switch holds back all of it. What runs
  after a tensor that is not there does not run.
  """
  elsewhere, here = tf.raw_ops.Switch(data=condition, pred=condition)
  with tf.control_dependencies([tf.identity(here)]):
    made = make()
  with tf.control_dependencies([made]):
    done = tf.identity(here)
  return tf.raw_ops.Merge(inputs=[elsewhere, done]).output.op
