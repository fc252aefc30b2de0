"""Dynamic time warping: the cheapest way to walk through two clips together, frame by frame."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from npu_adapter import errors


class WarpedPath(NamedTuple):
  """From the first frames of both clips to the last ones, each step ahead in one or in both."""

  cost: float  # sum over the path
  rows: np.ndarray  # int64 [steps]: frames of the first clip
  columns: np.ndarray  # int64 [steps]: frames of the second


def cheapest_path(costs: np.ndarray) -> WarpedPath:
  """The path of least cost through costs [rows, columns]; of those as cheap a diagonal one."""
  if np.ndim(costs) != 2 or 0 in np.shape(costs):
    raise errors.InputError(
      f'costs must be [rows, columns] of at least one frame each; got {list(np.shape(costs))}.'
    )
  totals = _totals(np.asarray(costs, np.float64))
  row, column = costs.shape
  path = []
  while row and column:
    path.append((row - 1, column - 1))
    before = ((row - 1, column - 1), (row - 1, column), (row, column - 1))
    row, column = min(before, key=totals.__getitem__)
  rows, columns = np.array(path[::-1]).T
  return WarpedPath(float(totals[-1, -1]), rows, columns)


def _totals(costs: np.ndarray) -> np.ndarray:
  """The least cost of a path to each cell, [1 + rows, 1 + columns]; infinite beside the table.

  A cell depends on the two diagonals before its own: each is computed at once.
  """
  rows, columns = costs.shape
  totals = np.full([rows + 1, columns + 1], np.inf)
  totals[0, 0] = 0
  for diagonal in range(2, rows + columns + 1):
    row = np.arange(max(1, diagonal - columns), min(rows, diagonal - 1) + 1)
    column = diagonal - row
    before = np.minimum(totals[row - 1, column], totals[row, column - 1])
    before = np.minimum(before, totals[row - 1, column - 1])
    totals[row, column] = costs[row - 1, column - 1] + before
  return totals


def matched_columns(path: WarpedPath) -> np.ndarray:
  """Int64 [rows]: of the columns that a path matches with each row, the middle one."""
  first = np.searchsorted(path.rows, np.arange(path.rows[-1] + 1), 'left')
  last = np.searchsorted(path.rows, np.arange(path.rows[-1] + 1), 'right') - 1
  return (path.columns[first] + path.columns[last]) // 2
