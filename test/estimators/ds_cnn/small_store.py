"""A store of known samples, without a sound file; what the audio ops and the loader make of it."""

import numpy as np
import tensorflow.compat.v1 as tf

from estimators.ds_cnn import features, input_pipeline
from estimators.ds_cnn.clip_shape import ClipShape
from estimators.ds_cnn.dataset import clip_store

SHAPE = ClipShape(clip_ms=100, stride_ms=10)
LENGTH = 1600


def make(folder, clips, noises=None, labels=None):
  """A store of int16 clips [clips, samples]; all are for training, with labels from 1 on."""
  folder = folder / 'a store'
  folder.mkdir()
  noises = np.zeros([0, 2 * LENGTH]) if noises is None else noises
  labels = np.arange(1, len(clips) + 1) if labels is None else labels
  rows = clip_store.Rows(np.arange(1, len(clips) + 1, dtype=np.int32), np.array(labels, np.int32))
  splits = {'training': rows, 'validation': clip_store.Rows(rows.rows[:3], rows.labels[:3])}
  store = clip_store.ClipStore(
    str(folder), 'nowhere', SHAPE, ('_silence_',), splits, len(clips) + 1, len(noises), []
  )
  np.concatenate([np.zeros([1, LENGTH]), clips]).astype('<i2').tofile(store.samples_path)
  noises.astype('<i2').tofile(store.noises_path)
  return store


def noise_of(count, length=LENGTH, seed=0):
  return np.random.RandomState(seed).randint(-9000, 9000, [count, length])


def op_fingerprints(clips):
  """What the audio ops make of int16 clips."""
  with tf.Graph().as_default(), tf.Session() as session:
    clip = tf.placeholder(tf.float32, [LENGTH, 1])
    fingerprint = features.audio_op_fingerprint(clip, SHAPE)
    return np.concatenate(
      [session.run(fingerprint, {clip: row[:, np.newaxis] / 32768.0}) for row in clips]
    )


def samples_of(store, augmentation, rows, labels=None, steps=1):
  """The samples [steps * rows, time] that become fingerprints; labels are 1 by default."""
  labels = np.ones(len(rows)) if labels is None else labels
  with tf.Graph().as_default(), tf.Session() as session:
    load = input_pipeline._Loader(store, augmentation)
    step = tf.placeholder(tf.int64, [])
    loaded = load(step, tf.constant(rows), tf.constant(labels, tf.int32))
    return np.concatenate([session.run(loaded, {step: number}) for number in range(steps)])
