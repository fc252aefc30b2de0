"""Reads a dict of arrays out of a pickled .npy file without running what else a pickle may hold.

np.load with allow_pickle runs any program that is in a file. Here a pickle may name nothing but
what makes NumPy's arrays. Of NumPy 1 and 2, whose modules have other names, either reads the
other's.
"""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np


def _as_bytes(text: str, encoding: str = 'latin1') -> bytes:
  """How Python 2, and pickles for it, write bytes; other codecs are refused."""
  if encoding not in ('latin1', 'latin-1'):
    raise pickle.UnpicklingError(f'it holds bytes as {encoding}')
  return text.encode('latin1')


# Asked of NumPy itself: the modules that they are in are private, and have moved.
_MAKERS: dict[str, Any] = {
  '_reconstruct': np.empty(0).__reduce__()[0],
  'scalar': np.float32(0).__reduce__()[0],
  'ndarray': np.ndarray,
  'dtype': np.dtype,
}
_MODULES = ('numpy', 'numpy.core.multiarray', 'numpy._core.multiarray')


class _ArraysOnly(pickle.Unpickler):
  def find_class(self, module: str, name: str) -> Any:
    if module in _MODULES and name in _MAKERS:
      return _MAKERS[name]
    if (module, name) == ('_codecs', 'encode'):
      return _as_bytes
    raise pickle.UnpicklingError(
      f'it holds {module}.{name}, where only arrays, numbers and texts may be'
    )


def load_dict(path: str) -> dict[str, Any]:
  """The dict that np.save has written; UnpicklingError where something else is in the file.

  Of a damaged file NumPy raises other errors as well.
  """
  with open(path, 'rb') as file:
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
      version, np.lib.format.read_array_header_2_0
    )
    shape, _, kind = read(file)
    if not kind.hasobject:
      raise pickle.UnpicklingError(f'it holds an array {list(shape)} of {kind}')
    # latin1: arrays of Python 2 are read right by no other.
    found = _ArraysOnly(file, encoding='latin1').load()
  values = found.item() if isinstance(found, np.ndarray) and found.size == 1 else found
  if not isinstance(values, dict):
    raise pickle.UnpicklingError(f'it holds {type(values).__name__}, where a dict must be')
  return values
