"""The NpuOptimizer of a ConfigProto: what is written, read, erased and left alone."""

import json

import pytest
import tensorflow.compat.v1 as tf

import npu_adapter as npu
from npu_adapter import parameter_map


def optimizers_of(proto):
  return proto.graph_options.rewrite_options.custom_optimizers


def proto_with(*names):
  """A ConfigProto with custom optimizers of these names, each with one entry."""
  proto = tf.ConfigProto()
  for name in names:
    optimizer = optimizers_of(proto).add()
    optimizer.name = name
    optimizer.parameter_map['precision_mode'].s = b'force_fp16'
  return proto


def keys_of(proto):
  return [(found.name, sorted(found.parameter_map)) for found in optimizers_of(proto)]


def test_writing_goes_into_the_npu_optimizer_that_is_there_and_no_other():
  proto = proto_with('Mine', 'NpuOptimizer', 'Yours')
  parameter_map.write(proto, [parameter_map.Entry('hcom_parallel', 'b', True)])
  assert keys_of(proto) == [
    ('Mine', ['precision_mode']),
    ('NpuOptimizer', ['hcom_parallel', 'precision_mode']),
    ('Yours', ['precision_mode']),
  ]


def test_writing_adds_an_npu_optimizer_behind_the_users_where_there_is_none():
  proto = proto_with('Mine')
  parameter_map.write(proto, [parameter_map.Entry('hcom_parallel', 'b', True)])
  assert keys_of(proto) == [('Mine', ['precision_mode']), ('NpuOptimizer', ['hcom_parallel'])]


def test_stripping_takes_every_npu_optimizer_and_no_other():
  proto = proto_with('NpuOptimizer', 'Mine', 'NpuOptimizer', 'NpuOptimizer')
  parameter_map.strip(proto)
  assert keys_of(proto) == [('Mine', ['precision_mode'])]


def test_erasing_takes_a_key_out_of_every_npu_optimizer_and_may_find_none():
  proto = proto_with('NpuOptimizer', 'Mine', 'NpuOptimizer')
  parameter_map.erase(proto, 'hcom_parallel')
  parameter_map.erase(proto, 'precision_mode')
  assert keys_of(proto) == [('NpuOptimizer', []), ('Mine', ['precision_mode']),
                            ('NpuOptimizer', [])]  # fmt: skip


def test_reading_leaves_other_optimizers_and_what_nothing_reads_out():
  proto = proto_with('NpuOptimizer')
  mine = optimizers_of(proto).add()
  mine.name = 'Mine'
  mine.parameter_map['anything'].i = 1
  written = optimizers_of(proto)[0].parameter_map
  written['job'].s = b'worker'
  written['task_index'].i = 3
  written['min_group_size'].i = 1
  assert parameter_map.read(proto) == {
    'precision_mode': 'force_fp16', 'job': 'worker', 'task_index': 3,
  }  # fmt: skip


def test_options_without_a_value_or_a_key_are_not_written():
  values = {'precision_mode': None, 'model_dir': '/tmp', 'hcom_parallel': False}
  assert list(parameter_map.entries('NPURunConfig', values)) == [('hcom_parallel', 'b', False)]
  slicing = npu.GraphMemoryOptimizeConfig(recompute='auto', graph_slice='manual')
  found = parameter_map.entries('GraphMemoryOptimizeConfig', slicing.values)
  assert list(found) == [('graph_slice', 's', b'manual')]


@pytest.mark.parametrize(
  'task, wanted',
  [
    ({'type': 'worker', 'index': 3}, [('job', 's', b'worker'), ('task_index', 'i', 3)]),
    ({'type': 'chief'}, [('job', 's', b'chief'), ('task_index', 'i', 0)]),
    ({}, []),
  ],
)
def test_session_code_tells_the_engine_its_place_in_tf_config(monkeypatch, task, wanted):
  monkeypatch.setenv('TF_CONFIG', json.dumps({'task': task}))
  found = parameter_map.session_entries({'hcom_parallel': True}, {'graph_exec_timeout': 5})
  assert found == [
    ('use_off_line', 'b', True),
    *wanted,
    ('hcom_parallel', 'b', True),
    ('graph_exec_timeout', 'i', 5),
  ]


def test_session_code_without_tf_config_tells_no_place(monkeypatch):
  for text in ('', '{}'):
    monkeypatch.setenv('TF_CONFIG', text)
    assert parameter_map.session_entries({}, {}) == [('use_off_line', 'b', True)]


def test_objects_are_written_with_all_that_has_a_default(tmp_path):
  dump = npu.DumpConfig(enable_dump=True, dump_path=str(tmp_path))
  found = {
    key: value for key, _, value in parameter_map.entries('NPURunConfig', {'dump_config': dump})
  }
  assert found == {
    'enable_dump': True, 'dump_path': str(tmp_path).encode(), 'dump_mode': b'output',
    'enable_dump_debug': False, 'dump_debug_mode': b'all', 'dump_data': b'tensor',
  }  # fmt: skip
