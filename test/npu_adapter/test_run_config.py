"""NPURunConfig: the vendor's signature, what it keeps, and what it makes of a ConfigProto."""

import copy
import inspect
import json
import pathlib

import pytest
import tensorflow.compat.v1 as tf

import npu_adapter as npu
from npu_adapter import log, parameter_map
from npu_adapter.runtime.run_config import RunConfig

FACTS = pathlib.Path(__file__).resolve().parents[1] / 'vendor_facts'


def with_npu_optimizer(**entries):
  """A ConfigProto as vendor scripts write it; entries are key=(field, value)."""
  proto = tf.ConfigProto()
  optimizer = proto.graph_options.rewrite_options.custom_optimizers.add()
  optimizer.name = 'NpuOptimizer'
  for key, (field, value) in entries.items():
    setattr(optimizer.parameter_map[key], field, value)
  return proto


def test_arguments_order_and_defaults_are_those_of_the_newest_vendor_version():
  facts = json.loads((FACTS / 'run_config_arguments.json').read_text())
  ours = list(inspect.signature(npu.NPURunConfig).parameters.values())
  assert [parameter.name for parameter in ours] == [fact['name'] for fact in facts]
  assert [parameter.default for parameter in ours] == [fact['default'] for fact in facts]


def test_since_is_what_the_vendor_history_says():
  from npu_adapter import options

  facts = json.loads((FACTS / 'run_config_arguments.json').read_text())
  rows = options.rows_of('NPURunConfig')
  assert {f['name']: f['since'] for f in facts} == {f['name']: rows[f['name']].since for f in facts}


def test_positional_arguments_bind_in_the_vendors_order():
  config = npu.NPURunConfig(10, None, '/tmp/model', 7)
  assert (config.iterations_per_loop, config.model_dir, config.tf_random_seed) == (
    10, '/tmp/model', 7,
  )  # fmt: skip


def test_it_is_a_run_config_with_the_vendors_defaults():
  config = npu.NPURunConfig()
  assert isinstance(config, RunConfig)
  assert (config.save_summary_steps, config.save_checkpoints_steps) == (0, 100)
  assert config.save_checkpoints_secs is None
  assert (config.keep_checkpoint_max, config.log_step_count_steps) == (5, 100)
  assert config.hcom_parallel is True
  assert config.precision_mode is None


def test_checkpoints_go_by_seconds_or_not_at_all_when_asked():
  assert npu.NPURunConfig(save_checkpoints_secs=60).save_checkpoints_steps is None
  assert not npu.NPURunConfig(save_checkpoints_steps=0).save_checkpoints_steps


@pytest.mark.parametrize(
  'given',
  [
    {'save_checkpoints_steps': 10, 'save_checkpoints_secs': 10},
    {'save_summary_steps': -1},
    {'keep_checkpoint_max': -1},
    {'session_config': {'allow_soft_placement': True}},
    {'tf_random_seed': 'seven'},
    {'model_dir': ''},
  ],
)
def test_stock_arguments_are_checked_as_in_tf_estimator(given):
  with pytest.raises((ValueError, TypeError)):
    npu.NPURunConfig(**given)


def test_a_wrong_value_fails_when_the_config_is_made():
  with pytest.raises(ValueError, match="allow_mix_precison.*Did you mean 'allow_mix_precision'"):
    npu.NPURunConfig(precision_mode='allow_mix_precison')
  with pytest.raises(TypeError, match="no option 'precison_mode'.*Did you mean 'precision_mode'"):
    npu.NPURunConfig(precison_mode='force_fp16')
  with pytest.raises(TypeError, match='dump_config must be a DumpConfig'):
    npu.NPURunConfig(dump_config={'enable_dump': True})
  with pytest.raises(ValueError, match='exclude each other'):
    npu.NPURunConfig(precision_mode='force_fp16', precision_mode_v2='fp16')


def test_given_tells_what_was_named_even_where_it_is_the_default():
  config = npu.NPURunConfig(hcom_parallel=True, precision_mode=None, aoe_mode='2')
  assert config.given == {'hcom_parallel': True, 'aoe_mode': '2'}
  assert repr(config) == "NPURunConfig(hcom_parallel=True, aoe_mode='2')"


def test_replace_returns_a_checked_copy_and_leaves_the_original():
  config = npu.NPURunConfig(precision_mode='force_fp16', save_checkpoints_steps=7)
  other = config.replace(precision_mode='force_fp32', model_dir='/tmp/x')
  assert (config.precision_mode, config.model_dir) == ('force_fp16', None)
  assert (other.precision_mode, other.model_dir) == ('force_fp32', '/tmp/x')
  assert other.save_checkpoints_steps == 7
  with pytest.raises(ValueError, match='precision_mode'):
    config.replace(precision_mode='fp17')


def test_a_config_survives_a_deep_copy():
  config = npu.NPURunConfig(precision_mode='force_fp16', memory_config=npu.MemoryConfig(1))
  other = copy.deepcopy(config)
  assert other.given == config.given
  assert other.memory_config == config.memory_config


def test_an_attribute_that_is_no_option_is_told_with_its_nearest_match():
  with pytest.raises(AttributeError, match="Did you mean 'precision_mode'"):
    npu.NPURunConfig().precison_mode  # noqa: B018 - reading it is the test


def test_the_config_proto_of_the_user_is_copied_and_never_edited():
  proto = with_npu_optimizer(precision_mode=('s', b'force_fp16'))
  before = proto.SerializeToString()
  config = npu.NPURunConfig(session_config=proto)
  assert proto.SerializeToString() == before
  proto.allow_soft_placement = True
  assert not config.session_config.allow_soft_placement


def test_an_npu_optimizer_in_the_config_proto_counts_as_arguments(tmp_path):
  proto = with_npu_optimizer(
    precision_mode=('s', b'allow_mix_precision'), hcom_parallel=('b', False),
    use_off_line=('b', True), enable_dump=('b', True), dump_path=('s', str(tmp_path).encode()),
    graph_slice=('s', b'auto'), graph_exec_timeout=('i', 5), job=('s', b'localhost'),
  )  # fmt: skip
  config = npu.NPURunConfig(session_config=proto)
  assert config.precision_mode == 'allow_mix_precision'
  assert config.hcom_parallel is False
  assert config.dump_config == npu.DumpConfig(enable_dump=True, dump_path=str(tmp_path))
  slicing = config.experimental_config.graph_memory_optimize_config
  assert slicing == npu.GraphMemoryOptimizeConfig(graph_slice='auto')
  assert config.session_only == {'graph_exec_timeout': 5, 'use_off_line': True, 'job': 'localhost'}
  assert not config.session_config.graph_options.rewrite_options.custom_optimizers


def test_every_config_object_is_built_from_a_config_proto(tmp_path):
  proto = with_npu_optimizer(
    profiling_mode=('b', True), static_memory_policy=('i', 2), input_shape=('s', b'x:-1'),
    dynamic_dims=('s', b'2;4'), dynamic_node_type=('i', 0), graph_slice=('s', b'auto'),
    experimental_model_deploy_mode=('s', b'spmd'),
  )  # fmt: skip
  config = npu.NPURunConfig(session_config=proto)
  assert config.profiling_config == npu.ProfilingConfig(True)
  assert config.memory_config == npu.MemoryConfig(static_memory_policy=2)
  assert config.dynamic_input_config == npu.DynamicInputConfig('x:-1', '2;4', 0)
  assert config.experimental_config == npu.ExperimentalConfig(
    model_deploy_mode='spmd',
    graph_memory_optimize_config=npu.GraphMemoryOptimizeConfig(graph_slice='auto'),
  )


def test_an_argument_wins_over_an_entry_that_says_the_default():
  proto = with_npu_optimizer(hcom_parallel=('b', True), enable_dump=('b', False))
  config = npu.NPURunConfig(session_config=proto, hcom_parallel=False)
  assert config.hcom_parallel is False
  assert config.dump_config is None
  assert set(config.given) == {'session_config', 'hcom_parallel'}


def test_the_rest_of_the_config_proto_is_kept():
  proto = with_npu_optimizer(precision_mode=('s', b'force_fp16'))
  proto.intra_op_parallelism_threads = 3
  proto.graph_options.place_pruned_graph = True
  kept = npu.NPURunConfig(session_config=proto).session_config
  assert kept.intra_op_parallelism_threads == 3
  assert kept.graph_options.place_pruned_graph


def test_session_only_keys_survive_a_replacement_and_newer_ones_win():
  config = npu.NPURunConfig(session_config=with_npu_optimizer(graph_exec_timeout=('i', 5)))
  assert config.replace(model_dir='/tmp/x').session_only == {'graph_exec_timeout': 5}
  newer = with_npu_optimizer(graph_exec_timeout=('i', 7), in_out_pair=('s', b'a'))
  assert config.replace(session_config=newer).session_only == {
    'graph_exec_timeout': 7, 'in_out_pair': 'a',
  }  # fmt: skip


def test_stock_arguments_reach_tf_estimators_attributes():
  strategy = object()
  config = npu.NPURunConfig(
    tf_random_seed=7, save_summary_steps=3, keep_checkpoint_max=2, log_step_count_steps=9,
    keep_checkpoint_every_n_hours=4, train_distribute=strategy, eval_distribute=strategy,
  )  # fmt: skip
  found = (
    config.tf_random_seed, config.save_summary_steps, config.keep_checkpoint_max,
    config.log_step_count_steps, config.keep_checkpoint_every_n_hours, config.train_distribute,
    config.eval_distribute,
  )  # fmt: skip
  assert found == (7, 3, 2, 9, 4, strategy, strategy)


def test_an_explicit_none_is_the_same_as_leaving_an_option_out():
  config = npu.NPURunConfig(save_summary_steps=None, keep_checkpoint_max=None, hcom_parallel=None)
  assert (config.save_summary_steps, config.keep_checkpoint_max) == (0, 5)
  assert config.hcom_parallel is True
  assert config.given == {}


def test_a_key_of_the_config_proto_counts_even_where_it_says_the_tables_default():
  # In session code the engine's own default differs: it does not preprocess on the device.
  proto = with_npu_optimizer(enable_data_pre_proc=('b', True), hcom_parallel=('b', True))
  config = npu.NPURunConfig(session_config=proto)
  assert config.given['enable_data_pre_proc'] is True
  assert config.given['hcom_parallel'] is True


def test_an_option_cannot_be_assigned_past_its_check():
  config = npu.NPURunConfig()
  with pytest.raises(AttributeError, match=r"config.replace\(precision_mode='force_fp16'\)"):
    config.precision_mode = 'force_fp16'
  with pytest.raises(AttributeError, match='read-only'):
    config.model_dir = '/tmp/x'


def test_naming_one_checkpoint_frequency_ends_the_other():
  config = npu.NPURunConfig(save_checkpoints_steps=50).replace(save_checkpoints_secs=60)
  assert (config.save_checkpoints_steps, config.save_checkpoints_secs) == (None, 60)


@pytest.mark.parametrize(
  'name, words',
  [
    ('auto_tune_mode', 'the vendor had it up to r1.10. Use aoe_mode'),
    ('es_cluster_config', r'Use session_config\(es_cluster_config=...\)'),
  ],
)
def test_an_option_the_vendor_dropped_is_told_with_what_to_use(name, words):
  with pytest.raises(TypeError, match=words):
    npu.NPURunConfig(**{name: None})


def test_a_tf_config_that_is_no_json_is_named(monkeypatch):
  monkeypatch.setenv('TF_CONFIG', '{bad')
  with pytest.raises(ValueError, match='TF_CONFIG must be JSON'):
    npu.NPURunConfig()


def test_other_custom_optimizers_of_the_config_proto_stay():
  proto = with_npu_optimizer()
  proto.graph_options.rewrite_options.custom_optimizers.add().name = 'Mine'
  kept = npu.NPURunConfig(session_config=proto).session_config
  names = [o.name for o in kept.graph_options.rewrite_options.custom_optimizers]
  assert names == ['Mine']


@pytest.mark.parametrize(
  'entries, words',
  [
    ({'precision_mod': ('s', b'x')}, "no key 'precision_mod'.*Did you mean 'precision_mode'"),
    ({'iterations_per_loop': ('s', b'10')}, r'must be set as \.i \(an int\); got \.s'),
    ({'jit_compile': ('b', True)}, r'must be set as \.s \(a text\); got \.b'),
    ({'precision_mode': ('s', b'fp17')}, "got 'fp17'"),
  ],
)
def test_a_map_the_engine_would_misread_is_refused(entries, words):
  with pytest.raises(ValueError, match=words):
    npu.NPURunConfig(session_config=with_npu_optimizer(**entries))


def test_an_option_given_twice_with_two_values_is_refused():
  proto = with_npu_optimizer(precision_mode=('s', b'force_fp16'))
  with pytest.raises(ValueError, match='precision_mode is given twice'):
    npu.NPURunConfig(session_config=proto, precision_mode='force_fp32')
  same = npu.NPURunConfig(session_config=proto, precision_mode='force_fp16')
  assert same.precision_mode == 'force_fp16'


def test_reading_and_writing_a_map_are_each_others_inverse(tmp_path):
  given = {
    'precision_mode': 'force_fp16', 'iterations_per_loop': 3, 'hcom_parallel': False,
    'work_path': str(tmp_path), 'aoe_mode': '2', 'stream_sync_timeout': -1,
  }  # fmt: skip
  proto = tf.ConfigProto()
  parameter_map.write(proto, parameter_map.session_entries(given, {}))
  parameter_map.write(proto, parameter_map.session_entries(given, {}))
  assert len(proto.graph_options.rewrite_options.custom_optimizers) == 1
  assert parameter_map.read(proto) == {'use_off_line': True, **given}


def test_advice_is_logged_once(caplog, monkeypatch):
  monkeypatch.setattr(log, '_said', set())
  with caplog.at_level('INFO', logger='npu_adapter'):
    npu.NPURunConfig(op_debug_level=3)
    npu.NPURunConfig(op_debug_level=3)
  assert [line for line in caplog.messages if 'op_debug_level' in line] == [
    'op_debug_level is deprecated by the vendor: use op_debug_config.'
  ]
