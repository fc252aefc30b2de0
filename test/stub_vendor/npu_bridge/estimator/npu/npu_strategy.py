"""STUB of the vendor's strategy: one device, data sets sharded by rank."""

import os

import tensorflow.compat.v1 as tf
from tensorflow.python.distribute.one_device_strategy import OneDeviceExtended

from npu_bridge.estimator.npu import util


class NPUExtended(OneDeviceExtended):
  """One device of several ranks."""

  def _make_dataset_iterator(self, dataset):
    return super()._make_dataset_iterator(_shard(dataset))

  def _experimental_distribute_dataset(self, dataset):
    return super()._experimental_distribute_dataset(_shard(dataset))

  @property
  def _num_replicas_in_sync(self):
    return util.get_ranksize()


def _shard(dataset):
  rank_size = util.get_ranksize()
  if rank_size <= 1:
    return dataset
  return dataset.shard(rank_size, int(os.environ.get('RANK_ID') or 0))


class NPUStrategy(tf.distribute.Strategy):
  """Strategy under the vendor's name."""

  def __init__(self, device='/cpu:0'):
    super().__init__(NPUExtended(self, device))
