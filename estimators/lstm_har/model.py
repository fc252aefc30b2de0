"""The activity-recognition model: its network, what it learns by, what it is measured by.

No flags, no files.
"""

import tensorflow.compat.v1 as tf

import npu_adapter
from estimators.lstm_har import recurrent

SCOPE = 'lstm_har'
# The variable of the losses that the batches of an epoch had.
LOSSES = 'batch_losses'
_WEIGHT_DECAY = 0.005
_LARGEST_GRADIENT = 15.0  # norm of all of them together


def model_fn(features, labels, mode, params):
  """Estimator contract.

  `features['window']` is float32 [batch, steps, channels], as measured; `labels` is int32 [batch],
  None when predicting. `params`:
    architecture          an architecture.Architecture
    classes               how many labels there are
    mean, deviation       of each channel in the training data: the network sees what is left
    dropout_rate          share of the input, and of the last output, dropped in training
    learning_rate         of the first step
    learning_rate_decay   what it is multiplied with in an epoch, a little each step
    steps_per_epoch       see there
    replayed_of           optional: of how many batches an epoch is, where some are to be replayed;
                          `features['batch']`, int32, is then the number of the batch, and the loss
                          of each is kept in the variable LOSSES
    loss_scale            what npu_adapter.wrap_optimizer takes
    averaging             optional: what npu_adapter.average_weights takes

  For evaluation there may be `features['weight']`, float32 [batch]: a window of weight 0 fills up
  the batch and does not count.
  """
  is_training = mode == npu_adapter.ModeKeys.TRAIN
  logits = network(features['window'], params, is_training)
  guesses = tf.argmax(logits, axis=1, output_type=tf.int32)
  if mode == npu_adapter.ModeKeys.PREDICT:
    predictions = {'class': guesses, 'logits': logits, 'probabilities': tf.nn.softmax(logits)}
    return npu_adapter.EstimatorSpec(mode, predictions)
  entropies = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
  if is_training:
    entropy = tf.reduce_mean(entropies)
    loss = tf.add(entropy, _WEIGHT_DECAY * _half_squares(), name='loss')
    if params.get('replayed_of'):
      _keep_loss(entropy, features['batch'], params['replayed_of'])
    # For the log: a hook fetches it by name.
    tf.reduce_mean(tf.cast(tf.equal(guesses, labels), tf.float32), name='train_accuracy')
    return npu_adapter.EstimatorSpec(mode, loss=loss, train_op=_train_op(loss, params))
  weights = features.get('weight', tf.ones_like(entropies))
  # A batch may be fill alone.
  loss = tf.div_no_nan(tf.reduce_sum(entropies * weights), tf.reduce_sum(weights), name='loss')
  metrics = {
    'accuracy': tf.metrics.accuracy(labels, guesses, weights),
    'cross_entropy': tf.metrics.mean(entropies, weights),
    'confusion_matrix': npu_adapter.confusion_matrix(labels, guesses, weights, params['classes']),
  }
  return npu_adapter.EstimatorSpec(mode, loss=loss, eval_metric_ops=metrics)


def network(windows, params, is_training):
  """Maps float32 [batch, steps, channels] to logits [batch, classes]."""
  rate = params['dropout_rate'] if is_training else 0.0
  with tf.variable_scope(SCOPE):
    mean, deviation = (tf.constant(params[name], tf.float32) for name in ('mean', 'deviation'))
    standardised = tf.divide(windows - mean, deviation, name='standardised')
    seen = npu_adapter.dropout(standardised, rate)
    last = recurrent.stack(seen, params['architecture'], is_training)
    last = npu_adapter.dropout(tf.identity(last, name='last_step'), rate)
    return recurrent.relu_dense(last, 'logits', params['classes'], activation=None)


def _keep_loss(entropy, number, batches):
  """The last place is for the batches that are replayed."""
  losses = tf.get_variable(
    LOSSES, [batches + 1], tf.float32, tf.zeros_initializer(), trainable=False
  )
  tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, tf.scatter_update(losses, number, entropy))


def _half_squares():
  """Half the sum of the squares of all weights: not of biases, scales and shifts."""
  kernels = [each for each in tf.trainable_variables() if each.op.name.endswith('/kernel')]
  return tf.add_n([tf.nn.l2_loss(each) for each in kernels])


def _train_op(loss, params):
  epochs = tf.cast(tf.train.get_global_step(), tf.float32) / params['steps_per_epoch']
  averaging = params.get('averaging')
  rate = params['learning_rate'] * params['learning_rate_decay'] ** epochs
  rate = tf.identity(npu_adapter.averaging_rate(rate, averaging), name='learning_rate')
  optimizer = npu_adapter.wrap_optimizer(tf.train.AdamOptimizer(rate), params['loss_scale'])
  gradients, variables = zip(*optimizer.compute_gradients(loss))
  clipped, _ = tf.clip_by_global_norm(gradients, _LARGEST_GRADIENT)
  step = optimizer.apply_gradients(zip(clipped, variables), tf.train.get_global_step())
  done = tf.group(step, *tf.get_collection(tf.GraphKeys.UPDATE_OPS))
  return npu_adapter.average_weights(done, averaging)
