#!/usr/bin/env python3
"""Asks over several seeds whether averaging helps: each is trained once with it and once without.

Both trainings of a seed have the same first weights, the same order of examples and as many steps;
the one without averaging has a learning rate that falls to a hundredth. The average is compared
with what that ends with, and with the last weights of its own training. What is printed is the mean
of the differences on the test examples, and the 95 % interval of Student's t around it. Trainings
that stand in --output_path already are not made again.
"""

import functools
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from estimators.swa import presets  # noqa: E402
from npu_adapter import errors, tool_command  # noqa: E402

_SIDES = ('sgd', 'swa')
# What the average is compared with: in the rows, and in words.
_OTHERS = (('sgd', 'SGD'), ('last', 'last weights of the same training'))
# Metric of result.json, what it is called, and what a difference is multiplied with to be shown.
_METRICS = (('accuracy', 'accuracy in %', 100), ('cross_entropy', 'cross entropy', 1))


def main(argv=None):
  """Runs the command; returns its exit status."""
  return tool_command.run(_parser(), _run, argv)


def _parser():
  parser = tool_command.Parser('compare_with_sgd.py', __doc__)
  add = parser.add_argument
  add('--output_path', required=True, metavar='FOLDER', help='for the trainings')
  add('--task', type=tool_command.one_of(*presets.TASKS), default='digits',
      help=f'one of {", ".join(presets.TASKS)} (default: digits)')  # fmt: skip
  add('--data_path', metavar='FOLDER', help='with the files of CIFAR')
  add('--network', metavar='NAME', help='vgg16 or preresnet164, for CIFAR')
  add('--seeds', type=tool_command.number(int, 2), default=10, metavar='N',
      help='seeds from 1 on (default: 10)')  # fmt: skip
  add('--epochs', type=tool_command.number(int, 3), metavar='N', help="instead of the task's own")
  add('--json', type=tool_command.new_file(), metavar='FILE', help='the same numbers for machines')
  return parser


def _run(asked):
  try:
    from scipy import stats
  except ImportError as error:
    raise errors.AdapterError(
      f"the interval needs scipy; {error}. Install it: pip install '.[models]'"
    ) from None
  rows = []
  for seed in range(1, asked.seeds + 1):
    found = {side: _trained(asked, seed, side == 'swa') for side in _SIDES}
    rows.append({'seed': seed, **_row(found)})
    print(_line(rows[-1]), flush=True)
  values = {'task': asked.task, 'seeds': asked.seeds, 'rows': rows, 'differences': {}}
  for other, other_words in _OTHERS:
    values['differences'][other] = {}
    for metric, words, factor in _METRICS:
      facts = _difference(rows, other, metric, stats)
      values['differences'][other][metric] = facts
      mean, low, high = (factor * facts[name] for name in ('mean', 'low', 'high'))
      print(
        f'{words}: SWA - {other_words} = {mean:+.4g}, 95 % interval {low:+.4g} to {high:+.4g} '
        f'({asked.seeds} pairs, SWA better in {facts["better"]}, equal in {facts["equal"]})'
      )
  if asked.json:
    tool_command.write_json(asked.json, values)


def _trained(asked, seed, is_averaged):
  """What result.json of one training holds."""
  import npu_adapter
  from estimators.swa import training_run

  settings, data = _choices(asked)(seed=seed, swa=is_averaged)
  folder = os.path.join(asked.output_path, f'seed_{seed}', _SIDES[is_averaged])
  config = npu_adapter.NPURunConfig(
    model_dir=folder, tf_random_seed=seed, save_checkpoints_steps=settings.steps
  )
  plan = training_run.Plan(settings.steps, settings.steps)
  return training_run.run(settings, data, config, plan, show=lambda line: None)


def _choices(asked):
  from estimators.swa import choices

  data_path = asked.data_path and os.path.abspath(os.path.expanduser(asked.data_path))
  given = {'epochs': asked.epochs} if asked.epochs else {}
  return functools.partial(choices.settings_of, asked.task, asked.network, data_path, given)


def _row(found):
  averaged = found['swa']
  row = {'sgd': found['sgd']['last'], 'swa': averaged['average'], 'last': averaged['last']}
  return {side: {metric: facts[metric] for metric, _, _ in _METRICS} for side, facts in row.items()}


def _line(row):
  sides = [
    f'{side.upper()} accuracy {100 * row[side]["accuracy"]:.2f}%, cross entropy '
    f'{row[side]["cross_entropy"]:.4f}'
    for side in _SIDES
  ]
  return f'seed {row["seed"]}: {"; ".join(sides)}'


def _difference(rows, other, metric, stats):
  """Mean of the paired differences, its interval, and in how many pairs averaging was better."""
  import numpy as np

  differences = np.array([row['swa'][metric] - row[other][metric] for row in rows])
  mean, error = differences.mean(), stats.sem(differences)
  reach = error * stats.t.ppf(0.975, len(rows) - 1)
  gains = differences if metric == 'accuracy' else -differences
  return {
    'mean': float(mean),
    'low': float(mean - reach),
    'high': float(mean + reach),
    'better': int((gains > 0).sum()),
    'equal': int((gains == 0).sum()),
  }


if __name__ == '__main__':
  sys.exit(main())
