"""Dynamic time warping beside a recursion over all paths, and the frames it matches."""

import functools
import itertools

import numpy as np
import pytest

from estimators.tcc.evaluation import dynamic_time_warping as dtw
from estimators.tcc.evaluation import frame_distances, frame_matches
from npu_adapter import errors


def least_cost(costs):
  """By the definition, from the end back."""

  @functools.lru_cache(None)
  def cost_to(row, column):
    if row < 0 or column < 0:
      return float('inf')
    before = 0 if row == column == 0 else min(
      cost_to(row - 1, column), cost_to(row, column - 1), cost_to(row - 1, column - 1)
    )  # fmt: skip
    return costs[row][column] + before

  return cost_to(len(costs) - 1, len(costs[0]) - 1)


@pytest.mark.parametrize('shape', list(itertools.product([1, 2, 3, 7, 20], [1, 2, 5, 13])))
def test_the_path_costs_what_the_recursion_finds(shape):
  costs = np.random.RandomState(sum(shape)).rand(*shape)
  path = dtw.cheapest_path(costs)
  assert path.cost == pytest.approx(least_cost(costs.tolist()))
  assert costs[path.rows, path.columns].sum() == pytest.approx(path.cost)


@pytest.mark.parametrize('seed', range(5))
def test_a_path_leads_from_the_first_frames_to_the_last_in_single_steps(seed):
  path = dtw.cheapest_path(np.random.RandomState(seed).randint(0, 3, [9, 14]))
  steps = list(zip(path.rows.tolist(), path.columns.tolist()))
  assert steps[0] == (0, 0) and steps[-1] == (8, 13)
  for one, other in zip(steps, steps[1:]):
    assert (other[0] - one[0], other[1] - one[1]) in ((0, 1), (1, 0), (1, 1))


def test_of_paths_as_cheap_a_diagonal_one_is_taken():
  path = dtw.cheapest_path(np.zeros([4, 4]))
  assert path.rows.tolist() == path.columns.tolist() == [0, 1, 2, 3]


def test_a_clip_at_half_the_speed_is_matched_frame_by_frame():
  slow = np.repeat(np.arange(10.0), 3)[:, None]
  fast = np.arange(10.0)[:, None]
  path = dtw.cheapest_path(frame_distances.between(fast, slow))
  assert path.cost == 0
  # Of three frames that are matched, the middle one.
  assert dtw.matched_columns(path).tolist() == list(range(1, 30, 3))
  back = dtw.cheapest_path(frame_distances.between(slow, fast))
  assert dtw.matched_columns(back).tolist() == [number // 3 for number in range(30)]


def test_warped_matches_never_step_back_and_nearest_ones_may():
  chance = np.random.RandomState(0)
  one, other = chance.randn(20, 3), chance.randn(30, 3)
  warped, nearest = (frame_matches.match(one, other, use_dtw) for use_dtw in (True, False))
  assert (np.diff(warped.frames) >= 0).all() and not (np.diff(nearest.frames) >= 0).all()
  expected = [min(range(30), key=lambda k, u=u: ((other[k] - u) ** 2).sum()) for u in one]
  assert nearest.frames.tolist() == nearest.columns.tolist() == expected
  assert nearest.rows.tolist() == list(range(20))
  assert len(warped.frames) == 20 and len(warped.rows) >= 30


@pytest.mark.parametrize('shape', [(0, 3), (3, 0), (3,)])
def test_costs_without_frames_are_refused(shape):
  with pytest.raises(errors.InputError, match=r'costs must be \[rows, columns\] .*; got'):
    dtw.cheapest_path(np.zeros(shape))
