"""Averaging asked for in epochs: rates found by themselves, what is refused, the same in steps."""

import pytest

from npu_adapter import averaging_epochs, errors
from npu_adapter.averaging_plan import Averaging


def test_rates_that_are_auto_are_a_tenth_and_a_quarter_of_the_way_back():
  low, high = averaging_epochs.rates(0.1, 'cyclic')
  assert low == pytest.approx(0.01)
  assert high == pytest.approx(0.01 + 0.25 * 0.09)
  assert averaging_epochs.rates(0.1, 'constant') == (pytest.approx(0.01), None)
  assert averaging_epochs.rates(0.1, 'manual') == (None, None)
  assert averaging_epochs.rates(0.1, 'cyclic', '0.001', 0.003) == (0.001, 0.003)


@pytest.mark.parametrize(
  'arguments, message',
  [
    (('falling',), "lr_schedule must be one of manual, constant, cyclic; got 'falling'"),
    (('cyclic', 'auto', 0.01), 'swa_lr2 must be auto where swa_lr is; got 0.01'),
    (('cyclic', 0.02, 0.01), 'swa_lr2 must be swa_lr, 0.02, or above; got 0.01'),
    (('constant', 0.2), 'swa_lr must be at most the learning rate at first, 0.1; got 0.2'),
    (('constant', 'low'), "swa_lr must be 'auto' or a number above 0; got 'low'"),
    (('constant', 0), "swa_lr must be 'auto' or a number above 0; got 0"),
    (('cyclic', 0.001, float('nan')), "swa_lr2 must be 'auto' or a number above 0; got nan"),
  ],
)
def test_rates_that_cannot_be_are_refused(arguments, message):
  with pytest.raises(errors.InputError, match=message.replace('(', r'\(')):
    averaging_epochs.rates(0.1, *arguments)


@pytest.mark.parametrize(
  'arguments, message',
  [
    ((1, 1, 'manual'), 'start_epoch must be 2 or above; got 1'),
    ((10, 1, 'manual', 10), 'start_epoch must be below the number of epochs, 10; got 10'),
    ((5, 1, 'cyclic'), 'swa_freq must be 2 or above with the schedule cyclic; got 1'),
    ((5, 0, 'manual'), 'swa_freq must be 1 or above with the schedule manual; got 0'),
  ],
)
def test_epochs_that_cannot_be_are_refused(arguments, message):
  with pytest.raises(errors.InputError, match=message):
    averaging_epochs.check(*arguments)
  averaging_epochs.check(2, 2, 'cyclic', 3)


def test_the_demonstration_in_steps():
  found = averaging_epochs.plan(75, 3, 'cyclic', (0.001, 0.003), steps_per_epoch=8)
  assert found == Averaging(592, 24, 'cyclic', 0.001, 0.003, None)
