"""The scores are scikit-learn's; a class that is never answered is no error."""

import numpy as np
import pytest
from sklearn import metrics

from estimators.lstm_har import scores

CHANCE = np.random.RandomState(0)
LABELS = CHANCE.randint(0, 4, 200)
GUESSES = np.where(CHANCE.uniform(size=200) < 0.6, LABELS, CHANCE.randint(0, 3, 200))


def test_they_are_those_of_scikit_learn():
  matrix = scores.matrix_of(LABELS, GUESSES, 4)
  found = scores.of_matrix(matrix)
  np.testing.assert_array_equal(matrix, metrics.confusion_matrix(LABELS, GUESSES))
  assert found.accuracy == pytest.approx(metrics.accuracy_score(LABELS, GUESSES))
  for average, value in (('macro', found.macro_f1), ('weighted', found.weighted_f1)):
    assert value == pytest.approx(metrics.f1_score(LABELS, GUESSES, average=average))
  for function, values in (
    (metrics.precision_score, found.precision),
    (metrics.recall_score, found.recall),
    (metrics.f1_score, found.f1),
  ):
    np.testing.assert_allclose(values, function(LABELS, GUESSES, average=None))


def test_a_class_that_is_not_there_scores_nothing():
  found = scores.of_matrix([[3, 0, 0], [1, 0, 0], [0, 0, 0]])
  assert found.precision == (0.75, 0, 0)
  assert found.f1 == pytest.approx((6 / 7, 0, 0))
  assert scores.of_matrix(np.zeros([2, 2])).accuracy == 0


def test_the_table_has_a_line_for_each_class():
  lines = scores.table([[3, 1], [0, 4]], ['WALKING', 'SITTING']).splitlines()
  assert lines[0].split() == ['class', 'precision', 'recall', 'F1', 'windows']
  assert lines[1].split() == ['WALKING', '1.0000', '0.7500', '0.8571', '4']
