"""A checkpoint of train.py as a Keras model, and as the file tcn.h5 that Keras loads."""

from __future__ import annotations

import os
import tempfile
import warnings
from typing import Any

import tensorflow.compat.v1 as tf

from estimators.keras_tcn import keras_layer
from estimators.keras_tcn import settings as model_settings

FILE_NAME = 'tcn.h5'
INPUT = 'input_1'
_LAYER = 'tcn'


def build(settings: model_settings.Settings) -> Any:
  """The network of a run: float32 [batch, steps, channels] -> numbers, or shares of classes."""
  own, task, keras = settings.architecture, settings.task, keras_layer.keras
  layer = keras_layer.TCN(
    list(own.filters), own.kernel_size, own.stacks, own.dilations, own.padding,
    own.skip_connections, own.dropout_rate, task.is_every_step, own.activation,
    use_batch_norm=own.norm == 'batch', use_layer_norm=own.norm == 'layer',
    use_weight_norm=own.norm == 'weight', name=_LAYER,
  )  # fmt: skip
  sequence = keras.layers.Input((task.steps, task.channels), name=INPUT)
  activation = None if task.is_regression else 'softmax'
  answers = keras.layers.Dense(task.outputs, activation, name='dense')(layer(sequence))
  return keras.models.Model(sequence, answers)


def save(settings: model_settings.Settings, checkpoint: str, path: str) -> None:
  """Writes the weights of a checkpoint as a file of a Keras model."""
  folder, name = os.path.split(path)
  with tf.Graph().as_default(), tf.Session() as session:
    tf.keras.backend.set_session(session)
    model = build(settings)
    model.set_weights([_value(checkpoint, weight) for weight in model.weights])
    with tempfile.TemporaryDirectory(prefix='.partial-', dir=folder) as scratch:
      partial = os.path.join(scratch, name)
      with warnings.catch_warnings():
        # That there are newer formats; this one is read by all.
        warnings.simplefilter('ignore', UserWarning)
        model.save(partial, include_optimizer=False)
      os.replace(partial, path)


def _value(checkpoint: str, weight: Any) -> Any:
  """Our variables are named as the layers' weights; Keras may put the layer's name in front."""
  name = weight.name.split(':')[0]
  name = name[len(f'{_LAYER}/') :] if name.startswith(f'{_LAYER}/') else name
  there = name if name.startswith('dense/') else f'{_LAYER}/{name}'
  return tf.train.load_variable(checkpoint, there)
