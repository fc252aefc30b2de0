#!/usr/bin/env python3
"""Prints how fast the 0x3 LSTM trains here, against the formulation it replaces, and how it starts.

Training is measured in one run, because speeds of different hours differ by half on a shared
machine: ratios count. The matrix product's speed is taken before and after, and a run in which it
moved by more than a tenth is thrown away. The start is that of a train.py of its own: from the
start of the process to the end of the first step of the 3x3 bidirectional network, with the
windows in the cache.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from bench import measuring  # noqa: E402
from npu_adapter import command_line  # noqa: E402

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_BATCH, _STEPS, _CHANNELS, _CLASSES = 100, 128, 9, 6
_WINDOWS = 2000
_ALLOWED_MOVE = 0.1
# Multiplications and additions of the layers for a window, forwards and twice that backwards.
_FLOP_A_WINDOW = 3 * 2 * _STEPS * (9 * 28 + 2 * 28 * 28 + 3 * 56 * 112)


def main():
  """Measures until a run stands; returns the exit status."""
  parser = argparse.ArgumentParser(description=__doc__)
  add = parser.add_argument
  add('--rounds', type=int, default=5, help='alternating rounds; medians are printed')
  add('--tries', type=int, default=3, help='runs to try until one is steady')
  add('--starts', type=int, default=3, help='processes whose start is timed; 0 for none')
  add('--json', metavar='FILE', help='write the figures here too')
  asked = parser.parse_args()
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  command_line.tell_tensorflow()  # as train.py starts
  # First: TensorFlow of this process is not there yet to take a core.
  starts = _starts(asked.starts)
  with tempfile.TemporaryDirectory() as folder:
    pair = _Pair(folder)
    for _ in range(asked.tries):
      figures = {**pair.measure(asked.rounds), 'start_s': starts}
      _show(figures)
      if abs(figures['gemm_after'] / figures['gemm_before'] - 1) <= _ALLOWED_MOVE:
        break
      print('not steady: the matrix product moved, the machine was busy with something else')
    else:
      return 1
  if asked.json:
    _write(figures, asked.json)
  return 0


def _write(figures, path):
  with open(path, 'w', encoding='utf-8') as file:
    json.dump(figures, file, indent=2)


class _Pair:
  """Both formulations, on the same windows of noise."""

  def __init__(self, folder):
    import numpy as np
    import tensorflow.compat.v1 as tf

    from npu_adapter.runtime import tf1

    tf1.enable()
    tf.logging.set_verbosity(tf.logging.ERROR)
    # At every cell TensorFlow warns that it is of version 1.
    warnings.simplefilter('ignore')
    chance = np.random.RandomState(0)
    windows = chance.standard_normal([_WINDOWS, _STEPS, _CHANNELS]).astype(np.float32)
    labels = chance.randint(0, _CLASSES, _WINDOWS).astype(np.int32)
    started = time.perf_counter()
    self._theirs = _TheirWay(windows, labels)
    self._theirs.train(1)
    self._their_start_s = time.perf_counter() - started
    self._ours = _Ours(folder, windows, labels)
    # Warms up caches.
    self._theirs.train()
    self._ours.train()

  def measure(self, rounds):
    """Windows/s of both, in turns."""
    import numpy as np
    import tensorflow.compat.v1 as tf

    before = measuring.gemm()
    theirs, ours = zip(*((self._theirs.train(), self._ours.train()) for _ in range(rounds)))
    return {
      'tensorflow': tf.__version__,
      'their_start_s': self._their_start_s,
      'gemm_before': before,
      'gemm_after': measuring.gemm(),
      'theirs': 1 / float(np.median(theirs)),
      'ours': 1 / float(np.median(ours)),
    }


def _show(figures):
  ratio = figures['ours'] / figures['theirs']
  peak = _FLOP_A_WINDOW * figures['ours'] / figures['gemm_before'] / 1e9
  print(f'TensorFlow {figures["tensorflow"]}, LSTM 0x3, batch {_BATCH}')
  print(f'matrix product  {figures["gemm_before"]:6.0f} GFLOP/s, after {figures["gemm_after"]:.0f}')
  print(
    f'training        {figures["ours"]:6.0f} windows/s; unrolled {figures["theirs"]:6.0f}; '
    f'ratio {ratio:.2f}; {100 * peak:.0f} % of the matrix product'
  )
  print(f'unrolled: {figures["their_start_s"]:.1f} s from an empty graph to the first step done')
  for seconds in figures['start_s']:
    print(f'train.py: {seconds:.1f} s from the start of the process to the first step done')


class _TheirWay:
  """The formulation that is replaced, in a graph of its own."""

  def __init__(self, windows, labels):
    import numpy as np
    import tensorflow.compat.v1 as tf

    from bench.baselines import lstm_har as baseline

    self._windows, self._labels = windows, np.eye(_CLASSES, dtype=np.float32)[labels]
    with tf.Graph().as_default():
      self._network = baseline.Baseline()

  def train(self, steps=15):
    """Seconds a window."""
    started = time.perf_counter()
    for step in range(steps):
      begin = step * _BATCH % _WINDOWS
      rows = slice(begin, begin + _BATCH)
      self._network.train(self._windows[rows], self._labels[rows])
    return (time.perf_counter() - started) / steps / _BATCH


class _Ours:
  """What train.py runs: the same input_fn, model_fn and estimator."""

  def __init__(self, folder, windows, labels):
    import numpy as np

    import npu_adapter
    from estimators.lstm_har import architecture, input_pipeline, model
    from estimators.lstm_har.dataset import har_data

    path = os.path.join(folder, 'windows.npy')
    np.save(path, windows)
    split = har_data.Split(np.arange(len(labels)), labels, (1,))
    names = tuple(map(str, range(_CHANNELS)))
    data = har_data.HarData(path, {'training': split}, names, names[:_CLASSES], 'noise')
    order = input_pipeline.Order(_BATCH, 1)
    self._input_fn = input_pipeline.train_input_fn(data, order)
    params = {
      'architecture': architecture.PRESETS['0x3'], 'classes': _CLASSES, 'dropout_rate': 0.15,
      'mean': (0.0,) * _CHANNELS, 'deviation': (1.0,) * _CHANNELS, 'learning_rate': 0.001,
      'learning_rate_decay': 1.0, 'steps_per_epoch': 20, 'loss_scale': 'none',
    }  # fmt: skip
    self._estimator = npu_adapter.NPUEstimator(
      model.model_fn,
      config=npu_adapter.NPURunConfig(
        model_dir=os.path.join(folder, 'model'), save_checkpoints_steps=10**9
      ),
      params=params,
      progress=False,
    )

  def train(self, steps=60, skip=10):
    """Seconds a window, from data to weights, without the building of the graph."""
    timer = measuring.timer(skip)
    self._estimator.train(self._input_fn, [timer], steps=steps + skip)
    return timer.seconds_per_run / _BATCH


def _starts(count):
  """Seconds from the start of train.py to its line of step 1, of some processes."""
  with tempfile.TemporaryDirectory() as folder:
    # The first fills the cache and is not counted.
    found = [_start_s(folder, number) for number in range(count + 1 if count else 0)]
  return found[1:]


def _start_s(folder, number):
  command = [
    sys.executable, '-u', os.path.join(_ROOT, 'estimators', 'lstm_har', 'train.py'), '--steps=1',
    '--log_step_interval=1', f'--cache_path={os.path.join(folder, "cache")}',
    f'--output_path={os.path.join(folder, str(number))}',
  ]  # fmt: skip
  started, first_step_s = time.perf_counter(), None
  process = subprocess.Popen(
    command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace'
  )
  lines = []
  for line in process.stdout:
    lines.append(line)
    if line.startswith('step 1 of 1:'):
      first_step_s = time.perf_counter() - started
  if process.wait() or first_step_s is None:
    raise SystemExit(f'train.py ended with {process.returncode}:\n{"".join(lines[-20:])}')
  return first_step_s


if __name__ == '__main__':
  sys.exit(main())
