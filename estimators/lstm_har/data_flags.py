"""The flags by which the tools are told their windows."""

from __future__ import annotations

from typing import Any


def add_data_flags(parser: Any) -> None:
  """Where the windows are from."""
  parser.add_argument(
    '--data_path', metavar='DIR',
    help="the folder 'UCI HAR Dataset', or the one it is in (default: recordings of a watch, of "
    'the package seglearn)',
  )  # fmt: skip
  parser.add_argument(
    '--cache_path', metavar='DIR',
    help='folder for windows that were read once (default: $TF1_ASCEND_CACHE, else '
    '~/.cache/tf1-ascend)',
  )  # fmt: skip
