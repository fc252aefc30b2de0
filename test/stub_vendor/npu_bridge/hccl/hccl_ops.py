"""STUB of the vendor's collectives: every other rank is taken to hold what this rank holds.

At rank size 1 that is the identity; above it a sum is N times the tensor and a gather tiles it.
"""

import tensorflow.compat.v1 as tf

from npu_bridge.estimator.npu import util
from npu_bridge.stub_placeholders import placeholder

_WORLD = 'hccl_world_group'
_TYPES = (tf.int8, tf.int16, tf.int32, tf.int64, tf.float16, tf.float32, tf.bfloat16)
_REDUCTIONS = {
  'sum': lambda tensor, ranks: tensor * tf.cast(ranks, tensor.dtype),
  'prod': lambda tensor, ranks: tensor ** tf.cast(ranks, tensor.dtype),
  'max': lambda tensor, ranks: tf.identity(tensor),
  'min': lambda tensor, ranks: tf.identity(tensor),
}


def _reduced(tensor, reduction):
  tensor = tf.convert_to_tensor(tensor)
  if tensor.dtype.base_dtype not in _TYPES:
    raise TypeError(f'HCCL reduces {[t.name for t in _TYPES]}, got {tensor.dtype.name}')
  if reduction not in _REDUCTIONS:
    raise ValueError(f'reduction must be one of {sorted(_REDUCTIONS)}, got {reduction!r}')
  ranks = util.get_ranksize()
  return tf.identity(tensor) if ranks <= 1 else _REDUCTIONS[reduction](tensor, ranks)


def _tiled(tensor, rank_size):
  return tf.concat([tensor] * rank_size, axis=0)


def allreduce(tensor, reduction, fusion=1, fusion_id=-1, group=_WORLD):
  """Reduction over the ranks, given to all."""
  with tf.name_scope('HcomAllReduce'):
    return _reduced(tensor, reduction)


def allgather(tensor, rank_size, group=_WORLD, fusion=0, fusion_id=-1):
  """Concatenation over the ranks along axis 0."""
  with tf.name_scope('HcomAllGather'):
    return _tiled(tensor, rank_size)


def broadcast(tensor, root_rank, fusion=2, fusion_id=0, group=_WORLD):
  """The root's tensors, list in and list out."""
  if not isinstance(tensor, (list, tuple)):
    raise TypeError(f'broadcast takes a list of tensors, got {type(tensor).__name__}')
  with tf.name_scope('HcomBroadcast'):
    return [tf.identity(one) for one in tensor]


def reduce(tensor, reduction, root_rank, fusion=0, fusion_id=-1, group=_WORLD):
  """Reduction over the ranks, given to the root."""
  with tf.name_scope('HcomReduce'):
    return _reduced(tensor, reduction)


def reduce_scatter(tensor, reduction, rank_size, group=_WORLD, fusion=0, fusion_id=-1):
  """Reduction over the ranks, each gets its slice of axis 0; the stub hands out the first."""
  with tf.name_scope('HcomReduceScatter'):
    return tf.split(_reduced(tensor, reduction), rank_size, axis=0)[0]


send = placeholder('hccl_ops.send')
receive = placeholder('hccl_ops.receive')
remote_read = placeholder('hccl_ops.remote_read')
remote_ref_read = placeholder('hccl_ops.remote_ref_read')
remote_write = placeholder('hccl_ops.remote_write')
remote_scatter_write = placeholder('hccl_ops.remote_scatter_write')
all_to_all_v = placeholder('hccl_ops.all_to_all_v')
all_to_all_v_c = placeholder('hccl_ops.all_to_all_v_c')
gather_all_to_all_v = placeholder('hccl_ops.gather_all_to_all_v')
