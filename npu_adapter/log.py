"""The one logger of npu_adapter: a line a fact, on stderr, so that no choice is silent."""

from __future__ import annotations

import logging
import os
import sys

_said: set[str] = set()


def logger() -> logging.Logger:
  """The logger `npu_adapter`; it prints by itself only where the program configured no logging."""
  found = logging.getLogger('npu_adapter')
  if not found.handlers and not logging.getLogger().handlers:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter('npu_adapter: %(message)s'))
    found.addHandler(handler)
    found.propagate = False
  if found.level == logging.NOTSET:
    found.setLevel(os.environ.get('NPU_ADAPTER_LOG_LEVEL', 'INFO').upper())
  return found


def once(line: str) -> None:
  """Logs `line` the first time this process has it to say."""
  if line not in _said:
    _said.add(line)
    logger().info(line)
