"""What the benches measure with: the speed of the machine itself, and the runs of a training."""

import time


def gemm():
  """GFLOP/s of a product of 2048 x 2048 matrices: the best of many, the first wake the cores."""
  import tensorflow.compat.v1 as tf

  size, best = 2048, float('inf')
  with tf.Graph().as_default(), tf.Session() as session:
    matrix = tf.get_variable('matrix', [size, size])
    product = tf.matmul(matrix, matrix).op
    session.run(tf.global_variables_initializer())
    for _ in range(40):
      started = time.perf_counter()
      session.run(product)
      best = min(best, time.perf_counter() - started)
  return 2 * size**3 / best / 1e9


def timer(skip):
  """A hook that times the runs of a loop after the first few; its seconds_per_run tells."""
  import tensorflow.compat.v1 as tf

  class Timer(tf.train.SessionRunHook):
    def __init__(self):
      self._runs = 0
      self._first = self._last = 0.0

    def after_run(self, run_context, run_values):
      self._runs += 1
      self._last = time.perf_counter()
      if self._runs == skip:
        self._first = self._last

    @property
    def seconds_per_run(self):
      return (self._last - self._first) / (self._runs - skip)

  return Timer()
