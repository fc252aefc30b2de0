#!/usr/bin/env python3
"""Prints how fast the TCN of the seed trains here, against the formulations it replaces.

Length 600, 24 filters, 8 taps, 9 dilations, batch norm, dropout 0.1, Adam; all in one run, in
alternating rounds, both sides with the same kernels and threads. On TensorFlow 2.16 and later it is
compared with the newest keras-tcn, which is installed into an environment of its own in the cache
folder ($TF1_ASCEND_CACHE, else ~/.cache/tf1-ascend); elsewhere with the original's Keras layers.
Then train.py runs a few steps as the seed has them, and its peak memory is read.
"""

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from bench import measuring  # noqa: E402
from npu_adapter import command_line  # noqa: E402

_STEPS, _LEVELS = 600, 9
_KERAS_TCN = 'keras-tcn==3.5.6'
# Multiplications and additions of a training step, a sequence: counted as 2 x taps x channels x
# filters x steps of each convolution, three times over, as if every step were computed.
_MFLOP = 284


def main():
  """Measures, prints, and returns the exit status."""
  parser = argparse.ArgumentParser(description=__doc__)
  add = parser.add_argument
  add('--rounds', type=int, default=6, help='alternating rounds')
  add('--batch_size', type=int, default=64)
  add('--no_memory', action='store_true', help='leave out the peak memory of train.py')
  add('--json', metavar='FILE', help='write the figures here too')
  asked = parser.parse_args()
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  command_line.tell_tensorflow()  # as train.py starts; the baseline inherits it
  figures = _measure(asked.rounds, asked.batch_size)
  if not asked.no_memory:
    figures['peak_memory_bytes'] = _peak_memory()
  _show(figures)
  if asked.json:
    with open(asked.json, 'w', encoding='utf-8') as file:
      json.dump(figures, file, indent=2)
  return 0


def _measure(rounds, batch):
  import numpy as np
  import tensorflow.compat.v1 as tf

  from npu_adapter.runtime import tf1

  tf1.enable()
  tf.logging.set_verbosity(tf.logging.ERROR)
  figures = {'tensorflow': tf.__version__, 'batch': batch, 'gemm_before': measuring.gemm()}
  baseline = _Keras3(batch) if _has_keras_3() else _KerasGraph(batch)
  figures['baseline_name'] = baseline.name
  sides = {
    'baseline': baseline.seconds,
    'full': _ours(batch, last_step_form=False),
    'last_step': _ours(batch, last_step_form=True),
  }
  seconds = {name: [] for name in sides}
  for number in range(rounds + 1):
    for name, run in sides.items():
      found = run(5)
      # The first round warms up.
      seconds[name] += found if number else []
  figures['gemm_after'] = measuring.gemm()
  baseline.close()
  for name, found in seconds.items():
    figures[name] = {
      'median': batch / float(np.median(found)), 'best': batch / min(found),
      'steps': len(found),
    }  # fmt: skip
  return figures


def _has_keras_3():
  import tensorflow.compat.v1 as tf

  return tuple(int(part) for part in tf.__version__.split('.')[:2]) >= (2, 16)


def _ours(batch, last_step_form):
  """Returns a function that makes steps of train.py's model_fn and gives the seconds of each."""
  import tensorflow.compat.v1 as tf

  import npu_adapter
  from estimators.keras_tcn import architecture, input_pipeline, model, tasks

  own = architecture.Architecture(
    filters=(24,) * _LEVELS, kernel_size=8, dilations=tuple(2**level for level in range(_LEVELS)),
    skip_connections=False, dropout_rate=0.1, norm='batch',
  )  # fmt: skip
  params = {
    'architecture': own, 'outputs': 1, 'is_every_step': False, 'is_regression': True,
    'scored_steps': 1, 'last_step_form': last_step_form, 'is_forgetful': False,
    'learning_rate': 0.005, 'schedule': 'constant', 'last_step': 1, 'clip_norm': 1.0,
    'loss_scale': 'none',
  }  # fmt: skip
  with tf.Graph().as_default() as graph:
    tf.train.get_or_create_global_step()
    data = input_pipeline.train_input_fn(tasks.adding(_STEPS), 1, batch)()
    iterator = tf.data.make_initializable_iterator(data)
    spec = model.model_fn(*iterator.get_next(), npu_adapter.ModeKeys.TRAIN, params)
    session = tf.Session(graph=graph)
    session.run([tf.global_variables_initializer(), iterator.initializer])
  return lambda count: _timed(lambda: session.run([spec.train_op, spec.loss]), count)


def _timed(step, count):
  taken = []
  for _ in range(count):
    started = time.perf_counter()
    step()
    taken.append(time.perf_counter() - started)
  return taken


class _KerasGraph:
  """The original's formulation, in this process."""

  name = 'the original: Keras Conv1D, dilated and causal'

  def __init__(self, batch):
    import tensorflow.compat.v1 as tf

    from bench.baselines import keras_tcn as baseline

    self._graph = tf.Graph()
    with self._graph.as_default():
      self._session = tf.Session()
      with self._session.as_default():
        tf.keras.backend.set_session(self._session)
        self._step = baseline.step_of(_STEPS, batch)

  def seconds(self, count):
    with self._graph.as_default(), self._session.as_default():
      return _timed(self._step, count)

  def close(self):
    self._session.close()


class _Keras3:
  """The newest keras-tcn in a Keras 3 model, in a process and an environment of its own."""

  name = _KERAS_TCN

  def __init__(self, batch):
    script = os.path.join(ROOT, 'bench', 'baselines', 'keras_tcn_pypi.py')
    environment = {k: v for k, v in os.environ.items() if k != 'TF_USE_LEGACY_KERAS'}
    self._process = subprocess.Popen(
      [_environment_of_keras_tcn(), script, str(_STEPS), str(batch)],
      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    ready = self._process.stdout.readline().split()
    if ready[:1] != ['ready']:
      raise RuntimeError(f'{script} must say that it is ready; it said {ready}')

  def seconds(self, count):
    self._process.stdin.write(f'{count}\n')
    self._process.stdin.flush()
    return [float(word) for word in self._process.stdout.readline().split()]

  def close(self):
    self._process.stdin.close()
    self._process.wait()


def _environment_of_keras_tcn():
  """The Python of an environment that has keras-tcn beside what this one has; made if missing."""
  cache = os.environ.get('TF1_ASCEND_CACHE') or os.path.expanduser('~/.cache/tf1-ascend')
  version = '{}.{}'.format(*sys.version_info)
  folder = os.path.join(cache, f'bench-{_KERAS_TCN.replace("==", "-")}-py{version}')
  python = os.path.join(folder, 'bin', 'python')
  done = os.path.join(folder, 'ready')
  if not os.path.exists(done):
    venv.create(folder, with_pip=True, clear=True)
    packages = os.path.join(folder, 'lib', f'python{version}', 'site-packages')
    with open(os.path.join(packages, 'beside.pth'), 'w', encoding='utf-8') as file:
      file.write(sysconfig.get_path('purelib') + '\n')
    pip = [python, '-m', 'pip', 'install', '--quiet', '--no-deps', _KERAS_TCN]
    subprocess.run(pip, check=True, stdout=sys.stderr)
    with open(done, 'w', encoding='utf-8') as file:
      file.write(_KERAS_TCN + '\n')
  return python


def _peak_memory():
  """The most memory that train.py has in use at the seed's own settings, bytes."""
  script = os.path.join(ROOT, 'estimators', 'keras_tcn', 'train.py')
  with tempfile.TemporaryDirectory() as folder:
    flags = ['--steps=3', '--validation_data_n=500', '--test_data_n=500', '--log_step_interval=1']
    process = subprocess.Popen(
      [sys.executable, script, f'--output_path={folder}/model', *flags],
      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, usage = os.wait4(process.pid, 0)
  if status:
    raise RuntimeError(f'{script} must end with 0; it ended with {status}')
  return usage.ru_maxrss * 1024


def _show(figures):
  batch = figures['batch']
  print(f'TensorFlow {figures["tensorflow"]}, length {_STEPS}, batch {batch}')
  peak = max(figures['gemm_before'], figures['gemm_after'])
  print(
    f'matrix product {figures["gemm_before"]:.0f} GFLOP/s before, {figures["gemm_after"]:.0f} after'
  )
  for title, name in (
    (figures['baseline_name'], 'baseline'),
    ('ours, every step', 'full'),
    ('ours, the last step', 'last_step'),
  ):
    median, best = figures[name]['median'], figures[name]['best']
    line = f'{title:48s} {median:6.0f} sequences/s (best {best:.0f})'
    if name != 'baseline':
      line += (
        f'; ratio {median / figures["baseline"]["median"]:.2f} '
        f'(of the best {best / figures["baseline"]["best"]:.2f})'
      )
    if name == 'full':
      speed = best * _MFLOP / 1e3
      line += f'; {speed:.0f} GFLOP/s, {100 * speed / peak:.0f} % of the matrix product'
    print(line)
  if 'peak_memory_bytes' in figures:
    print(f'peak memory of train.py, batch 512: {figures["peak_memory_bytes"] / 1e9:.2f} GB')


if __name__ == '__main__':
  sys.exit(main())
