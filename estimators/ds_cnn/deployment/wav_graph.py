"""The network with the way from a wav file to its fingerprint in front, as one graph.

Its nodes, which the tools and the published ones know by name:
  wav_data             placeholder, string scalar: the bytes of a 16-bit mono wav file
  decoded_sample_data  float32 [samples, 1], cut or filled with silence to the length of a clip
  labels_softmax       float32 [1, classes]
It runs on a host: devices have no operators for wav files and spectrograms.
"""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as tf

from estimators.ds_cnn import features
from estimators.ds_cnn import settings as model_settings
from estimators.ds_cnn.deployment import trained_network
from npu_adapter import constant_graph

INPUT, DECODED, OUTPUT = 'wav_data', 'decoded_sample_data', 'labels_softmax'


def build(settings: model_settings.Settings) -> None:
  """Adds the graph to the default one."""
  wav = tf.placeholder(tf.string, [], INPUT)
  decoded = tf.audio.decode_wav(
    wav, desired_channels=1, desired_samples=settings.shape.samples, name=DECODED
  )
  fingerprint = features.audio_op_fingerprint(decoded.audio, settings.shape)
  trained_network.probabilities(fingerprint, settings)


def restored(trained: trained_network.Trained) -> Any:
  """A session of a new graph with the weights of a checkpoint."""
  with tf.Graph().as_default() as graph:
    build(trained.settings)
  session = tf.Session(graph=graph)
  trained_network.restore(session, trained)
  return session


def frozen(trained: trained_network.Trained) -> Any:
  """The GraphDef with constants for variables, and with nothing that inference does not use."""
  with restored(trained) as session:
    return constant_graph.of_session(session, [OUTPUT])
