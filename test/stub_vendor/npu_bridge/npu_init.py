"""STUB of the vendor's single import: `from npu_bridge.npu_init import *` patches tf.Session.

No __all__, as in the vendor's: every public name here is exported, so nothing else may be bound.
"""

# ruff: noqa: F401
import os

import tensorflow as tf
from hccl.manage.api import (
  create_group,
  destroy_group,
  get_group_rank_from_world_rank,
  get_local_rank_id,
  get_local_rank_size,
  get_rank_id,
  get_rank_size,
  get_world_rank_from_group_rank,
)
from hccl.split.api import set_split_strategy_by_idx, set_split_strategy_by_size
from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
from tensorflow.python.client import session
from tensorflow.python.keras import backend

from npu_bridge import stub_control as _stub_control
from npu_bridge.embedding import embedding_service as npu_embedding
from npu_bridge.estimator import npu_ops
from npu_bridge.estimator.npu import (
  keras_to_npu,
  npu_plugin,
  npu_rnn,
  npu_scope,
  npu_strategy,
  util,
)
from npu_bridge.estimator.npu.npu_callbacks import NPUBroadcastGlobalVariablesCallback
from npu_bridge.estimator.npu.npu_config import (
  DumpConfig,
  DynamicInputConfig,
  MemoryConfig,
  NPURunConfig,
  ProfilingConfig,
  decorator_tf_session,
)
from npu_bridge.estimator.npu.npu_estimator import NPUEstimator, NPUEstimatorSpec
from npu_bridge.estimator.npu.npu_hook import (
  NPUBroadcastGlobalVariablesHook,
  NPUCheckpointSaverHook,
  NPUOutputTensorHook,
  SetIterationsVarHook,
  TellMeStepOrLossHook,
)
from npu_bridge.estimator.npu.npu_loss_scale_manager import (
  ExponentialUpdateLossScaleManager,
  FixedLossScaleManager,
)
from npu_bridge.estimator.npu.npu_loss_scale_optimizer import NPULossScaleOptimizer
from npu_bridge.estimator.npu.npu_optimizer import (
  KerasDistributeOptimizer,
  NPUDistributedOptimizer,
  NPUOptimizer,
  npu_allreduce,
  npu_distributed_optimizer_wrapper,
)
from npu_bridge.estimator.npu_unary_ops import npu_unary_ops
from npu_bridge.hccl import hccl_ops
from npu_bridge.stub_session_helpers import (
  NpuEmptyHook,
  close_session,
  experimental_options,
  get_npu_local_rank_id,
  get_npu_local_rank_size,
  get_npu_rank_id,
  get_npu_rank_size,
  init_resource,
  npu_callbacks_append,
  npu_clear_session,
  npu_config_proto,
  npu_graph_options,
  npu_hooks_append,
  npu_keras_optimizer,
  npu_optimizer_options,
  npu_run_config_init,
  npu_tf_optimizer,
  set_keras_session_npu_config,
  shutdown_resource,
)

for _cls in (tf.compat.v1.Session, tf.compat.v1.InteractiveSession):
  _stub_control.replace_method(_cls, '__init__', decorator_tf_session(_cls.__init__))
