"""Time-contrastive networks: the n-pairs loss against plain loops in double precision."""

import importlib.util
import pathlib

import numpy as np
import pytest

from estimators.tcc.algorithms.algorithm_options import TimeContrastive


def _support(name):
  path = pathlib.Path(__file__).resolve().parent / f'{name}.py'
  spec = importlib.util.spec_from_file_location(name, str(path))
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


reference, algorithm_run = _support('numpy_reference'), _support('algorithm_run')
BATCH = algorithm_run.Batch(3, 8, 5)


@pytest.mark.parametrize('reg_lambda', [0.0, 0.002, 0.7])
def test_the_loss_and_its_gradient_are_those_of_plain_loops(reg_lambda):
  found = algorithm_run.run('tcn', TimeContrastive(reg_lambda), BATCH)

  def loss_of(embeddings):
    return reference.n_pairs_loss(embeddings, reg_lambda)

  assert algorithm_run.same(found.loss, loss_of(BATCH.embeddings))
  algorithm_run.assert_slope(found, loss_of, BATCH)


def test_at_the_published_setting_it_is_that_of_plain_loops():
  batch = algorithm_run.Batch(2, 40, 128, scale=0.3)
  found = algorithm_run.run('tcn', batch=batch)
  assert algorithm_run.same(found.loss, reference.n_pairs_loss(batch.embeddings, 0.002))


def test_the_first_of_a_pair_looks_for_the_second():
  """Not the other way round, which is another loss."""
  swapped = np.reshape(np.reshape(BATCH.embeddings, [3, 4, 2, 5])[:, :, ::-1], [3, 8, 5])
  found = algorithm_run.run('tcn', batch=BATCH).loss
  assert not algorithm_run.same(found, reference.n_pairs_loss(swapped, 0.002), 1e-3)
  assert algorithm_run.same(
    algorithm_run.run('tcn', batch=BATCH.changed(swapped)).loss,
    reference.n_pairs_loss(swapped, 0.002),
  )


def test_the_share_of_frames_most_like_their_partner_is_told():
  products = np.einsum('btc,bsc->bts', BATCH.embeddings[:, 0::2], BATCH.embeddings[:, 1::2])
  right = np.mean(products.argmax(axis=2) == np.arange(4))
  assert 0 < right < 1
  metrics = algorithm_run.run('tcn', batch=BATCH).metrics
  assert metrics['tcn_accuracy'] == pytest.approx(right)


def test_alike_partners_cost_less_than_strangers():
  partners = BATCH.embeddings.copy()
  partners[:, 0::2] = partners[:, 1::2]
  found = [algorithm_run.run('tcn', batch=BATCH.changed(x)) for x in (partners, BATCH.embeddings)]
  assert found[0].loss < 0.5 * found[1].loss


def test_large_embeddings_have_a_finite_loss_and_gradient():
  found = algorithm_run.run('tcn', batch=BATCH.changed(1000 * BATCH.embeddings))
  assert np.isfinite(found.loss)
  assert np.isfinite(found.slope).all()
