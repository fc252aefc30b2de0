"""STUB of the vendor's Keras callback."""

import tensorflow.compat.v1 as tf

from npu_bridge.estimator.npu import npu_hook, util


class NPUBroadcastGlobalVariablesCallback(tf.keras.callbacks.Callback):
  """Broadcasts the variables before the first batch; nothing at rank size 1."""

  def __init__(self, root_rank):
    super().__init__()
    self.root_rank = root_rank
    self.broadcast_done = False

  def on_batch_begin(self, batch, logs=None):
    """Called by Keras before every batch."""
    if not self.broadcast_done and util.get_ranksize() > 1:
      broadcast = npu_hook.broadcast_trainable_variables(self.root_rank, None)
      tf.keras.backend.get_session().run(broadcast)
    self.broadcast_done = True
