"""One option of the table: what it is, and whether a value is good for it by itself."""

from __future__ import annotations

import numbers
import os
import re
from typing import Any, Callable, NamedTuple

from npu_adapter import errors

# What a host makes of an option.
SAME = 'same meaning'
EMULATED = 'emulated'
REFUSED = 'refused on a host'
NOT_YET = 'not emulated yet'
NO_EFFECT = 'no effect on a host'

INT64_MAX = 2**63 - 1


class Kind(NamedTuple):
  """How values of a type are recognised and carried; `field` names the oneof of an AttrValue."""

  name: str
  field: str
  normalise: Callable[[Any], Any]


class Grammar(NamedTuple):
  """The form a text must have. `parse` raises ValueError with what is wrong beyond the pattern."""

  says: str
  pattern: str
  parse: Callable[[str], Any] = str


class Option(NamedTuple):
  """A row of the table. A default of None means: not written, the vendor's engine decides."""

  name: str
  kind: Kind
  default: Any
  doc: str
  since: str = '2021-02'
  until: str = ''
  host: str = NO_EFFECT
  allowed: tuple[Any, ...] = ()
  minimum: int | None = None
  maximum: int = INT64_MAX
  grammar: Grammar | None = None
  key: str = ''
  replaced_by: str = ''
  required: bool = False
  owner: str = 'NPURunConfig'

  @property
  def map_key(self) -> str:
    """The key in NpuOptimizer's parameter_map; empty when the option is not written there."""
    return (self.key or self.name) if self.kind.field else ''

  def check(self, value: Any) -> Any:
    """Returns `value` in the form the config keeps it, or raises OptionError.

    None stands for the default of every option that is not required.
    """
    if value is None and not self.required:
      return self.default
    value = self._typed(value)
    self._in_allowed(value)
    self._in_range(value)
    self._in_grammar(value)
    return value

  def meaning(self) -> str:
    """What must hold, in words."""
    if self.allowed:
      return 'one of ' + ', '.join(repr(value) for value in self.allowed)
    if self.grammar:
      return self.grammar.says
    if self.minimum is not None:
      top = '' if self.maximum == INT64_MAX else f' and at most {self.maximum}'
      return f'{self.kind.name} of at least {self.minimum}{top}'
    return self.kind.name

  def _typed(self, value: Any) -> Any:
    try:
      return self.kind.normalise(value)
    except TypeError:
      raise errors.OptionTypeError(
        f'{self.label()} must be {self.meaning()}; got {value!r} ({type(value).__name__}).'
      ) from None
    except ValueError as error:
      raise errors.OptionError(f'{self.label()} must be {self.kind.name}; {error}') from None

  def _in_allowed(self, value: Any) -> None:
    if self.allowed and value not in self.allowed:
      hint = errors.nearest(value, [a for a in self.allowed if isinstance(a, str)])
      raise errors.OptionError(f'{self.label()} must be {self.meaning()}; got {value!r}.{hint}')

  def _in_range(self, value: Any) -> None:
    if self.minimum is None and self.kind.field != 'i':
      return
    lowest = -INT64_MAX if self.minimum is None else self.minimum
    if not lowest <= value <= self.maximum:
      raise errors.OptionError(f'{self.label()} must be {self.meaning()}; got {value!r}.')

  def _in_grammar(self, value: Any) -> None:
    if not self.grammar:
      return
    text = str(value)
    if not re.fullmatch(self.grammar.pattern, text, re.ASCII):
      raise errors.OptionError(f'{self.label()} must be {self.grammar.says}; got {value!r}.')
    try:
      self.grammar.parse(text)
    except ValueError as error:
      raise errors.OptionError(
        f'{self.label()} must be {self.grammar.says}; got {value!r}: {error}.'
      ) from None

  def label(self) -> str:
    """How messages call the option."""
    return self.name if self.owner == 'NPURunConfig' else f'{self.owner}.{self.name}'


def _bool(value: Any) -> bool:
  if not isinstance(value, bool):
    raise TypeError
  return value


def _int(value: Any) -> int:
  # True is an Integral; the vendor lets it through as 1, which hides a swapped argument.
  if isinstance(value, bool) or not isinstance(value, numbers.Integral):
    raise TypeError
  return int(value)


def _number(value: Any) -> Any:
  if isinstance(value, bool) or not isinstance(value, numbers.Real):
    raise TypeError
  return value


def _text(value: Any) -> str:
  if isinstance(value, bytes):
    value = value.decode('utf-8')
  if not isinstance(value, str):
    raise TypeError
  if '\0' in value:
    raise ValueError(f'got {value!r}, which holds a NUL character.')
  return value


def _path(value: Any) -> str:
  path = _text(os.fspath(value))
  if not path:
    raise ValueError("got ''. Leave the option out to have none.")
  return path


def _existing_file(value: Any) -> str:
  path = _path(value)
  if not os.path.isfile(path):
    raise ValueError(f'{path!r} is no file. Create it first, or correct the path.')
  if not os.access(path, os.R_OK):
    raise ValueError(f'{path!r} cannot be read by this user.')
  return path


def _writable_folder(value: Any) -> str:
  path = _path(value)
  if not os.path.isdir(path):
    raise ValueError(f'{path!r} is no folder. Create it first, or correct the path.')
  if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
    raise ValueError(f'{path!r} cannot be read and written by this user.')
  return path


def _size(value: Any) -> str:
  # The vendor applies str() to whatever it gets, so an int of bytes is as good as its text.
  return _text(str(_int(value)) if isinstance(value, numbers.Integral) else value)


def _anything(value: Any) -> Any:
  return value


BOOL = Kind('True or False', 'b', _bool)
INT = Kind('an int', 'i', _int)
TEXT = Kind('a text', 's', _text)
SIZE = Kind('a number of bytes', 's', _size)
PATH = Kind('a path', 's', _path)
FILE = Kind('the path of an existing file', 's', _existing_file)
FOLDER = Kind('the path of an existing, writable folder', 's', _writable_folder)
# Options that never reach the parameter_map: stock RunConfig's, and those that hold other options.
STOCK = Kind('as in tf.estimator.RunConfig', '', _anything)
STOCK_BOOL = Kind('True or False', '', _bool)
STOCK_INT = Kind('an int', '', _int)
STOCK_NUMBER = Kind('a number', '', _number)
STOCK_PATH = Kind('a path', '', _path)


def instance_of(class_name: str) -> Kind:
  """The kind of an option that holds a config object; told by OWNER, so no class is needed here."""

  def normalise(value: Any) -> Any:
    if getattr(type(value), 'OWNER', None) != class_name:
      raise TypeError
    return value

  article = 'an' if class_name[0] in 'AEIOU' else 'a'
  return Kind(f'{article} {class_name}', '', normalise)
