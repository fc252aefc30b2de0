"""The named networks, and what cannot be built."""

import pytest

from estimators.lstm_har import architecture
from npu_adapter import errors


def test_the_default_is_the_one_of_the_title():
  found = architecture.choose(architecture.DEFAULT)
  assert found == (3, 3, True, 28)
  assert architecture.title(found) == '3x3 bidirectional'


def test_what_is_named_beside_a_preset_goes_before_it():
  found = architecture.choose('0x3', stacked_layers=2, bidirectional=True, hidden_units=None)
  assert found == (0, 2, True, 28)


@pytest.mark.parametrize(
  'changed, message',
  [
    ({'hidden_units': 27}, 'n_hidden must be even for a bidirectional network.*got 27'),
    ({'hidden_units': 0}, 'n_hidden at least 1; got 3, 3 and 0'),
    ({'layers_in_highway': -1}, 'n_layers_in_highway must be at least 0'),
    ({'stacked_layers': 0}, 'n_stacked_layers and n_hidden at least 1; got 3, 0 and 28'),
  ],
)
def test_what_cannot_be_built_is_told(changed, message):
  with pytest.raises(errors.InputError, match=message):
    architecture.choose('3x3_bidirectional', **changed)
