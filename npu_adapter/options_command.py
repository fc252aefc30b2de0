"""npu-options: look an option up, or check values, without TensorFlow and without a device."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from npu_adapter import command_line, config_objects, errors, options
from npu_adapter.option import Option


def main(argv: list[str] | None = None) -> int:
  """Runs the command; returns its exit status: 0, or 2 for an unknown option or a bad value."""
  asked = _parser().parse_args(argv)
  try:
    if asked.check:
      _check(asked.check)
      print('ok')
    else:
      _show(asked.name, asked.json)
    sys.stdout.flush()
  except BrokenPipeError:
    command_line.drop_output()
  except errors.OptionError as error:
    print(f'npu-options: error: {error}', file=sys.stderr)
    return error.exit_status
  return 0


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(prog='npu-options', description=__doc__, allow_abbrev=False)
  parser.add_argument('name', nargs='*', help='options to show; all of them when left out')
  parser.add_argument('--json', action='store_true', help='print JSON, for machines')
  parser.add_argument(
    '--check',
    nargs='+',
    metavar='NAME=VALUE',
    help='check NPURunConfig options together, as they would be when a run starts',
  )
  return parser


def _show(names: list[str], as_json: bool) -> None:
  rows = options.all_rows()
  known = {row.name for row in rows} | {row.label() for row in rows}
  for name in names:
    if name not in known:
      raise errors.OptionError(f'there is no option {name!r}.{errors.nearest(name, known)}')
  shown = [row for row in rows if not names or {row.name, row.label()} & set(names)]
  if as_json:
    print(json.dumps([_facts(row) for row in shown], indent=2))
  elif names:
    print('\n\n'.join(_long(row) for row in shown))
  else:
    print('\n'.join(f'{row.label():<52} {row.doc}' for row in shown))


def _facts(row: Option) -> dict[str, Any]:
  return {
    'owner': row.owner,
    'name': row.name,
    'default': row.default,
    'must be': row.meaning(),
    'map key': f'{row.map_key}.{row.kind.field}' if row.map_key else None,
    'host': row.host,
    'since': row.since,
    'until': row.until or None,
    'use instead': row.replaced_by or None,
    'meaning': row.doc,
  }


def _long(row: Option) -> str:
  facts = [
    (name, fact) for name, fact in _facts(row).items() if fact is not None or name == 'default'
  ]
  return '\n'.join(f'{name:<12} {fact}' for name, fact in facts)


def _check(assignments: list[str]) -> None:
  rows = options.rows_of('NPURunConfig')
  given = {}
  for assignment in assignments:
    name, equals, text = assignment.partition('=')
    if not equals or name not in rows:
      hint = errors.nearest(name, rows) or ' npu-options lists them.'
      raise errors.OptionError(f'--check takes NAME=VALUE with an option of NPURunConfig; got '
                               f'{assignment!r}.{hint}')  # fmt: skip
    given[name] = _value(rows[name], text)
  config_objects.resolve('NPURunConfig', given)


def _value(row: Option, text: str) -> Any:
  """The value a text stands for; what does not parse goes on as text, for the check to name."""
  if row.kind.field == 's':
    return text
  try:
    return json.loads(text.lower())
  except ValueError:
    return text


if __name__ == '__main__':
  sys.exit(main())
