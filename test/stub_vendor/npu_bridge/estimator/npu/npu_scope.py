"""STUB of the vendor's scopes: each sets its documented attribute on the nodes built inside."""

import contextlib

import tensorflow.compat.v1 as tf

from npu_bridge.estimator.npu.npu_config import NpuExecutePlacement


@contextlib.contextmanager
def _attributes(**fields):
  """Scope in which every new node carries the attributes, given as AttrValue fields."""
  attributes = {f'_{name}': tf.AttrValue(**field) for name, field in fields.items()}
  with tf.get_default_graph()._attr_scope(attributes):
    yield


def without_npu_compile_scope():
  """Nodes stay on the host."""
  return _attributes(without_npu_compile={'b': True})


def npu_variable_scope(placement):
  """Variables live where the NpuExecutePlacement says."""
  if not isinstance(placement, NpuExecutePlacement):
    raise ValueError(f'placement must be a NpuExecutePlacement, got {placement!r}')
  return _attributes(variable_placement={'s': tf.compat.as_bytes(placement.value)})


def keep_dtype_scope():
  """Nodes keep their types under a lower precision mode."""
  return _attributes(keep_dtype={'i': 1})


def npu_stage_scope(stage):
  """Nodes belong to a pipeline stage."""
  return _attributes(stage_level={'i': stage})


def npu_mem_type_scope():
  """Outputs use the special memory type."""
  return _attributes(output_memory_type={'i': 1})


def npu_weight_prefetch_scope(buffer_pool_id=0, buffer_pool_size=512 * 1024 * 1024):
  """Prefetch nodes share a buffer pool of that many bytes."""
  return _attributes(buffer_pool_id={'i': buffer_pool_id}, buffer_pool_size={'i': buffer_pool_size})


def op_specified_engine_scope(engine_name, kernel_lib_name):
  """Nodes run on a named engine."""
  return _attributes(
    specified_engine_name={'s': tf.compat.as_bytes(engine_name)},
    specified_kernel_lib_name={'s': tf.compat.as_bytes(kernel_lib_name)},
  )


def npu_qos_label_scope(label):
  """Nodes carry a quality-of-service label."""
  return _attributes(qos_service_label={'i': label})


def subgraph_multi_dims_scope(index):
  """Nodes belong to a subgraph with several dynamic shapes."""
  return _attributes(subgraph_multi_dims_index={'i': index})


def npu_optimizer_scope():
  """Nodes belong to the optimizer."""
  return _attributes(optimizer={'b': True})


def npu_recompute_scope():
  """Name scope whose nodes are recomputed in the backward pass."""
  return tf.name_scope('NpuRecompute')


def npu_graph_slice_scope(slice_num=None):
  """Name scope whose nodes are sliced."""
  return tf.name_scope(f'SliceNum-{slice_num}-NpuGraphSlicing{slice_num}')
