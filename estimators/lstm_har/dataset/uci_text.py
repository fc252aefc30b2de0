"""The text files of UCI HAR, both ways: windows a row each, labels and people a number a line.

A number has 16 places, as `  1.8085150e-004`, and a row ends with a carriage return and a line
feed; the files of whole numbers have the line feed alone.
"""

from __future__ import annotations

import numpy as np

from npu_adapter import errors

_PLACES = 16
_ROW_END = b'\r\n'


def read_windows(path: str, steps: int) -> np.ndarray:
  """Returns float32 [rows, steps]; raises InputError with file and row for what is no such row."""
  lines = [line for line in _content(path).split(b'\n') if line.strip()]
  if not lines:
    raise errors.InputError(f'{path!r} must hold a window a row; it is empty.')
  # A row at a time: np.fromstring over the file takes two thirds of the time, and joins a row that
  # is too short with the next one.
  rows = [_row(path, number, line, steps) for number, line in enumerate(lines, start=1)]
  numbers = np.stack(rows)
  bad = np.flatnonzero(~np.isfinite(numbers).all(axis=1))
  if len(bad):
    raise errors.InputError(
      f'{path!r} must hold finite numbers; row {bad[0] + 1} has {_odd_one(numbers[bad[0]])}. '
      'Take the file from the archive again, or remove that row from all files of its split.'
    )
  return numbers.astype(np.float32)


def read_numbers(path: str, what: str, least: int, most: int | None = None) -> np.ndarray:
  """Returns int64 [rows] of a file with a whole number a line."""
  lines = _content(path).split()
  bounds = f'from {least} to {most}' if most is not None else f'of at least {least}'
  for row, line in enumerate(lines, start=1):
    if not line.isdigit() or int(line) < least or (most is not None and int(line) > most):
      raise errors.InputError(
        f'{path!r} must hold {what} a line, a whole number {bounds}; row {row} is '
        f'{line.decode("utf-8", "replace")!r}.'
      )
  return np.array([int(line) for line in lines], np.int64)


def windows_text(windows: np.ndarray) -> bytes:
  """What stands in a file for float [rows, steps]."""
  return b''.join(''.join(map(_number_text, row.tolist())).encode() + _ROW_END for row in windows)


def numbers_text(numbers: np.ndarray) -> bytes:
  """What stands in a file for whole numbers [rows]."""
  return ''.join(f'{number}\n' for number in numbers.tolist()).encode()


def _number_text(number: float) -> str:
  # With three digits of the power of ten, where Python has two.
  mantissa, power = f'{number:.7e}'.split('e')
  return f'{mantissa}e{power[0]}{power[1:].zfill(3)}'.rjust(_PLACES)


def _content(path: str) -> bytes:
  try:
    with open(path, 'rb') as file:
      return file.read()
  except OSError as error:
    raise errors.InputError(
      f'{path!r} must be a file of UCI HAR that can be read; {error.strerror}. Unpack the archive '
      'again, or name the folder it made with --data_path.'
    ) from None


def _row(path: str, number: int, line: bytes, steps: int) -> np.ndarray:
  words = line.split()
  if len(words) != steps:
    raise errors.InputError(
      f'{path!r} must hold {steps} numbers a row; row {number} has {len(words)}. '
      'Take the file from the archive again.'
    )
  try:
    return np.array(words, np.float64)
  except ValueError:
    raise errors.InputError(
      f'{path!r} must hold numbers; row {number} is {line[:40].decode("utf-8", "replace")!r}.'
    ) from None


def _odd_one(row: np.ndarray) -> str:
  at = int(np.flatnonzero(~np.isfinite(row))[0])
  return f'{row[at]} as its number {at + 1}'
