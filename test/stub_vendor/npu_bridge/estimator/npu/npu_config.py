"""STUB of the vendor's configuration classes, with the vendor's own Python checks and no others."""

import enum
import functools
import json
import os

import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2

_RUN_CONFIG_ARGUMENTS = (
  'model_dir',
  'tf_random_seed',
  'save_summary_steps',
  'save_checkpoints_steps',
  'save_checkpoints_secs',
  'session_config',
  'keep_checkpoint_max',
  'keep_checkpoint_every_n_hours',
  'log_step_count_steps',
  'train_distribute',
  'eval_distribute',
)
_DEFAULT_SAVE_CHECKPOINTS_STEPS = 100
_CONFIG_POSITION = 2


class NpuExecutePlacement(enum.Enum):
  """Where a variable or op may be placed."""

  ALL = 'all'
  CUBE = 'cube'
  VECTOR = 'vector'
  TAISHAN = 'taishan'
  DVPP = 'dvpp'
  HOST = 'host'


class ProfilingConfig:
  """Whether and what to profile."""

  def __init__(self, enable_profiling=False, profiling_options=None):
    _remember(self, locals())


class DumpConfig:
  """What to dump."""

  def __init__(
    self,
    enable_dump=False,
    dump_path=None,
    dump_step=None,
    dump_mode='output',
    enable_dump_debug=False,
    dump_debug_mode='all',
    dump_data='tensor',
    dump_layer=None,
  ):
    _remember(self, locals())


class MemoryConfig:
  """Memory policies."""

  def __init__(
    self,
    atomic_clean_policy=0,
    static_memory_policy=0,
    memory_optimization_policy=None,
    variable_use_1g_huge_page=0,
  ):
    _remember(self, locals())


class DynamicInputConfig:
  """Dynamic input shapes; all four arguments are required."""

  def __init__(self, input_shape, dynamic_dims, dynamic_node_type, compile_hybrid_mode):
    _remember(self, locals())


class GraphMemoryOptimizeConfig:
  """Recompute and slicing; only graph_slice reaches the device."""

  def __init__(self, recompute=None, graph_slice=None):
    for name, value in (('recompute', recompute), ('graph_slice', graph_slice)):
      if value not in (None, 'auto', 'manual'):
        raise ValueError(f'{name} must be None, "auto" or "manual", got {value!r}')
    _remember(self, locals())


class ExperimentalConfig:
  """Options the vendor marks experimental."""

  def __init__(
    self,
    logical_device_cluster_deploy_mode='LB',
    logical_device_id=None,
    model_deploy_mode=None,
    model_deploy_devicelist=None,
    graph_memory_optimize_config=None,
    enable_graph_parallel=None,
    graph_parallel_option_path=None,
    graph_compiler_cache_dir=None,
    resource_config_path=None,
    accelerate_train_mode=None,
  ):
    _remember(self, locals())


def _remember(holder, arguments):
  """Keeps arguments as attributes with a leading underscore, as the vendor's objects do."""
  for name, value in arguments.items():
    if name != 'self' and not name.startswith('_'):
      setattr(holder, f'_{name}', value)


class NPURunConfig(tf.estimator.RunConfig):
  """RunConfig with the vendor's keywords in the vendor's order (the 2026 list)."""

  def __init__(
    self,
    iterations_per_loop=1,
    profiling_config=None,
    model_dir=None,
    tf_random_seed=None,
    save_summary_steps=0,
    save_checkpoints_steps=None,
    save_checkpoints_secs=None,
    session_config=None,
    keep_checkpoint_max=5,
    keep_checkpoint_every_n_hours=10000,
    log_step_count_steps=100,
    distribute=None,
    enable_data_pre_proc=True,
    precision_mode=None,
    enable_reduce_precision=False,
    variable_format_optimize=None,
    mix_compile_mode=False,
    hcom_parallel=True,
    graph_memory_max_size=None,
    variable_memory_max_size=None,
    dump_config=None,
    stream_max_parallel_num=None,
    is_tailing_optimization=False,
    horovod_mode=False,
    graph_run_mode=1,
    op_debug_level=None,
    enable_scope_fusion_passes=None,
    enable_exception_dump=2,
    op_select_implmode=None,
    optypelist_for_implmode=None,
    dynamic_input_config=None,
    aoe_mode=None,
    work_path=None,
    buffer_optimize='l2_optimize',
    enable_small_channel=0,
    fusion_switch_file=None,
    enable_compress_weight=False,
    compress_weight_conf=None,
    op_compiler_cache_mode=None,
    op_compiler_cache_dir=None,
    debug_dir=None,
    hcom_multi_mode=False,
    dynamic_input=None,
    dynamic_graph_execute_mode='dynamic_execute',
    dynamic_inputs_shape_range=None,
    train_distribute=None,
    eval_distribute=None,
    local_rank_id=None,
    local_device_list=None,
    session_device_id=None,
    distribute_config=None,
    modify_mixlist=None,
    op_precision_mode=None,
    device_type='default_device_type',
    soc_config=None,
    hccl_timeout=None,
    op_wait_timeout=None,
    op_execute_timeout=None,
    HCCL_algorithm=None,
    customize_dtypes=None,
    op_debug_config=None,
    memory_config=None,
    experimental_config=None,
    topo_sorting_mode=None,
    aoe_config_file=None,
    insert_op_file=None,
    stream_sync_timeout=-1,
    event_sync_timeout=-1,
    external_weight=False,
    deterministic=0,
    frozen_variable=False,
    variable_placement='Device',
    jit_compile='auto',
    precision_mode_v2=None,
    ac_parallel_enable=None,
    quant_dumpable=None,
    input_fusion_size=131072,
    compile_dynamic_mode=None,
    graph_max_parallel_model_num=1,
    export_compile_stat=1,
    aicore_num=None,
    oo_constant_folding=True,
    input_batch_cpy=False,
    shape_generalization_mode='STRICT',
    all_tensor_not_empty=False,
    auto_multistream_parallel_mode=None,
    oo_level='O3',
    optimization_switch=None,
  ):
    arguments = {name: value for name, value in locals().items() if name[0] != '_'}
    arguments.pop('self')
    _check(arguments)
    stock = {name: arguments.pop(name) for name in _RUN_CONFIG_ARGUMENTS}
    if save_checkpoints_steps is None and save_checkpoints_secs is None:
      stock['save_checkpoints_steps'] = _DEFAULT_SAVE_CHECKPOINTS_STEPS
    _remember(self, arguments)
    super().__init__(**stock)


def _check(arguments):
  _check_loop(arguments)
  _check_cluster(arguments)
  _check_instances(arguments)
  if not isinstance(arguments['horovod_mode'], bool):
    raise ValueError(f'`horovod_mode` must be a bool, got {arguments["horovod_mode"]!r}')
  _check_int(arguments, 'graph_run_mode', 0, 1)
  _check_int(arguments, 'enable_exception_dump', 0, None)
  if not isinstance(arguments['jit_compile'], str):
    raise TypeError(f'jit_compile: Expected str, got {type(arguments["jit_compile"]).__name__}')


def _check_loop(arguments):
  iterations, mix_compile_mode = arguments['iterations_per_loop'], arguments['mix_compile_mode']
  if not isinstance(iterations, int):
    raise TypeError(f'`iterations_per_loop` must be int, got {iterations!r}')
  if iterations <= 0:
    raise ValueError(f'`iterations_per_loop` must be positive, got {iterations}')
  if not isinstance(mix_compile_mode, bool):
    raise TypeError(f'`mix_compile_mode` must be a bool, got {mix_compile_mode!r}')
  if mix_compile_mode and iterations != 1:
    raise ValueError(f'`mix_compile_mode` needs iterations_per_loop 1, got {iterations}')


def _check_cluster(arguments):
  cluster = json.loads(os.environ.get('TF_CONFIG') or '{}').get('cluster')
  distribute = arguments['distribute']
  if bool(cluster) != (distribute is not None):
    raise ValueError('`distribute` must be set if and only if TF_CONFIG has a cluster')
  if distribute is not None and 'ParameterServerStrategy' not in type(distribute).__name__:
    raise ValueError(f'`distribute` must be a ParameterServerStrategy, got {distribute!r}')
  if cluster and not arguments['mix_compile_mode']:
    raise ValueError('`mix_compile_mode` must be True when TF_CONFIG has a cluster')


def _check_instances(arguments):
  for name, wanted in (
    ('dump_config', DumpConfig),
    ('dynamic_input_config', DynamicInputConfig),
    ('experimental_config', ExperimentalConfig),
  ):
    if arguments[name] is not None and not isinstance(arguments[name], wanted):
      raise ValueError(f'`{name}` must be a {wanted.__name__}, got {arguments[name]!r}')


def _check_int(arguments, name, low, high):
  value = arguments[name]
  if not isinstance(value, int):
    raise TypeError(f'`{name}` must be int, got {value!r}')
  if value < low or (high is not None and value > high):
    raise ValueError(f'`{name}` must be {low} to {high or "any"}, got {value}')


def set_npu_session_defaults(config):
  """Edits a ConfigProto in place (or makes one) into what every NPU session gets."""
  if not isinstance(config, config_pb2.ConfigProto):
    config = config_pb2.ConfigProto()
  rewrite = config.graph_options.rewrite_options
  if all(optimizer.name != 'NpuOptimizer' for optimizer in rewrite.custom_optimizers):
    rewrite.custom_optimizers.add().name = 'NpuOptimizer'
  off = rewriter_config_pb2.RewriterConfig.OFF
  config.allow_soft_placement = True
  config.log_device_placement = False
  rewrite.remapping = off
  # The vendor writes the Toggle value into the other enum: the proto then prints MANUAL.
  rewrite.memory_optimization = off
  config.graph_options.optimizer_options.global_jit_level = config_pb2.OptimizerOptions.OFF
  return config


def decorator_tf_session(func):
  """Wraps a session constructor so that its config, given or not, gets the NPU settings."""

  @functools.wraps(func)
  def with_npu_settings(self, *args, **kwargs):
    if len(args) > _CONFIG_POSITION:
      args = list(args)
      args[_CONFIG_POSITION] = set_npu_session_defaults(args[_CONFIG_POSITION])
    else:
      kwargs['config'] = set_npu_session_defaults(kwargs.get('config'))
    return func(self, *args, **kwargs)

  return with_npu_settings
