"""What must hold between options: each rule broken and kept, when the config is made."""

import json

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
  'a strategy without a cluster': ({'distribute': object()}, 'got no cluster'),
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


def test_a_cluster_needs_a_strategy_and_mixed_computing(monkeypatch):
  monkeypatch.setenv('TF_CONFIG', json.dumps({'cluster': {'ps': ['localhost:1']}}))
  with pytest.raises(errors.OptionError, match='got a cluster, distribute=None'):
    config_objects.resolve('NPURunConfig', {})
  with pytest.raises(errors.OptionError, match='mix_compile_mode=False'):
    config_objects.resolve('NPURunConfig', {'distribute': object()})
  config_objects.resolve('NPURunConfig', {'distribute': object(), 'mix_compile_mode': True})


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
  assert 'dynamic_input: deprecated 2023-12' in advice
  uneven = {'iterations_per_loop': 10, 'save_checkpoints_steps': 25}
  assert 'is no multiple of iterations_per_loop=10' in next(
    option_rules.advice('NPURunConfig', uneven)
  )
  even = {'iterations_per_loop': 10, 'save_checkpoints_steps': 20}
  assert not list(option_rules.advice('NPURunConfig', even))
  assert not list(option_rules.advice('NPURunConfig', {'precision_mode': 'force_fp16'}))
