"""STUB only: how NPUEstimator writes a NPURunConfig into the NpuOptimizer parameter_map."""

import json
import os

import tensorflow.compat.v1 as tf

_OPTIMIZERS = (
  'pruning function constfold shape arithmetic loop dependency layout GradFusionOptimizer'
)

_ALWAYS = {
  'b': (
    'enable_data_pre_proc mix_compile_mode is_tailing_optimization hcom_parallel '
    'enable_compress_weight hcom_multi_mode external_weight frozen_variable '
    'enable_reduce_precision'
  ),
  'i': (
    'iterations_per_loop graph_run_mode enable_exception_dump enable_small_channel deterministic '
    'input_fusion_size stream_sync_timeout event_sync_timeout'
  ),
  's': 'device_type jit_compile variable_placement',
}
_WHEN_GIVEN = {
  'b': (
    'variable_format_optimize dynamic_input compile_dynamic_mode oo_constant_folding '
    'input_batch_cpy all_tensor_not_empty'
  ),
  'i': (
    'op_debug_level local_rank_id session_device_id hccl_timeout op_wait_timeout '
    'op_execute_timeout topo_sorting_mode graph_max_parallel_model_num export_compile_stat'
  ),
  's': (
    'precision_mode stream_max_parallel_num enable_scope_fusion_passes op_select_implmode '
    'optypelist_for_implmode buffer_optimize fusion_switch_file compress_weight_conf '
    'op_compiler_cache_mode op_compiler_cache_dir debug_dir dynamic_graph_execute_mode '
    'dynamic_inputs_shape_range local_device_list modify_mixlist op_precision_mode soc_config '
    'HCCL_algorithm customize_dtypes op_debug_config aoe_config_file precision_mode_v2 '
    'ac_parallel_enable quant_dumpable aicore_num shape_generalization_mode '
    'auto_multistream_parallel_mode oo_level optimization_switch'
  ),
}
_DUMP_TEXTS = 'dump_path dump_step dump_mode dump_debug_mode dump_data dump_layer'
_EXPERIMENTAL_TEXTS = {
  'logical_device_id': 'experimental_logical_device_id',
  'model_deploy_mode': 'experimental_model_deploy_mode',
  'model_deploy_devicelist': 'experimental_model_deploy_devicelist',
  'accelerate_train_mode': 'experimental_accelerate_train_mode',
  'resource_config_path': 'resource_config_path',
  'graph_compiler_cache_dir': 'graph_compiler_cache_dir',
  'graph_parallel_option_path': 'graph_parallel_option_path',
}


def add_npu_optimizer(config, session_config):
  """Appends one NpuOptimizer to the ConfigProto, whatever is there already (vendor defect)."""
  rewrite = session_config.graph_options.rewrite_options
  optimizer = rewrite.custom_optimizers.add()
  optimizer.name = 'NpuOptimizer'
  rewrite.optimizers.extend(_OPTIMIZERS.split())
  parameters = optimizer.parameter_map
  _write_plain(parameters, config)
  _write_task(parameters)
  _write_memory_sizes(parameters, config)
  _write_aoe(parameters, config)
  _write_dump(parameters, config._dump_config)
  _write_profiling(parameters, config._profiling_config)
  _write_memory_policy(parameters, config._memory_config)
  _write_dynamic_input(parameters, config._dynamic_input_config)
  _write_experimental(parameters, config._experimental_config)


def _put(parameters, key, field, value):
  # as_bytes refuses an int with the TypeError users see from the vendor's package.
  setattr(parameters[key], field, tf.compat.as_bytes(value) if field == 's' else value)


def _put_given(parameters, key, field, value):
  if value is not None:
    _put(parameters, key, field, value)


def _write_plain(parameters, config):
  for field, names in _ALWAYS.items():
    for name in names.split():
      _put(parameters, name, field, getattr(config, f'_{name}'))
  for field, names in _WHEN_GIVEN.items():
    for name in names.split():
      _put_given(parameters, name, field, getattr(config, f'_{name}'))
  _put(parameters, 'use_off_line', 'b', True)
  _put(parameters, 'min_group_size', 'b', True)
  if config._insert_op_file is not None:
    # Assigned without as_bytes by the vendor: a str is refused here.
    if not isinstance(config._insert_op_file, bytes):
      raise TypeError(f'insert_op_file must be bytes, got {config._insert_op_file!r}')
    parameters['insert_op_file'].s = config._insert_op_file


def _write_task(parameters):
  task = json.loads(os.environ.get('TF_CONFIG') or '{}').get('task', {})
  _put(parameters, 'job', 's', task.get('type', 'localhost'))
  _put(parameters, 'task_index', 'i', int(task.get('index', 0)))


def _write_memory_sizes(parameters, config):
  for name in ('graph_memory_max_size', 'variable_memory_max_size'):
    value = getattr(config, f'_{name}')
    if value is not None:
      _put(parameters, name, 's', str(value))


def _write_aoe(parameters, config):
  if config._aoe_mode is not None:
    _put(parameters, 'aoe_mode', 's', config._aoe_mode)
    _put(parameters, 'work_path', 's', './' if config._work_path is None else config._work_path)
    _put_given(parameters, 'distribute_config', 's', config._distribute_config)


def _write_dump(parameters, dump):
  for name in ('enable_dump', 'enable_dump_debug'):
    _put(parameters, name, 'b', False if dump is None else getattr(dump, f'_{name}'))
  for name in _DUMP_TEXTS.split() if dump is not None else ():
    _put_given(parameters, name, 's', getattr(dump, f'_{name}'))


def _write_profiling(parameters, profiling):
  if profiling is None:
    return
  _put(parameters, 'profiling_mode', 'b', profiling._enable_profiling)
  if profiling._enable_profiling:
    options = profiling._profiling_options
    _put(parameters, 'profiling_options', 's', '' if options is None else options)


def _write_memory_policy(parameters, memory):
  if memory is None:
    return
  for name in ('atomic_clean_policy', 'static_memory_policy', 'variable_use_1g_huge_page'):
    _put_given(parameters, name, 'i', getattr(memory, f'_{name}'))
  policy = memory._memory_optimization_policy
  _put_given(parameters, 'memory_optimization_policy', 's', policy)


def _write_dynamic_input(parameters, dynamic):
  rows = (
    ('input_shape', 's'),
    ('dynamic_dims', 's'),
    ('dynamic_node_type', 'i'),
    ('compile_hybrid_mode', 'i'),
  )
  if dynamic is None or any(getattr(dynamic, f'_{name}') is None for name, _ in rows):
    return
  for name, field in rows:
    _put(parameters, name, field, getattr(dynamic, f'_{name}'))


def _write_experimental(parameters, experimental):
  cluster_mode = 'LB'
  if experimental is not None:
    cluster_mode = experimental._logical_device_cluster_deploy_mode
    for name, key in _EXPERIMENTAL_TEXTS.items():
      _put_given(parameters, key, 's', getattr(experimental, f'_{name}'))
    enabled = experimental._enable_graph_parallel
    _put_given(parameters, 'enable_graph_parallel', 'b', enabled)
    memory = experimental._graph_memory_optimize_config
    if memory is not None:
      _put_given(parameters, 'graph_slice', 's', memory._graph_slice)
  _put(parameters, 'experimental_logical_device_cluster_deploy_mode', 's', cluster_mode)
