"""How commands made with argparse start and end: flags, errors, exit status, result files.

No TensorFlow until a command does its work. Those made with absl are in command_line.py.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from typing import Any, Callable, Sequence, cast

from npu_adapter import command_line, errors

BACKENDS = ('auto', 'ascend', 'host')


class Parser(argparse.ArgumentParser):
  """Takes no abbreviations, and says which flag a wrong one is near to."""

  def __init__(self, name: str, doc: str | None):
    super().__init__(
      prog=name,
      description=doc,
      formatter_class=argparse.RawDescriptionHelpFormatter,
      allow_abbrev=False,
    )

  def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
    words = list(sys.argv[1:] if args is None else args)
    # Before argparse asks for what is missing: a flag written wrong may be what it misses.
    for word in words:
      if word.startswith('--') and word.partition('=')[0] not in self._option_string_actions:
        self.error(self._unknown(word))
    found, others = self.parse_known_args(words, namespace)
    if others:
      self.error(self._unknown(others[0]))
    return found

  def _unknown(self, word: str) -> str:
    if not word.startswith('-'):
      return f'values go with a flag (--name value); got {word!r} without one.'
    flag = word.partition('=')[0]
    hint = errors.nearest(flag, self._option_string_actions)
    return f'there is no flag {flag}.{hint or " --help lists them."}'


def one_of(*words: str) -> Callable[[str], str]:
  """A type of argparse: one of some words; its error names the nearest."""

  def checked(text: str) -> str:
    if text not in words:
      raise argparse.ArgumentTypeError(
        f'must be one of {", ".join(words)}; got {text!r}.{errors.nearest(text, words)}'
      )
    return text

  return checked


def number(kind: Any, least: float, most: float = float('inf'), above: bool = False) -> Any:
  """A type of argparse: a number of a kind from `least`, or above it, to `most`."""
  what = 'a whole number' if kind is int else 'a number'
  bounds = f'{"above" if above else "of at least"} {least:g}'
  bounds += f' and at most {most:g}' if most < float('inf') else ''

  def checked(text: str) -> Any:
    try:
      value = kind(text)
    except ValueError:
      value = float('nan')
    # NaN fails both.
    if not (least < value if above else least <= value) or not value <= most:
      raise argparse.ArgumentTypeError(f'must be {what} {bounds}; got {text!r}.')
    return value

  return checked


def new_file(ending: str = '') -> Callable[[str], str]:
  """A type of argparse: a file to write, in a folder that is there. Checked before the work."""

  def checked(text: str) -> str:
    folder = os.path.dirname(os.path.realpath(text))
    if not text.endswith(ending):
      problem = f'its name must end with {ending}'
    elif not os.path.isdir(folder):
      problem = f'there is no folder {folder!r}'
    elif os.path.exists(text) and not os.path.isfile(text):
      problem = 'it is no plain file'
    else:
      return text
    raise argparse.ArgumentTypeError(f'must be a file to write; got {text!r}: {problem}.')

  return checked


def add_checkpoint_flag(parser: Any, more: str = '', required: bool = True) -> None:
  """What the tools of a model work on; `more` goes on with the help."""
  parser.add_argument(
    '--checkpoint', required=required, metavar='PATH',
    help='checkpoint (the path before .index), or a folder of train.py: the best one in it' + more,
  )  # fmt: skip


def run(parser: Parser, work: Callable[[Any], int | None], argv: Any = None) -> int:
  """Parses, works, and returns the exit status: 0, 2 for what the user gave, `work`'s own else."""
  asked = parser.parse_args(argv)
  # A file name need not be text that can be printed.
  cast(Any, sys.stdout).reconfigure(errors='backslashreplace')
  command_line.tell_tensorflow()
  try:
    status = work(asked) or 0
    sys.stdout.flush()
  except BrokenPipeError:
    command_line.drop_output()
    return 0
  except OSError as error:
    return _complain(parser, error, 1)
  except KeyboardInterrupt:
    return 130
  except Exception as error:
    return _complain(parser, error, errors.exit_status_of(error))
  return status


def _complain(parser: Parser, error: Exception, status: int) -> int:
  print(f'{parser.prog}: error: {error}', file=sys.stderr)
  return status


def write_whole(path: str, content: bytes) -> None:
  """Writes a file that is complete or, after a failure, what it was before."""
  path = os.path.realpath(path)  # of a link, what it leads to
  folder, name = os.path.split(path)
  with tempfile.TemporaryDirectory(prefix='.partial-', dir=folder) as scratch:
    partial = os.path.join(scratch, name)
    with open(partial, 'wb') as file:
      file.write(content)
    os.replace(partial, path)


def write_json(path: str, values: Sequence[Any], lines: bool = False) -> None:
  """Writes an object as JSON; with `lines`, a list of objects one a line."""
  if lines:
    text = ''.join(json.dumps(value) + '\n' for value in values)
  else:
    text = json.dumps(values, indent=2) + '\n'
  write_whole(path, text.encode())
