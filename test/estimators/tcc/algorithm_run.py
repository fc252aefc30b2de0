"""Runs a training algorithm on small random clips: its loss, gradients, draws and variables."""

import numpy as np
import tensorflow.compat.v1 as tf

from estimators.tcc.algorithms import algorithm_options, draws, training_algorithms
from npu_adapter.runtime import tf1

SEED, STEP = 3, 14


class Batch:
  """Random clips. `steps` rise, `lengths` differ, some frames have no label."""

  def __init__(self, clips=3, frames=7, size=5, scale=1.5, seed=0):
    chance = np.random.RandomState(seed)
    self.embeddings = (scale * chance.normal(size=[clips, frames, size])).astype(np.float32)
    self.lengths = (frames + chance.randint(1, 40, size=[clips])).astype(np.int32)
    self.steps = np.stack(
      [np.sort(chance.permutation(length)[:frames]) for length in self.lengths]
    ).astype(np.int32)
    self.labels = chance.randint(-1, 4, size=[clips, frames]).astype(np.int32)

  def changed(self, embeddings):
    """The same with other embeddings."""
    other = Batch.__new__(Batch)
    other.__dict__.update(self.__dict__, embeddings=np.asarray(embeddings, np.float32))
    return other


class Run:
  """What came out."""

  def __init__(self, loss, metrics, slope, slopes, variables, drawn):
    self.loss, self.metrics, self.drawn = float(loss), metrics, drawn
    self.slope = slope  # of the loss, by the embeddings
    self.slopes, self.variables = slopes, variables  # by name


def run(
  name, options=None, batch=None, is_training=True, seed=SEED, step=STEP, draw=None, load=None
):
  """One step of a training, or an evaluation.

  draw: takes the Draws of the step and returns tensors, whose values are `drawn`. load: values of
  variables by name.
  """
  tf1.enable()
  batch = Batch() if batch is None else batch
  options = algorithm_options.ALGORITHMS[name].options if options is None else options
  with tf.Graph().as_default(), tf.Session() as session:
    tf.set_random_seed(11)
    global_step = tf.train.get_or_create_global_step()
    embeddings = tf.constant(batch.embeddings, name='embeddings')
    loss, metrics = training_algorithms.loss(
      name, embeddings, tf.constant(batch.steps), tf.constant(batch.lengths),
      tf.constant(batch.labels), options, is_training, seed,
    )  # fmt: skip
    drawn = draw(draws.of_step(is_training, seed)) if draw else tf.no_op()
    trained = tf.trainable_variables()
    names = [variable.op.name for variable in trained]
    slopes = [tf.convert_to_tensor(x) for x in tf.gradients(loss, [embeddings, *trained])]
    session.run(tf.global_variables_initializer())
    global_step.load(step, session)
    for variable, its_name in zip(trained, names):
      if its_name in (load or {}):
        variable.load(load[its_name], session)
    found = session.run([loss, metrics, slopes, trained, drawn])
  slope, *others = found[2]
  variables = dict(zip(names, found[3]))
  return Run(found[0], found[1], slope, dict(zip(names, others)), variables, found[4])


def same(found, expected, tolerance=1e-5):
  """Whether two numbers are alike, to a share of the second."""
  return abs(found - expected) <= tolerance * abs(expected)


def assert_slope(run, loss_of, batch, tolerance=1e-4):
  """That the gradient is how `loss_of`, a double precision loss of embeddings, rises."""
  direction = np.random.RandomState(5).normal(size=batch.embeddings.shape)
  width = 1e-5
  rise = loss_of(batch.embeddings + width * direction) - loss_of(
    batch.embeddings - width * direction
  )
  expected = rise / (2 * width)
  found = float(np.sum(run.slope * direction))
  assert abs(found - expected) <= tolerance * max(abs(expected), np.abs(run.slope).max())
