#!/usr/bin/env python3
"""Prints the time of an iteration of tcc at its published setting, beside the original's way.

Two clips of 20 frames, each with one before it: 80 pictures through ResNet50V2 up to conv4_block3,
of which batch norm alone is trained, and through the 3-D convolutional embedder. The original's way
is Keras' layers and one tf.function, with a loss that goes from pair to pair. Pictures are in
memory. Each side runs in a process of its own, in turns; ratios count, not times. Needs TensorFlow
2, which the original is written for.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from bench import measuring  # noqa: E402
from npu_adapter import command_line  # noqa: E402

_CLIPS, _FRAMES, _CONTEXT = 2, 20, 2
_PICTURES = _CLIPS * _FRAMES * _CONTEXT
_UNITS, _SIZE = 512, 128
# What is measured, in words.
_SIDES = {
  'original': "Keras' layers, as the original",
  'ours': 'ours',
  'frozen': 'ours, TRAIN_BASE frozen',
  'cached': 'ours, TRAIN_BASE frozen, features from the cache',
}


def main():
  """Measures; returns the exit status."""
  parser = argparse.ArgumentParser(description=__doc__)
  add = parser.add_argument
  add('--sizes', type=int, nargs='+', default=[112, 224], help='of the pictures, in pixels')
  add('--rounds', type=int, default=3, help='alternating rounds; medians are printed')
  add('--steps', type=int, default=3, help='iterations of a round, after the first one')
  add('--json', metavar='FILE', help='write the figures here too')
  add('--side', choices=sorted(_SIDES), help='measure one side in this process, and print JSON')
  asked = parser.parse_args()
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  command_line.tell_tensorflow()
  if asked.side:
    print(json.dumps(_seconds(asked.side, asked.sizes[0], asked.steps)))
    return 0
  figures = {size: _compare(size, asked.rounds, asked.steps) for size in asked.sizes}
  for size, found in figures.items():
    _show(size, found)
  print(f'matrix product: {_gemm():.0f} GFLOP/s')
  if asked.json:
    with open(asked.json, 'w', encoding='utf-8') as file:
      json.dump(figures, file, indent=2)
  return 0


def _compare(size, rounds, steps):
  found = {side: [] for side in _SIDES}
  for _ in range(rounds):
    for side in _SIDES:
      command = [sys.executable, os.path.abspath(__file__), f'--side={side}', f'--sizes={size}',
                 f'--steps={steps}']  # fmt: skip
      done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
      found[side].append(json.loads(done.stdout.splitlines()[-1]))
  return {side: statistics.median(seconds) for side, seconds in found.items()}


def _show(size, found):
  print(f'{size} pixels:')
  for side, words in _SIDES.items():
    ratio = found['original'] / found[side]
    print(f'  {words}: {found[side]:.3f} s an iteration, {ratio:.2f} times as fast as the original')


def _seconds(side, size, steps):
  """The median of an iteration."""
  import time

  run = _original(size) if side == 'original' else _ours(side, size)
  run()
  found = []
  for _ in range(steps):
    started = time.perf_counter()
    run()
    found.append(time.perf_counter() - started)
  return statistics.median(found)


def _gemm():
  from npu_adapter.runtime import tf1

  tf1.enable()
  return measuring.gemm()


def _pictures(size):
  import numpy as np

  return np.random.RandomState(0).uniform(-1, 1, [_PICTURES, size, size, 3]).astype(np.float32)


def _times():
  """Frame numbers as shares of their clips, float32 [clips, frames]."""
  import numpy as np

  steps = np.sort(np.random.RandomState(1).choice(100, [_CLIPS, _FRAMES], replace=False), axis=1)
  return steps.astype(np.float32) / 100


def _ours(side, size):
  import tensorflow.compat.v1 as tf

  from estimators.tcc import config_tree, model, settings
  from npu_adapter.runtime import tf1

  tf1.enable()
  tree = config_tree.published()
  config_tree.put(tree, 'IMAGE_SIZE', size)
  if side != 'ours':
    config_tree.put(tree, 'MODEL.TRAIN_BASE', 'frozen')
  params = settings.params(tree, 5, 1, 'none')
  tf.train.get_or_create_global_step()
  shape = [_CLIPS, _FRAMES * _CONTEXT, size, size, 3]
  frames = _kept('frames', _pictures(size).reshape(shape))
  features = {
    'frames': frames,
    'steps': tf.constant((_times() * 100).astype('int32')),
    'length': tf.constant([100] * _CLIPS, tf.int32),
    'frame_labels': tf.zeros([_CLIPS, _FRAMES], tf.int32),
  }
  session = tf.Session()
  if side == 'cached':
    maps = model.map_frames(frames, params, is_training=False)
    kept = tf.get_variable('maps', maps.shape, trainable=False)
    session.run(tf.global_variables_initializer())
    session.run(kept.assign(maps))
    del features['frames']
    features['maps'] = kept
    before = set(tf.global_variables())
    with tf.variable_scope('', reuse=tf.AUTO_REUSE):
      spec = model.model_fn(features, None, 'train', params)
    session.run(tf.variables_initializer([v for v in tf.global_variables() if v not in before]))
  else:
    spec = model.model_fn(features, None, 'train', params)
    session.run(tf.global_variables_initializer())
  return session.make_callable(spec.train_op)


def _kept(name, value):
  """In memory, and no constant that TensorFlow would compute with before the first iteration."""
  import tensorflow.compat.v1 as tf

  return tf.get_variable(name, initializer=tf.constant(value), trainable=False)


def _original(size):
  """A function that makes one iteration."""
  os.environ['TF_USE_LEGACY_KERAS'] = '1'
  import tensorflow as tf

  keras = tf.keras
  base = _keras_base(keras)
  embedder = _keras_embedder(keras, base.output_shape[1:])
  optimizer = keras.optimizers.legacy.Adam(1e-4)
  weights = base.trainable_variables + embedder.trainable_variables
  pictures, times = tf.constant(_pictures(size)), tf.constant(_times())

  @tf.function
  def iteration():
    with tf.GradientTape() as tape:
      maps = base(pictures, training=True)
      maps = tf.reshape(maps, [_CLIPS * _FRAMES, _CONTEXT, *maps.shape[1:]])
      embeddings = tf.reshape(embedder(maps, training=True), [_CLIPS, _FRAMES, _SIZE])
      loss = _pairs_loss(embeddings, times) + tf.reduce_mean(embedder.losses)
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
    return loss

  return lambda: iteration().numpy()


def _keras_base(keras):
  whole = keras.applications.ResNet50V2(
    include_top=False, weights=None, input_shape=(None, None, 3)
  )
  base = keras.Model(whole.input, whole.get_layer('conv4_block3_out').output)
  for layer in base.layers:
    layer.trainable = isinstance(layer, keras.layers.BatchNormalization)
  return base


def _keras_embedder(keras, map_shape):
  layers = keras.layers
  small = {
    'kernel_regularizer': keras.regularizers.l2(1e-5),
    'bias_regularizer': keras.regularizers.l2(1e-5),
  }
  x = maps = keras.Input([_CONTEXT, *map_shape])
  for _ in range(2):
    x = layers.Conv3D(_UNITS, 3, padding='same', kernel_initializer='he_normal', **small)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
  x = layers.GlobalMaxPooling3D()(x)
  for _ in range(2):
    x = layers.Dense(_UNITS, activation='relu', **small)(layers.Dropout(0.1)(x))
  return keras.Model(maps, layers.Dense(_SIZE, **small)(x))


def _pairs_loss(embeddings, times):
  """Regression with variance, from every clip to every other and back."""
  import tensorflow as tf

  losses = []
  for own in range(_CLIPS):
    for other in range(_CLIPS):
      if own != other:
        near = tf.nn.softmax(_similarity(embeddings[own], embeddings[other])) @ embeddings[other]
        back = tf.nn.softmax(_similarity(near, embeddings[own]))
        mean = tf.linalg.matvec(back, times[own])
        spread = tf.reduce_sum(back * tf.square(times[own] - mean[:, None]), axis=1)
        log = tf.math.log(spread)
        losses.append(tf.exp(-log) * tf.square(times[own] - mean) + 0.001 * log)
  return tf.reduce_mean(tf.concat(losses, axis=0))


def _similarity(some, others):
  import tensorflow as tf

  distances = tf.reduce_sum(tf.square(some[:, None] - others[None]), axis=-1)
  return -distances / _SIZE / 0.1


if __name__ == '__main__':
  sys.exit(main())
