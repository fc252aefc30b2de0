"""The words behind `model NAME CASE`: the parameters, what goes on to training, the help."""

from __future__ import annotations

import argparse
import textwrap
from typing import Any, NoReturn

from npu_adapter import errors
from npu_adapter.launch import parameters
from npu_adapter.launch.cases import CASES, Case
from npu_adapter.launch.models import Model

_HELP = ('-h', '-help', '--help', '--helpshort', '--helpfull')
_EXIT_STATUS = (
  'exit status: that of training; 2 for a wrong command line, before anything is written; 128+n '
  'after signal n.'
)


def asks_for_help(words: list[str]) -> bool:
  """Anywhere in the command line, not only in front."""
  return any(word in _HELP for word in words)


def split(words: list[str]) -> tuple[dict[str, Any], list[str]]:
  """Returns the checked parameters by name, and the words that are none of them, in order."""
  found, others = _parser().parse_known_args(_spelled_out(words))
  given = {
    name: parameters.check(parameters.BY_NAME[name], text) for name, text in vars(found).items()
  }
  parameters.check_together(given)
  return given, others


def is_only_a_check(others: list[str]) -> bool:
  """Training would end before it began."""
  return any(word.lstrip('-').partition('=')[0] == 'only_check_args' for word in others)


def nearest_parameter(word: str) -> str:
  """`--bindcore=1` -> ` Did you mean 'bind_core'?`, or an empty string."""
  known = [*parameters.BY_NAME, *(row.alias for row in parameters.TABLE if row.alias)]
  return errors.nearest(word.lstrip('-').partition('=')[0], known)


class _Parser(argparse.ArgumentParser):
  """Argparse without its usage in front of every error: it would be longer than the error."""

  def error(self, message: str) -> NoReturn:
    raise errors.OptionError(message)


def _parser() -> argparse.ArgumentParser:
  parser = _Parser(prog='launch.py', allow_abbrev=False, add_help=False)
  for row in parameters.TABLE:
    _add(parser, row, '')
  return parser


def _add(parser: argparse.ArgumentParser, row: parameters.Parameter, note: str) -> None:
  parser.add_argument(
    *_spellings(row),
    dest=row.name,
    default=argparse.SUPPRESS,
    metavar='[True|False]' if row.kind is parameters.SWITCH else 'VALUE',
    help=f'{row.doc} ({note})' if note else row.doc,
  )


def _spellings(row: parameters.Parameter) -> list[str]:
  return [f'--{name}' for name in (row.name, row.alias) if name]


def _spelled_out(words: list[str]) -> list[str]:
  """`--profiling --x=1` -> `--profiling=True --x=1`; `--profiling False` -> `--profiling=False`.

  Argparse would take any word that follows for the value, `--sizes=1 2` with its space too. One
  dash is as good as two: training commands see no difference.
  """
  known = {spelling: row for row in parameters.TABLE for spelling in _spellings(row)}
  switches = [spelling for spelling, row in known.items() if row.kind is parameters.SWITCH]
  spelled = []
  left = list(words)
  while left:
    word = left.pop(0)
    if word.startswith('-') and f'-{word}'.partition('=')[0] in known:
      word = f'-{word}'
    if word in switches:
      follows = bool(left) and not left[0].startswith('-')
      word += '=' + (left.pop(0) if follows else 'True')
    spelled.append(word)
  return spelled


def help_page(names: list[str], model: Model | None, case: Case | None) -> str:
  """The text of --help, with the defaults of the model and the case where they are known."""
  page = _Parser(
    prog='launch.py',
    usage=(
      'launch.py model NAME CASE [--parameter=value ...] [--flag_of_training=value ...]\n'
      '       train_full_1p.sh [...], the same from the folder test of a model'
    ),
    description='Runs estimators/NAME/train.py as launch scripts do: environment, folders, log, '
    'summary.',
    epilog=_epilog(names, model),
    formatter_class=argparse.RawDescriptionHelpFormatter,
    add_help=False,
  )
  page.add_argument('-h', '--help', action='store_true', help='anywhere: print this and end')
  for row in parameters.TABLE:
    _add(page, row, _note(row, model, case))
  return page.format_help()


def _note(row: parameters.Parameter, model: Model | None, case: Case | None) -> str:
  """What holds where the parameter is left out."""
  values = model.values(case.settings if case else 'full') if model else {}
  if model and row.of_model and row.name not in values:
    return f'{model.name} has no such parameter'
  default = row.default if values.get(row.name) is None else str(values[row.name])
  return f'default: {default}' if default else ''


def _epilog(names: list[str], model: Model | None) -> str:
  lines = [f'models: {", ".join(names) or "none found"}', 'cases:']
  for case in CASES.values():
    lines.append(f'  {case.name:<15} {case.doc}')
    if model and case.ranks == 1:
      values = model.cases[case.settings].items()
      lines.append(' ' * 18 + ' '.join(f'--{name}={value}' for name, value in values))
  known = model.name if model else 'NAME'
  others = (
    f'Other flags go to estimators/{known}/train.py, whose --help lists them; '
    '--only_check_args ends when all are checked. The device is ASCEND_DEVICE_ID, or 0.'
  )
  wrapped = [line for text in (others, _EXIT_STATUS) for line in textwrap.wrap(text, 78)]
  return '\n'.join([*lines, '', *wrapped])
