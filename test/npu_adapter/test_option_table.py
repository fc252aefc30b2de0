"""Every row of the option table, with values that are good and values that are not."""

import pytest

from npu_adapter import config_objects, errors, options

# What a row of each family accepts and refuses; paths are made by the fixture.
BOOLS = ([True, False], [1, 0, 'True', 'False', 2.0])
ZERO_ONE = ([0, 1], [2, -1, True, '0', 0.5])
NON_NEGATIVE = ([0, 1, 7200], [-1, 2**31, True, '3', 1.5])
TIMEOUT_MS = ([-1, 0, 60000], [-2, 2**31, True, '3'])
TEXTS = (['anything', b'bytes are text too'], [3, True, ['a'], 'a\0b'])
FILES = (['FILE'], ['FOLDER', 'MISSING', '', 3])
FOLDERS = (['FOLDER'], ['FILE', 'MISSING', '', 3])
PATHS = (['FOLDER', 'MISSING'], ['', 3])
SIZES = ([0, 1024, '26 * 1024 * 1024 * 1024', str(2**38)], [2**38 + 1, '1 GiB', -1, 1.5, True])
SWITCH_TEXT = (['0', '1'], ['2', 'on', 0, True])


def enum(*allowed):
  return (list(allowed), [allowed[0] + 'x', allowed[0].swapcase() + '?', 1, True])


def holding(class_name, **arguments):
  return ([lambda: getattr(config_objects, class_name)(**arguments)], [object(), 'text', {}])


PRECISION_MODES = enum(
  'force_fp32', 'allow_fp32_to_fp16', 'force_fp16', 'must_keep_origin_dtype',
  'allow_mix_precision', 'cube_fp16in_fp32out', 'allow_mix_precision_fp16',
  'allow_mix_precision_bf16', 'allow_fp32_to_bf16',
)  # fmt: skip
PRECISION_MODES_V2 = enum(
  'fp16', 'origin', 'cube_fp16in_fp32out', 'mixed_float16', 'mixed_bfloat16', 'cube_hif8',
  'mixed_hif8',
)  # fmt: skip
NAMES = (['Pooling', 'Pooling,SoftmaxV2'], ['', 'a,,b', 'a b', 3])
GEARS = holding('DynamicInputConfig', input_shape='x:-1', dynamic_dims='2;4', dynamic_node_type=1)

NUMBERS = ([0, 60, 1.5], [-1, True, '60'])
RUN_CONFIG = {
  'model_dir': PATHS,
  'tf_random_seed': ([0, -1, 2**31], [1.5, True, '7']),
  'save_summary_steps': ([0, 100], [-1, 1.5, True, '100']),
  'save_checkpoints_steps': ([0, 100], [-1, 1.5, True, '100']),
  'save_checkpoints_secs': NUMBERS,
  'keep_checkpoint_max': ([0, 5], [-1, 1.5, True, '5']),
  'keep_checkpoint_every_n_hours': NUMBERS,
  'log_step_count_steps': ([0, 100], [-1, 1.5, True, '100']),
  'iterations_per_loop': ([1, 10, 1000], [0, -1, True, '10', 1.0]),
  'profiling_config': holding('ProfilingConfig'),
  'enable_data_pre_proc': BOOLS,
  'precision_mode': PRECISION_MODES,
  'enable_reduce_precision': BOOLS,
  'variable_format_optimize': BOOLS,
  'mix_compile_mode': BOOLS,
  'hcom_parallel': BOOLS,
  'graph_memory_max_size': SIZES,
  'variable_memory_max_size': SIZES,
  'dump_config': holding('DumpConfig'),
  'stream_max_parallel_num': (['DNN_VM_AICPU:10,AIcoreEngine:1'], ['10', 'A:', 3]),
  'is_tailing_optimization': BOOLS,
  'horovod_mode': BOOLS,
  'graph_run_mode': ZERO_ONE,
  'op_debug_level': ([0, 1, 2, 3, 4], [5, -1, True, '1']),
  'enable_scope_fusion_passes': NAMES,
  'enable_exception_dump': ([0, 1, 2], [3, -1, True, '1']),
  'op_select_implmode': enum(
    'high_precision', 'high_performance', 'high_precision_for_all', 'high_performance_for_all'
  ),
  'optypelist_for_implmode': NAMES,
  'dynamic_input_config': GEARS,
  'aoe_mode': (['1', '2', '4', 'mdat'], ['3', 1, 'GA', True]),
  'work_path': FOLDERS,
  'buffer_optimize': enum('l2_optimize', 'off_optimize'),
  'enable_small_channel': ZERO_ONE,
  'fusion_switch_file': FILES,
  'enable_compress_weight': BOOLS,
  'compress_weight_conf': FILES,
  'op_compiler_cache_mode': enum('enable', 'disable', 'force'),
  'op_compiler_cache_dir': PATHS,
  'debug_dir': PATHS,
  'hcom_multi_mode': BOOLS,
  'dynamic_input': BOOLS,
  'dynamic_graph_execute_mode': enum('dynamic_execute', 'lazy_recompile'),
  'dynamic_inputs_shape_range': (
    ['data:[1,2];getnext:[2,3]', 'getnext:[128,3~5,-1],[64,-1]', 'data:[]'],
    ['input:[1]', 'data:1,2', 'data:[3~]', 'data:[-2]', 3],
  ),
  'local_rank_id': ([0, 7], [8, -1, True, '1']),
  'local_device_list': (['1', '1,2,3'], ['1,', 'a', 3]),
  'session_device_id': ([0, 7, 100], [-1, True, '1']),
  'distribute_config': FILES,
  'modify_mixlist': FILES,
  'op_precision_mode': FILES,
  'device_type': TEXTS,
  'soc_config': TEXTS,
  'hccl_timeout': NON_NEGATIVE,
  'op_wait_timeout': NON_NEGATIVE,
  'op_execute_timeout': NON_NEGATIVE,
  'HCCL_algorithm': TEXTS,
  'customize_dtypes': FILES,
  'op_debug_config': FILES,
  'memory_config': holding('MemoryConfig'),
  'experimental_config': holding('ExperimentalConfig'),
  'topo_sorting_mode': ([0, 1, 2], [-1, True, '1']),
  'aoe_config_file': FILES,
  'insert_op_file': FILES,
  'stream_sync_timeout': TIMEOUT_MS,
  'event_sync_timeout': TIMEOUT_MS,
  'external_weight': BOOLS,
  'deterministic': ZERO_ONE,
  'frozen_variable': BOOLS,
  'variable_placement': enum('Device', 'Host'),
  'jit_compile': (['true', 'false', 'auto'], [True, 'yes', 1]),
  'precision_mode_v2': PRECISION_MODES_V2,
  'ac_parallel_enable': SWITCH_TEXT,
  'quant_dumpable': SWITCH_TEXT,
  'input_fusion_size': ([0, 25600, 33554432], [-1, 33554433, True, '1']),
  'compile_dynamic_mode': BOOLS,
  'graph_max_parallel_model_num': ([1, 4], [0, 2**31, True, '1']),
  'export_compile_stat': ([0, 1, 2], [3, -1, True]),
  'aicore_num': (['2|4'], ['2', '0|4', '2|4|6', 24]),
  'oo_constant_folding': BOOLS,
  'input_batch_cpy': BOOLS,
  'shape_generalization_mode': enum('STRICT', 'FULL', 'ADAPTIVE'),
  'all_tensor_not_empty': BOOLS,
  'auto_multistream_parallel_mode': (
    ['cv', 'LoadBalance:1', 'MainStream:64'],
    ['vc', 'LoadBalance:0', 'MainStream:65', 'LoadBalance', 1],
  ),
  'oo_level': (['O0', 'O3'], ['O4', '3', 3]),
  'optimization_switch': (['PassA:on', 'PassA:on;PassB:off'], ['PassA', 'PassA:yes', 1]),
}
OBJECTS = {
  'ProfilingConfig': {
    'enable_profiling': BOOLS,
    'profiling_options': (
      [
        '{"output": "/data", "task_trace": "on"}',
        '{"storage_limit": "200MB"}',
        'training_trace:task_trace',
        '',
      ],
      [
        '{"output": 3}',
        '{"storage_limit": "1MB"}',
        '{"task_trace": "yes"}',
        '{"outptu": "/data"}',
        '{"output": ',
        'all',
        3,
      ],
    ),
  },
  'DumpConfig': {
    'enable_dump': BOOLS,
    'dump_path': FOLDERS,
    'dump_step': (
      ['0', '0|5|10-20', '|'.join(['1'] * 100)],
      ['', '5-', '20-10', '5-5', '1,2', '|'.join(['1'] * 101), 5],
    ),
    'dump_mode': enum('input', 'output', 'all'),
    'enable_dump_debug': BOOLS,
    'dump_debug_mode': enum('aicore_overflow', 'atomic_overflow', 'all'),
    'dump_data': enum('tensor', 'stats'),
    'dump_layer': TEXTS,
  },
  'DynamicInputConfig': {
    'input_shape': (['data:1,-1', 'a:0:1,-1;b:2'], ['data', 'data:', 'data:x', None, 3]),
    'dynamic_dims': (['2;4', '20,20;40,40'], ['2', '2,3;4', '-1;2', 'a', None, 3]),
    'dynamic_node_type': ([0, 1], [2, True, '0', None]),
    'compile_hybrid_mode': ZERO_ONE,
  },
  'MemoryConfig': {
    'atomic_clean_policy': ZERO_ONE,
    'static_memory_policy': ([0, 1, 2, 3, 4], [5, -1, True]),
    'memory_optimization_policy': TEXTS,
    'variable_use_1g_huge_page': ([0, 1, 2], [3, -1, True]),
  },
  'GraphMemoryOptimizeConfig': {
    'recompute': enum('auto', 'manual'),
    'graph_slice': enum('auto', 'manual'),
  },
  'ExperimentalConfig': {
    'logical_device_cluster_deploy_mode': (['LB', 'SINGLE'], ['lb', 'BOTH', 1]),
    'logical_device_id': TEXTS,
    'model_deploy_mode': TEXTS,
    'model_deploy_devicelist': TEXTS,
    'graph_memory_optimize_config': holding('GraphMemoryOptimizeConfig'),
    'enable_graph_parallel': BOOLS,
    'graph_parallel_option_path': FILES,
    'graph_compiler_cache_dir': FOLDERS,
    'resource_config_path': FILES,
    'accelerate_train_mode': (
      ['fast|step|0.9', 'fast1|loss|1.5', 'fast|step'],
      ['fast', 'slow|step', 'fast|step|0.95', 'fast|loss|0.9', 3],
    ),
  },
  'session_config': {
    'use_off_line': BOOLS,
    'job': TEXTS,
    'task_index': ([0, 7], [-1, True, '1']),
    'lower_functional_ops': BOOLS,
    'graph_exec_timeout': ([0, 600000], [-1, True, '1']),
    'in_out_pair': TEXTS,
    'in_out_pair_flag': BOOLS,
    'es_cluster_config': FILES,
    'auto_tune_mode': (['GA', 'RL', 'GA|RL'], ['ga|', 'AG', 1]),
  },
}
TABLE = {'NPURunConfig': RUN_CONFIG, **OBJECTS}
# tf.estimator's own arguments: its RunConfig checks them, and test_run_config tests that.
STOCK = {'session_config', 'distribute', 'train_distribute', 'eval_distribute'}  # fmt: skip


def cases(which):
  return [
    pytest.param(owner, name, value, id=f'{owner}.{name}-{index}')
    for owner, rows in TABLE.items()
    for name, values in rows.items()
    for index, value in enumerate(values[which])
  ]


@pytest.fixture
def made(tmp_path):
  """Turns a placeholder into a real path, and a factory into its object."""
  folder = tmp_path / 'a folder'
  folder.mkdir()
  (folder / 'a file').write_text('x')
  paths = {
    'FILE': str(folder / 'a file'),
    'FOLDER': str(folder),
    'MISSING': str(folder / 'missing'),
  }

  def make(value):
    if callable(value):
      return value()
    return paths.get(value, value) if isinstance(value, str) else value

  return make


def test_every_row_of_the_table_is_tested_here():
  tested = {(owner, name) for owner, rows in TABLE.items() for name in rows}
  rows = {(row.owner, row.name) for row in options.all_rows()}
  assert rows - tested == {('NPURunConfig', name) for name in STOCK}
  assert tested - rows == set()


@pytest.mark.parametrize('owner, name, value', cases(0))
def test_a_good_value_is_kept(owner, name, value, made):
  value = made(value)
  kept = options.rows_of(owner)[name].check(value)
  assert kept == (value.decode() if isinstance(value, bytes) else value) or kept == str(value)


@pytest.mark.parametrize('owner, name, value', cases(1))
def test_a_bad_value_is_refused_by_name(owner, name, value, made):
  value = made(value)
  row = options.rows_of(owner)[name]
  with pytest.raises(errors.OptionError) as raised:
    row.check(value)
  message = str(raised.value)
  assert name in message
  assert repr(value) in message
  for allowed in row.allowed:
    assert repr(allowed) in message


@pytest.mark.parametrize('row', options.all_rows(), ids=lambda row: row.label())
def test_none_stands_for_the_default(row):
  if row.required:
    with pytest.raises(errors.OptionError):
      row.check(None)
  else:
    assert row.check(None) == row.default


@pytest.mark.parametrize('row', options.all_rows(), ids=lambda row: row.label())
def test_a_default_is_a_good_value_and_a_row_explains_itself(row):
  if row.default is not None:
    assert row.check(row.default) == row.default
  assert row.doc
  assert row.meaning()


def test_a_wrong_type_is_a_type_error_and_a_value_error_as_the_vendor_raises_either():
  with pytest.raises(TypeError):
    options.rows_of('NPURunConfig')['iterations_per_loop'].check('10')
  with pytest.raises(ValueError):
    options.rows_of('NPURunConfig')['horovod_mode'].check('yes')


def test_a_near_miss_is_told():
  with pytest.raises(errors.OptionError, match="Did you mean 'allow_mix_precision'"):
    options.rows_of('NPURunConfig')['precision_mode'].check('allow_mix_precison')


def test_no_two_rows_share_a_key_of_the_parameter_map():
  keys = [row.map_key for row in options.all_rows() if row.map_key]
  assert len(keys) == len(set(keys))
