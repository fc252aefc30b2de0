"""Which arguments a user's function can be called with by name."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable


def names_of(function: Callable[..., Any]) -> tuple[str, ...]:
  """Names of the arguments `function` takes, without those a partial or a method has bound already.

  Sees through functools.partial, bound methods, objects with __call__, and decorators that pass
  **kwargs on and say with functools.wraps what they wrap.
  """
  if isinstance(function, functools.partial):
    left = names_of(function.func)[len(function.args) :]
    return tuple(name for name in left if name not in function.keywords)
  parameters = inspect.signature(function, follow_wrapped=False).parameters.values()
  if any(p.kind is p.VAR_KEYWORD for p in parameters) and hasattr(function, '__wrapped__'):
    return names_of(function.__wrapped__)
  return tuple(p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
