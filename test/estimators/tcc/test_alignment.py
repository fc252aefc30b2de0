"""Cycle-consistency: which frames go where, against plain loops in double precision."""

import collections
import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from estimators.tcc.algorithms import alignment, draws
from estimators.tcc.algorithms.algorithm_options import Alignment
from npu_adapter.runtime import tf1


def _support(name):
  path = pathlib.Path(__file__).resolve().parent / f'{name}.py'
  spec = importlib.util.spec_from_file_location(name, str(path))
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


reference, algorithm_run = _support('numpy_reference'), _support('algorithm_run')
BATCH = algorithm_run.Batch()
CLIPS, FRAMES = BATCH.embeddings.shape[:2]
PUBLISHED = algorithm_run.Batch(2, 20, 128, scale=0.4, seed=1)
STOCHASTIC = Alignment(stochastic_matching=True, fraction=0.5)
KINDS = ('l2', 'cosine')


@pytest.fixture(autouse=True, scope='module')
def _graph_mode():
  tf1.enable()


def expected_loss(batch, ways, options):
  return reference.alignment_loss(batch.embeddings, ways, batch.steps, batch.lengths, options)


def drawn_ways(options, batch=BATCH, **how):
  """The run, and the ways that its step draws."""
  clips, frames = batch.embeddings.shape[:2]
  found = algorithm_run.run(
    'alignment', options, batch, **how,
    draw=lambda draw: alignment.draw_cycles(clips, frames, options, draw),
  )  # fmt: skip
  return found, [(tuple(way), int(start)) for way, start in zip(*found.drawn)]


def drawn_cycles(options, clips, frames, seed, steps):
  """(clips, starts) of each step."""
  with tf.Graph().as_default(), tf.Session() as session:
    step = tf.placeholder(tf.int64, [])
    cycles = alignment.draw_cycles(clips, frames, options, draws.Draws(seed, step))
    return [session.run(cycles, {step: number}) for number in steps]


@pytest.mark.parametrize('kind', KINDS)
def test_every_frame_goes_to_every_other_clip_and_back(kind):
  options = Alignment(similarity_type=kind, softmax_temperature=0.3)
  with tf.Graph().as_default(), tf.Session() as session:
    matches = session.run(alignment.match_all_pairs(tf.constant(BATCH.embeddings), options))
  ways = reference.all_ways(CLIPS, FRAMES)
  assert len(matches.labels) == CLIPS * (CLIPS - 1) * FRAMES
  assert list(zip(matches.clips, matches.labels)) == [(way[0], start) for way, start in ways]
  expected = [reference.go_round(BATCH.embeddings, *way, kind, 0.3) for way in ways]
  np.testing.assert_allclose(matches.logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('kind', KINDS)
def test_the_loss_and_its_gradient_are_those_of_plain_loops(kind):
  options = Alignment(similarity_type=kind, softmax_temperature=0.5)
  ways = reference.all_ways(CLIPS, FRAMES)
  found = algorithm_run.run('alignment', options)
  assert algorithm_run.same(found.loss, expected_loss(BATCH, ways, options))

  def loss_of(embeddings):
    return reference.alignment_loss(embeddings, ways, BATCH.steps, BATCH.lengths, options)

  algorithm_run.assert_slope(found, loss_of, BATCH)


def test_at_the_published_setting_the_loss_is_that_of_plain_loops():
  found = algorithm_run.run('alignment', batch=PUBLISHED)
  expected = expected_loss(PUBLISHED, reference.all_ways(2, 20), Alignment())
  assert algorithm_run.same(found.loss, expected)


def test_the_share_of_frames_that_come_back_to_themselves_is_told():
  found = algorithm_run.run('alignment').metrics['alignment_accuracy']
  back = [
    int(np.argmax(reference.go_round(BATCH.embeddings, way, start, 'l2', 0.1)) == start)
    for way, start in reference.all_ways(CLIPS, FRAMES)
  ]
  assert 0 < sum(back) < len(back)
  assert found == pytest.approx(sum(back) / len(back))


def test_what_all_embeddings_have_in_common_changes_no_distance():
  moved = BATCH.changed(BATCH.embeddings * 0.05 + 64)
  near = BATCH.changed(moved.embeddings - 64)
  assert algorithm_run.same(
    algorithm_run.run('alignment', batch=moved).loss,
    algorithm_run.run('alignment', batch=near).loss,
  )


def test_cosine_is_the_dot_product_of_what_the_embedder_returns():
  options = Alignment(similarity_type='cosine')
  with tf.Graph().as_default(), tf.Session() as session:
    embeddings = tf.constant(BATCH.embeddings)
    small, large = session.run(
      [alignment.similarity(x, x, options) for x in (embeddings, 2 * embeddings)]
    )
  np.testing.assert_allclose(large, 4 * small, rtol=1e-5)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('length', [1, 2, 3])
def test_drawn_cycles_have_the_loss_of_plain_loops(kind, length):
  options = STOCHASTIC._replace(similarity_type=kind, cycle_length=length, softmax_temperature=0.5)
  found, ways = drawn_ways(options)
  assert len(ways) == int(CLIPS * FRAMES * 0.5)
  assert {len(way) for way, _ in ways} == {length}
  assert algorithm_run.same(found.loss, expected_loss(BATCH, ways, options))

  def loss_of(embeddings):
    return reference.alignment_loss(embeddings, ways, BATCH.steps, BATCH.lengths, options)

  algorithm_run.assert_slope(found, loss_of, BATCH)


def test_a_step_of_a_seed_always_draws_the_same_cycles():
  found, ways = drawn_ways(STOCHASTIC, seed=4, step=9)
  again, same_ways = drawn_ways(STOCHASTIC, seed=4, step=9)
  assert ways == same_ways
  assert found.loss == again.loss
  assert (found.slope == again.slope).all()


def test_another_step_or_seed_draws_other_cycles():
  ways = drawn_ways(STOCHASTIC, seed=4, step=9)[1]
  assert drawn_ways(STOCHASTIC, seed=4, step=10)[1] != ways
  assert drawn_ways(STOCHASTIC, seed=5, step=9)[1] != ways


def test_every_evaluation_draws_the_same_whatever_its_step_and_seed():
  found, ways = drawn_ways(STOCHASTIC, is_training=False, seed=4, step=9)
  again, same_ways = drawn_ways(STOCHASTIC, is_training=False, seed=5, step=10)
  assert ways == same_ways
  assert found.loss == again.loss
  assert drawn_ways(STOCHASTIC, seed=4, step=9)[1] != ways


def test_cycles_go_through_different_clips_in_every_order_and_start_at_every_frame():
  """Of 1600 cycles, of each of 12 orders 133 (deviation 11), of each of 8 frames 200 (13)."""
  options = STOCHASTIC._replace(fraction=1.0)
  drawn = drawn_cycles(options, 4, 8, seed=0, steps=range(50))
  orders = collections.Counter(tuple(way) for clips, _ in drawn for way in clips)
  starts = collections.Counter(start for _, all_starts in drawn for start in all_starts)
  assert sorted(orders) == [(i, j) for i in range(4) for j in range(4) if i != j]
  assert all(abs(count - 133) < 55 for count in orders.values())
  assert sorted(starts) == list(range(8))
  assert all(abs(count - 200) < 65 for count in starts.values())


def test_where_a_cycle_starts_does_not_depend_on_its_clips():
  options = STOCHASTIC._replace(fraction=1.0)
  drawn = drawn_cycles(options, 2, 2, seed=0, steps=range(200))
  pairs = collections.Counter(
    (way[0], start) for clips, starts in drawn for way, start in zip(clips, starts)
  )
  assert len(pairs) == 4
  assert all(abs(count - 200) < 65 for count in pairs.values())
