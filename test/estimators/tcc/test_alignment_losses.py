"""The losses of cycle-consistency against their definitions, and where these have no value."""

import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from estimators.tcc.algorithms import alignment_losses
from estimators.tcc.algorithms.algorithm_options import LOSS_TYPES, Alignment
from npu_adapter.runtime import tf1


def _support(name):
  path = pathlib.Path(__file__).resolve().parent / f'{name}.py'
  spec = importlib.util.spec_from_file_location(name, str(path))
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


reference, algorithm_run = _support('numpy_reference'), _support('algorithm_run')
STEPS = np.array([[0, 3, 4, 9, 17], [2, 5, 21, 40, 41]], np.int32)
LENGTHS = np.array([20, 57], np.int32)
LABELS = np.array([0, 1, 2, 3, 4, 2], np.int32)
CLIPS = np.array([0, 1, 1, 0, 0, 1], np.int32)
LOGITS = (3 * np.random.RandomState(2).normal(size=[6, 5])).astype(np.float32)


@pytest.fixture(autouse=True, scope='module')
def _graph_mode():
  tf1.enable()


def losses(options, logits=LOGITS):
  """The loss, and its gradient by the logits."""
  with tf.Graph().as_default(), tf.Session() as session:
    tensor = tf.constant(logits)
    matches = alignment_losses.Matches(tensor, tf.constant(LABELS), tf.constant(CLIPS))
    loss = alignment_losses.loss(matches, tf.constant(STEPS), tf.constant(LENGTHS), options)
    return session.run([loss, tf.gradients(loss, tensor)[0]])


def times_of(clip, options):
  times = STEPS[clip].astype(np.float64)
  return list(times / LENGTHS[clip] if options.normalize_indices else times)


def expected(options, logits=LOGITS):
  rows = [
    reference.loss_of_way([float(x) for x in row], label, times_of(clip, options), options)
    for row, label, clip in zip(logits, LABELS, CLIPS)
  ]
  return sum(rows) / len(rows)


def expected_slope(options):
  """By differences."""
  slope, width = np.zeros(LOGITS.shape), 1e-5
  for place in np.ndindex(*LOGITS.shape):
    ends = []
    for sign in (1, -1):
      moved = LOGITS.astype(np.float64)
      moved[place] += sign * width
      ends.append(expected(options, moved))
    slope[place] = (ends[0] - ends[1]) / (2 * width)
  return slope


@pytest.mark.parametrize('normalize_indices', [True, False])
@pytest.mark.parametrize('loss_type', LOSS_TYPES)
def test_each_loss_and_its_gradient_are_those_of_its_definition(loss_type, normalize_indices):
  options = Alignment(loss_type=loss_type, normalize_indices=normalize_indices)
  found, slope = losses(options)
  assert algorithm_run.same(found, expected(options))
  wanted = expected_slope(options)
  np.testing.assert_allclose(slope, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize('smoothing', [0.0, 0.1, 0.6])
def test_labels_are_smoothed_as_much_as_asked(smoothing):
  options = Alignment(loss_type='classification', label_smoothing=smoothing)
  assert algorithm_run.same(losses(options)[0], expected(options))


@pytest.mark.parametrize('delta', [0.01, 0.1, 0.9])
def test_the_huber_loss_turns_linear_at_its_delta(delta):
  options = Alignment(loss_type='regression_huber', huber_delta=delta)
  assert algorithm_run.same(losses(options)[0], expected(options))


@pytest.mark.parametrize('weight', [0.0, 0.001, 0.5])
def test_the_log_variance_counts_by_its_weight(weight):
  options = Alignment(variance_lambda=weight)
  assert algorithm_run.same(losses(options)[0], expected(options))


def sharp(labels):
  """Logits so far apart that in float32 only one frame of a row has a chance."""
  return (1e4 * np.eye(5)[labels]).astype(np.float32)


@pytest.mark.parametrize('loss_type', LOSS_TYPES)
def test_a_perfectly_sharp_match_has_a_finite_loss_and_gradient(loss_type):
  found, slope = losses(Alignment(loss_type=loss_type), sharp(LABELS))
  assert np.isfinite(found)
  assert np.isfinite(slope).all()


def test_a_perfectly_sharp_match_costs_what_the_least_variance_does():
  found, slope = losses(Alignment(), sharp(LABELS))
  assert algorithm_run.same(found, 0.001 * np.log(alignment_losses.LEAST_VARIANCE))
  assert not slope.any()


def test_a_sharp_match_with_the_wrong_frame_has_a_finite_loss_and_gradient():
  found, slope = losses(Alignment(), sharp((LABELS + 1) % 5))
  assert 0 < found < 1e9
  assert np.isfinite(slope).all()


def test_nearly_vanishing_variances_have_finite_gradients_of_the_embeddings():
  batch = algorithm_run.Batch()
  for scale in (3, 10, 100, 1000):
    found = algorithm_run.run('alignment', batch=batch.changed(scale * batch.embeddings))
    assert np.isfinite(found.loss)
    assert np.isfinite(found.slope).all()


@pytest.mark.parametrize('gap', [5, 10, 15])
def test_down_to_a_chance_of_a_millionth_beside_the_match_the_floor_changes_nothing(gap):
  logits = (gap * np.eye(5)[LABELS]).astype(np.float32)
  options = Alignment()
  variances = [
    reference.variance_of([float(x) for x in row], times_of(clip, options))
    for row, clip in zip(logits, CLIPS)
  ]
  assert min(variances) > alignment_losses.LEAST_VARIANCE
  assert algorithm_run.same(losses(options, logits)[0], expected(options, logits))
