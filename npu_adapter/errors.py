"""The exceptions npu_adapter raises on purpose; what else escapes from it is a defect."""

from __future__ import annotations

import difflib
from typing import Iterable


class AdapterError(Exception):
  """Base of all of them. `exit_status` is what a command ends with when one reaches its main."""

  exit_status = 1


class OptionError(AdapterError, ValueError):
  """An option has a value, or a combination of values, that cannot work."""

  exit_status = 2


class OptionTypeError(OptionError, TypeError):
  """An option has a value of the wrong type, or does not exist.

  It is a ValueError as well because the vendor raises now one, now the other, for the same mistake.
  """


class InputError(AdapterError, ValueError):
  """What the user gave, a file or a combination of settings, cannot be used."""

  exit_status = 2


class BackendError(AdapterError, RuntimeError):
  """The device that was asked for is not here, or cannot do what was asked of it."""


def exit_status_of(error: BaseException) -> int:
  """What a command ends with, after the message alone; raises an error that is a defect.

  runtime/ imports nothing of this project: its own errors are told by the attribute alone.
  """
  status = getattr(error, 'exit_status', None)
  if status is None:
    raise error
  return int(status)


def nearest(word: object, known: Iterable[str]) -> str:
  """Returns ` Did you mean 'x'?` for the most similar known word, or an empty string."""
  by_lower_case = {name.lower(): name for name in known}
  found = difflib.get_close_matches(str(word).lower(), by_lower_case, n=1, cutoff=0.6)
  return f' Did you mean {by_lower_case[found[0]]!r}?' if found else ''
