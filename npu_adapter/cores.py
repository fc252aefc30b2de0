"""How many processor cores this process may use."""

import os


def usable() -> int:
  """What the process is kept to, where the system tells it, else what the machine has."""
  if hasattr(os, 'sched_getaffinity'):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1
