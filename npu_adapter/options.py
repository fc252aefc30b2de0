"""THE TABLE: every NPU option once. Everything else that knows an option reads it from here.

The vendor's newest adapter (2026) sets names, order and defaults; `since` and `until` name the
vendor release (branch r1.x, or the date of a snapshot) that first had it, and what became of it.
"""

from __future__ import annotations

from npu_adapter import option_grammars as grammars
from npu_adapter.option import (
  BOOL,
  EMULATED,
  FILE,
  FOLDER,
  INT,
  NOT_YET,
  PATH,
  REFUSED,
  SAME,
  SIZE,
  STOCK,
  STOCK_BOOL,
  STOCK_INT,
  STOCK_NUMBER,
  STOCK_PATH,
  TEXT,
  Option,
  instance_of,
)  # fmt: skip

PRECISION_MODES = (
  'force_fp32', 'allow_fp32_to_fp16', 'force_fp16', 'must_keep_origin_dtype', 'allow_mix_precision',
  'cube_fp16in_fp32out', 'allow_mix_precision_fp16', 'allow_mix_precision_bf16',
  'allow_fp32_to_bf16',
)  # fmt: skip
PRECISION_MODES_V2 = (
  'fp16', 'origin', 'cube_fp16in_fp32out', 'mixed_float16', 'mixed_bfloat16', 'cube_hif8',
  'mixed_hif8',
)  # fmt: skip
MIX_MODES = (
  'allow_mix_precision', 'allow_mix_precision_fp16', 'allow_mix_precision_bf16',
  'mixed_float16', 'mixed_bfloat16', 'mixed_hif8',
)  # fmt: skip
IMPL_MODES = (
  'high_precision', 'high_performance', 'high_precision_for_all', 'high_performance_for_all'
)  # fmt: skip
INT32_MAX = 2**31 - 1

# fmt: off
# NPURunConfig's keywords, in the vendor's order.
RUN_CONFIG = (
  Option('iterations_per_loop', INT, 1, 'training steps on the device for each session.run; hooks, summaries and checkpoints come at loop ends only', host=EMULATED, minimum=1),
  Option('profiling_config', instance_of('ProfilingConfig'), None, 'what to profile', host=NOT_YET),
  Option('model_dir', STOCK_PATH, None, 'folder of checkpoints and summaries', host=SAME),
  Option('tf_random_seed', STOCK_INT, None, 'graph-level random seed', host=SAME),
  Option('save_summary_steps', STOCK_INT, 0, 'steps between summaries; 0 writes none', host=SAME, minimum=0),
  Option('save_checkpoints_steps', STOCK_INT, None, 'steps between checkpoints; 100 when save_checkpoints_secs is not given either, 0 for none', host=SAME, minimum=0),
  Option('save_checkpoints_secs', STOCK_NUMBER, None, 'seconds between checkpoints', host=SAME, minimum=0),
  Option('session_config', STOCK, None, 'ConfigProto of every session; it is copied, never edited', host=SAME),
  Option('keep_checkpoint_max', STOCK_INT, 5, 'checkpoints kept (the vendor ignored it before r1.15)', host=SAME, minimum=0),
  Option('keep_checkpoint_every_n_hours', STOCK_NUMBER, 10000, 'one checkpoint in so many hours is kept for ever', host=SAME, minimum=0),
  Option('log_step_count_steps', STOCK_INT, 100, 'steps between loss and speed lines; 0 for none', host=SAME, minimum=0),
  Option('distribute', STOCK, None, 'ParameterServerStrategy, if and only if TF_CONFIG has a cluster'),
  Option('enable_data_pre_proc', BOOL, True, 'the input pipeline\'s GetNext runs on the device', until='deprecated 2023-12'),
  Option('precision_mode', TEXT, None, 'how far the engine may lower fp32; not with precision_mode_v2', host=NOT_YET, allowed=PRECISION_MODES),
  Option('enable_reduce_precision', BOOL, False, 'written, but read by no version of the engine'),
  Option('variable_format_optimize', BOOL, None, 'variables in the device\'s own layout', until='deprecated 2023-12'),
  Option('mix_compile_mode', BOOL, False, 'leave operators the device lacks on the host; needs iterations_per_loop=1'),
  Option('hcom_parallel', BOOL, True, 'all-reduce of gradients beside the backward pass (False before r1.10)'),
  Option('graph_memory_max_size', SIZE, None, 'device memory for the graph, in bytes', grammar=grammars.SIZE, until='without effect since 2026'),
  Option('variable_memory_max_size', SIZE, None, 'device memory for variables, in bytes', grammar=grammars.SIZE, until='without effect since 2026'),
  Option('dump_config', instance_of('DumpConfig'), None, 'which tensors to write to disk', host=NOT_YET),
  Option('stream_max_parallel_num', TEXT, None, 'streams per engine (translation networks)', grammar=grammars.ENGINE_STREAMS),
  Option('is_tailing_optimization', BOOL, False, 'hide the last all-reduce (BERT); say it to the optimizer too'),
  Option('horovod_mode', STOCK_BOOL, False, 'variables are broadcast by the script itself, not by a hook'),
  Option('graph_run_mode', INT, 1, '0 inference, 1 training', allowed=(0, 1)),
  Option('op_debug_level', INT, None, 'compiler debug files', allowed=(0, 1, 2, 3, 4), replaced_by='op_debug_config'),
  Option('enable_scope_fusion_passes', TEXT, None, 'scope fusion patterns to enable', grammar=grammars.NAME_LIST),
  Option('enable_exception_dump', INT, 2, 'dump of a failing operator: 0 none, 1 full, 2 light (0 before r1.15)', allowed=(0, 1, 2)),
  Option('op_select_implmode', TEXT, None, 'precise or fast operators', allowed=IMPL_MODES, replaced_by='op_precision_mode'),
  Option('optypelist_for_implmode', TEXT, None, 'operator types op_select_implmode holds for', grammar=grammars.NAME_LIST, replaced_by='op_precision_mode'),
  Option('dynamic_input_config', instance_of('DynamicInputConfig'), None, 'gears of dynamic shapes'),
  Option('aoe_mode', TEXT, None, 'tuning: 1 subgraph, 2 operator, 4 gradient split, mdat (r1.5 to 2023-12)', since='r1.5', allowed=('1', '2', '4', 'mdat')),
  Option('work_path', FOLDER, None, 'where tuning keeps its files; the working directory when left out'),
  Option('buffer_optimize', TEXT, 'l2_optimize', 'buffer optimization, inference only', allowed=('l2_optimize', 'off_optimize')),
  Option('enable_small_channel', INT, 0, 'faster convolutions of 4 channels or fewer; always 1 for inference', allowed=(0, 1)),
  Option('fusion_switch_file', FILE, None, 'fusion patterns switched on and off, JSON in a .cfg'),
  Option('enable_compress_weight', BOOL, False, 'compress all weights; not with compress_weight_conf'),
  Option('compress_weight_conf', FILE, None, 'nodes whose weights are compressed'),
  Option('op_compiler_cache_mode', TEXT, None, 'cache of compiled operators on disk', allowed=('enable', 'disable', 'force')),
  Option('op_compiler_cache_dir', PATH, None, 'where that cache is'),
  Option('debug_dir', PATH, None, 'where operator debug files go'),
  Option('hcom_multi_mode', BOOL, False, 'several communication domains at once'),
  Option('dynamic_input', BOOL, None, 'the input has dynamic shapes', until='deprecated 2023-12'),
  Option('dynamic_graph_execute_mode', TEXT, 'dynamic_execute', 'compile for a range, or again for each shape', allowed=('dynamic_execute', 'lazy_recompile'), until='deprecated 2023-12'),
  Option('dynamic_inputs_shape_range', TEXT, None, 'range of each dynamic input', grammar=grammars.SHAPE_RANGE, until='deprecated 2023-12'),
  Option('train_distribute', STOCK, None, 'strategy of training, such as NPUStrategy', host=REFUSED),
  Option('eval_distribute', STOCK, None, 'strategy of evaluation', host=REFUSED),
  Option('local_rank_id', INT, None, 'rank inside the server, for shared preprocessing', minimum=0, maximum=7),
  Option('local_device_list', TEXT, None, 'devices the preprocessing rank feeds', grammar=grammars.DEVICE_LIST),
  Option('session_device_id', INT, None, 'logical device; wins over ASCEND_DEVICE_ID', minimum=0),
  Option('distribute_config', FILE, None, 'configuration of multi-device tuning; only with aoe_mode', since='r1.3'),
  Option('modify_mixlist', FILE, None, 'JSON of operators moved between the mixed-precision lists', since='r1.5', host=NOT_YET),
  Option('op_precision_mode', FILE, None, '.ini of precision or speed per operator type or node', since='r1.5'),
  Option('device_type', TEXT, 'default_device_type', 'device type', since='r1.7'),
  Option('soc_config', TEXT, None, 'chip to compile for', since='r1.8'),
  Option('hccl_timeout', INT, None, 'seconds one device waits for another', since='r1.7', minimum=0, maximum=INT32_MAX),
  Option('op_wait_timeout', INT, None, 'seconds an operator waits', since='r1.7', minimum=0, maximum=INT32_MAX),
  Option('op_execute_timeout', INT, None, 'seconds an operator may run', since='r1.7', minimum=0, maximum=INT32_MAX),
  Option('HCCL_algorithm', TEXT, None, 'collective algorithm', since='r1.8'),
  Option('customize_dtypes', FILE, None, 'types of single operators', since='r1.10'),
  Option('op_debug_config', FILE, None, 'memory checks and compiler debug files', since='r1.10'),
  Option('memory_config', instance_of('MemoryConfig'), None, 'device memory policies', since='r1.10'),
  Option('experimental_config', instance_of('ExperimentalConfig'), None, 'what the vendor may still change', since='r1.10'),
  Option('topo_sorting_mode', INT, None, 'order of the compiled graph: 0 breadth, 1 depth, 2 reverse depth', since='r1.10', minimum=0),
  Option('aoe_config_file', FILE, None, 'operators to tune', since='r1.12'),
  Option('insert_op_file', FILE, None, 'preprocessing operators to insert (the vendor takes bytes only)', since='r1.12'),
  Option('stream_sync_timeout', INT, -1, 'milliseconds to wait for a stream; -1 for ever', since='r1.12', minimum=-1, maximum=INT32_MAX),
  Option('event_sync_timeout', INT, -1, 'milliseconds to wait for an event; -1 for ever', since='r1.12', minimum=-1, maximum=INT32_MAX),
  Option('external_weight', BOOL, False, 'constants in files beside the graph', since='r1.12'),
  Option('deterministic', INT, 0, 'same bits for same input', since='r1.12', allowed=(0, 1)),
  Option('frozen_variable', BOOL, False, 'variables become constants, inference only', since='r1.12'),
  Option('variable_placement', TEXT, 'Device', 'where variables live; Host needs mix_compile_mode', since='r1.12', allowed=('Device', 'Host')),
  Option('jit_compile', TEXT, 'auto', 'compile operators, or use those that ship compiled', since='r1.10', allowed=('true', 'false', 'auto')),
  Option('precision_mode_v2', TEXT, None, 'precision_mode with clearer names; not with precision_mode', since='r1.13', host=NOT_YET, allowed=PRECISION_MODES_V2),
  Option('ac_parallel_enable', TEXT, None, 'AI CPU beside AI Core in dynamic shapes', since='r1.15', allowed=('0', '1')),
  Option('quant_dumpable', TEXT, None, 'keep what quantisation would optimise away dumpable', since='2026', allowed=('0', '1')),
  Option('input_fusion_size', INT, 131072, 'bytes up to which inputs are copied together', since='2026', minimum=0, maximum=33554432),
  Option('compile_dynamic_mode', BOOL, None, 'treat every input shape as dynamic', since='2026'),
  Option('graph_max_parallel_model_num', INT, 1, 'threads that run the graph, inference only', since='2026', minimum=1, maximum=INT32_MAX),
  Option('export_compile_stat', INT, 1, 'fusion_result.json: 0 never, 1 at exit, 2 after compiling', since='2026', allowed=(0, 1, 2)),
  Option('aicore_num', TEXT, None, 'cores used by compiled operators', since='2026', grammar=grammars.CORE_COUNTS),
  Option('oo_constant_folding', BOOL, True, 'fold constants', since='2026'),
  Option('input_batch_cpy', BOOL, False, 'copy several inputs in one call', since='2026'),
  Option('shape_generalization_mode', TEXT, 'STRICT', 'shapes under jit_compile=true', since='2026', allowed=('STRICT', 'FULL', 'ADAPTIVE')),
  Option('all_tensor_not_empty', BOOL, False, 'promise that no tensor is empty', since='2026'),
  Option('auto_multistream_parallel_mode', TEXT, None, 'cube beside vector operators', since='2026', grammar=grammars.MULTISTREAM),
  Option('oo_level', TEXT, 'O3', 'level of graph optimization', since='2026', grammar=grammars.LEVEL),
  Option('optimization_switch', TEXT, None, 'graph passes switched on and off', since='2026', grammar=grammars.PASS_SWITCHES),
)

PROFILING_CONFIG = (
  Option('enable_profiling', BOOL, False, 'profile the run', key='profiling_mode', host=NOT_YET),
  Option('profiling_options', TEXT, None, 'what to collect and where; the engine\'s default when left out', host=NOT_YET, grammar=grammars.PROFILING),
)
DUMP_CONFIG = (
  Option('enable_dump', BOOL, False, 'write operator data; not with enable_dump_debug', host=NOT_YET),
  Option('dump_path', FOLDER, None, 'where to; needed by either kind of dump', host=NOT_YET),
  Option('dump_step', TEXT, None, 'steps to dump; all when left out', host=NOT_YET, grammar=grammars.DUMP_STEP),
  Option('dump_mode', TEXT, 'output', 'inputs, outputs or both', host=NOT_YET, allowed=('input', 'output', 'all')),
  Option('enable_dump_debug', BOOL, False, 'write what overflows', host=NOT_YET),
  Option('dump_debug_mode', TEXT, 'all', 'kind of overflow', host=NOT_YET, allowed=('aicore_overflow', 'atomic_overflow', 'all')),
  Option('dump_data', TEXT, 'tensor', 'whole tensors, or statistics', since='r1.10', host=NOT_YET, allowed=('tensor', 'stats')),
  Option('dump_layer', TEXT, None, 'operators to dump, separated by spaces; all when left out', since='r1.10', host=NOT_YET),
)
DYNAMIC_INPUT_CONFIG = (
  Option('input_shape', TEXT, None, 'shape of each input', grammar=grammars.INPUT_SHAPE, required=True),
  Option('dynamic_dims', TEXT, None, 'gears', grammar=grammars.DYNAMIC_DIMS, required=True),
  Option('dynamic_node_type', INT, None, '0 dataset, 1 placeholder', allowed=(0, 1), required=True),
  Option('compile_hybrid_mode', INT, 0, '1 keeps a dynamic graph for shapes outside the gears; placeholders only (the vendor has no default)', since='2026', allowed=(0, 1)),
)
MEMORY_CONFIG = (
  Option('atomic_clean_policy', INT, 0, '0 clears all memset operators\' memory at once, 1 one by one', since='r1.10', allowed=(0, 1)),
  Option('static_memory_policy', INT, 0, '0 as needed, 1 and 2 growing for static, 3 for dynamic shapes, 4 for both', since='r1.10', allowed=(0, 1, 2, 3, 4)),
  Option('memory_optimization_policy', TEXT, None, 'memory optimization', since='r1.10'),
  Option('variable_use_1g_huge_page', INT, 0, '1 GB pages: 0 no, 1 or fail, 2 or 2 MB pages', since='2026', allowed=(0, 1, 2)),
)
GRAPH_MEMORY_OPTIMIZE_CONFIG = (
  Option('recompute', STOCK, None, 'recompute activations (npu_recompute_scope); not in the map', since='r1.10', allowed=('auto', 'manual')),
  Option('graph_slice', TEXT, None, 'cut the graph', since='r1.10', allowed=('auto', 'manual')),
)
EXPERIMENTAL_CONFIG = (
  Option('logical_device_cluster_deploy_mode', TEXT, 'LB', 'load balance, or one logical device', since='r1.10', allowed=('LB', 'SINGLE'), key='experimental_logical_device_cluster_deploy_mode'),
  Option('logical_device_id', TEXT, None, 'that device', since='r1.10', key='experimental_logical_device_id'),
  Option('model_deploy_mode', TEXT, None, 'how the model is spread', since='r1.10', key='experimental_model_deploy_mode'),
  Option('model_deploy_devicelist', TEXT, None, 'over which devices', since='r1.10', key='experimental_model_deploy_devicelist'),
  Option('graph_memory_optimize_config', instance_of('GraphMemoryOptimizeConfig'), None, 'recompute and slicing', since='r1.10'),
  Option('enable_graph_parallel', BOOL, None, 'split the graph automatically', since='r1.12'),
  Option('graph_parallel_option_path', FILE, None, 'how to split it', since='r1.12'),
  Option('graph_compiler_cache_dir', FOLDER, None, 'cache of compiled graphs', since='r1.13'),
  Option('resource_config_path', FILE, None, 'resources of the cluster', since='r1.12'),
  Option('accelerate_train_mode', TEXT, None, 'lower precision for a part of the training', since='r1.15', key='experimental_accelerate_train_mode', grammar=grammars.ACCELERATE),
)
# Keys of the parameter_map that no NPURunConfig argument sets; session_config() takes them.
SESSION_ONLY = (
  Option('use_off_line', BOOL, True, 'False runs everything on the host processor'),
  Option('lower_functional_ops', BOOL, None, 'lower functional control flow'),
  Option('job', TEXT, None, 'kind of the task; that of TF_CONFIG, else localhost'),
  Option('task_index', INT, None, 'number of the task among its kind', minimum=0),
  Option('graph_exec_timeout', INT, None, 'milliseconds a graph may run (the engine\'s default is 600000)', since='r1.10', minimum=0),
  Option('in_out_pair', TEXT, None, 'inputs and outputs of the part that runs on the device'),
  Option('in_out_pair_flag', BOOL, None, 'that part is in (True) or out (False)'),
  Option('es_cluster_config', FILE, None, 'parameter-server cluster; an argument of NPURunConfig from r1.13 to 2023-12', since='r1.13'),
  Option('auto_tune_mode', TEXT, None, 'the older tuning', until='r1.12', allowed=('GA', 'RL', 'GA|RL', 'RL,GA'), replaced_by='aoe_mode'),
)
# fmt: on

# Arguments older versions of the vendor's NPURunConfig had: the last release, and what to use.
REMOVED = {
  'auto_tune_mode': ('r1.10', 'aoe_mode, or session_config(auto_tune_mode=...)'),
  'mstune_mode': ('r1.3', 'aoe_mode'),
  'op_tune_mode': ('r1.3', 'aoe_mode'),
  'es_cluster_config': ('2023-12', 'session_config(es_cluster_config=...)'),
}


def _owned(rows: tuple[Option, ...], owner: str) -> tuple[Option, ...]:
  return tuple(row._replace(owner=owner) for row in rows)


# The config objects by class name; session_config()'s own keys stand under 'session_config'.
TABLE: dict[str, tuple[Option, ...]] = {
  name: _owned(rows, name)
  for name, rows in (
    ('NPURunConfig', RUN_CONFIG),
    ('ProfilingConfig', PROFILING_CONFIG),
    ('DumpConfig', DUMP_CONFIG),
    ('DynamicInputConfig', DYNAMIC_INPUT_CONFIG),
    ('MemoryConfig', MEMORY_CONFIG),
    ('GraphMemoryOptimizeConfig', GRAPH_MEMORY_OPTIMIZE_CONFIG),
    ('ExperimentalConfig', EXPERIMENTAL_CONFIG),
    ('session_config', SESSION_ONLY),
  )
}


def rows_of(owner: str) -> dict[str, Option]:
  """The rows of one config object, by name, in the vendor's order."""
  return {row.name: row for row in TABLE[owner]}


def all_rows() -> list[Option]:
  """Every row, in the table's order."""
  return [row for rows in TABLE.values() for row in rows]
