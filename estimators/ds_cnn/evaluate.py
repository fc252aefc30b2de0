#!/usr/bin/env python3
"""Tells how good a checkpoint of train.py is on the clips of a split, and what it mixes up.

The numbers are those train.py reports for the same checkpoint and data. The clips are as they were
recorded: no shift, no added noise, and batch norm by its moving averages.
"""

import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from estimators.ds_cnn import data_flags  # noqa: E402
from estimators.ds_cnn.dataset import speech_split  # noqa: E402
from npu_adapter import tool_command  # noqa: E402

SPLITS = speech_split.SAID


def main(argv=None):
  """Runs the command; returns its exit status."""
  return tool_command.run(_parser(), _run, argv)


def _parser():
  parser = tool_command.Parser('evaluate.py', __doc__)
  add = parser.add_argument
  tool_command.add_checkpoint_flag(parser)
  add(
    '--split', type=tool_command.one_of(*SPLITS, 'all'), default='all', metavar='SPLIT',
    help=f'{", ".join(SPLITS)} or all (default: all)',
  )  # fmt: skip
  data_flags.add_data_flags(parser)
  add(
    '--confusion_png', type=tool_command.new_file('.png'), metavar='FILE.png',
    help='picture of the confusion matrix; with several splits one each, as FILE_test.png',
  )  # fmt: skip
  add('--json', type=tool_command.new_file(), metavar='FILE', help='the same numbers for machines')
  add(
    '--backend', type=tool_command.one_of(*tool_command.BACKENDS), metavar='DEVICE',
    help='auto, ascend or host (default: auto: Ascend where npu_bridge is installed, else host)',
  )  # fmt: skip
  return parser


def _run(asked):
  if asked.backend:
    os.environ['NPU_ADAPTER_BACKEND'] = asked.backend
  from estimators.ds_cnn import data_source
  from estimators.ds_cnn.deployment import trained_network
  from npu_adapter import errors, figures

  if asked.confusion_png:
    figures.require()
  trained = trained_network.find(asked.checkpoint)
  trained_network.check(trained)
  data = data_source.Data(asked.cache_path, asked.on_bad_clip, asked.data_path)
  store = data_source.open_data(data, trained.settings)
  names = list(SPLITS) if asked.split == 'all' else [asked.split]
  names = [name for name in names if len(store.splits[SPLITS[name]].rows)]
  if not names:
    raise errors.InputError(
      f'split must be one with clips; the percentages this network was trained with leave none for '
      f'{asked.split}.'
    )
  print(f'checkpoint {trained.checkpoint}')
  outcomes = _evaluate(trained, store, names)
  if asked.json:
    tool_command.write_json(asked.json, _report(trained, store, outcomes))
  for name, outcome in outcomes.items():
    _show(name, outcome, trained.settings.labels, _picture(asked.confusion_png, name, names))


def _evaluate(trained, store, names):
  """Returns {name: scoring.Outcome}. Writes nothing into the model's folder."""
  import npu_adapter
  from estimators.ds_cnn import model, scoring

  with tempfile.TemporaryDirectory() as folder:
    # As train.py has it by default.
    config = npu_adapter.NPURunConfig(model_dir=folder, precision_mode='allow_mix_precision')
    estimator = npu_adapter.NPUEstimator(
      model.model_fn, config=config, params=trained.settings.params()
    )
    scorer = scoring.Scorer(estimator, store, print)
    return {name: scorer.evaluate(SPLITS[name], trained.checkpoint) for name in names}


def _picture(path, name, names):
  """The file for the picture of one of several splits; None for none."""
  if path is None or len(names) == 1:
    return path
  stem, ending = os.path.splitext(path)
  return f'{stem}_{name}{ending}'


def _show(name, outcome, labels, picture):
  from npu_adapter import figures

  matrix = outcome.confusion_matrix.tolist()
  count = int(outcome.confusion_matrix.sum())
  headline = f'{name} accuracy = {100 * outcome.accuracy:.2f}% (N={count})'
  print(f'\n{headline}')
  print(f'{name} cross entropy = {outcome.cross_entropy:.4f}')
  print('rows: what was said; columns: what was answered')
  print(figures.confusion_text(matrix, labels))
  if picture:
    figures.confusion_picture(matrix, labels, picture, headline)
    print(f'{picture} shows it')


def _report(trained, store, outcomes):
  return {
    'checkpoint': os.path.abspath(trained.checkpoint),
    'step': next(iter(outcomes.values())).step,
    'data': store.source,
    'labels': trained.settings.labels,
    'splits': {
      name: {
        'accuracy': outcome.accuracy,
        'cross_entropy': outcome.cross_entropy,
        'clips': int(outcome.confusion_matrix.sum()),
        'confusion_matrix': outcome.confusion_matrix.tolist(),
      }
      for name, outcome in outcomes.items()
    },
  }


if __name__ == '__main__':
  sys.exit(main())
