"""The config objects: the vendor's signatures, checked and read-only."""

import copy
import inspect
import json
import pathlib
import pickle

import pytest

from npu_adapter import config_objects, errors, options

FACTS = pathlib.Path(__file__).resolve().parents[1] / 'vendor_facts'
CLASSES = [name for name in options.TABLE if name not in ('NPURunConfig', 'session_config')]


@pytest.mark.parametrize('name', CLASSES)
def test_arguments_order_and_defaults_are_the_vendors(name):
  facts = json.loads((FACTS / 'config_objects.json').read_text())[name]
  ours = list(inspect.signature(getattr(config_objects, name)).parameters.values())
  assert [parameter.name for parameter in ours] == [fact['name'] for fact in facts]
  for parameter, fact in zip(ours, facts):
    if fact['name'] == 'compile_hybrid_mode':
      # The vendor of 2026 made it required, which breaks every older call; ours is 0.
      assert parameter.default == 0
    elif fact.get('required'):
      assert parameter.default is inspect.Parameter.empty
    else:
      assert parameter.default == fact['default']


def test_positional_arguments_bind_in_the_vendors_order(tmp_path):
  made = config_objects.DumpConfig(True, str(tmp_path), '0|5', 'all')
  assert (made.enable_dump, made.dump_step, made.dump_mode) == (True, '0|5', 'all')
  assert made.dump_data == 'tensor'


def test_an_unknown_argument_is_told_with_its_nearest_match():
  with pytest.raises(
    TypeError, match="DumpConfig has no option 'dump_pth'. Did you mean"
  ) as raised:
    config_objects.DumpConfig(dump_pth='.')
  assert str(raised.value).endswith(' The command npu-options lists all of them.')
  with pytest.raises(errors.OptionTypeError, match='too many positional'):
    config_objects.ProfilingConfig(True, None, 3)


def test_an_object_stays_what_was_checked(tmp_path):
  made = config_objects.DumpConfig(dump_path=str(tmp_path))
  with pytest.raises(AttributeError, match='read-only'):
    made.dump_path = '/elsewhere'
  with pytest.raises(AttributeError, match="Did you mean 'dump_path'"):
    made.dump_pat  # noqa: B018 - reading it is the test


def test_objects_compare_copy_and_print_by_value():
  made = config_objects.MemoryConfig(static_memory_policy=2)
  assert made == copy.deepcopy(made) == pickle.loads(pickle.dumps(made))
  assert hash(made) == hash(copy.copy(made))
  assert made != config_objects.MemoryConfig()
  assert made != config_objects.ProfilingConfig()
  assert hash(made) == hash(config_objects.MemoryConfig(static_memory_policy=2))
  assert repr(made) == 'MemoryConfig(static_memory_policy=2)'


def test_objects_nest_and_foreign_ones_are_refused():
  slicing = config_objects.GraphMemoryOptimizeConfig(graph_slice='auto')
  made = config_objects.ExperimentalConfig(graph_memory_optimize_config=slicing)
  assert made.graph_memory_optimize_config.graph_slice == 'auto'
  with pytest.raises(TypeError, match='must be a GraphMemoryOptimizeConfig; got'):
    config_objects.ExperimentalConfig(graph_memory_optimize_config=made)


def test_required_arguments_are_always_printed():
  made = config_objects.DynamicInputConfig('x:-1', '2;4', 0)
  assert repr(made) == (
    "DynamicInputConfig(input_shape='x:-1', dynamic_dims='2;4', dynamic_node_type=0)"
  )


def test_the_values_handed_out_are_a_copy():
  made = config_objects.MemoryConfig()
  made.values['static_memory_policy'] = 9
  assert made.static_memory_policy == 0
