"""What a value becomes when an option keeps it, and the exact words when it does not."""

import os
import tempfile

import numpy as np
import pytest

from npu_adapter import config_objects, errors, option, option_grammars, options

RUN = options.rows_of('NPURunConfig')
CHECK = """
try:
  options.rows_of('NPURunConfig')[{option!r}].check({path!r})
except errors.OptionError as error:
  print(error)
"""


def refusal(row, value):
  with pytest.raises(errors.OptionError) as raised:
    row.check(value)
  return str(raised.value)


def test_ints_and_sizes_of_numpy_are_kept_as_python_has_them():
  kept = RUN['iterations_per_loop'].check(np.int64(10))
  assert (kept, type(kept)) == (10, int)


def test_an_int_without_bounds_may_be_negative():
  assert option.Option('depth', option.INT, None, 'how deep').check(-5) == -5


def test_bytes_are_read_as_utf_8():
  assert RUN['device_type'].check('Gerät'.encode()) == 'Gerät'


def test_path_objects_are_kept_as_text(tmp_path):
  assert RUN['work_path'].check(tmp_path) == str(tmp_path)
  assert RUN['debug_dir'].check(tmp_path / 'later') == str(tmp_path / 'later')
  (tmp_path / 'list').write_text('')
  assert RUN['op_debug_config'].check(tmp_path / 'list') == str(tmp_path / 'list')


def test_sizes_are_kept_as_text():
  assert RUN['graph_memory_max_size'].check(1024) == '1024'
  assert RUN['graph_memory_max_size'].check('2 * 1024') == '2 * 1024'


@pytest.mark.parametrize(
  'name, value, words',
  [
    ('iterations_per_loop', '10', "must be an int of at least 1; got '10' (str)."),
    ('local_rank_id', 8, 'must be an int of at least 0 and at most 7; got 8.'),
    ('precision_mode', 3, "'allow_fp32_to_bf16'; got 3 (int)."),
    ('oo_level', 'O4', "must be an optimization level 'O0' to 'O3'; got 'O4'."),
    ('debug_dir', '', "must be a path; got ''. Leave the option out to have none."),
    ('device_type', 'a\0b', "must be a text; got 'a\\x00b', which holds a NUL character."),
    ('graph_memory_max_size', '2 * 256 * 1073741824', '549755813888 bytes is above 256 GiB.'),
    ('work_path', __file__, 'is no folder. Create it first, or correct the path.'),
    ('modify_mixlist', os.path.dirname(__file__), 'is no file. Create it first'),
  ],
)
def test_a_refusal_says_what_must_hold_and_what_was_got(name, value, words):
  message = refusal(RUN[name], value)
  assert message.startswith(f'{name} must be ')
  assert words in message


def test_a_wrong_value_of_the_right_type_is_no_type_error():
  for name, value in (('debug_dir', ''), ('work_path', '/missing'), ('local_rank_id', 8)):
    with pytest.raises(errors.OptionError) as raised:
      RUN[name].check(value)
    assert not isinstance(raised.value, TypeError)
  with pytest.raises(TypeError):
    RUN['graph_memory_max_size'].check(True)


@pytest.mark.parametrize(
  'name, mode, path, words',
  [
    ('modify_mixlist', 0o000, 'file', 'cannot be read by this user'),
    ('modify_mixlist', 0o444, 'file', ''),
    ('work_path', 0o555, 'folder', 'cannot be read and written by this user'),
    ('work_path', 0o777, 'folder', ''),
  ],
)
def test_files_and_folders_this_user_may_not_use_are_refused(as_nobody, name, mode, path, words):
  with tempfile.TemporaryDirectory() as folder:
    os.chmod(folder, 0o755)
    place = os.path.join(folder, path)
    os.mkdir(place) if path == 'folder' else open(place, 'w').close()
    os.chmod(place, mode)
    check = CHECK.format(option=name, path=place)
    printed = as_nobody('from npu_adapter import errors, options', check)
    os.chmod(place, 0o777)
  assert words in printed
  assert bool(printed) == bool(words)


def test_parsers_return_what_the_text_says():
  assert option_grammars.parse_dump_step('0|5|10-20') == [(0, 0), (5, 5), (10, 20)]
  assert option_grammars.parse_input_shape('a:0:1,-1;b:2') == [('a:0', [1, -1]), ('b', [2])]
  assert option_grammars.parse_dynamic_dims('20,30;40,50') == [[20, 30], [40, 50]]
  assert option_grammars.parse_size('26 * 1024*1024 * 1024') == 26 * 2**30
  assert option_grammars.parse_core_counts('2|4') == (2, 4)
  assert [option_grammars.parse_streams(text) for text in ('cv', 'LoadBalance:8')] == [0, 8]
  assert option_grammars.parse_shape_range('getnext:[128,3~5,-1];data:[2]') == [
    '128', '3~5', '-1', '2',
  ]  # fmt: skip
  assert option_grammars.parse_profiling_options('training_trace:op_trace') == {
    'training_trace': 'on', 'op_trace': 'on',
  }  # fmt: skip
  assert option_grammars.parse_profiling_options('{"output": "/data"}') == {'output': '/data'}


@pytest.mark.parametrize(
  'text, ratio', [('fast|step', 0.9), ('fast1|loss', 1.05), ('fast|step|0.2', 0.2)]
)
def test_a_ratio_left_out_is_that_of_its_trigger(text, ratio):
  assert option_grammars.parse_accelerate_train_mode(text)[2] == ratio


@pytest.mark.parametrize('switch', [
  'training_trace', 'task_trace', 'task_time', 'op_trace', 'hccl', 'aicpu', 'msproftx', 'l2',
  'runtime_api', 'ge_api',
])  # fmt: skip
def test_a_profiling_switch_is_on_or_off(switch):
  row = options.rows_of('ProfilingConfig')['profiling_options']
  for value in ('on', 'off'):
    assert row.check(f'{{"{switch}": "{value}"}}')
  assert f'{switch} must be "on" or "off"' in refusal(row, f'{{"{switch}": "yes"}}')


@pytest.mark.parametrize('name', [
  'output', 'storage_limit', 'fp_point', 'bp_point', 'aic_metrics', 'sys_hardware_mem_freq',
  'llc_profiling', 'sys_io_sampling_freq', 'sys_interconnection_freq', 'dvpp_freq',
  'instr_profiling_freq', 'host_sys', 'host_sys_usage', 'host_sys_usage_freq',
])  # fmt: skip
def test_a_profiling_setting_is_a_text(name):
  row = options.rows_of('ProfilingConfig')['profiling_options']
  text = '200MB' if name == 'storage_limit' else 'x'
  assert row.check(f'{{"{name}": "{text}"}}')
  assert f'{name} must be a JSON string' in refusal(row, f'{{"{name}": 3}}')


@pytest.mark.parametrize(
  'owner, name, value',
  [
    ('NPURunConfig', 'optypelist_for_implmode', 'Pooling, SoftmaxV2 ,Conv2D'),
    ('NPURunConfig', 'optimization_switch', 'PassA:on;PassB:off;'),
    ('NPURunConfig', 'dynamic_inputs_shape_range', 'getnext:[128, 3~5], [64, -1];data:[2]'),
    ('ProfilingConfig', 'profiling_options', '{\n  "output": "/data",\n  "hccl": "on"\n}'),
    ('ProfilingConfig', 'profiling_options', ' '),
    ('session_config', 'auto_tune_mode', 'RL,GA'),
  ],
)
def test_looser_spellings_the_vendor_takes_are_good_too(owner, name, value):
  assert options.rows_of(owner)[name].check(value) == value


def test_the_ranges_of_an_acceleration_are_those_of_its_trigger():
  row = options.rows_of('ExperimentalConfig')['accelerate_train_mode']
  for text in ('fast|step|0.2', 'fast|step|0.9', 'fast|loss|1.01', 'fast|loss|1.5'):
    assert row.check(text) == text
  assert 'with step the ratio must lie in 0.2 to 0.9' in refusal(row, 'fast|step|0.1')
  assert 'with loss the ratio must lie in 1.01 to 1.5' in refusal(row, 'fast|loss|1.6')


def test_what_a_host_makes_of_an_option_is_as_documented():
  by_host = {}
  for row in options.all_rows():
    by_host.setdefault(row.host, set()).add(row.label())
  assert by_host[option.EMULATED] == {'iterations_per_loop'}
  assert by_host[option.SAME] == {
    'model_dir', 'tf_random_seed', 'save_summary_steps', 'save_checkpoints_steps',
    'save_checkpoints_secs', 'session_config', 'keep_checkpoint_max',
    'keep_checkpoint_every_n_hours', 'log_step_count_steps',
  }  # fmt: skip
  dump, profile = options.rows_of('DumpConfig'), options.rows_of('ProfilingConfig')
  assert by_host[option.NOT_YET] == {
    'precision_mode', 'precision_mode_v2', 'modify_mixlist', 'dump_config', 'profiling_config',
    *(row.label() for rows in (dump, profile) for row in rows.values()),
  }  # fmt: skip


def test_mixed_precision_modes_are_the_same_in_every_message():
  assert set(options.MIX_MODES) <= {*options.PRECISION_MODES, *options.PRECISION_MODES_V2}
  assert {mode for mode in (*options.PRECISION_MODES, *options.PRECISION_MODES_V2) if 'mix' in mode
          } == set(options.MIX_MODES)  # fmt: skip


def test_the_signature_of_an_object_has_no_default_for_what_is_required():
  with pytest.raises(TypeError, match="DynamicInputConfig: missing a required argument: 'dynamic"):
    config_objects.DynamicInputConfig('x:-1')
