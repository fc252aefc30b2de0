"""The flags of weight averaging, for the commands that train."""

from __future__ import annotations

from absl import flags as absl_flags

from npu_adapter import averaging_plan, errors

FLAGS = absl_flags.FLAGS
_SAMPLES = 25
# Their part of --help.
_GROUP = {'module_name': 'weight averaging'}
_START = 0.75
_OTHERS = {
  'swa_start': (
    absl_flags.DEFINE_float,
    f'share of the steps before the first cycle of the averaging (default: {_START})',
  ),
  'swa_freq': (
    absl_flags.DEFINE_integer,
    f'steps from a sample to the next (default: as many as make {_SAMPLES} samples)',
  ),
  'swa_lr_schedule': (
    absl_flags.DEFINE_string,
    'manual: the learning rate of the model; constant: falls to --swa_lr; cyclic: then from '
    '--swa_lr2 to --swa_lr between two samples (default: manual)',
  ),
  'swa_lr': (absl_flags.DEFINE_float, 'learning rate that samples are taken at'),
  'swa_lr2': (absl_flags.DEFINE_float, 'learning rate that a cycle begins with'),
  'swa_decay': (
    absl_flags.DEFINE_float,
    'let samples fade by this factor each (default: all weigh the same)',
  ),
}

absl_flags.DEFINE_bool(
  'swa', False, 'average the weights of the last part of the training, and test the average too',
  **_GROUP,
)  # fmt: skip
for _name, (_define, _help) in _OTHERS.items():
  _define(_name, None, _help, **_GROUP)


def averaging(last_step: int) -> averaging_plan.Averaging | None:
  """What the flags say of a training of so many steps; None without --swa."""
  given = {name: FLAGS[name].value for name in _OTHERS if FLAGS[name].value is not None}
  if not FLAGS.swa:
    if given:
      raise errors.InputError(f'{next(iter(given))} goes with --swa; got it alone. Add --swa.')
    return None
  share = given.get('swa_start', _START)
  if not 0 <= share < 1:
    raise errors.InputError(f'swa_start must be from 0 to below 1; got {share}.')
  first_step = int(share * last_step)
  every_steps = given.get('swa_freq', max(1, (last_step - first_step) // _SAMPLES))
  plan = averaging_plan.Averaging(
    first_step,
    every_steps,
    given.get('swa_lr_schedule', 'manual'),
    given.get('swa_lr'),
    given.get('swa_lr2'),
    given.get('swa_decay'),
  )
  averaging_plan.check(plan)
  if first_step + every_steps > last_step:
    raise errors.InputError(
      f'the first sample must be taken before the training ends at step {last_step}; with '
      f'swa_start and swa_freq it would be at {first_step + every_steps}.'
    )
  return plan
