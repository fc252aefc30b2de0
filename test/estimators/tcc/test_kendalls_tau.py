"""Kendall's tau: known answers, plain loops beside it, pairs that have none, time it takes."""

import time

import numpy as np
import pytest
from scipy import stats

from estimators.tcc.evaluation import frame_distances, kendalls_tau
from estimators.tcc.evaluation.clips import Clip
from estimators.tcc.evaluation.options import EvaluationOptions
from npu_adapter import errors

OPTIONS = EvaluationOptions(kendalls_tau_stride=1)


def clip(embeddings):
  return Clip('a', np.asarray(embeddings, np.float32), np.full(len(embeddings), -1))


def curve(frames, speed=1.0, size=6):
  """Embeddings along a curve from one place to another, at a speed that changes."""
  progress = np.linspace(0, 1, frames) ** speed
  return clip(np.stack([np.cos(progress * (1 + k) * 0.9) for k in range(size)], axis=1))


def random_clips(count, seed=0, frames=(20, 40), size=4):
  chance = np.random.RandomState(seed)
  return [clip(chance.randn(chance.randint(*frames), size)) for _ in range(count)]


def evaluated(clips, **changed):
  found = kendalls_tau.evaluate(clips, clips, OPTIONS._replace(**changed))
  assert found['train_kendalls_tau'] == pytest.approx(found['val_kendalls_tau'], nan_ok=True)
  return found['val_kendalls_tau'], found['val_pairs_without_tau']


def test_the_same_clip_at_any_length_and_speed_has_tau_1():
  clips = [curve(40), curve(40), curve(40)]
  assert evaluated(clips) == (pytest.approx(1), 0)
  # Slow parts give frames with the same nearest frame: ties, which take some of it away.
  assert 0.97 < evaluated([curve(40), curve(90, 1.5), curve(70, 0.8)])[0] < 1


def test_a_clip_and_the_same_backwards_have_tau_minus_1():
  forward = curve(40)
  back = clip(forward.embeddings[::-1])
  assert evaluated([forward, back]) == (pytest.approx(-1), 0)


def test_clips_of_chance_have_a_tau_about_0():
  assert abs(evaluated(random_clips(20))[0]) < 0.03


def test_it_is_the_mean_of_plain_loops_over_all_ordered_pairs():
  clips = random_clips(5)
  for stride, metric, distance in (
    (1, 'sqeuclidean', lambda u, v: sum((a - b) ** 2 for a, b in zip(u, v))),
    (3, 'cityblock', lambda u, v: sum(abs(a - b) for a, b in zip(u, v))),
    (5, 'cosine', lambda u, v: 1 - np.dot(u, v) / np.sqrt(np.dot(u, u) * np.dot(v, v))),
  ):
    taus = kendalls_tau.pairwise(clips, stride, metric)
    for row, one in enumerate(clips):
      for column, other in enumerate(clips):
        queries, candidates = (c.embeddings.astype(float)[::stride] for c in (one, other))
        places = [
          min(range(len(candidates)), key=lambda k, u=u, v=candidates: distance(u, v[k]))
          for u in queries
        ]
        expected = tau_in_loops(places) if row != column else float('nan')
        assert taus[row, column] == pytest.approx(expected, nan_ok=True)
    mean = taus[~np.eye(5, dtype=bool)].mean()
    found, _ = evaluated(clips, kendalls_tau_stride=stride, kendalls_tau_distance=metric)
    assert found == pytest.approx(mean)


def tau_in_loops(places):
  """(agreeing - disagreeing pairs) / root of (all pairs * pairs that are not tied)."""
  agreeing = disagreeing = pairs = 0
  for later in range(len(places)):
    for earlier in range(later):
      pairs += 1
      agreeing += places[earlier] < places[later]
      disagreeing += places[earlier] > places[later]
  untied = agreeing + disagreeing
  return (agreeing - disagreeing) / (pairs * untied) ** 0.5 if untied else float('nan')


@pytest.mark.parametrize('values', [2, 5, 1000])
def test_tau_with_ties_is_that_of_scipy(values):
  places = np.random.RandomState(values).randint(0, values, [50, 12])
  places[0] = 1
  expected = [stats.kendalltau(range(12), row)[0] for row in places]
  assert np.isnan(expected[0])
  np.testing.assert_allclose(kendalls_tau.in_order(places), expected, atol=1e-12)


def test_the_stride_takes_frames_of_both_clips():
  """All other frames of these clips are out of order."""
  mixed = np.random.RandomState(0).randn(40, 6)
  clips = []
  for _ in range(2):
    embeddings = mixed.copy()
    embeddings[::5] = curve(8).embeddings
    clips.append(clip(embeddings))
    mixed = mixed[::-1]
  assert evaluated(clips, kendalls_tau_stride=5)[0] == pytest.approx(1)
  assert evaluated(clips, kendalls_tau_stride=1)[0] < 0.8


def test_pairs_without_tau_are_counted_and_no_part_of_the_mean():
  still = clip(np.ones([30, 6]))
  found, dropped = evaluated([curve(30), curve(30), still])
  # All frames of the still clip are nearest to one frame of each other, and theirs to its first.
  assert found == pytest.approx(1)
  assert dropped == 4


def test_embeddings_that_have_collapsed_have_no_tau():
  found, dropped = evaluated([clip(np.ones([30, 6])) for _ in range(3)])
  assert np.isnan(found)
  assert dropped == 6


def test_a_clip_shorter_than_the_stride_has_no_tau():
  found, dropped = evaluated([curve(40), curve(40), curve(4)], kendalls_tau_stride=5)
  assert found == pytest.approx(1)
  assert dropped == 4


def test_embeddings_far_from_0_are_told_apart():
  """Squares taken before the difference would leave nothing of it, even in double precision."""
  near = curve(40)
  far = [near._replace(embeddings=near.embeddings.astype(np.float64) + 1e8) for _ in range(2)]
  assert evaluated(far)[0] > 0.99


@pytest.mark.parametrize('split', ['training', 'validation'])
def test_one_clip_makes_no_pair(split):
  splits = [[curve(20)], [curve(20), curve(30)]]
  with pytest.raises(errors.InputError, match=f'the {split} split must have at least 2 clips; got'):
    kendalls_tau.evaluate(*(splits if split == 'training' else splits[::-1]), OPTIONS)


def test_a_distance_that_does_not_exist_is_refused():
  clips = [curve(20), clip(np.zeros([20, 6]))]
  with pytest.raises(errors.InputError, match='the distance cosine must exist between all frames'):
    evaluated(clips, kendalls_tau_distance='cosine')


@pytest.mark.parametrize('metric', frame_distances.METRICS)
def test_every_distance_finds_the_frame_itself(metric):
  clips = random_clips(1) * 2
  assert evaluated(clips, kendalls_tau_distance=metric)[0] == pytest.approx(1)


def test_70_clips_of_100_frames_take_no_second():
  clips = random_clips(70, frames=(90, 110), size=128)
  best = float('inf')
  for _ in range(3):
    start = time.process_time()
    kendalls_tau.pairwise(clips, 5)
    best = min(best, time.process_time() - start)
  # 0.1 s on two cores of 2023; a call of scipy for each of 4830 pairs takes 0.8 s.
  assert best < 0.4
