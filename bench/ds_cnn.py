#!/usr/bin/env python3
"""Prints how fast DS-CNN S trains, loads and evaluates here, against the formulation it replaces.

Everything is measured in one run, because speeds of different hours differ by half on a shared
machine: ratios count. The matrix product's speed is taken before and after, and a run in which it
moved by more than a tenth is thrown away.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import wave

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from bench import measuring  # noqa: E402
from npu_adapter import command_line  # noqa: E402

_BATCH = 100
_CLIPS = 3000
_ALLOWED_MOVE = 0.1


def main():
  """Measures until a run stands; returns the exit status."""
  parser = argparse.ArgumentParser(description=__doc__)
  add = parser.add_argument
  add('--rounds', type=int, default=5, help='alternating rounds; medians are printed')
  add('--tries', type=int, default=3, help='runs to try until one is steady')
  add('--json', metavar='FILE', help='write the figures here too')
  asked = parser.parse_args()
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  command_line.tell_tensorflow()  # as train.py starts
  for _ in range(asked.tries):
    figures = _measure(asked.rounds)
    if abs(figures['gemm_after'] / figures['gemm_before'] - 1) <= _ALLOWED_MOVE:
      _show(figures)
      if asked.json:
        _write(figures, asked.json)
      return 0
    print(
      f'thrown away: the matrix product went from {figures["gemm_before"]:.0f} to '
      f'{figures["gemm_after"]:.0f} GFLOP/s, the machine was busy with something else'
    )
  return 1


def _write(figures, path):
  with open(path, 'w', encoding='utf-8') as file:
    json.dump(figures, file, indent=2)


def _measure(rounds):
  import numpy as np
  import tensorflow.compat.v1 as tf

  from npu_adapter.runtime import tf1

  tf1.enable()
  tf.logging.set_verbosity(tf.logging.ERROR)
  with tempfile.TemporaryDirectory() as folder:
    paths, labels = _make_clips(folder)
    ours, baseline = _Ours(folder), _TheirWay(folder, paths, labels)
    figures = {'tensorflow': tf.__version__, 'gemm_before': measuring.gemm()}
    seconds = {name: [] for name in ('train', 'theirs', 'pipeline', 'evaluate', 'their_evaluate')}
    for number in range(rounds + 1):
      found = {
        'theirs': baseline.train(),
        'train': ours.train(),
        'pipeline': ours.pipeline(),
        'their_evaluate': baseline.evaluate(),
        'evaluate': ours.evaluate(),
      }
      # The first round warms up caches and graphs.
      for name in found if number else ():
        seconds[name].append(found[name])
    figures['gemm_after'] = measuring.gemm()
    ours.close()
  return {**figures, **{name: 1 / float(np.median(each)) for name, each in seconds.items()}}


def _show(figures):
  print(f'TensorFlow {figures["tensorflow"]}, DS-CNN S, batch {_BATCH}')
  print(f'matrix product  {figures["gemm_before"]:6.0f} GFLOP/s, after {figures["gemm_after"]:.0f}')
  for title, ours, theirs in (
    ('training, data included', 'train', 'theirs'),
    ('evaluation from cache', 'evaluate', 'their_evaluate'),
  ):
    ratio = figures[ours] / figures[theirs]
    print(
      f'{title:24s} {figures[ours]:7.0f} clips/s; clip by clip {figures[theirs]:6.0f}; '
      f'ratio {ratio:.2f}'
    )
  print(f'{"input pipeline alone":24s} {figures["pipeline"]:7.0f} clips/s')


def _make_clips(folder):
  """Writes clips of noise as a speech_commands folder; returns their paths and labels."""
  import numpy as np

  from estimators.ds_cnn.dataset import speech_data

  chance = np.random.RandomState(0)
  words = (*speech_data.WANTED_WORDS, 'bed')
  data = os.path.join(folder, 'speech')
  paths = []
  for number in range(_CLIPS):
    word = os.path.join(data, words[number % len(words)])
    os.makedirs(word, exist_ok=True)
    paths.append(os.path.join(word, f'{number:08x}_nohash_0.wav'))
    _write_wav(paths[-1], chance.randint(-3000, 3000, 16000))
  noises = os.path.join(data, speech_data.NOISE_FOLDER)
  os.makedirs(noises)
  for number in range(6):
    _write_wav(os.path.join(noises, f'{number}.wav'), chance.randint(-3000, 3000, 60 * 16000))
  labels = np.array([2 + number % len(words) for number in range(_CLIPS)]) % 12
  return paths, labels


def _write_wav(path, samples):
  with wave.open(path, 'wb') as file:
    file.setnchannels(1)
    file.setsampwidth(2)
    file.setframerate(16000)
    file.writeframes(samples.astype('<i2').tobytes())


class _TheirWay:
  """The formulation that is replaced, in a graph of its own."""

  def __init__(self, folder, paths, labels):
    import numpy as np
    import tensorflow.compat.v1 as tf

    from bench.baselines import ds_cnn as baseline
    from estimators.ds_cnn import clip_shape

    noise = np.random.RandomState(2).uniform(-0.1, 0.1, 60 * 16000)
    self._paths, self._labels = paths, labels
    with tf.Graph().as_default():
      self._network = baseline.Baseline(
        clip_shape.ClipShape(), noise, os.path.join(folder, 'summaries')
      )

  def train(self, steps=10):
    """Seconds a clip."""
    started = time.perf_counter()
    for _ in range(steps):
      self._network.train(self._paths, self._labels, _BATCH)
    return (time.perf_counter() - started) / steps / _BATCH

  def evaluate(self, clips=500):
    """Seconds a clip."""
    started = time.perf_counter()
    self._network.evaluate(self._paths[:clips], self._labels[:clips], _BATCH)
    return (time.perf_counter() - started) / clips


class _Ours:
  """What train.py runs: the same store, input_fn, model_fn and estimator."""

  def __init__(self, folder):
    import tensorflow.compat.v1 as tf

    import npu_adapter
    from estimators.ds_cnn import clip_shape, input_pipeline, model
    from estimators.ds_cnn.dataset import clip_store, speech_data

    self._pipeline = input_pipeline
    shares = speech_data.Shares(validation=1, testing=30)
    index = speech_data.make_index(os.path.join(folder, 'speech'), speech_data.WANTED_WORDS, shares)
    self._store = clip_store.open_store(
      index, clip_shape.ClipShape(), os.path.join(folder, 'cache'), show=lambda line: None
    )
    self._estimator = npu_adapter.NPUEstimator(
      model.model_fn,
      config=npu_adapter.NPURunConfig(
        model_dir=os.path.join(folder, 'model'), save_checkpoints_steps=10**9
      ),
      params=_params(),
    )
    # One graph and one iterator for the pipeline alone, kept between the rounds.
    with tf.Graph().as_default():
      data = self._training_input()()
      iterator = tf.data.make_initializable_iterator(data)
      features, _ = iterator.get_next()
      self._batch = features['fingerprint'].op
      self._session = tf.Session()
      self._session.run(iterator.initializer)

  def _training_input(self):
    return self._pipeline.train_input_fn(self._store, self._pipeline.Augmentation(), _BATCH)

  def train(self, steps=40):
    """Seconds a clip, from the fifth step on: the graph is built and the buffers are full."""
    timer = measuring.timer(5)
    self._estimator.train(self._training_input(), hooks=[timer], steps=steps)
    return timer.seconds_per_run / _BATCH

  def pipeline(self, batches=50):
    """Seconds a clip."""
    started = time.perf_counter()
    for _ in range(batches):
      self._session.run(self._batch)
    return (time.perf_counter() - started) / batches / _BATCH

  def evaluate(self, batch_size=250):
    """Seconds a clip; every example counts, also those that fill up the last batch."""
    # Without the first run, which sets up the graph.
    timer = measuring.timer(1)
    rows = self._store.splits['testing'].rows
    labels = self._store.splits['testing'].labels
    many = self._store._replace(
      splits={'testing': type(self._store.splits['testing'])(_tiled(rows), _tiled(labels))}
    )
    self._estimator.evaluate(
      self._pipeline.evaluation_input_fn(many, 'testing', batch_size), hooks=[timer]
    )
    return timer.seconds_per_run / batch_size

  def close(self):
    """Ends the session that is kept."""
    self._session.close()


def _tiled(values, times=10):
  import numpy as np

  return np.tile(values, times)


def _params():
  from estimators.ds_cnn import clip_shape, networks

  shape = clip_shape.ClipShape()
  return {
    'architecture': 'ds_cnn', 'sizes': networks.sizes('ds_cnn', 'S'), 'frames': shape.frames,
    'coefficients': shape.coefficients, 'classes': 12, 'dropout_rate': 0.0,
    'learning_rates': (0.0005,), 'step_boundaries': (10**9,), 'loss_scale': 'none',
  }  # fmt: skip


if __name__ == '__main__':
  sys.exit(main())
