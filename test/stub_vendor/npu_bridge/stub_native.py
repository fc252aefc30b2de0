"""STUB only: the vendor's native option checks in Python, run when a session is constructed."""

import functools
import os
import re

import tensorflow.compat.v1 as tf
from tensorflow.python.client import session as session_lib

from npu_bridge import stub_control


class NativeOptionError(Exception):
  """An option the vendor's native code refuses; `failure_class` is A or F."""

  failure_class = '?'


class NativeRunError(NativeOptionError, tf.errors.InvalidArgumentError):
  """Class A: a Python exception at the first session.run."""

  failure_class = 'A'

  def __init__(self, message):
    tf.errors.InvalidArgumentError.__init__(self, None, None, f'class A: {message}')


class NativeAbort(NativeOptionError):
  """Class F: the real package ends the process here (SIGABRT)."""

  failure_class = 'F'

  def __init__(self, message):
    super().__init__(f'class F: {message}')


_FAILURES = {'A': NativeRunError, 'F': NativeAbort}

_MIX_MODES = (
  'allow_mix_precision allow_mix_precision_fp16 allow_mix_precision_bf16 '
  'mixed_float16 mixed_bfloat16 mixed_hif8'
)
# key, failure class, whether an empty text means "not set", allowed texts
_TEXT_CHOICES = (
  (
    'precision_mode',
    'A',
    True,
    'force_fp32 allow_fp32_to_fp16 force_fp16 must_keep_origin_dtype allow_mix_precision '
    'cube_fp16in_fp32out allow_mix_precision_fp16 allow_mix_precision_bf16 allow_fp32_to_bf16',
  ),
  (
    'precision_mode_v2',
    'A',
    True,
    'fp16 origin cube_fp16in_fp32out mixed_float16 mixed_bfloat16 cube_hif8 mixed_hif8',
  ),
  (
    'op_select_implmode',
    'F',
    True,
    'high_precision high_performance high_precision_for_all high_performance_for_all',
  ),
  ('dump_mode', 'F', False, 'input output all'),
  ('dump_debug_mode', 'F', False, 'aicore_overflow atomic_overflow all'),
  ('dump_data', 'A', False, 'tensor stats'),
  ('dynamic_graph_execute_mode', 'F', False, 'lazy_recompile dynamic_execute'),
  ('buffer_optimize', 'F', False, 'l2_optimize off_optimize'),
  ('aoe_mode', 'A', True, '1 2 4'),
  ('variable_placement', 'F', False, 'Host Device'),
  ('jit_compile', 'A', False, 'true false auto'),
  ('graph_slice', 'A', True, 'auto manual'),
)
# key, failure class, lowest, highest
_INT_RANGES = (
  ('iterations_per_loop', 'F', 1, None),
  ('task_index', 'F', 0, None),
  ('local_rank_id', 'F', 0, 7),
  ('graph_run_mode', 'F', None, 1),
  ('enable_exception_dump', 'A', 0, 2),
  ('session_device_id', 'F', 0, None),
  ('dynamic_node_type', 'F', 0, 1),
)
# key, failure class, form of a non-empty text
_TEXT_FORMS = (
  ('local_device_list', 'F', r'\d+(,\d+)*'),
  ('input_shape', 'F', r'[^:;]+:-?\d+(,-?\d+)*(;[^:;]+:-?\d+(,-?\d+)*)*'),
  ('dynamic_dims', 'F', r'\d+(,\d+)*(;\d+(,\d+)*)*'),
  (
    'dynamic_inputs_shape_range',
    'F',
    r'(data|getnext):\[[^\[\]]+\](,\[[^\[\]]+\])*(;(data|getnext):\[[^\[\]]+\](,\[[^\[\]]+\])*)*',
  ),
)
_MAX_DUMP_STEP_SETS = 100


class _Options:
  """Reads a parameter_map as the native code does: a wrong oneof field gives the zero value."""

  def __init__(self, parameter_map):
    self._map = parameter_map

  def __contains__(self, key):
    return key in self._map

  def field(self, key):
    return self._map[key].WhichOneof('value')

  def text(self, key):
    return self._map[key].s.decode() if key in self._map else ''

  def integer(self, key, default):
    return self._map[key].i if key in self._map else default

  def flag(self, key):
    return self._map[key].b if key in self._map else False


def _single_values(options):
  for key, failure, empty_is_unset, allowed in _TEXT_CHOICES:
    text = options.text(key)
    if key in options and text not in allowed.split() and not (empty_is_unset and not text):
      yield failure, f'{key} must be one of {allowed.split()}, got {text!r}'
  for key, failure, low, high in _INT_RANGES:
    value = options.integer(key, 1)
    too_low = low is not None and value < low
    if key in options and (too_low or (high is not None and value > high)):
      yield failure, f'{key} must be from {low} to {high}, got {value}'
  for key, failure, form in _TEXT_FORMS:
    text = options.text(key)
    if text and not re.fullmatch(form, text):
      yield failure, f'{key} must look like {form}, got {text!r}'
  if 'jit_compile' in options and options.field('jit_compile') != 's':
    yield 'A', f'jit_compile must be in field s, got {options.field("jit_compile")}'
  if options.text('job') in ('ps', 'default'):
    yield 'A', f'job must not be ps or default, got {options.text("job")!r}'


def _combinations(options):
  iterations = options.integer('iterations_per_loop', 1)
  if options.text('dynamic_graph_execute_mode') == 'lazy_recompile' and iterations > 1:
    yield 'A', f'lazy_recompile needs iterations_per_loop 1, got {iterations}'
  if options.text('precision_mode') and options.text('precision_mode_v2'):
    yield 'A', 'precision_mode and precision_mode_v2 must not both be set'
  mode = options.text('precision_mode') or options.text('precision_mode_v2')
  if options.text('modify_mixlist') and mode not in _MIX_MODES.split():
    yield 'A', f'modify_mixlist needs a mix precision mode, got {mode!r}'
  if options.text('optypelist_for_implmode') and not options.text('op_select_implmode'):
    yield 'F', 'optypelist_for_implmode needs op_select_implmode'
  if 'enable_compress_weight' in options and 'compress_weight_conf' in options:
    yield 'F', 'enable_compress_weight and compress_weight_conf must not both be present'
  dynamic = ('input_shape', 'dynamic_dims', 'dynamic_node_type')
  present = [key for key in dynamic if key in options]
  if present and len(present) < len(dynamic):
    yield 'F', f'{", ".join(dynamic)} must all be set or none, got {present}'
  if options.text('aoe_mode') and not _is_writable_folder(options.text('work_path') or './'):
    yield 'F', f'work_path must be a writable folder, got {options.text("work_path")!r}'


def _dump(options):
  if options.flag('enable_dump') or options.flag('enable_dump_debug'):
    path = options.text('dump_path')
    if not _is_writable_folder(path):
      yield 'A', f'dump_path must be a writable folder when dumping, got {path!r}'
  steps = options.text('dump_step')
  if steps:
    sets = steps.split('|')
    if len(sets) > _MAX_DUMP_STEP_SETS:
      yield 'A', f'dump_step must have at most {_MAX_DUMP_STEP_SETS} sets, got {len(sets)}'
    if not all(_is_step_set(one) for one in sets):
      yield 'A', f'dump_step must look like 0|5|10-20 with ascending ranges, got {steps!r}'


def _is_writable_folder(path):
  return os.path.isdir(path) and os.access(path, os.R_OK | os.W_OK)


def _is_step_set(text):
  if not re.fullmatch(r'\d+(-\d+)?', text):
    return False
  first, _, last = text.partition('-')
  return not last or int(first) < int(last)


def problems(config_proto):
  """Every refused option of every NpuOptimizer, as (failure class, message)."""
  found = []
  for optimizer in config_proto.graph_options.rewrite_options.custom_optimizers:
    if optimizer.name == 'NpuOptimizer':
      options = _Options(optimizer.parameter_map)
      for rule in (_single_values, _combinations, _dump):
        found.extend(rule(options))
  return found


def validate(config_proto):
  """Raises NativeRunError (class A) or NativeAbort (class F) for the first refused option."""
  for failure, message in problems(config_proto):
    raise _FAILURES[failure](message)


def install():
  """Makes every session that names NpuOptimizer run `validate` when it is constructed."""
  original = session_lib.BaseSession.__init__

  @functools.wraps(original)
  def checked(self, *args, **kwargs):
    original(self, *args, **kwargs)
    if stub_control.state.native_checks and self._config is not None:
      try:
        validate(self._config)
      except NativeOptionError:
        self.close()
        raise

  stub_control.replace_method(session_lib.BaseSession, '__init__', checked)
