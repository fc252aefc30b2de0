"""Supervised training: its loss against plain loops, and frames without a label."""

import importlib.util
import pathlib

import numpy as np
import pytest

from estimators.tcc.algorithms.algorithm_options import Classification


def _support(name):
  path = pathlib.Path(__file__).resolve().parent / f'{name}.py'
  spec = importlib.util.spec_from_file_location(name, str(path))
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


reference, algorithm_run = _support('numpy_reference'), _support('algorithm_run')
BATCH = algorithm_run.Batch()
OPTIONS = Classification(num_classes=4)
BIAS = {'classification/dense_0/bias': np.array([0.3, -0.2, 0.5, 0.1], np.float32)}


def run(options=OPTIONS, batch=BATCH, **how):
  return algorithm_run.run('classification', options, batch, load=BIAS, **how)


def expected(found, embeddings=BATCH.embeddings, labels=BATCH.labels, smoothing=0.0):
  kernel, bias = (found.variables[f'classification/dense_0/{kind}'] for kind in ('kernel', 'bias'))
  return reference.classification_loss(embeddings, labels, kernel, bias, smoothing)


def with_labels(labels):
  batch = BATCH.changed(BATCH.embeddings)
  batch.labels = np.asarray(labels, np.int32)
  return batch


@pytest.mark.parametrize('smoothing', [0.0, 0.1])
def test_loss_accuracy_and_gradient_are_those_of_plain_loops(smoothing):
  found = run(OPTIONS._replace(label_smoothing=smoothing))
  assert (BATCH.labels < 0).any()
  loss, accuracy = expected(found, smoothing=smoothing)
  assert algorithm_run.same(found.loss, loss)
  assert 0 < accuracy < 1
  assert found.metrics['classification_accuracy'] == pytest.approx(accuracy)

  def loss_of(embeddings):
    return expected(found, embeddings, smoothing=smoothing)[0]

  algorithm_run.assert_slope(found, loss_of, BATCH)


def test_frames_without_a_label_get_no_gradient():
  found = run()
  has_slope = np.abs(found.slope).max(axis=2) > 0
  assert (has_slope == (BATCH.labels >= 0)).all()


def test_a_batch_without_any_label_has_no_loss_and_no_gradient():
  found = run(batch=with_labels(np.full(BATCH.labels.shape, -1)))
  assert found.loss == 0
  assert found.metrics['classification_accuracy'] == 0
  assert not any(slope.any() for slope in [found.slope, *found.slopes.values()])


def test_its_variables_stand_in_the_scope_classification_and_have_gradients():
  found = run()
  assert {name: value.shape for name, value in found.variables.items()} == {
    'classification/dense_0/kernel': (5, 4),
    'classification/dense_0/bias': (4,),
  }
  assert all(slope.any() for slope in found.slopes.values())


def test_dropout_counts_in_training_alone_and_is_the_same_at_the_same_step():
  options = OPTIONS._replace(dropout_rate=0.5)
  plain = run()
  assert run(options, is_training=False).loss == plain.loss
  found = run(options, step=3)
  assert not algorithm_run.same(found.loss, plain.loss, 1e-3)
  assert run(options, step=3).loss == found.loss
  assert run(options, step=4).loss != found.loss


def test_large_embeddings_have_a_finite_loss_and_gradient():
  found = run(batch=BATCH.changed(1e5 * BATCH.embeddings))
  assert np.isfinite(found.loss)
  assert np.isfinite(found.slope).all()
