"""The config objects NPURunConfig takes, such as DumpConfig, built from the table."""

from __future__ import annotations

import inspect
from typing import Any, Mapping

from npu_adapter import errors, option_rules, options
from npu_adapter.option import Option


def signature_of(owner: str) -> inspect.Signature:
  """The vendor's keywords, order and defaults, as Python shows and binds them."""
  return inspect.Signature(
    [
      inspect.Parameter(
        row.name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=inspect.Parameter.empty if row.required else row.default,
      )
      for row in options.TABLE[owner]
    ]
  )


def bind(owner: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the arguments of a call by name; an unknown one is told with its nearest match."""
  rows = options.rows_of(owner)
  for name in kwargs:
    if name not in rows:
      raise errors.OptionTypeError(_unknown(owner, name))
  try:
    return dict(signature_of(owner).bind(*args, **kwargs).arguments)
  except TypeError as error:
    raise errors.OptionTypeError(f'{owner}: {error}.') from None


def _unknown(owner: str, name: str) -> str:
  if owner == 'NPURunConfig' and name in options.REMOVED:
    last, instead = options.REMOVED[name]
    return f'{owner} has no option {name!r}: the vendor had it up to {last}. Use {instead}.'
  hint = errors.nearest(name, options.rows_of(owner))
  return f'{owner} has no option {name!r}.{hint} The command npu-options lists all of them.'


def resolve(owner: str, given: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a checked value for every option of `owner`, defaults filled in, rules enforced."""
  values = {
    name: row.check(given[name]) if name in given else row.default
    for name, row in options.rows_of(owner).items()
  }
  option_rules.enforce(owner, values)
  return values


def differing(owner: str, values: Mapping[str, Any]) -> dict[str, Any]:
  """The values that are not the default: what a user changed."""
  rows = options.rows_of(owner)
  return {name: value for name, value in values.items() if _differs(rows[name], value)}


def _differs(row: Option, value: Any) -> bool:
  return row.required or (value is not row.default and value != row.default)


class ConfigObject:
  """Checked values under the vendor's names; read-only, so that what was checked stays true."""

  OWNER = ''

  def __init_subclass__(cls) -> None:
    cls.OWNER = cls.__name__
    setattr(cls, '__signature__', signature_of(cls.OWNER))  # noqa: B010

  def __init__(self, *args: Any, **kwargs: Any):
    given = bind(self.OWNER, args, kwargs)
    self.__dict__.update(resolve(self.OWNER, given))

  def __setattr__(self, name: str, value: Any) -> None:
    raise AttributeError(
      f'{self.OWNER} is read-only: make a new one with {name}={value!r} instead.'
    )

  def __getattr__(self, name: str) -> Any:
    # Only reached when `name` is no option; for type checkers, which do not know the table.
    raise AttributeError(f'{self.OWNER} has no option {name!r}.{errors.nearest(name, self.values)}')

  @property
  def values(self) -> Mapping[str, Any]:
    """Every option of the object by name."""
    return dict(self.__dict__)

  def __eq__(self, other: object) -> bool:
    return type(other) is type(self) and other.__dict__ == self.__dict__

  def __hash__(self) -> int:
    return hash((self.OWNER, tuple(map(repr, self.__dict__.items()))))

  def __repr__(self) -> str:
    changed = differing(self.OWNER, self.values)
    return f'{self.OWNER}({", ".join(f"{name}={value!r}" for name, value in changed.items())})'


class ProfilingConfig(ConfigObject):
  """What to profile, and where the result goes."""


class DumpConfig(ConfigObject):
  """Which tensors to write to disk: data, or what overflows."""


class DynamicInputConfig(ConfigObject):
  """The gears of dynamic input shapes."""


class MemoryConfig(ConfigObject):
  """Policies of device memory."""


class GraphMemoryOptimizeConfig(ConfigObject):
  """Recomputation and slicing of the graph."""


class ExperimentalConfig(ConfigObject):
  """What the vendor may still change."""
