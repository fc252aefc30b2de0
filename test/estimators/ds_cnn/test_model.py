"""The keyword-spotting model_fn: what training, evaluation and prediction of it do."""

import itertools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import npu_adapter
from estimators.ds_cnn import model, networks
from npu_adapter import ModeKeys
from npu_adapter.runtime import tf1

FRAMES, COEFFICIENTS, CLASSES = 25, 10, 4
LABELS = np.arange(22, dtype=np.int32) % CLASSES
# Of one class nearly the same: easy to tell apart.
_random = np.random.RandomState(0)
FINGERPRINTS = _random.normal(size=[CLASSES, FRAMES * COEFFICIENTS])[LABELS]
FINGERPRINTS = (FINGERPRINTS + 0.1 * _random.normal(size=FINGERPRINTS.shape)).astype(np.float32)
TINY_DS_CNN = '2 8 4 4 2 2 8 3 3 1 1'


@pytest.fixture(autouse=True, scope='session')
def tf1_behaviour():
  tf1.enable()


def params_of(architecture='ds_cnn', size=TINY_DS_CNN, **changes):
  params = {
    'architecture': architecture,
    'sizes': networks.sizes(architecture, size),
    'frames': FRAMES,
    'coefficients': COEFFICIENTS,
    'classes': CLASSES,
    'dropout_rate': 0.0,
    'learning_rates': [0.003],
    'step_boundaries': [1000],
    'loss_scale': 'none',
  }
  return {**params, **changes}


def batches(repeats=1, batch_size=11, fingerprints=FINGERPRINTS, labels=LABELS):
  data = tf.data.Dataset.from_tensor_slices(({'fingerprint': fingerprints}, labels))
  return data.repeat(repeats).batch(batch_size)


def spec_of(mode, params):
  """The spec over all examples at once, in the default graph."""
  tf.train.get_or_create_global_step()
  labels = None if mode == ModeKeys.PREDICT else tf.constant(LABELS)
  return model.model_fn({'fingerprint': tf.constant(FINGERPRINTS)}, labels, mode, params)


def started(graph):
  session = tf.Session(graph=graph)
  session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
  return session


def estimator(folder, **changes):
  config = npu_adapter.NPURunConfig(model_dir=str(folder), tf_random_seed=1)
  return npu_adapter.NPUEstimator(model.model_fn, config=config, params=params_of(**changes))


# Training.


@pytest.mark.parametrize('architecture', networks.NETWORKS)
def test_training_lowers_the_loss(graph, architecture):
  tf.set_random_seed(1)
  spec = spec_of(ModeKeys.TRAIN, params_of(architecture, None))
  with started(graph) as session:
    losses = [session.run([spec.loss, spec.train_op])[0] for _ in range(15)]
  assert np.mean(losses[-3:]) < 0.8 * losses[0]


@pytest.mark.parametrize('loss_scale', ['none', 'dynamic', '128'])
def test_training_takes_a_loss_scale(graph, loss_scale):
  tf.set_random_seed(1)
  spec = spec_of(ModeKeys.TRAIN, params_of(loss_scale=loss_scale))
  step = tf.train.get_global_step()
  # A scale that moves is a variable.
  names = [variable.op.name for variable in tf.global_variables()]
  assert ('loss_scale' in names) == (loss_scale == 'dynamic')
  with started(graph) as session:
    losses = [session.run([spec.loss, spec.train_op])[0] for _ in range(15)]
    assert session.run(step) == 15
  assert losses[-1] < losses[0] - 0.1


@pytest.mark.parametrize('loss_scale', ['none', 'dynamic'])
def test_check_nans_stops_at_an_operation_and_tells_which(graph, loss_scale):
  spec = spec_of(ModeKeys.TRAIN, params_of(check_nans=True, loss_scale=loss_scale))
  (kernel,) = [v for v in tf.trainable_variables() if v.op.name == 'ds_cnn/pointwise_1/kernel']
  # Which of those that become NaN is told first depends on the threads.
  told = r'ds_cnn/(pointwise_1/|Mean|logits).* : Tensor had NaN values'
  with started(graph) as session:
    session.run(spec.train_op)
    kernel.load(np.full(kernel.shape.as_list(), np.nan, np.float32), session)
    with pytest.raises(tf.errors.InvalidArgumentError, match=told):
      session.run(spec.train_op)


def test_without_check_nans_nothing_is_checked(graph):
  spec_of(ModeKeys.TRAIN, params_of())
  assert not [op for op in graph.get_operations() if op.type.startswith('CheckNumerics')]


def test_a_step_moves_the_statistics_of_batch_norm(graph):
  spec = spec_of(ModeKeys.TRAIN, params_of())
  statistics = [v for v in tf.global_variables() if '/moving_' in v.op.name]
  assert len(statistics) == 6
  with started(graph) as session:
    before = session.run(statistics)
    session.run(spec.train_op)
    for old, new in zip(before, session.run(statistics)):
      assert not np.array_equal(old, new)


def test_what_the_log_shows_has_plain_names(graph):
  spec = spec_of(ModeKeys.TRAIN, params_of())
  with started(graph) as session:
    names = ['loss:0', 'learning_rate:0', 'train_accuracy:0']
    loss, rate, accuracy = session.run(names)
    assert loss == session.run(spec.loss)
  assert rate == np.float32(0.003)
  assert 0 <= accuracy <= 1
  # A count of 22 examples.
  assert accuracy * 22 == pytest.approx(round(accuracy * 22))


# The global step before a training step -> the rate it takes.
RATES_AT = [(0, 0.5), (1, 0.5), (2, 0.1), (4, 0.1), (5, 0.02), (8, 0.02), (9, 0.02), (1000, 0.02)]


def test_each_rate_holds_for_its_steps_and_the_last_for_ever(graph):
  schedule = {'learning_rates': [0.5, 0.1, 0.02], 'step_boundaries': [2, 3, 4]}
  spec_of(ModeKeys.TRAIN, params_of('single_fc', None, **schedule))
  with started(graph) as session:
    for step, rate in RATES_AT:
      tf.train.get_global_step().load(step, session)
      assert session.run('learning_rate:0') == np.float32(rate), step


def test_the_rate_is_what_a_step_goes_by(graph):
  schedule = {'learning_rates': [0.5, 0.0], 'step_boundaries': [1, 1]}
  spec = spec_of(ModeKeys.TRAIN, params_of('single_fc', None, **schedule))
  kernel = tf.trainable_variables()[0]
  with started(graph) as session:
    start, _ = session.run(kernel), session.run(spec.train_op)
    after_one, _ = session.run(kernel), session.run(spec.train_op)
    # Adam's first step is the rate.
    assert np.max(np.abs(after_one - start)) == pytest.approx(0.5, rel=1e-3)
    np.testing.assert_array_equal(session.run(kernel), after_one)


@pytest.mark.parametrize(('rates', 'steps'), [([0.1], [5, 5]), ([0.1, 0.2], [5]), ([], [])])
def test_rates_and_steps_must_agree(graph, rates, steps):
  changes = {'learning_rates': rates, 'step_boundaries': steps}
  with pytest.raises(ValueError, match=r'every learning rate .* count of steps') as raised:
    spec_of(ModeKeys.TRAIN, params_of('single_fc', None, **changes))
  assert isinstance(raised.value, npu_adapter.OptionError)
  assert f'got rates {rates} and steps {steps}.' in str(raised.value)


def test_a_run_in_two_parts_ends_where_one_in_one_piece_does(tmp_path):
  changes = {'architecture': 'dnn', 'size': '16 16', 'dropout_rate': 0.5}
  whole = estimator(tmp_path / 'whole', **changes)
  whole.train(lambda: batches(4, 22), max_steps=4)
  parts = estimator(tmp_path / 'parts', **changes)
  parts.train(lambda: batches(2, 22), max_steps=2)
  parts.train(lambda: batches(2, 22), max_steps=4)
  names = whole.get_variable_names()
  assert 'dnn/dense_2/kernel' in names
  for name in names:
    np.testing.assert_array_equal(
      whole.get_variable_value(name), parts.get_variable_value(name), name
    )


def test_resource_variables_do_as_well(tmp_path):
  def with_resources(features, labels, mode, params):
    with tf.variable_scope(tf.get_variable_scope(), use_resource=True):
      return model.model_fn(features, labels, mode, params)

  config = npu_adapter.NPURunConfig(model_dir=str(tmp_path), tf_random_seed=1)
  made = npu_adapter.NPUEstimator(with_resources, config=config, params=params_of())
  result = made.train(lambda: batches(2)).evaluate(batches)
  assert result['global_step'] == 4
  assert result['confusion_matrix'].sum() == len(LABELS)
  assert made.get_variable_value('ds_cnn/conv_0/batch_norm/moving_mean').any()


# Evaluation.


def results_of(spec, session, fingerprint_batches):
  """Metrics after an evaluation by hand."""
  for _ in fingerprint_batches:
    session.run([update for _, update in spec.eval_metric_ops.values()])
  return session.run({name: value for name, (value, _) in spec.eval_metric_ops.items()})


def test_evaluation_changes_no_variable_of_the_model(graph):
  spec = spec_of(ModeKeys.EVAL, params_of())
  with started(graph) as session:
    before = session.run(tf.global_variables())
    results_of(spec, session, range(2))
    for old, new in zip(before, session.run(tf.global_variables())):
      np.testing.assert_array_equal(old, new)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """An estimator that has learnt something, not all."""
  made = estimator(tmp_path_factory.mktemp('model'))
  return made.train(lambda: batches(8))


def test_one_evaluation_tells_accuracy_loss_and_confusion(trained):
  result = trained.evaluate(lambda: batches(1, 8))
  guesses = [row['class'] for row in trained.predict(lambda: batches(1, 8))]
  matrix = result['confusion_matrix']
  expected = np.zeros([CLASSES, CLASSES], int)
  for label, guess in zip(LABELS, guesses):
    expected[label, guess] += 1
  np.testing.assert_array_equal(matrix, expected)
  assert isinstance(matrix, np.ndarray)
  assert matrix.dtype in (np.int32, np.int64)
  assert matrix.sum() == len(LABELS)
  assert result['accuracy'] == pytest.approx(np.trace(matrix) / matrix.sum())
  assert result['global_step'] == 16


def test_evaluation_gives_the_same_numbers_twice_and_in_other_batches(trained):
  first, second, other = (trained.evaluate(lambda n=n: batches(1, n)) for n in (8, 8, 22))
  assert sorted(first) == [
    'accuracy', 'confusion_matrix', 'cross_entropy', 'global_step', 'loss',
  ]  # fmt: skip
  for name in first:
    np.testing.assert_array_equal(first[name], second[name])
    if name != 'loss':
      np.testing.assert_allclose(first[name], other[name], rtol=1e-5)
  # Over batches 8, 8 and 6 the mean of means is another one.
  assert first['loss'] != pytest.approx(other['loss'], rel=1e-5)
  assert other['loss'] == pytest.approx(other['cross_entropy'], rel=1e-5)


def filled_batches(batch_size, count):
  """The examples in `count` full batches, what is missing made up of others of weight 0."""
  fill = batch_size * count - len(LABELS)
  weights = np.concatenate([np.ones(len(LABELS)), np.zeros(fill)]).astype(np.float32)
  fingerprints = np.concatenate([FINGERPRINTS, 100 * FINGERPRINTS[:fill]])
  labels = np.concatenate([LABELS, (LABELS[:fill] + 1) % CLASSES])
  data = tf.data.Dataset.from_tensor_slices(
    ({'fingerprint': fingerprints, 'weight': weights}, labels)
  )
  return data.batch(batch_size)


def test_examples_of_weight_0_do_not_count(trained):
  expected = trained.evaluate(lambda: batches(1, 22))
  # One batch with fill; three, the last of them nothing but fill.
  for size, count in ((30, 1), (11, 3)):
    found = trained.evaluate(lambda size=size, count=count: filled_batches(size, count))
    for name in ('accuracy', 'cross_entropy', 'confusion_matrix'):
      np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)
    if count == 1:
      assert found['loss'] == pytest.approx(expected['loss'], rel=1e-5)
    assert np.isfinite(found['loss'])


# Prediction.


def test_a_prediction_has_probabilities_class_and_logits(trained):
  alone = lambda: batches(1, 1, FINGERPRINTS[:3], LABELS[:3])  # noqa: E731 - an input_fn
  rows = list(trained.predict(alone))
  together = itertools.islice(trained.predict(batches), 3)
  for row, same in zip(rows, together):
    assert sorted(row) == ['class', 'logits', 'probabilities']
    assert row['probabilities'].sum() == pytest.approx(1, rel=1e-5)
    assert row['class'] == row['probabilities'].argmax() == row['logits'].argmax()
    exponentials = np.exp(row['logits'])
    np.testing.assert_allclose(row['probabilities'], exponentials / exponentials.sum(), rtol=1e-4)
    np.testing.assert_allclose(row['logits'], same['logits'], rtol=1e-4, atol=1e-5)


def test_an_export_gives_the_same_probabilities_under_the_name_tools_know(trained, tmp_path):
  serving = npu_adapter.build_raw_serving_input_receiver_fn({'fingerprint': FINGERPRINTS[:1]})
  folder = trained.export_saved_model(str(tmp_path), serving).decode()
  with tf.Session(graph=tf.Graph()) as session:
    meta = tf.saved_model.loader.load(session, ['serve'], folder)
    signature = meta.signature_def['serving_default']
    fed = {signature.inputs['fingerprint'].name: FINGERPRINTS}
    found = session.run('labels_softmax:0', fed)
    assert signature.outputs['probabilities'].name == 'labels_softmax:0'
  expected = [row['probabilities'] for row in trained.predict(batches)]
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
