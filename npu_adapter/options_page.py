"""Writes docs/options.md from the table: `python -m npu_adapter.options_page`."""

from __future__ import annotations

from typing import Iterator

from npu_adapter import options
from npu_adapter.option import Option

_INTRODUCTION = """\
# Options

Generated from `npu_adapter/options.py` by `make options-page`; do not edit.

`NPURunConfig` takes these keywords in this order; `session_config()` takes the same ones by name.
Those with a map key are command-line flags of every training command too (`--helpfull`). A wrong
value fails when the config is made. What is left out is not written by us: on the device the
installed vendor version has its own default, in session code the engine has.

*Map key* is the key and field of the `NpuOptimizer` parameter_map. *Host* says what the option
does without an NPU. *Since* names the first vendor release with it (2021-02: was there already;
2026: newest); *until* what became of it.
"""
_TITLES = {
  'session_config': 'Session-only keys (`session_config()` takes them, `NPURunConfig` does not)'
}


def page() -> str:
  """The whole page."""
  return '\n'.join(_lines()) + '\n'


def _lines() -> Iterator[str]:
  yield _INTRODUCTION
  for owner, rows in options.TABLE.items():
    yield f'## {_TITLES.get(owner, owner)}'
    yield ''
    yield '| option | default | values | map key | host | since | until | meaning |'
    yield '|---|---|---|---|---|---|---|---|'
    for row in rows:
      yield '| ' + ' | '.join(cell.replace('|', '\\|') for cell in _cells(row)) + ' |'
    yield ''


def _cells(row: Option) -> tuple[str, ...]:
  key = f'`{row.map_key}.{row.kind.field}`' if row.map_key else ''
  until = f'use {row.replaced_by}' if row.replaced_by else row.until
  default = 'required' if row.required else 'none' if row.default is None else f'`{row.default!r}`'
  return f'`{row.name}`', default, row.meaning(), key, row.host, row.since, until, row.doc


if __name__ == '__main__':
  print(page(), end='')
