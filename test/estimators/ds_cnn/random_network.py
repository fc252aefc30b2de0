"""Networks of random numbers: model folders as train.py leaves them, and fingerprints for them."""

import collections
import json
import os
import re

import numpy as np
import tensorflow.compat.v1 as tf

from estimators.ds_cnn import clip_shape, input_pipeline, networks, settings
from estimators.ds_cnn.dataset import speech_data
from estimators.ds_cnn.deployment import fixed_point, folded_network, trained_network

STEP = 7
# Strides of 1, 2 and both; maps of 65 and of 50 under the pool; a kernel wider than high.
SMALL = {
  'ds_cnn': '3 8 10 4 2 1 8 3 3 2 2 6 3 3 1 1',
  'ds_cnn of another shape': '3 5 3 4 5 2 5 2 2 1 1 4 3 3 1 1',
  'dnn': '7 5',
}
_KINDS = ('kernel', 'bias', 'beta', 'moving_mean', 'moving_variance')
STRIDE_MS = {'dnn': 40}

# `layers` are folded; `ranges` were found on the fingerprints.
Calibrated = collections.namedtuple('Calibrated', 'settings layers ranges fingerprints')


def settings_of(architecture, size):
  """As a training of the architecture would write them down."""
  return settings.Settings(
    architecture=architecture,
    sizes=networks.sizes(architecture, size),
    wanted_words=speech_data.WANTED_WORDS,
    shape=clip_shape.ClipShape(stride_ms=STRIDE_MS.get(architecture, 20)),
    shares=speech_data.Shares(),
    augmentation=input_pipeline.Augmentation(),
    batch_size=100,
    learning_rates=(0.001,),
    steps=(STEP,),
    dropout_rate=0.0,
    check_nans=False,
  )


def make(folder, architecture, size):
  """Writes settings and a checkpoint with an optimizer's slot; returns the checkpoint's path."""
  chosen = settings_of(architecture, size)
  os.makedirs(str(folder), exist_ok=True)
  settings.write(chosen, str(folder))
  params = chosen.params()
  path = os.path.join(str(folder), f'model.ckpt-{STEP}')
  with tf.Graph().as_default(), tf.Session() as session:
    fingerprint = tf.zeros([1, chosen.shape.fingerprint_size])
    sides = (params['frames'], params['coefficients'])
    network = networks.NETWORKS[architecture].function
    network(fingerprint, chosen.sizes, sides, params['classes'], False, 0.0)
    tf.get_variable('global_step', initializer=np.int64(STEP))
    tf.get_variable(f'{architecture}/logits/bias/Adam', initializer=np.float32(1))
    session.run(tf.global_variables_initializer())
    chance = np.random.RandomState(0)
    for variable in _variables():
      value = _value(variable.op.name, variable.shape.as_list(), chance)
      session.run(variable.initializer, {variable.initializer.inputs[1]: value})
    tf.train.Saver(save_relative_paths=True).save(session, path, write_meta_graph=False)
  return path


def _variables():
  """The network's own, in an order that no version of TensorFlow changes."""
  found = [v for v in tf.global_variables() if v.op.name.rpartition('/')[2] in _KINDS]
  return sorted(found, key=lambda variable: variable.op.name)


def _value(name, shape, chance):
  """Numbers with which every layer passes on what goes into it: as large, and of either sign."""
  kind = name.rpartition('/')[2]
  if kind == 'kernel':
    inputs = np.prod(shape[:2] if 'depthwise' in name else shape[:-1])
    return chance.normal(scale=(2 / inputs) ** 0.5, size=shape).astype(np.float32)
  # What the first layer gives is as large as the fingerprints.
  first = '/conv_0/' in name or name.startswith('cnn/conv_1/')
  values = {
    'bias': chance.normal(scale=0.1, size=shape),
    'beta': chance.normal(scale=0.3, size=shape),
    'moving_mean': chance.normal(scale=0.2, size=shape),
    'moving_variance': chance.uniform(0.2, 1.5, size=shape) * (60 if first else 1),
  }
  return values[kind].astype(np.float32)


def opened(path):
  """The checkpoint as the commands read it."""
  return folded_network.Checkpoint(trained_network.find(path), ('ds_cnn', 'cnn', 'dnn'), 'this')


def fingerprints(chosen, count):
  """As large as those of speech, the first coefficient, loudness, most of all; clips differ."""
  chance = np.random.RandomState(1)
  shape = chosen.shape
  of_clips = chance.normal(scale=4, size=[count, 1, shape.coefficients])
  values = of_clips + chance.normal(scale=2, size=[count, shape.frames, shape.coefficients])
  values[:, :, 0] = 6 * values[:, :, 0] - 10
  return values.reshape(count, -1).astype(np.float32)


def calibrated(folder, name):
  """One of SMALL, in fixed point."""
  path = make(folder, name.split()[0], SMALL[name])
  chosen, layers = settings.read(path), opened(path).layers()
  x = fingerprints(chosen, 30)
  return Calibrated(chosen, layers, fixed_point.calibrated(layers, chosen.shape, x), x)


def header_rows(header):
  """The rows of a C header: whole numbers, and lists of them."""
  without_comments = re.sub(r'/\*.*?\*/', '', header, flags=re.DOTALL)
  rows = re.findall(r'^#define (\w+) (.+)$', without_comments, re.MULTILINE)
  return {
    name: np.array(json.loads(f'[{text[1:-1]}]')) if text.startswith('{') else int(text)
    for name, text in rows
  }
