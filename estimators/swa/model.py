"""The model that averaging is shown with: its network, what it learns by, what it is measured by.

No flags, no files.
"""

import tensorflow.compat.v1 as tf

import npu_adapter
from estimators.swa import networks

SCOPE = 'swa'
# Of the first rate: how low it is at the end, where it falls.
_LOWEST_SHARE = 0.01


def model_fn(features, labels, mode, params):
  """Estimator contract.

  `features['values']` is float32 [batch, ...] as it was measured; `labels` is int32 [batch], None
  when predicting. `params`:
    network               a name of networks.TABLE
    classes               how many there are
    mean, deviation       of each channel in the training data: the network sees what is left
    learning_rate         of the first step
    schedule              'constant', or 'falling': from half of the steps to nine tenths, to a
                          hundredth; a schedule of averaging takes its place
    last_step             see there
    momentum              0 for none
    weight_decay          of all weights
    loss_scale            what npu_adapter.wrap_optimizer takes
    averaging             what npu_adapter.average_weights takes, None for none

  For evaluation there may be `features['weight']`, float32 [batch]: an example of weight 0 fills up
  the batch and does not count.
  """
  is_training = mode == npu_adapter.ModeKeys.TRAIN
  logits = network(features['values'], params, is_training)
  guesses = tf.argmax(logits, axis=1, output_type=tf.int32)
  if mode == npu_adapter.ModeKeys.PREDICT:
    predictions = {'class': guesses, 'logits': logits, 'probabilities': tf.nn.softmax(logits)}
    return npu_adapter.EstimatorSpec(mode, predictions)
  entropies = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
  if is_training:
    loss = tf.reduce_mean(entropies, name='loss')
    # For the log: a hook fetches it by name.
    tf.reduce_mean(tf.cast(tf.equal(guesses, labels), tf.float32), name='train_accuracy')
    return npu_adapter.EstimatorSpec(mode, loss=loss, train_op=_train_op(loss, params))
  weights = features.get('weight', tf.ones_like(entropies))
  loss = tf.div_no_nan(tf.reduce_sum(entropies * weights), tf.reduce_sum(weights), name='loss')
  metrics = {
    'accuracy': tf.metrics.accuracy(labels, guesses, weights),
    'cross_entropy': tf.metrics.mean(entropies, weights),
  }
  return npu_adapter.EstimatorSpec(mode, loss=loss, eval_metric_ops=metrics)


def network(values, params, is_training):
  """Maps float32 [batch, ...] to logits [batch, classes]."""
  with tf.variable_scope(SCOPE):
    mean, deviation = (tf.constant(params[name], tf.float32) for name in ('mean', 'deviation'))
    seen = tf.divide(values - mean, deviation, name='standardised')
    return networks.TABLE[params['network']](seen, params['classes'], is_training)


def _train_op(loss, params):
  averaging = params['averaging']
  rate = npu_adapter.averaging_rate(_own_rate(params), averaging)
  rate = tf.identity(rate, name='learning_rate')
  optimizer = tf.train.GradientDescentOptimizer(rate)
  if params['momentum']:
    optimizer = tf.train.MomentumOptimizer(rate, params['momentum'])
  optimizer = npu_adapter.wrap_optimizer(optimizer, params['loss_scale'])
  step = optimizer.minimize(loss + _decay(params), tf.train.get_global_step())
  done = tf.group(step, *tf.get_collection(tf.GraphKeys.UPDATE_OPS))
  return npu_adapter.average_weights(done, averaging)


def _own_rate(params):
  """Of training without averaging, or with its manual schedule."""
  if params['schedule'] == 'constant':
    return params['learning_rate']
  # The way down is the one to the constant rate of averaging, which then would begin at the end.
  end = params['last_step']
  lowest = params['learning_rate'] * _LOWEST_SHARE
  fall = npu_adapter.Averaging(end, 1, 'constant', lowest)
  return npu_adapter.averaging_rate(params['learning_rate'], fall)


def _decay(params):
  if not params['weight_decay']:
    return 0.0
  halves = [tf.nn.l2_loss(each) for each in tf.trainable_variables()]
  return params['weight_decay'] * tf.add_n(halves)
