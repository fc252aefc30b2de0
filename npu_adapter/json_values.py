"""Values as JSON has them: numpy's as Python's, null for what is not finite, objects in words."""

from __future__ import annotations

import math
from typing import Any, Mapping


def plain(value: Any) -> Any:
  """Returns `value` in a form that json.dumps(..., allow_nan=False) takes, at any depth."""
  if hasattr(value, 'tolist'):
    value = value.tolist()
  if isinstance(value, Mapping):
    return {str(name): plain(inner) for name, inner in value.items()}
  if isinstance(value, (list, tuple)):
    return [plain(inner) for inner in value]
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value if isinstance(value, (bool, int, float, str, type(None))) else repr(value)
