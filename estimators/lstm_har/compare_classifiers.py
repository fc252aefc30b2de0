#!/usr/bin/env python3
"""Puts the network beside plain classifiers of scikit-learn, on the same people.

A logistic regression and a random forest get the windows themselves, and their statistics: mean,
deviation, least, largest, median and mean change of each channel. Each is fitted to the training
people and scored on those for validation and for the test. What it prints with --checkpoint is the
network's scores under theirs.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from estimators.lstm_har import data_flags  # noqa: E402
from npu_adapter import errors, tool_command  # noqa: E402

_SPLITS = ('validation', 'test')


def main(argv=None):
  """Runs the command; returns its exit status."""
  return tool_command.run(_parser(), _run, argv)


def _parser():
  parser = tool_command.Parser('compare_classifiers.py', __doc__)
  add = parser.add_argument
  tool_command.add_checkpoint_flag(parser, required=False)
  data_flags.add_data_flags(parser)
  add('--trees', type=tool_command.number(int, 1), default=500, metavar='N',
      help='of the forest (default: 500)')  # fmt: skip
  add('--seed', type=tool_command.number(int, 0, 2**31 - 1), default=1, metavar='N',
      help='of the forest (default: 1)')  # fmt: skip
  add('--json', type=tool_command.new_file(), metavar='FILE', help='the same numbers for machines')
  return parser


def _run(asked):
  try:
    import sklearn
  except ImportError as error:
    raise errors.AdapterError(
      f"the classifiers need scikit-learn; {error}. Install it: pip install '.[models]'"
    ) from None
  from estimators.lstm_har import data_source

  data = data_source.open_data(asked.data_path, asked.cache_path)
  trained = asked.checkpoint and _trained(data, asked.checkpoint)
  print(f'scikit-learn {sklearn.__version__}; accuracy and macro F1')
  rows = {}
  for name, (classifier, features) in _classifiers(asked.trees, asked.seed).items():
    rows[name] = _plain(data, classifier, features)
    _show(name, rows[name])
  if trained:
    name, rows[name] = _network(data, trained)
    _show(name, rows[name])
  if asked.json:
    tool_command.write_json(asked.json, {name: _plain_values(row) for name, row in rows.items()})


def _classifiers(trees, seed):
  """{name: (classifier, what it gets)}."""
  from sklearn.ensemble import RandomForestClassifier
  from sklearn.linear_model import LogisticRegression
  from sklearn.pipeline import make_pipeline
  from sklearn.preprocessing import StandardScaler

  def linear():
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))

  def forest():
    return RandomForestClassifier(trees, random_state=seed, n_jobs=-1)

  return {
    'logistic regression, windows': (linear(), _flat),
    'logistic regression, statistics': (linear(), _statistics),
    'random forest, windows': (forest(), _flat),
    'random forest, statistics': (forest(), _statistics),
  }


def _flat(windows):
  return windows.reshape(len(windows), -1)


def _statistics(windows):
  import numpy as np

  change = np.abs(np.diff(windows, axis=1)).mean(axis=1)
  found = [function(windows, axis=1) for function in (np.mean, np.std, np.min, np.max, np.median)]
  return np.concatenate([*found, change], axis=1)


def _plain(data, classifier, features):
  """{split: scores}."""
  from estimators.lstm_har import scores

  classifier.fit(features(data.windows('training')), data.splits['training'].labels)
  found = {}
  for name in _SPLITS:
    guesses = classifier.predict(features(data.windows(name)))
    matrix = scores.matrix_of(data.splits[name].labels, guesses, len(data.labels))
    found[name] = scores.of_matrix(matrix)
  return found


def _network(data, trained):
  """The name of a trained network, and {split: scores}."""
  from estimators.lstm_har import architecture, scores, trained_network

  found = {}
  with trained_network.restored(trained) as session:
    for name in _SPLITS:
      guesses = trained_network.answers(session, data.windows(name))
      matrix = scores.matrix_of(data.splits[name].labels, guesses, len(data.labels))
      found[name] = scores.of_matrix(matrix)
  return f'LSTM {architecture.title(trained.settings.architecture)}', found


def _trained(data, checkpoint):
  """The network; an error where others than the people for training have taught it."""
  from estimators.lstm_har import trained_network

  trained = trained_network.find(checkpoint)
  settings, people = trained.settings, data.splits['validation'].people
  if (data.channels, data.labels, people) != (
    settings.channels, settings.labels, settings.validation_people
  ):  # fmt: skip
    raise errors.InputError(
      'data_path must be the data the network was trained on, with its people for validation; got '
      f'the channels {", ".join(data.channels)} and the people {people}; it had '
      f'{", ".join(settings.channels)} and {settings.validation_people}.'
    )
  return trained


def _show(name, row):
  shown = '   '.join(
    f'{split} {100 * found.accuracy:6.2f} % {found.macro_f1:.4f}' for split, found in row.items()
  )
  print(f'{name:32s} {shown}', flush=True)


def _plain_values(row):
  return {
    split: {
      'accuracy': found.accuracy,
      'macro_f1': found.macro_f1,
      'weighted_f1': found.weighted_f1,
    }
    for split, found in row.items()
  }


if __name__ == '__main__':
  sys.exit(main())
