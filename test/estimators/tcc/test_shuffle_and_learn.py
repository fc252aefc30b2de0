"""Shuffle and Learn: what is drawn, and its loss against plain loops in double precision."""

import collections
import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from estimators.tcc.algorithms import draws, shuffle_and_learn
from estimators.tcc.algorithms.algorithm_options import ShuffleAndLearn
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
OPTIONS = ShuffleAndLearn()


@pytest.fixture(autouse=True, scope='module')
def _graph_mode():
  tf1.enable()


def run(options=OPTIONS, **how):
  """The run, and its triplets as a list of (clip, frames, is shuffled)."""
  found = algorithm_run.run(
    'sal', options, BATCH, **how,
    draw=lambda draw: shuffle_and_learn.draw_triplets(CLIPS, FRAMES, options, draw),
  )  # fmt: skip
  return found, [(int(clip), tuple(three), int(label)) for clip, three, label in zip(*found.drawn)]


def layers_of(variables):
  names = sorted(name for name in variables if name.endswith('kernel'))
  return [(variables[name], variables[name.replace('kernel', 'bias')]) for name in names]


def drawn_triplets(options=OPTIONS, clips=4, frames=9, steps=range(60)):
  """Of many steps: frames [n, 3] and labels [n]."""
  with tf.Graph().as_default(), tf.Session() as session:
    step = tf.placeholder(tf.int64, [])
    triplets = shuffle_and_learn.draw_triplets(clips, frames, options, draws.Draws(0, step))
    found = [session.run(triplets, {step: number}) for number in steps]
  return [np.concatenate(of_all) for of_all in zip(*found)]


@pytest.mark.parametrize('smoothing', [0.0, 0.2])
def test_the_loss_and_its_gradient_are_those_of_plain_loops(smoothing):
  options = OPTIONS._replace(label_smoothing=smoothing)
  found, triplets = run(options)
  layers = layers_of(found.variables)
  assert [kernel.shape for kernel, _ in layers] == [(15, 128), (128, 64), (64, 2)]

  def loss_of(embeddings):
    return reference.shuffle_and_learn_loss(embeddings, triplets, layers, smoothing)

  assert algorithm_run.same(found.loss, loss_of(BATCH.embeddings))
  algorithm_run.assert_slope(found, loss_of, BATCH, tolerance=1e-3)


def test_biases_and_other_layers_count_as_plain_loops_have_it():
  options = OPTIONS._replace(fc_layers=((6, True), (2, False)))
  chance = np.random.RandomState(8)
  load = {
    'sal/dense_0/bias': chance.normal(size=[6]).astype(np.float32),
    'sal/dense_1/bias': chance.normal(size=[2]).astype(np.float32),
  }
  found, triplets = run(options, load=load)
  layers = layers_of(found.variables)
  expected = reference.shuffle_and_learn_loss(BATCH.embeddings, triplets, layers)
  assert algorithm_run.same(found.loss, expected)


def test_the_share_of_triplets_told_rightly_is_told():
  found, triplets = run()
  layers = layers_of(found.variables)
  right = []
  for clip, frames, is_shuffled in triplets:
    x = np.concatenate([BATCH.embeddings[clip][frame] for frame in frames])
    for number, layer in enumerate(layers):
      x = reference.dense(x, *layer, number < 2)
    right.append(int(np.argmax(x) == is_shuffled))
  assert 0 < sum(right) < len(right)
  assert found.metrics['sal_accuracy'] == pytest.approx(sum(right) / len(right))


def test_every_variable_stands_in_the_scope_sal_and_has_a_gradient():
  found = run()[0]
  names = [f'sal/dense_{n}/{kind}' for n in range(3) for kind in ('bias', 'kernel')]
  assert sorted(found.variables) == names
  assert all(np.isfinite(slope).all() and slope.any() for slope in found.slopes.values())


def test_every_clip_has_its_triplets():
  clips = collections.Counter(clip for clip, _, _ in run()[1])
  assert clips == dict.fromkeys(range(CLIPS), 8)


def test_exactly_the_asked_share_is_shuffled_and_any_clip_may_be():
  labels = [label for _, _, label in run()[1]]
  assert sum(labels) == 18 and len(labels) == 24
  for share, expected in ((0.0, 0), (0.5, 12), (1.0, 24)):
    options = OPTIONS._replace(shuffle_fraction=share)
    assert sum(label for _, _, label in run(options)[1]) == expected
  places = np.reshape(drawn_triplets()[2], [60, 32]).mean(axis=0)
  assert places.min() > 0.45 and places.max() < 0.99  # 0.75, deviation 0.056


def test_triplets_are_three_frames_of_a_clip_in_the_order_that_the_label_says():
  _, frames, labels = drawn_triplets()
  assert frames.min() == 0 and frames.max() == 8
  steps = np.diff(frames, axis=1)
  in_order = (steps > 0).all(axis=1) | (steps < 0).all(axis=1)
  assert (in_order == (labels == 0)).all()
  assert (steps != 0).all()
  # b and d with a frame between them, and one more on either side.
  ends = np.sort(frames[:, [0, 2]], axis=1)
  assert ends[:, 0].min() == 1 and ends[:, 1].max() == 7
  assert (ends[:, 1] - ends[:, 0] >= 2).all()


def test_half_go_backwards_and_half_of_the_shuffled_take_the_frame_before():
  """Of 1920 triplets: deviation 22, and 19 of the 1440 shuffled."""
  _, frames, labels = drawn_triplets()
  backwards = frames[:, 0] > frames[:, 2]
  assert abs(backwards.sum() - 960) < 110
  takes_first = (frames[:, 1] < frames[:, 0]) != backwards
  assert abs(takes_first[labels == 1].sum() - 720) < 95


def test_with_five_frames_all_are_taken():
  _, frames, labels = drawn_triplets(frames=5)
  assert {tuple(three) for three in frames[labels == 0]} == {(1, 2, 3), (3, 2, 1)}
  assert {tuple(three) for three in frames[labels == 1]} == {
    (1, 0, 3), (1, 4, 3), (3, 0, 1), (3, 4, 1)
  }  # fmt: skip


def test_a_step_of_a_seed_always_draws_the_same_triplets_and_another_does_not():
  found, triplets = run(seed=4, step=9)
  again, same_triplets = run(seed=4, step=9)
  assert triplets == same_triplets
  assert found.loss == again.loss
  assert (found.slope == again.slope).all()
  assert run(seed=4, step=10)[1] != triplets
  assert run(seed=5, step=9)[1] != triplets


def test_every_evaluation_draws_the_same_triplets():
  found, triplets = run(is_training=False, seed=4, step=9)
  again, same_triplets = run(is_training=False, seed=5, step=10)
  assert triplets == same_triplets
  assert found.loss == again.loss


def test_dropout_counts_in_training_alone_and_changes_with_the_step():
  options = OPTIONS._replace(dropout_rate=0.5)
  plain, triplets = run(is_training=False)
  layers = layers_of(plain.variables)
  assert run(options, is_training=False)[0].loss == plain.loss
  found, triplets = run(options)
  kept = reference.shuffle_and_learn_loss(BATCH.embeddings, triplets, layers)
  assert not algorithm_run.same(found.loss, kept, 1e-3)
  assert run(options)[0].loss == found.loss
