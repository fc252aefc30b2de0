"""docs/estimator.md: its program runs, what it names is there or absent, and nothing is missing."""

import importlib
import inspect
import os
import pathlib
import re
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf

from npu_adapter import tf_estimator

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / 'docs' / 'estimator.md').read_text(encoding='utf-8')
PROGRAM = re.compile(r'```python\n(.*?)```', re.DOTALL)
CODE = re.compile(r'`([^`\n]+)`')

# What a reader has already who comes to the page with a program.
READERS_OWN = """
import sys
import numpy as np
import tensorflow.compat.v1 as tf

model_dir = sys.argv[1]

def input_fn():
  return tf.data.Dataset.from_tensors({'x': np.ones([4, 3], np.float32)}).repeat()

def model_fn(features, labels, mode):
  loss = tf.reduce_mean(tf.matmul(features['x'], tf.get_variable('w', [3, 1])))
  train_op = tf.train.GradientDescentOptimizer(0.1).minimize(loss, tf.train.get_global_step())
  return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)
"""
# Prints the names that are not found, with the error. What the page writes without its package is
# in runtime or in tf.estimator.
FIND = """
import functools, sys
import npu_adapter
npu_adapter.install_tf_estimator(replace=True)
import tensorflow
import tensorflow.compat.v1 as tf
from npu_adapter.runtime import checkpoint_health, checkpoints, input_file, model_folder
for name in sys.argv[1:]:
  root, *rest = name.split('.')
  try:
    start = globals()[root] if root in globals() else getattr(tf.estimator, root)
    start = tensorflow if name.startswith('tf.compat.') else start
    functools.reduce(getattr, rest, start)
  except AttributeError as error:
    print(name, error)
"""
# TensorFlow's.
NOT_OURS = {'Dimension', '_call_model_fn', '_train_model', 'from_generator', 'prefetch', 'py_func'}
# Of Keras, not of the tf.estimator that is replaced.
OF_KERAS = 'tf.keras.estimator.model_to_estimator'


def python(code, *arguments):
  done = subprocess.run(
    [sys.executable, '-c', code, *map(str, arguments)],
    env={**os.environ, 'PYTHONPATH': str(ROOT)},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  return done.stdout.splitlines()


def words_in_code():
  """Names, also with a package before them, that stand in backticks by themselves or are called."""
  found = (re.match(r'[A-Za-z_][\w.]*\w(?=\(|=|$)', code) for code in CODE.findall(PAGE))
  return {name.group() for name in found if name}


def test_the_program_trains_as_it_stands(tmp_path):
  (program,) = PROGRAM.findall(PAGE)
  python(f'{READERS_OWN}\n{program}', tmp_path / 'model')
  assert int(tf.train.load_variable(str(tmp_path / 'model'), 'global_step')) == 20


def test_every_name_with_its_package_is_there():
  names = sorted(name for name in words_in_code() if '.' in name and name != OF_KERAS)
  some = {'tf.estimator.RunConfig', 'checkpoints.CheckpointNotWritten', 'export.EvalOutput'}
  assert some < set(names)
  # As the page says, our RunConfig has none.
  assert [line.split()[0] for line in python(FIND, *names)] == ['RunConfig._replace']


def test_every_other_name_is_one_of_our_code():
  sources = ' '.join(path.read_text(encoding='utf-8') for path in ROOT.glob('npu_adapter/**/*.py'))
  known = set(re.findall(r'\w+', sources)) | NOT_OURS
  assert [name for name in sorted(words_in_code()) if '.' not in name and name not in known] == []


def test_what_is_called_absent_is_absent_with_advice():
  table = PAGE[PAGE.index('| absent; ') :].partition('\n\n')[0]
  cells = [row.split('|')[1] for row in table.splitlines()[2:]]
  names = [name for cell in cells for name in re.findall(r'`(\w+)`', cell) if name != 'inputs']
  experimental = {'KMeans', 'LinearSDCA'}
  assert experimental < set(names)
  full = [
    f'tf.estimator.{"experimental." if name in experimental else ""}{name}'
    for name in [*names, 'DNNClassifier', 'MultiHead']
    if name != 'tpu'
  ]
  lines = python(FIND, *full)
  assert [line.split()[0] for line in lines] == full
  # What is not there, and a sentence on what to do.
  assert all(re.search(r' has no tensorflow\S+\. [A-Z]\w+ .+\.$', line) for line in lines), lines


@pytest.mark.skipif(not hasattr(tf, 'estimator'), reason='no tf.estimator in this TensorFlow')
def test_every_name_and_argument_that_tf_estimator_has_not_is_on_the_page():
  missing = set()
  for package, homes in tf_estimator._HOMES.items():
    theirs = getattr(tf.estimator, package) if package else tf.estimator
    for module, names in homes.items():
      for name in names:
        ours = getattr(importlib.import_module(module), name)
        missing |= new_in(name, ours, getattr(theirs, name, None))
  assert {'exact_resume', 'spec_transform', 'steps_per_loop'} <= missing
  assert [name for name in sorted(missing) if not re.search(rf'[`.]{name}`', PAGE)] == []


def new_in(name, ours, theirs):
  """What theirs lacks: arguments of a class or function, or all of it."""
  if ours is theirs:
    return set()
  if theirs is None:
    return {name}
  return arguments(ours) - arguments(theirs)


def arguments(function):
  # Of a namedtuple the constructor is __new__, and __init__ is what every object has.
  made = getattr(function, '__new__', None)
  code = made if inspect.isfunction(made) else function
  return set(inspect.signature(code).parameters) - {'cls', '_cls', 'args', 'kwargs'}


def test_the_lines_fit_a_screen():
  assert [line for line in PAGE.splitlines() if len(line) > 130] == []
