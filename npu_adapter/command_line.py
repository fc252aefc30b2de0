"""How commands start and end: parsing, help, errors, exit status. Knows no option."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from typing import Any, Callable, NoReturn

from absl import flags as absl_flags

from npu_adapter import errors

FLAGS = absl_flags.FLAGS
# Under these module names absl keeps the adapter's flags; only the first group is in --help.
GROUP = 'npu_adapter'
FULL_GROUP = 'npu_adapter, further options'
_HELP = {'-h': False, '-help': False, '--help': False, '--helpshort': False, '--helpfull': True}
# What TensorFlow reads when it is imported.
_TENSORFLOW_VARIABLES = {
  # Without its notes on how it was built; warnings and errors stay.
  'TF_CPP_MIN_LOG_LEVEL': '1',
  # With oneDNN's kernels, which TensorFlow 2 takes by itself on processors with AVX-512 only; on
  # one with AVX2 a step of ds_cnn takes 0.6 of the time with them.
  'TF_ENABLE_ONEDNN_OPTS': '1',
}
_BOOLEAN_WORDS = ('true', 'false', '0', '1', 't', 'f')

# Both may define it, in either order: absl.app, which TensorFlow imports, knows it by this name.
absl_flags.DEFINE_bool(
  'only_check_args', False, 'check the flags and end', module_name=GROUP, allow_override=True
)  # fmt: skip


def run(main: Callable[[list[str]], Any], argv: list[str] | None = None) -> NoReturn:
  """Parses the command line, calls `main` and ends the process with a status that tells the truth.

  0 after --help, --only_check_args and success, 2 for a wrong command line or option, 1 or the
  returned status else.
  """
  argv = _joined_booleans(list(sys.argv if argv is None else argv))
  asked = [_HELP[word] for word in argv[1:] if word in _HELP]
  if asked:
    _print_and_exit(_usage(argv[0], full=any(asked)))
  _parse(argv)
  if FLAGS.only_check_args:
    sys.exit(0)
  tell_tensorflow()
  if 'backend' in FLAGS and FLAGS['backend'].present:
    os.environ['NPU_ADAPTER_BACKEND'] = FLAGS.backend
  try:
    status = main(argv[:1])
  except Exception as error:
    _fail(argv[0], str(error), errors.exit_status_of(error))
  sys.exit(status)


def tell_tensorflow() -> None:
  """Sets how TensorFlow is to run in this process, which is to import it later.

  What the user has set stays.
  """
  for name, value in _TENSORFLOW_VARIABLES.items():
    os.environ.setdefault(name, value)


def _parse(argv: list[str]) -> None:
  try:
    leftovers = FLAGS(argv)[1:]
  except absl_flags.UnrecognizedFlagError as error:
    hint = errors.nearest(error.flagname, FLAGS)
    _fail(argv[0], f'there is no flag --{error.flagname}.{hint or " --help lists them."}', 2)
  except absl_flags.Error as error:
    _fail(argv[0], _worded(str(error)), 2)
  if leftovers:
    _fail(argv[0], f'values go with a flag (--name=value); got {leftovers[0]!r} without one.', 2)


def _print_and_exit(text: str) -> NoReturn:
  try:
    print(text, flush=True)
  except BrokenPipeError:
    drop_output()
  sys.exit(0)


def drop_output() -> None:
  """For a command whose reader has enough, as `| head`: Python would complain again at exit."""
  os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(program: str, message: str, status: int) -> NoReturn:
  print(f'{os.path.basename(program)}: error: {message}', file=sys.stderr)
  sys.exit(status)


def _worded(message: str) -> str:
  """Absl's message for a wrong value, with what it leaves out: the nearest value, plain words."""
  found = re.match(r'flag --(\w+)=(.*?): ', message, re.DOTALL)
  if not found or found.group(1) not in FLAGS:
    return message
  flag = FLAGS[found.group(1)]
  if flag.boolean:
    return f'flag {found.group(0)[5:]}must be True or False.'
  allowed = getattr(flag.parser, 'enum_values', None)
  return message + (errors.nearest(found.group(2), allowed) if allowed else '')


def _joined_booleans(argv: list[str]) -> list[str]:
  """Turns `--profiling False` into `--profiling=False`, which absl reads as true and a leftover."""
  joined = argv[:1]
  for word in argv[1:]:
    name = joined[-1].lstrip('-')
    takes_it = len(joined) > 1 and joined[-1].startswith('-') and name in FLAGS
    if takes_it and FLAGS[name].boolean and word.lower() in _BOOLEAN_WORDS:
      joined[-1] += '=' + word
    else:
      joined.append(word)
  return joined


def _usage(program: str, full: bool) -> str:
  name = os.path.basename(program)
  by_module = FLAGS.flags_by_module_dict()
  own = [module for module in by_module if module not in (GROUP, FULL_GROUP)]
  own = [module for module in own if not module.startswith('absl')]
  sections = [(module, f'flags of {os.path.basename(module)}') for module in sorted(own)]
  sections.append((GROUP, 'flags of npu_adapter'))
  if full:
    sections.append((FULL_GROUP, 'further flags of npu_adapter'))
  doc = (sys.modules['__main__'].__doc__ or '').strip()
  lines = [*([doc, ''] if doc else []), f'usage: {name} [--flag=value ...]']
  for module, title in sections:
    lines.extend(_section(title, by_module.get(module, [])))
  hidden = len(by_module.get(FULL_GROUP, []))
  if hidden and not full:
    lines.extend(['', f'--helpfull lists {hidden} more options of the device.'])
  return '\n'.join(lines)


def _section(title: str, found: list[Any]) -> list[str]:
  if not found:
    return []
  lines = ['', f'{title}:']
  for flag in sorted(found, key=lambda flag: flag.name):
    lines.append(f'  --{"[no]" if flag.boolean else ""}{flag.name}')
    text = f'{flag.help} {_default(flag)}'.rstrip()
    lines.extend(textwrap.wrap(text, 92, initial_indent='      ', subsequent_indent='      '))
  return lines


def _default(flag: Any) -> str:
  # Flags that carry an option tell their default themselves.
  return '' if flag.default is None else f'(default: {flag.default})'
