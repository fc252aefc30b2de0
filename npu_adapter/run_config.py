"""NPURunConfig: the vendor's run configuration, checked when it is made."""

from __future__ import annotations

from typing import Any, Mapping

import tensorflow.compat.v1 as tf

from npu_adapter import config_objects, errors, log, option_rules, options, parameter_map
from npu_adapter.runtime.run_config import RunConfig

# The arguments both tf.estimator's RunConfig and the vendor's have.
_STOCK = (
  'model_dir', 'tf_random_seed', 'save_summary_steps', 'save_checkpoints_steps',
  'save_checkpoints_secs', 'session_config', 'keep_checkpoint_max',
  'keep_checkpoint_every_n_hours', 'log_step_count_steps', 'train_distribute', 'eval_distribute',
)  # fmt: skip
_FREQUENCIES = ('save_checkpoints_steps', 'save_checkpoints_secs')
_OBJECT_OF = {
  'ProfilingConfig': 'profiling_config',
  'DumpConfig': 'dump_config',
  'DynamicInputConfig': 'dynamic_input_config',
  'MemoryConfig': 'memory_config',
  'ExperimentalConfig': 'experimental_config',
}


class NPURunConfig(RunConfig):
  """Every NPU option plus tf.estimator's RunConfig, with the vendor's keywords, order and defaults.

  `given` holds the options that were named, checked; the others have their defaults and are left
  to the vendor. An NpuOptimizer inside `session_config` counts as if its entries were named here.
  """

  OWNER = 'NPURunConfig'
  __signature__ = config_objects.signature_of('NPURunConfig')

  def __init__(self, *args: Any, **kwargs: Any):
    given = config_objects.bind(self.OWNER, args, kwargs)
    given = {name: value for name, value in given.items() if value is not None}
    given, self.session_only = _adopt_session_config(given)
    self._values = config_objects.resolve(self.OWNER, given)
    self.given = {name: self._values[name] for name in given}
    for line in option_rules.advice(self.OWNER, self.given):
      log.once(line)
    stock = {name: self._values[name] for name in _STOCK}
    if stock['save_checkpoints_secs'] is None and stock['save_checkpoints_steps'] is None:
      stock['save_checkpoints_steps'] = 100
    super().__init__(**stock)

  def replace(self, **kwargs: Any) -> NPURunConfig:
    """Returns a new config with `kwargs` in place of what they name, checked like any other.

    Naming one checkpoint frequency ends the other.
    """
    kept = dict(self.given)
    if any(kwargs.get(name) is not None for name in _FREQUENCIES):
      kept = {name: value for name, value in kept.items() if name not in _FREQUENCIES}
    other = type(self)(**{**kept, **kwargs})
    other.session_only = {**self.session_only, **other.session_only}
    return other

  def session_proto(self) -> tf.ConfigProto:
    """A new ConfigProto with the settings of session_config, for a backend to write into."""
    proto = tf.ConfigProto()
    proto.CopyFrom(self.session_config or tf.ConfigProto())
    return proto

  def __setattr__(self, name: str, value: Any) -> None:
    if name in options.rows_of(self.OWNER):
      raise AttributeError(
        f'NPURunConfig is read-only: use config.replace({name}={value!r}), which checks the value.'
      )
    super().__setattr__(name, value)

  def __getattr__(self, name: str) -> Any:
    values: Mapping[str, Any] = self.__dict__.get('_values', {})
    if name in values:
      return values[name]
    raise AttributeError(f'NPURunConfig has no option {name!r}.{errors.nearest(name, values)}')

  def __repr__(self) -> str:
    return f'NPURunConfig({", ".join(f"{name}={value!r}" for name, value in self.given.items())})'


def _adopt_session_config(
  given: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Splits a session_config into plain ConfigProto, options (merged into `given`) and the rest."""
  adopted = dict(given)
  config = adopted.get('session_config')
  if not isinstance(config, tf.ConfigProto):
    # None, or a mistake that RunConfig words as tf.estimator does.
    return adopted, {}
  adopted['session_config'] = plain = tf.ConfigProto()
  plain.CopyFrom(config)
  parameter_map.strip(plain)
  found = _by_owner(parameter_map.read(config))
  session_only = found.pop('session_config', {})
  for name, value in _arguments(found).items():
    if name in given and value == options.rows_of('NPURunConfig')[name].default:
      continue
    if name in given and given[name] != value:
      raise errors.OptionError(
        f'{name} is given twice: {given[name]!r} as an argument and {value!r} in the NpuOptimizer '
        'of session_config. Keep one of them.'
      )
    adopted[name] = value
  return adopted, session_only


def _by_owner(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
  """Sorts map keys into {owner: {option: value}}.

  The vendor writes whole config objects, so that a default says nothing there; elsewhere a key that
  is there was written on purpose, and the engine may have another default than the table.
  """
  sorted_found: dict[str, dict[str, Any]] = {}
  for row in options.all_rows():
    of_object = row.owner not in ('NPURunConfig', 'session_config')
    if row.map_key in found and not (of_object and found[row.map_key] == row.default):
      sorted_found.setdefault(row.owner, {})[row.name] = found[row.map_key]
  return sorted_found


def _arguments(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
  """Turns {owner: {option: value}} into arguments of NPURunConfig, building config objects."""
  arguments = dict(found.get('NPURunConfig', {}))
  slicing = found.get('GraphMemoryOptimizeConfig')
  if slicing:
    found.setdefault('ExperimentalConfig', {})['graph_memory_optimize_config'] = (
      config_objects.GraphMemoryOptimizeConfig(**slicing)
    )
  for owner, argument in _OBJECT_OF.items():
    if owner in found:
      arguments[argument] = getattr(config_objects, owner)(**found[owner])
  return arguments
