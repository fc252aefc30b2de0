"""STUB of the vendor's hooks: real SessionRunHooks that do the same work on the CPU."""

import os

import tensorflow.compat.v1 as tf
from tensorflow.python.ops import summary_ops_v2

from npu_bridge.estimator.npu import util
from npu_bridge.hccl import hccl_ops


def broadcast_trainable_variables(root_rank, index):
  """Op that gives every rank the root's trainable variables."""
  variables = tf.trainable_variables()
  received = hccl_ops.broadcast([v.value() for v in variables], root_rank or 0)
  return tf.group(*[v.assign(value) for v, value in zip(variables, received)])


class NPUBroadcastGlobalVariablesHook(tf.train.SessionRunHook):
  """Broadcasts the trainable variables once; nothing at rank size 1."""

  def __init__(self, root_rank=None, index=None):
    self._root_rank = root_rank
    self._index = index
    self._broadcast_op = None

  def begin(self):
    if util.get_ranksize() > 1:
      self._broadcast_op = broadcast_trainable_variables(self._root_rank, self._index)

  def after_create_session(self, session, coord):
    if self._broadcast_op is not None:
      session.run(self._broadcast_op)


class NPUCheckpointSaverHook(tf.train.CheckpointSaverHook):
  """Saves checkpoints; reads global_step in a run of its own after every step."""

  def after_run(self, run_context, run_values):
    global_step = run_context.session.run(self._global_step_tensor)
    tf.logging.debug('global_step %d', global_step)
    super().after_run(run_context, run_values)


class SetIterationsVarHook(tf.train.SessionRunHook):
  """Creates and loads the four variables of the device loop."""

  def __init__(self, iterations_per_loop=None):
    self._iterations_per_loop = iterations_per_loop
    self._loop_vars = None

  def begin(self):
    self._loop_vars = util.create_loop_vars()

  def after_create_session(self, session, coord):
    util.load_loop_vars(self._loop_vars, session, self._iterations_per_loop)


class NPUInfeedOutfeedSessionHook(tf.train.SessionRunHook):
  """Runs what host_call returned in every step (the real one does so in a host thread)."""

  def __init__(self, dequeue_ops, channel_name):
    self._dequeue_ops = dequeue_ops
    self._channel_name = channel_name
    self._writer_init_ops = []
    self._writer_flush_ops = []

  def begin(self):
    self._writer_init_ops = list(summary_ops_v2.summary_writer_initializer_op())
    self._writer_flush_ops = [
      summary_ops_v2.flush(writer=op.inputs[0]) for op in self._writer_init_ops
    ]

  def after_create_session(self, session, coord):
    session.run(self._writer_init_ops)

  def before_run(self, run_context):
    return tf.train.SessionRunArgs(self._dequeue_ops)

  def end(self, session):
    session.run(self._writer_flush_ops)


class NPULogOutfeedSessionHook(tf.train.SessionRunHook):
  """Prints the device's log channel; there is no device, so nothing comes."""

  def __init__(self, output_stream):
    self._output_stream = output_stream


class NPUOutputTensorHook(tf.train.SessionRunHook):
  """Collects tensors and hands them on every N steps; N 0 divides by zero, as the vendor's."""

  def __init__(self, tensors, dependencies=None, output_fn=None, output_every_n_steps=0):
    self._tensors = tensors if isinstance(tensors, dict) else {t.name: t for t in tensors}
    self._dependencies = dependencies
    self._output_fn = output_fn or print
    self._every_n_steps = output_every_n_steps
    self._rows = []
    self._step = 0

  def before_run(self, run_context):
    return tf.train.SessionRunArgs([self._tensors, self._dependencies or []])

  def after_run(self, run_context, run_values):
    self._rows.append(run_values.results[0])
    self._step += 1
    if self._step % self._every_n_steps == 0:
      self._output_fn(self._rows)
      self._rows = []


class TellMeStepOrLossHook(tf.train.SessionRunHook):
  """Exports step or loss to the environment, for accelerate_train_mode."""

  def __init__(self, step=None, total_step=None, loss=None, final_loss=None):
    if step is None and loss is None:
      raise ValueError('TellMeStepOrLossHook needs step or loss, got neither')
    self._now = {'STEP_NOW': step, 'LOSS_NOW': loss}
    self._goal = {'TOTAL_STEP': total_step, 'TARGET_LOSS': final_loss}

  def begin(self):
    os.environ.update({k: str(v) for k, v in self._goal.items() if v is not None})

  def before_run(self, run_context):
    return tf.train.SessionRunArgs({k: v for k, v in self._now.items() if v is not None})

  def after_run(self, run_context, run_values):
    os.environ.update({k: str(v) for k, v in run_values.results.items()})


class NPUShutDownHook(tf.train.SessionRunHook):
  """Shuts the device down at the end: nothing to do."""
