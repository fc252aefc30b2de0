"""STUB of the vendor's savers: the files of tf.train.Saver, nothing to broadcast on one host."""

import tensorflow.compat.v1 as tf
from tensorflow.python.training.saver import BulkSaverBuilder


class NPUBulkSaverBuilder(BulkSaverBuilder):
  """Builder under the vendor's name."""


class NPUSaver(tf.train.Saver):
  """Saver under the vendor's name."""
