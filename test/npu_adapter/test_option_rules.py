"""What must hold between options: each rule broken and kept, when the config is made."""

import pytest

from npu_adapter import config_objects, errors, option_rules

GEARS = {'input_shape': 'data:1,-1;label:-1', 'dynamic_dims': '2,2;4,4', 'dynamic_node_type': 1}


def experimental(mode):
  return config_objects.ExperimentalConfig(accelerate_train_mode=mode)


BROKEN = {
  'both precision modes': (
    {'precision_mode': 'force_fp16', 'precision_mode_v2': 'fp16'},
    'precision_mode and precision_mode_v2 exclude each other',
  ),
  'a mixlist without a mixed mode': ({'modify_mixlist': 'FILE'}, 'modify_mixlist needs a mixed'),
  'a mixlist with another mode': (
    {'modify_mixlist': 'FILE', 'precision_mode': 'force_fp16'},
    "got 'force_fp16'",
  ),
  'a loop under mixed computing': (
    {'mix_compile_mode': True, 'iterations_per_loop': 10},
    'mix_compile_mode=True needs iterations_per_loop=1; got iterations_per_loop=10',
  ),
  'a loop under recompilation': (
    {'dynamic_graph_execute_mode': 'lazy_recompile', 'iterations_per_loop': 2},
    'lazy_recompile',
  ),
  'operator types without their mode': (
    {'optypelist_for_implmode': 'Pooling'},
    'needs op_select_implmode',
  ),
  'two weight compressions': (
    {'enable_compress_weight': True, 'compress_weight_conf': 'FILE'},
    'enable_compress_weight=True and compress_weight_conf exclude each other',
  ),
  'host variables without mixed computing': (
    {'variable_placement': 'Host'},
    'needs mix_compile_mode=True',
  ),
  'gears and dynamic compilation': (
    {
      'compile_dynamic_mode': True,
      'dynamic_input_config': config_objects.DynamicInputConfig(**GEARS),
    },
    'compile_dynamic_mode=True and dynamic_input_config exclude each other',
  ),
  'distributed tuning without tuning': ({'distribute_config': 'FILE'}, 'needs aoe_mode'),
  'acceleration on lowered precision': (
    {'experimental_config': experimental('fast|step'), 'precision_mode': 'allow_mix_precision'},
    "got 'allow_mix_precision'",
  ),
  'acceleration on lowered precision of version 2': (
    {'experimental_config': experimental('fast|step'), 'precision_mode_v2': 'mixed_float16'},
    "got 'mixed_float16'",
  ),
  'a mixlist with another mode of version 2': (
    {'modify_mixlist': 'FILE', 'precision_mode_v2': 'origin'},
    'allow_mix_precision, allow_mix_precision_fp16, allow_mix_precision_bf16, mixed_float16, '
    'mixed_bfloat16, mixed_hif8.',
  ),
}
KEPT = {
  'one precision mode': {'precision_mode_v2': 'fp16'},
  'a mixlist with a mixed mode': {
    'modify_mixlist': 'FILE',
    'precision_mode': 'allow_mix_precision',
  },
  'a mixlist with a mixed mode of version 2': {
    'modify_mixlist': 'FILE',
    'precision_mode_v2': 'mixed_bfloat16',
  },
  'mixed computing step by step': {'mix_compile_mode': True},
  'recompilation step by step': {'dynamic_graph_execute_mode': 'lazy_recompile'},
  'operator types with their mode': {
    'optypelist_for_implmode': 'Pooling',
    'op_select_implmode': 'high_precision',
  },
  'host variables under mixed computing': {'variable_placement': 'Host', 'mix_compile_mode': True},
  'gears': {'dynamic_input_config': config_objects.DynamicInputConfig(**GEARS)},
  'distributed tuning': {'distribute_config': 'FILE', 'aoe_mode': '4'},
  'acceleration on full precision': {
    'experimental_config': experimental('fast|step|0.9'),
    'precision_mode': 'must_keep_origin_dtype',
  },
  'acceleration on the precision of inference': {
    'experimental_config': experimental('fast|step|0.9'),
    'precision_mode': 'allow_fp32_to_fp16',
  },
  'acceleration on full precision of version 2': {
    'experimental_config': experimental('fast1|loss'),
    'precision_mode_v2': 'origin',
  },
  'acceleration on the precision of the engine': {'experimental_config': experimental('fast|step')},
  'other experiments on lowered precision': {
    'experimental_config': config_objects.ExperimentalConfig(enable_graph_parallel=True),
    'precision_mode': 'allow_mix_precision',
  },
  'a list of compressed weights': {'compress_weight_conf': 'FILE'},
  'all weights compressed': {'enable_compress_weight': True},
  'dynamic compilation': {'compile_dynamic_mode': True},
  'gears without dynamic compilation': {
    'compile_dynamic_mode': False,
    'dynamic_input_config': config_objects.DynamicInputConfig(**GEARS),
  },
}


@pytest.fixture
def with_files(tmp_path):
  file = tmp_path / 'list.json'
  file.write_text('{}')
  return lambda given: {k: str(file) if v == 'FILE' else v for k, v in given.items()}


@pytest.mark.parametrize('name', BROKEN)
def test_a_broken_rule_is_told_when_the_config_is_made(name, with_files):
  given, words = BROKEN[name]
  with pytest.raises(errors.OptionError) as raised:
    config_objects.resolve('NPURunConfig', with_files(given))
  assert words in str(raised.value)


@pytest.mark.parametrize('name', KEPT)
def test_a_kept_rule_lets_the_values_through(name, with_files):
  given = with_files(KEPT[name])
  values = config_objects.resolve('NPURunConfig', given)
  assert {key: values[key] for key in given} == given


@pytest.mark.parametrize(
  'given, words',
  [
    ({'enable_dump': True}, 'DumpConfig.enable_dump=True needs dump_path'),
    ({'enable_dump_debug': True}, 'DumpConfig.enable_dump_debug=True needs dump_path'),
    (
      {'enable_dump': True, 'enable_dump_debug': True, 'dump_path': '.'},
      'enable_dump and DumpConfig.enable_dump_debug exclude each other',
    ),
  ],
)
def test_a_dump_without_a_place_or_of_both_kinds_is_refused(given, words):
  with pytest.raises(errors.OptionError) as raised:
    config_objects.DumpConfig(**given)
  assert words in str(raised.value)


@pytest.mark.parametrize(
  'change, words',
  [
    ({'dynamic_dims': '2;4'}, 'got 1 sizes'),
    ({'dynamic_node_type': 0, 'compile_hybrid_mode': 1}, 'needs dynamic_node_type=1; got 0'),
  ],
)
def test_gears_that_do_not_fit_the_shapes_are_refused(change, words):
  with pytest.raises(errors.OptionError) as raised:
    config_objects.DynamicInputConfig(**{**GEARS, **change})
  assert words in str(raised.value)


def test_fixed_dimensions_take_no_size_of_a_gear():
  given = {**GEARS, 'input_shape': 'data:1,-1;label:-1;weight:0,1,2'}
  assert config_objects.DynamicInputConfig(**given).input_shape == given['input_shape']


@pytest.mark.parametrize('node_type', [0, 1])
def test_without_hybrid_compilation_gears_work_on_either_input(node_type):
  made = config_objects.DynamicInputConfig(**{**GEARS, 'dynamic_node_type': node_type})
  assert made.compile_hybrid_mode == 0


def test_a_hybrid_graph_works_on_placeholders():
  assert config_objects.DynamicInputConfig(**GEARS, compile_hybrid_mode=1).compile_hybrid_mode == 1


@pytest.mark.parametrize('missing', GEARS)
def test_dynamic_inputs_are_given_all_or_not_at_all(missing):
  given = {name: value for name, value in GEARS.items() if name != missing}
  with pytest.raises(TypeError, match=missing):
    config_objects.DynamicInputConfig(**given)


def test_advice_names_deprecated_and_idle_options():
  given = {'op_debug_level': 0, 'work_path': '.', 'dynamic_input': True}
  advice = '\n'.join(option_rules.advice('NPURunConfig', given))
  assert 'op_debug_level is deprecated by the vendor: use op_debug_config' in advice
  assert 'work_path is written only together with aoe_mode' in advice
  assert 'dynamic_input is deprecated 2023-12 in the vendor' in advice
  uneven = {'iterations_per_loop': 10, 'save_checkpoints_steps': 25}
  assert 'is no multiple of iterations_per_loop=10' in next(
    option_rules.advice('NPURunConfig', uneven)
  )
  even = {'iterations_per_loop': 10, 'save_checkpoints_steps': 20}
  assert not list(option_rules.advice('NPURunConfig', even))
  assert not list(option_rules.advice('NPURunConfig', {'precision_mode': 'force_fp16'}))


@pytest.mark.parametrize(
  'given, words',
  [
    ({'op_select_implmode': 'high_precision'}, 'use op_precision_mode'),
    ({'optypelist_for_implmode': 'Pooling'}, 'use op_precision_mode'),
    ({'graph_memory_max_size': '0'}, 'graph_memory_max_size is without effect since 2026'),
    (
      {'op_precision_mode': 'FILE', 'op_select_implmode': 'high_precision'},
      'op_precision_mode wins',
    ),
    ({'dynamic_inputs_shape_range': 'data:[2]'}, 'read only with dynamic_input=True'),
    ({'iterations_per_loop': 10, 'save_checkpoints_steps': 5}, 'no multiple of'),
  ],
)
def test_advice_is_given_where_something_has_no_effect(given, words):
  assert words in '\n'.join(option_rules.advice('NPURunConfig', given))


@pytest.mark.parametrize(
  'given, words',
  [
    ({'work_path': '.', 'aoe_mode': '2'}, 'work_path'),
    ({'op_precision_mode': 'FILE'}, 'wins'),
    ({'dynamic_inputs_shape_range': 'data:[2]', 'dynamic_input': True}, 'is read only'),
    ({'iterations_per_loop': 10, 'save_checkpoints_steps': None}, 'no multiple of'),
    ({'iterations_per_loop': 10, 'save_checkpoints_steps': 0}, 'no multiple of'),
  ],
)
def test_no_advice_is_given_where_all_is_well(given, words):
  assert words not in '\n'.join(option_rules.advice('NPURunConfig', given))


def test_advice_on_a_session_key_names_its_successor():
  (line,) = option_rules.advice('session_config', {'auto_tune_mode': 'GA'})
  assert line == 'session_config.auto_tune_mode is deprecated by the vendor: use aoe_mode.'
