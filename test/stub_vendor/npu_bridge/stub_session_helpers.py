"""STUB of the session and Keras helpers that the vendor's npu_init defines."""

import os

import tensorflow.compat.v1 as tf
from hccl.manage import api as hccl_api
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.keras import backend

from npu_bridge import stub_control
from npu_bridge.estimator import npu_ops
from npu_bridge.estimator.npu.npu_callbacks import NPUBroadcastGlobalVariablesCallback
from npu_bridge.estimator.npu.npu_config import set_npu_session_defaults
from npu_bridge.estimator.npu.npu_hook import NPUBroadcastGlobalVariablesHook
from npu_bridge.estimator.npu.npu_optimizer import (
  KerasDistributeOptimizer,
  NPUDistributedOptimizer,
)

experimental_options = {}


class NpuEmptyHook(tf.train.SessionRunHook):
  """Does nothing."""


def npu_config_proto(config_proto=None):
  """The ConfigProto given (edited in place) or a new one, with the NPU settings."""
  return set_npu_session_defaults(config_proto)


def npu_graph_options(graph_options=None):
  """GraphOptions with the global JIT off."""
  if not isinstance(graph_options, config_pb2.GraphOptions):
    graph_options = config_pb2.GraphOptions()
  npu_optimizer_options(graph_options.optimizer_options)
  return graph_options


def npu_optimizer_options(optimizer_options=None):
  """OptimizerOptions with the global JIT off."""
  if not isinstance(optimizer_options, config_pb2.OptimizerOptions):
    optimizer_options = config_pb2.OptimizerOptions()
  optimizer_options.global_jit_level = config_pb2.OptimizerOptions.OFF
  return optimizer_options


def npu_run_config_init(run_config=None):
  """The stock RunConfig given (edited in place) or a new one, with the NPU session config."""
  if not isinstance(run_config, tf.estimator.RunConfig):
    run_config = tf.estimator.RunConfig()
  run_config._session_config = npu_config_proto(run_config.session_config)
  return run_config


def npu_hooks_append(hooks_list=()):
  """The hooks plus the broadcast hook."""
  hooks = hooks_list if isinstance(hooks_list, list) else []
  hooks.append(NPUBroadcastGlobalVariablesHook(0, int(os.environ.get('RANK_ID') or 0)))
  return hooks


def npu_callbacks_append(callbacks_list=()):
  """The callbacks plus the broadcast callback."""
  callbacks = callbacks_list if isinstance(callbacks_list, list) else []
  callbacks.append(NPUBroadcastGlobalVariablesCallback(0))
  return callbacks


def set_keras_session_npu_config(config=None):
  """A session with the NPU settings, made Keras's own."""
  session = tf.Session(config=npu_config_proto(config))
  backend.set_session(session)
  return session


def init_resource(config=None):
  """Opens the device and reads the ranks; returns the session and the shutdown op."""
  session = tf.Session(config=npu_config_proto(config))
  npu_shutdown = npu_ops.shutdown_system()
  session.run(npu_ops.initialize_system())
  stub_control.state.rank_info = {
    'rank_id': hccl_api.get_rank_id(),
    'local_rank_id': hccl_api.get_local_rank_id(),
    'rank_size': hccl_api.get_rank_size(),
    'local_rank_size': hccl_api.get_local_rank_size(),
  }
  return session, npu_shutdown


def shutdown_resource(sess, npu_shutdown):
  """Runs the shutdown op."""
  sess.run(npu_shutdown)


def close_session(sess):
  """Closes the session."""
  sess.close()


def npu_clear_session(config=None):
  """Clears Keras's state and gives it a new NPU session."""
  backend.clear_session()
  set_keras_session_npu_config(config)


def _rank_value(name):
  if stub_control.state.rank_info is None:
    raise NameError(f'npu {name} is not defined before init_resource')
  return stub_control.state.rank_info[name]


def get_npu_rank_id():
  """Rank id, known after init_resource."""
  return _rank_value('rank_id')


def get_npu_local_rank_id():
  """Local rank id, known after init_resource."""
  return _rank_value('local_rank_id')


def get_npu_rank_size():
  """Rank size, known after init_resource."""
  return _rank_value('rank_size')


def get_npu_local_rank_size():
  """Local rank size, known after init_resource."""
  return _rank_value('local_rank_size')


def npu_keras_optimizer(opt):
  """A Keras optimizer with averaged gradients."""
  return KerasDistributeOptimizer(opt)


def npu_tf_optimizer(opt):
  """A tf.train optimizer with averaged gradients."""
  return NPUDistributedOptimizer(opt)
