"""The model: how many parameters, what it learns by, what it says."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import npu_adapter
from estimators.lstm_har import architecture, model
from npu_adapter.runtime import tf1

CHANCE = np.random.RandomState(0)
LABELS = np.arange(20, dtype=np.int32) % 4
WINDOWS = (CHANCE.standard_normal([20, 16, 3]) + LABELS[:, None, None]).astype(np.float32)
PARAMS = {
  'architecture': architecture.Architecture(2, 2, True, 8), 'classes': 4, 'mean': (1.5, 1.5, 1.5),
  'deviation': (2.0, 2.0, 1.0), 'dropout_rate': 0.15, 'learning_rate': 0.01,
  'learning_rate_decay': 0.5, 'steps_per_epoch': 10, 'loss_scale': 'none',
}  # fmt: skip


@pytest.fixture(autouse=True)
def new_graph():
  tf1.enable()
  with tf.Graph().as_default():
    tf.set_random_seed(1)
    tf.train.get_or_create_global_step()
    yield


def spec_of(mode, features=None, **changed):
  features = {'window': tf.constant(WINDOWS), **(features or {})}
  labels = None if mode == npu_adapter.ModeKeys.PREDICT else tf.constant(LABELS)
  return model.model_fn(features, labels, mode, {**PARAMS, **changed})


def started():
  session = tf.Session()
  session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
  return session


@pytest.mark.parametrize(
  'preset, count',
  [('3x3_bidirectional', 35124), ('0x3', 21230), ('3x3', 63348), ('0x3_bidirectional', 11822)],
)
def test_the_networks_have_the_published_counts_of_parameters(preset, count):
  params = {
    **PARAMS, 'architecture': architecture.PRESETS[preset], 'classes': 6, 'mean': (0.0,) * 9,
    'deviation': (1.0,) * 9,
  }  # fmt: skip
  model.network(tf.zeros([1, 128, 9]), params, is_training=False)
  sizes = [int(np.prod(variable.shape.as_list())) for variable in tf.trainable_variables()]
  assert sum(sizes) == count


def test_training_lowers_the_loss_and_learns_the_labels():
  spec = spec_of(npu_adapter.ModeKeys.TRAIN, dropout_rate=0.0, learning_rate_decay=1.0)
  with started() as session:
    first = session.run(spec.loss)
    for _ in range(50):
      session.run(spec.train_op)
    assert session.run(spec.loss) < 0.5 * first
    assert session.run('train_accuracy:0') >= 0.9


def test_every_variable_is_trained_or_is_a_moving_average():
  spec = spec_of(npu_adapter.ModeKeys.TRAIN)
  watched = [each for each in tf.global_variables() if '/Adam' not in each.op.name]
  with started() as session:
    before = session.run(watched)
    session.run(spec.train_op)
    after = session.run(watched)
  still = [v.op.name for v, one, other in zip(watched, before, after) if np.array_equal(one, other)]
  assert still == []


def test_weights_decay_and_biases_scales_and_shifts_do_not():
  spec = spec_of(npu_adapter.ModeKeys.TRAIN, dropout_rate=0.0)
  entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=LABELS, logits=_logits())
  kernels = [each for each in tf.trainable_variables() if each.shape.ndims == 2]
  assert len(kernels) == 2 * 2 * 2 * 2 + 1
  with started() as session:
    squares = sum(float(np.square(value).sum()) for value in session.run(kernels))
    decay = session.run(spec.loss) - session.run(tf.reduce_mean(entropy))
    assert decay == pytest.approx(0.005 * squares / 2, rel=1e-4)


def _logits():
  with tf.variable_scope('', reuse=True):
    return model.network(tf.constant(WINDOWS), {**PARAMS, 'dropout_rate': 0.0}, is_training=True)


def test_the_norm_of_all_gradients_together_is_clipped_to_15(monkeypatch):
  seen = []

  class Watched(tf.train.GradientDescentOptimizer):
    def compute_gradients(self, loss, **kwargs):
      return super().compute_gradients(1e6 * loss, **kwargs)

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
      seen.extend(gradient for gradient, _ in grads_and_vars)
      return tf.no_op()

  monkeypatch.setattr(tf.train, 'AdamOptimizer', Watched)
  spec_of(npu_adapter.ModeKeys.TRAIN)
  with started() as session:
    found = session.run(tf.linalg.global_norm(seen))
  assert found == pytest.approx(15.0, rel=1e-4)


def test_the_rate_goes_down_a_little_each_step():
  spec_of(npu_adapter.ModeKeys.TRAIN)
  with started() as session:
    for step, rate in ((0, 0.01), (5, 0.01 * 0.5**0.5), (20, 0.0025)):
      tf.train.get_global_step().load(step, session)
      assert session.run('learning_rate:0') == pytest.approx(rate, rel=1e-5)


def test_logits_are_not_cut_off_at_zero():
  spec = spec_of(npu_adapter.ModeKeys.PREDICT)
  (bias,) = (each for each in tf.trainable_variables() if each.op.name.endswith('logits/bias'))
  with started() as session:
    bias.load(np.full([4], -9, np.float32), session)
    assert session.run(spec.predictions['logits']).max() < 0


def test_predictions_have_no_dropout_and_do_not_depend_on_the_batch():
  spec = spec_of(npu_adapter.ModeKeys.PREDICT)
  with tf.variable_scope('', reuse=True):
    alone = model.network(tf.constant(WINDOWS[3:4]), PARAMS, is_training=False)
  with started() as session:
    both, again = (session.run(spec.predictions['logits']) for _ in range(2))
    np.testing.assert_array_equal(both, again)
    np.testing.assert_allclose(session.run(alone)[0], both[3], atol=1e-5)
    found = session.run(spec.predictions)
  np.testing.assert_array_equal(found['class'], both.argmax(axis=1))
  np.testing.assert_allclose(found['probabilities'].sum(axis=1), 1, rtol=1e-5)


def test_the_input_is_standardised_by_what_the_training_data_had():
  spec_of(npu_adapter.ModeKeys.PREDICT)
  with started() as session:
    found = session.run(f'{model.SCOPE}/standardised:0')
  np.testing.assert_allclose(found, (WINDOWS - 1.5) / [2.0, 2.0, 1.0], rtol=1e-5, atol=1e-6)


def test_windows_of_weight_0_fill_up_and_do_not_count():
  weights = np.where(np.arange(20) < 12, 1, 0).astype(np.float32)
  spec = spec_of(npu_adapter.ModeKeys.EVAL, {'weight': tf.constant(weights)})
  with started() as session:
    session.run([update for _, update in spec.eval_metric_ops.values()])
    matrix = session.run(spec.eval_metric_ops['confusion_matrix'][0])
    accuracy = session.run(spec.eval_metric_ops['accuracy'][0])
  assert matrix.sum() == 12
  assert accuracy == pytest.approx(np.trace(matrix) / 12)


def test_the_losses_of_the_batches_are_kept_where_some_are_to_be_replayed():
  number = tf.placeholder_with_default(1, [])
  spec = spec_of(npu_adapter.ModeKeys.TRAIN, {'batch': number}, replayed_of=3)
  with started() as session:
    session.run(spec.train_op)
    session.run(spec.train_op, {number: 3})
    (losses,) = (session.run(v) for v in tf.global_variables() if v.op.name == model.LOSSES)
  assert (losses > 0).tolist() == [False, True, False, True]
