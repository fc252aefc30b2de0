"""launch.py: runs a model's training command as launch scripts do, and sums the run up."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from typing import Iterable

from npu_adapter import command_line, errors, training_log
from npu_adapter.launch import command_words, models, process, run_folder, summary
from npu_adapter.launch.cases import CASES, Case
from npu_adapter.launch.job import Job
from npu_adapter.launch.models import Model
from npu_adapter.launch.run_log import Log, Terminal

_ACTION = 'model'


def main(argv: list[str] | None = None, estimators: str = 'estimators') -> int:
  """Launches a model of the folder `estimators`; returns the exit status."""
  words = list(sys.argv[1:] if argv is None else argv)
  estimators = os.path.abspath(estimators)
  try:
    if command_words.asks_for_help(words):
      return _print_help(words, estimators)
    model, case = _named(words, estimators)
    return _launch(model, case, words[3:])
  except errors.AdapterError as error:
    return _complain(f'error: {error}', error.exit_status)
  except OSError as error:
    return _complain(f'error: {error}', 1)
  except KeyboardInterrupt:
    return 128 + signal.SIGINT


def _complain(line: str, status: int) -> int:
  print(f'launch.py: {line}', file=sys.stderr)
  return status


def _print_help(words: list[str], estimators: str) -> int:
  """Prints as much as the words let it know of model and case."""
  names = models.names(estimators)
  name = next((word for word in words if word in names), None)
  case = next((CASES[word] for word in words if word in CASES), None)
  try:
    page = command_words.help_page(names, models.read(estimators, name) if name else None, case)
    print(page, flush=True)
  except BrokenPipeError:
    command_line.drop_output()
  return 0


def _named(words: list[str], estimators: str) -> tuple[Model, Case]:
  """Returns the model and the case that the first three words name."""
  action, name, case = [*words, '', '', ''][:3]
  _check_word('the first word', action, [_ACTION])
  _check_word('the model', name, models.names(estimators))
  _check_word('the case', case, CASES)
  return models.read(estimators, name), CASES[case]


def _check_word(what: str, word: str, known: Iterable[str]) -> None:
  if word not in known:
    raise errors.OptionError(
      f'{what} must be one of {", ".join(known) or "none: there are no models"}; got {word!r}.'
      f'{errors.nearest(word, known)} Write: launch.py model NAME CASE [--parameter=value ...]'
    )


def _launch(model: Model, case: Case, words: list[str]) -> int:
  given, others = command_words.split(words)
  if case.ranks > 1:
    raise errors.BackendError(
      f'training on {case.ranks} devices needs distribution, which is not built yet. '
      f'{case.settings} trains on one device.'
    )
  job = Job(model, case, given, others, os.environ)
  status = _check_flags(job, others)
  if status or command_words.is_only_a_check(others):
    return status
  run_folder.make(job.folder, job.earlier_run)
  terminal = Terminal()
  if job.earlier_run:
    terminal.say(f'launch.py: the earlier run is now in {job.earlier_run}')
  terminal.say(f'launch.py: {model.name} {case.name} on device {job.device}, into {job.folder}')
  with Log(run_folder.log_path(job.folder, job.device), terminal) as log:
    return _train(job, log, terminal)


def _check_flags(job: Job, others: list[str]) -> int:
  """Lets the training command itself say whether it knows its flags; it starts nothing yet."""
  said: list[bytes] = []
  status = process.Run()([*job.command, '--only_check_args'], job.environment, said.append)
  if status:
    text = b''.join(said).decode(errors='replace')
    print(text, end='', file=sys.stderr)
    _complain(f'error: nothing was started.{_hint(others, text)}', status)
  return status


def _hint(others: list[str], text: str) -> str:
  """The parameter that may have been meant by a flag which training, in `text`, does not know."""
  for word in others:
    flag = word.partition('=')[0]
    hint = command_words.nearest_parameter(flag)
    if flag.startswith('-') and re.search(f'{re.escape(flag)}\\b', text) and hint not in text:
      return hint
  return ''


def _train(job: Job, log: Log, terminal: Terminal) -> int:
  run = process.Run()
  started = time.monotonic()
  status = run(job.command, job.environment, log.write, job.cores)
  seconds = time.monotonic() - started
  if status:
    what = 'was stopped' if run.stopped_by else 'failed'
    return _complain(f'training {what}{_reason(status)}; its log is {log.path}', status)
  found = _sum_up(job, seconds)
  found.write(job.folder)
  terminal.say(found.final_result())
  return 0


def _reason(status: int) -> str:
  name = {128 + number: number.name for number in signal.Signals}.get(status)
  return f' by {name} (exit status {status})' if name else f' with exit status {status}'


def _sum_up(job: Job, seconds: float) -> summary.Summary:
  path = os.path.join(job.folder, run_folder.CHECKPOINTS, training_log.FILE_NAME)
  if not os.path.exists(path):
    _complain(f'training wrote no {path}: nothing was measured', 0)
  return summary.sum_up(
    training_log.read(path) if os.path.exists(path) else [],
    network=job.model.name,
    batch_size=job.batch_size,
    case_ending=job.case.ending,
    is_bound=job.cores is not None,
    duration_seconds=seconds,
  )
