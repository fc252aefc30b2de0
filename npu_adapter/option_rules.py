"""What must hold between options, and advice; what one value must be is in options.py."""

from __future__ import annotations

from typing import Any, Callable, Iterator, Mapping

from npu_adapter import errors, option_grammars, options

Values = Mapping[str, Any]
Rule = Callable[[Values], 'str | None']


def _one_precision_mode(values: Values) -> str | None:
  if values['precision_mode'] is None or values['precision_mode_v2'] is None:
    return None
  return (
    'precision_mode and precision_mode_v2 exclude each other; got '
    f'{values["precision_mode"]!r} and {values["precision_mode_v2"]!r}. Keep one of them.'
  )


def _mixlist_needs_mix_mode(values: Values) -> str | None:
  mode = values['precision_mode'] or values['precision_mode_v2']
  if values['modify_mixlist'] is None or mode in options.MIX_MODES:
    return None
  return (
    f'modify_mixlist needs a mixed precision mode; got {mode!r}. Set precision_mode or '
    f'precision_mode_v2 to one of {", ".join(options.MIX_MODES)}.'
  )


def _loop_against_mixed_computing(values: Values) -> str | None:
  loop = values['iterations_per_loop']
  if not values['mix_compile_mode'] or loop == 1:
    return None
  return (
    f'mix_compile_mode=True needs iterations_per_loop=1; got iterations_per_loop={loop}. Change '
    'one of them.'
  )


def _loop_against_recompile(values: Values) -> str | None:
  loop = values['iterations_per_loop']
  if values['dynamic_graph_execute_mode'] != 'lazy_recompile' or loop == 1:
    return None
  return (
    "dynamic_graph_execute_mode='lazy_recompile' needs iterations_per_loop=1; got "
    f'iterations_per_loop={loop}. Change one of them.'
  )


def _implmode_for_its_list(values: Values) -> str | None:
  if values['optypelist_for_implmode'] is None or values['op_select_implmode'] is not None:
    return None
  return (
    'optypelist_for_implmode needs op_select_implmode; got '
    f'optypelist_for_implmode={values["optypelist_for_implmode"]!r} alone. Set op_select_implmode '
    'to one of ' + ', '.join(options.IMPL_MODES) + '.'
  )


def _one_weight_compression(values: Values) -> str | None:
  if not values['enable_compress_weight'] or values['compress_weight_conf'] is None:
    return None
  return (
    'enable_compress_weight=True and compress_weight_conf exclude each other; got '
    f'{values["compress_weight_conf"]!r} as well. Keep one of them.'
  )


def _variables_on_the_host(values: Values) -> str | None:
  if values['variable_placement'] != 'Host' or values['mix_compile_mode']:
    return None
  return (
    "variable_placement='Host' needs mix_compile_mode=True; got mix_compile_mode=False. Set it, or "
    "leave the variables on the 'Device'."
  )


def _gears_against_dynamic_compilation(values: Values) -> str | None:
  if not values['compile_dynamic_mode'] or values['dynamic_input_config'] is None:
    return None
  return 'compile_dynamic_mode=True and dynamic_input_config exclude each other. Keep one of them.'


def _tuning_distribution(values: Values) -> str | None:
  if values['distribute_config'] is None or values['aoe_mode'] is not None:
    return None
  return (
    "distribute_config needs aoe_mode; got aoe_mode=None. Set aoe_mode to '1', '2' or '4', or "
    'leave distribute_config out.'
  )


_ORIGINAL_PRECISION = (None, 'allow_fp32_to_fp16', 'must_keep_origin_dtype', 'origin')


def _acceleration_on_full_precision(values: Values) -> str | None:
  experimental = values['experimental_config']
  mode = values['precision_mode'] or values['precision_mode_v2']
  if experimental is None or experimental.accelerate_train_mode is None:
    return None
  if mode in _ORIGINAL_PRECISION:
    return None
  return (
    'ExperimentalConfig.accelerate_train_mode needs precision_mode allow_fp32_to_fp16 or '
    f'must_keep_origin_dtype, precision_mode_v2 origin, or neither; got {mode!r}.'
  )


def _one_dump(values: Values) -> str | None:
  if not (values['enable_dump'] and values['enable_dump_debug']):
    return None
  return (
    'DumpConfig.enable_dump and DumpConfig.enable_dump_debug exclude each other; got True for '
    'both. Dump data in one run and look for overflow in another.'
  )


def _dump_needs_path(values: Values) -> str | None:
  if values['dump_path'] is not None or not (values['enable_dump'] or values['enable_dump_debug']):
    return None
  which = 'enable_dump' if values['enable_dump'] else 'enable_dump_debug'
  return (
    f'DumpConfig.{which}=True needs dump_path, an existing folder this user can write; got None.'
  )


def _gear_sizes(values: Values) -> str | None:
  shapes = option_grammars.parse_input_shape(values['input_shape'])
  open_dims = sum(size == -1 for _, sizes in shapes for size in sizes)
  per_gear = len(option_grammars.parse_dynamic_dims(values['dynamic_dims'])[0])
  if open_dims == per_gear:
    return None
  return (
    'DynamicInputConfig.dynamic_dims must give one size for each -1 of input_shape; got '
    f'{per_gear} sizes in {values["dynamic_dims"]!r} for {open_dims} in {values["input_shape"]!r}.'
  )


def _hybrid_on_placeholders(values: Values) -> str | None:
  if values['compile_hybrid_mode'] == 0 or values['dynamic_node_type'] == 1:
    return None
  return (
    'DynamicInputConfig.compile_hybrid_mode=1 needs dynamic_node_type=1; got 0. Feed the inputs '
    'through placeholders, or set compile_hybrid_mode=0.'
  )


RULES: dict[str, tuple[Rule, ...]] = {
  'NPURunConfig': (
    _one_precision_mode,
    _mixlist_needs_mix_mode,
    _loop_against_mixed_computing,
    _loop_against_recompile,
    _implmode_for_its_list,
    _one_weight_compression,
    _variables_on_the_host,
    _gears_against_dynamic_compilation,
    _tuning_distribution,
    _acceleration_on_full_precision,
  ),
  'DumpConfig': (_one_dump, _dump_needs_path),
  'DynamicInputConfig': (_gear_sizes, _hybrid_on_placeholders),
}


def enforce(owner: str, values: Values) -> None:
  """Raises OptionError with the first rule of `owner` that `values` break."""
  for rule in RULES.get(owner, ()):
    broken = rule(values)
    if broken:
      raise errors.OptionError(broken)


def advice(owner: str, given: Values) -> Iterator[str]:
  """Yields what works but is better done otherwise, for the options that were given."""
  rows = options.rows_of(owner)
  for name, value in given.items():
    row = rows[name]
    if row.replaced_by:
      yield f'{row.label()} is deprecated by the vendor: use {row.replaced_by}.'
    elif row.until and value != row.default:
      yield f"{row.label()} is {row.until} in the vendor's engine."
  if 'work_path' in given and 'aoe_mode' not in given:
    yield 'work_path is written only together with aoe_mode.'
  if 'op_precision_mode' in given and 'op_select_implmode' in given:
    yield 'op_precision_mode wins over op_select_implmode and optypelist_for_implmode.'
  loop, every = given.get('iterations_per_loop', 1), given.get('save_checkpoints_steps')
  if every and every % loop:
    yield (
      f'save_checkpoints_steps={every} is no multiple of iterations_per_loop={loop}: checkpoints '
      'come at the loop ends after that.'
    )
  if 'dynamic_inputs_shape_range' in given and not given.get('dynamic_input'):
    yield 'dynamic_inputs_shape_range is read only with dynamic_input=True.'
