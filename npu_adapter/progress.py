"""Shows how far long work is: a bar on a terminal, a line now and then in a log file."""

from __future__ import annotations

import importlib.util
import sys
import time
from typing import Iterator, Sequence, TypeVar

Item = TypeVar('Item')
_LINE_EVERY_S = 10.0


def shown(items: Sequence[Item], unit: str) -> Iterator[Item]:
  """Yields `items` and tells on standard error how many are done."""
  if sys.stderr.isatty() and importlib.util.find_spec('tqdm'):
    import tqdm

    yield from tqdm.tqdm(items, unit=f' {unit}', leave=False)
    return
  last = time.monotonic()
  for done, item in enumerate(items):
    if time.monotonic() - last >= _LINE_EVERY_S:
      last = time.monotonic()
      print(f'{done} of {len(items)} {unit}', file=sys.stderr, flush=True)
    yield item
