"""The file beside a checkpoint that says how far a training has read its data."""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import Any, Mapping, Sequence

SUFFIX = '.input'
FORMAT = 1

_MAGIC = b'tf1 input state'
_OURS = re.compile(r'(.+-\d+)\.input(\.partial)?')
# What a changed value of the header means to the reader, in the order in which to look.
_MEANINGS = {
  'format': 'the number of the file format',
  'exact_resume': 'the exact_resume the checkpoint was written with',
  'tensorflow': 'the version of TensorFlow',
  'pipelines': 'the fingerprints of the datasets',
  'step': 'the global step',
}
_START_ANEW = (
  'To start the data from their beginning with these weights, train in a new model_dir with '
  'warm_start_from={prefix!r}, or without exact_resume.'
)


class InputStateError(ValueError):
  """A training cannot go on exactly where the checkpoint was written."""

  exit_status = 1


def write(prefix: str, header: Mapping[str, Any], payloads: Sequence[bytes] = ()) -> None:
  """Writes the file of the checkpoint `prefix`: in full, or not at all."""
  first = {'format': FORMAT, **header, 'sizes': [len(payload) for payload in payloads]}
  body = b''.join([json.dumps(first, sort_keys=True).encode(), b'\n', *payloads])
  path = prefix + SUFFIX
  os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
  partial = f'{path}.partial'
  with open(partial, 'wb') as file:
    file.write(b'%s %s\n' % (_MAGIC, hashlib.sha256(body).hexdigest().encode()))
    file.write(body)
    file.flush()
    # Without it a machine that loses its power may come back with the name and no content.
    os.fsync(file.fileno())
  os.replace(partial, path)


def read(prefix: str, expected: Mapping[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
  """Returns (header, payloads) of the checkpoint `prefix`; the header must say what is expected."""
  path = prefix + SUFFIX
  header, content = _parse(path, prefix)
  for key, value in {'format': FORMAT, **expected}.items():
    if header.get(key) != value:
      raise InputStateError(
        f'exact_resume needs {path} to be of this training: {_MEANINGS[key]} must be {value!r}; '
        f'got {header.get(key)!r}. Put back what the training was started with. '
        + _START_ANEW.format(prefix=prefix)
      )
  payloads = []
  for size in header['sizes']:
    payloads.append(content[:size])
    content = content[size:]
  return header, payloads


def _parse(path: str, prefix: str) -> tuple[dict[str, Any], bytes]:
  """Returns (header, the bytes behind it) of a file that is whole."""
  try:
    with open(path, 'rb') as file:
      first, body = file.readline(), file.read()
  except FileNotFoundError as error:
    raise InputStateError(
      f'exact_resume needs {path} beside the checkpoint; got no such file. The checkpoint was '
      'written without exact_resume, or copied without it. ' + _START_ANEW.format(prefix=prefix)
    ) from error
  if first != b'%s %s\n' % (_MAGIC, hashlib.sha256(body).hexdigest().encode()):
    kind = 'one that is damaged or cut short' if first.startswith(_MAGIC) else 'another file'
    raise InputStateError(
      f'exact_resume needs {path} as it was written; got {kind}, of {len(first) + len(body)} '
      'bytes. Copy it again from where it is whole, or go on from an older checkpoint: name it in '
      f'the first line of {os.path.join(os.path.dirname(path), "checkpoint")}. '
      + _START_ANEW.format(prefix=prefix)
    )
  line, _, content = body.partition(b'\n')
  return json.loads(line.decode()), content


def remove_orphans(model_dir: str) -> None:
  """Deletes the files whose checkpoint is gone, and what a killed write left behind."""
  for name in os.listdir(model_dir):
    found = _OURS.fullmatch(name)
    path = os.path.join(model_dir, name)
    if found and not os.path.exists(os.path.join(model_dir, f'{found.group(1)}.index')):
      _remove_ours(path)


def _remove_ours(path: str) -> None:
  with open(path, 'rb') as file:
    start = file.read(len(_MAGIC))
  # A write that was killed at once left an empty one.
  if _MAGIC.startswith(start):
    os.remove(path)
