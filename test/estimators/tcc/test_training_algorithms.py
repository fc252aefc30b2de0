"""The table of training algorithms: the sum of three, the options, what a graph must have."""

import importlib.util
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from estimators.tcc.algorithms import (
  algorithm_options,
  alignment_losses,
  alignment_sal_tcn,
  batch_of_clips,
  draws,
  shuffle_and_learn,
  training_algorithms,
)
from estimators.tcc.algorithms.algorithm_options import (
  Alignment,
  AlignmentSalTcn,
  Classification,
  ShuffleAndLearn,
  TimeContrastive,
)
from npu_adapter import errors
from npu_adapter.runtime import tf1


def _support(name):
  path = pathlib.Path(__file__).resolve().parent / f'{name}.py'
  spec = importlib.util.spec_from_file_location(name, str(path))
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


reference, algorithm_run = _support('numpy_reference'), _support('algorithm_run')
PAIRS = algorithm_run.Batch(4, 12, 5)
FRAMES = 6  # anchors, or positives
SUM = AlignmentSalTcn(alignment=Alignment(softmax_temperature=0.5))


@pytest.fixture(autouse=True, scope='module')
def _graph_mode():
  tf1.enable()


def _drawn(draw):
  """Embeddings and steps of the chosen half, and the triplets of it."""
  clips = batch_of_clips.Clips(
    tf.constant(PAIRS.embeddings), tf.constant(PAIRS.steps), tf.constant(PAIRS.lengths)
  )
  half = alignment_sal_tcn.draw_halves(clips, draw)
  return half[:2], shuffle_and_learn.draw_triplets(4, FRAMES, SUM.sal, draw)


def run_sum(options=SUM, **how):
  return algorithm_run.run('alignment_sal_tcn', options, PAIRS, draw=_drawn, **how)


def halves_of(taken):
  """For each clip 0 where the embeddings of its positives were taken, 1 where its anchors'."""
  are_anchors = [
    [np.array_equal(clip, own[half::2]) for half in (0, 1)]
    for clip, own in zip(taken, PAIRS.embeddings)
  ]
  assert all(sum(both) == 1 for both in are_anchors)
  return [both.index(True) for both in are_anchors]


def expected_parts(found):
  """The three losses by plain loops."""
  halves = halves_of(found.drawn[0][0])
  assert set(halves) == {0, 1}
  embeddings = [clip[half::2] for clip, half in zip(PAIRS.embeddings, halves)]
  steps = [clip[half::2] for clip, half in zip(PAIRS.steps, halves)]
  triplets = [(clip, three, label) for clip, three, label in zip(*found.drawn[1])]
  layers = [
    (found.variables[f'sal/dense_{n}/kernel'], found.variables[f'sal/dense_{n}/bias'])
    for n in range(3)
  ]
  ways = reference.all_ways(4, FRAMES)
  return {
    'alignment': reference.alignment_loss(embeddings, ways, steps, PAIRS.lengths, SUM.alignment),
    'sal': reference.shuffle_and_learn_loss(embeddings, triplets, layers),
    'tcn': reference.n_pairs_loss(PAIRS.embeddings, 0.002),
  }


def test_the_sum_of_three_is_weighted_as_published():
  found = run_sum()
  parts = expected_parts(found)
  expected = 0.33 * parts['alignment'] + 0.33 * parts['sal'] + 0.34 * parts['tcn']
  assert algorithm_run.same(found.loss, expected)
  for name, part in parts.items():
    assert algorithm_run.same(found.metrics[f'{name}_loss'], part)
  accuracies = {f'{name}_accuracy' for name in parts}
  assert set(found.metrics) == accuracies | {f'{name}_loss' for name in parts}


def test_other_weights_count_as_given_and_of_weight_0_nothing_is_built():
  found = run_sum(SUM._replace(alignment_loss_weight=0.5, sal_loss_weight=0.1))
  parts = expected_parts(found)
  expected = 0.5 * parts['alignment'] + 0.1 * parts['sal'] + 0.4 * parts['tcn']
  assert algorithm_run.same(found.loss, expected)
  alone = algorithm_run.run(
    'alignment_sal_tcn', SUM._replace(alignment_loss_weight=0.0, sal_loss_weight=0.0), PAIRS
  )
  assert algorithm_run.same(alone.loss, parts['tcn'])
  assert not alone.variables
  assert set(alone.metrics) == {'tcn_loss', 'tcn_accuracy'}


def test_alignment_and_sal_see_anchors_or_positives_of_a_clip_by_a_coin():
  with tf.Graph().as_default(), tf.Session() as session:
    step = tf.placeholder(tf.int64, [])
    taken = _drawn(draws.Draws(0, step))[0][0]
    halves = np.array([halves_of(session.run(taken, {step: number})) for number in range(50)])
  assert abs(halves.sum() - 100) < 35  # of 200, deviation 7
  assert len({tuple(row) for row in halves}) == 16


def test_the_steps_of_the_sum_are_those_of_the_chosen_half():
  found = run_sum()
  for taken, own, half in zip(found.drawn[0][1], PAIRS.steps, halves_of(found.drawn[0][0])):
    assert (taken == own[half::2]).all()


def test_every_evaluation_of_the_sum_has_the_same_loss():
  found = [run_sum(is_training=False, seed=seed, step=seed) for seed in (1, 2)]
  assert found[0].loss == found[1].loss


@pytest.mark.parametrize('name', algorithm_options.ALGORITHMS)
def test_every_algorithm_has_a_finite_gradient_and_the_same_bits_again(name):
  found, again = (algorithm_run.run(name, batch=PAIRS) for _ in range(2))
  assert np.isfinite(found.loss) and found.slope.any()
  assert all(np.isfinite(slope).all() for slope in [found.slope, *found.slopes.values()])
  assert found.loss == again.loss
  assert (found.slope == again.slope).all()


@pytest.mark.parametrize('name', algorithm_options.ALGORITHMS)
def test_the_published_options_are_accepted_at_the_published_setting(name):
  options = algorithm_options.ALGORITHMS[name].options
  assert algorithm_options.check(name, options, batch_size=2, num_frames=20) is options


def test_those_with_positives_are_the_two_that_compare_neighbours():
  named = {name for name, each in algorithm_options.ALGORITHMS.items() if each.needs_positives}
  assert named == {'tcn', 'alignment_sal_tcn'}
  assert set(algorithm_options.ALGORITHMS) == set(training_algorithms._LOSSES)
  assert set(algorithm_options.LOSS_TYPES) == {'classification', *alignment_losses._REGRESSIONS}


# Options that cannot work, and what is said of them.
NOT_A_MODEL = [
  (Alignment(loss_type='regression_mse_vra'), r'ALIGNMENT.LOSS_TYPE .* mean .regression_mse_var'),
  (Alignment(similarity_type='L1'), r'SIMILARITY_TYPE must be one of l2, cosine; got .L1'),
  (Alignment(softmax_temperature=0), r'SOFTMAX_TEMPERATURE must be a number above 0; got 0'),
  (Alignment(softmax_temperature=float('nan')), r'SOFTMAX_TEMPERATURE .* got nan'),
  (Alignment(label_smoothing=1.0), r'LABEL_SMOOTHING must be a number from 0 to below 1'),
  (Alignment(variance_lambda=-1), r'VARIANCE_LAMBDA must be a number of at least 0'),
  (Alignment(huber_delta='0.1'), r"HUBER_DELTA must be a number above 0; got '0.1'"),
  (Alignment(normalize_indices='False'), r"NORMALIZE_INDICES must be true or false; got 'False'"),
  (Alignment(stochastic_matching=1), r'STOCHASTIC_MATCHING must be true or false; got 1'),
  (Alignment(variance_lambda=float('inf')), r'VARIANCE_LAMBDA .* got inf'),
  (Alignment(fraction=0), r'FRACTION must be a number above 0'),
  (Alignment(cycle_length=0), r'CYCLE_LENGTH must be a whole number of at least 1; got 0'),
  (Alignment(stochastic_matching=True, cycle_length=5), r'at most BATCH_SIZE, .* got 5 and 4'),
  (Alignment(stochastic_matching=True, fraction=0.001), r'must be at least 1; got 0.001 x 4 x 6'),
  (ShuffleAndLearn(num_samples=2.5), r'SAL.NUM_SAMPLES must be a whole number .* got 2.5'),
  (ShuffleAndLearn(shuffle_fraction=1.1), r'SHUFFLE_FRACTION must be a number from 0 to 1'),
  (ShuffleAndLearn(fc_layers=((8, True), (3, False))), r'the last of 2 units'),
  (ShuffleAndLearn(fc_layers=(8, 2)), r'FC_LAYERS must be .* got \(8, 2\)'),
  (ShuffleAndLearn(fc_layers=()), r'FC_LAYERS must be'),
  (ShuffleAndLearn(dropout_rate=1), r'SAL.DROPOUT_RATE must be a number from 0 to below 1'),
  (TimeContrastive(reg_lambda=-0.1), r'TCN.REG_LAMBDA must be a number of at least 0'),
  (Classification(num_classes=True), r'CLASSIFICATION.NUM_CLASSES must be a whole number'),
  (Classification(dropout_rate=-0.1), r'CLASSIFICATION.DROPOUT_RATE must be'),
  (AlignmentSalTcn(0.6, 0.5), r'must be at most 1 together, .* got 0.6 and 0.5'),
  (AlignmentSalTcn(-0.1), r'ALIGNMENT_LOSS_WEIGHT must be a number from 0 to 1; got -0.1'),
  (AlignmentSalTcn(sal=ShuffleAndLearn(num_samples=0)), r'SAL.NUM_SAMPLES must be'),
]


@pytest.mark.parametrize('number', range(len(NOT_A_MODEL)))
def test_options_that_cannot_work_are_refused_in_words(number):
  options, message = NOT_A_MODEL[number]
  (name,) = (
    name
    for name, each in algorithm_options.ALGORITHMS.items()
    if isinstance(options, type(each.options))
  )
  with pytest.raises(errors.InputError, match=message):
    algorithm_options.check(name, options, batch_size=4, num_frames=6)


@pytest.mark.parametrize(
  ('name', 'batch_size', 'num_frames', 'message'),
  [
    ('alignment', 1, 20, r'BATCH_SIZE must be at least 2'),
    ('alignment_sal_tcn', 1, 20, r'BATCH_SIZE must be at least 2'),
    ('sal', 1, 4, r'NUM_FRAMES must be at least 5 for Shuffle and Learn, .* got 4'),
    ('tcn', 1, 1, r'NUM_FRAMES must be at least 2 for tcn'),
  ],
)
def test_batches_that_are_too_small_are_refused_in_words(name, batch_size, num_frames, message):
  options = algorithm_options.ALGORITHMS[name].options
  with pytest.raises(errors.InputError, match=message):
    algorithm_options.check(name, options, batch_size, num_frames)


def test_options_of_an_algorithm_that_does_not_count_are_not_asked_for():
  options = AlignmentSalTcn(0.0, 0.5, alignment=Alignment(softmax_temperature=-1))
  algorithm_options.check('alignment_sal_tcn', options, batch_size=1, num_frames=5)


def test_an_unknown_algorithm_and_foreign_options_are_refused():
  with pytest.raises(errors.InputError, match=r"got 'alignmnt'. Did you mean 'alignment'"):
    algorithm_options.check('alignmnt', Alignment(), 2, 20)
  with pytest.raises(errors.InputError, match='options of sal must be ShuffleAndLearn; got Align'):
    algorithm_options.check('sal', Alignment(), 2, 20)


def test_a_graph_is_checked_too():
  with pytest.raises(errors.InputError, match='at least 5 for Shuffle and Learn'):
    algorithm_run.run('sal', batch=algorithm_run.Batch(3, 4, 5))
  with tf.Graph().as_default():
    embeddings = tf.placeholder(tf.float32, [None, 20, 8])
    with pytest.raises(errors.InputError, match=r'known shape .* got \[None, 20, 8\].*drop_rem'):
      training_algorithms.loss('alignment', embeddings, None, None, None, Alignment(), False, 0)


def test_a_training_without_a_global_step_is_refused():
  with tf.Graph().as_default():
    embeddings = tf.zeros([2, 20, 8])
    with pytest.raises(errors.InputError, match='must have a global step'):
      training_algorithms.loss('tcn', embeddings, None, None, None, TimeContrastive(), True, 0)


def test_the_options_need_no_tensorflow():
  program = (
    'import sys; from estimators.tcc.algorithms import algorithm_options; '
    "sys.exit('tensorflow' in sys.modules)"
  )
  root = pathlib.Path(__file__).resolve().parents[3]
  assert subprocess.run([sys.executable, '-c', program], cwd=str(root)).returncode == 0
