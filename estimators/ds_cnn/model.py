"""The keyword-spotting model: what it learns by, what it is measured by. No flags, no files."""

import numpy as np
import tensorflow.compat.v1 as tf

import npu_adapter
from estimators.ds_cnn import networks


def model_fn(features, labels, mode, params):
  """Estimator contract.

  `features['fingerprint']` is float32 [batch, frames * coefficients]; `labels` is int32 [batch],
  None when predicting. `params`:
    architecture, sizes   a name of networks.NETWORKS, and what networks.sizes returns for it
    frames, coefficients  the two sides of a fingerprint
    classes               how many labels there are
    dropout_rate          share of the activations dropped in training, 0 for none
    learning_rates        one after the other, each for as many steps as `step_boundaries` says
    step_boundaries       at the same place; the last rate stays when all steps are over
    loss_scale            what npu_adapter.wrap_optimizer takes
    check_nans            optional: stop at the first operation of the network that gives NaN or
                          infinity; else the estimator looks at the loss alone

  For evaluation there may be `features['weight']`, float32 [batch]: an example of weight 0 fills up
  the batch and does not count.
  """
  is_training = mode == npu_adapter.ModeKeys.TRAIN
  logits = networks.NETWORKS[params['architecture']].function(
    features['fingerprint'],
    params['sizes'],
    (params['frames'], params['coefficients']),
    params['classes'],
    is_training,
    params['dropout_rate'],
  )
  guesses = tf.argmax(logits, axis=1, output_type=tf.int32)
  if mode == npu_adapter.ModeKeys.PREDICT:
    probabilities = tf.nn.softmax(logits, name='labels_softmax')
    predictions = {'probabilities': probabilities, 'class': guesses, 'logits': logits}
    return npu_adapter.EstimatorSpec(mode, predictions)
  entropies = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
  if is_training:
    loss = tf.reduce_mean(entropies, name='loss')
    # For the log: a hook fetches it by name.
    tf.reduce_mean(tf.cast(tf.equal(guesses, labels), tf.float32), name='train_accuracy')
    return npu_adapter.EstimatorSpec(mode, loss=loss, train_op=_train_op(loss, params))
  weights = features.get('weight', tf.ones_like(entropies))
  # A batch may be fill alone.
  loss = tf.div_no_nan(tf.reduce_sum(entropies * weights), tf.reduce_sum(weights), name='loss')
  metrics = {
    'accuracy': tf.metrics.accuracy(labels, guesses, weights),
    # Over examples; the estimator's own `loss` is over batches, and the last may hold fewer.
    'cross_entropy': tf.metrics.mean(entropies, weights),
    'confusion_matrix': npu_adapter.confusion_matrix(labels, guesses, weights, params['classes']),
  }
  return npu_adapter.EstimatorSpec(mode, loss=loss, eval_metric_ops=metrics)


def _train_op(loss, params):
  averaging = params.get('averaging')
  rate = _learning_rate(params['learning_rates'], params['step_boundaries'])
  rate = tf.identity(npu_adapter.averaging_rate(rate, averaging), name='learning_rate')
  optimizer = npu_adapter.wrap_optimizer(tf.train.AdamOptimizer(rate), params['loss_scale'])
  # Gradients are not checked: a loss scale lets them overflow now and then, and skips the step.
  checks = [tf.add_check_numerics_ops()] if params.get('check_nans') else []
  with tf.control_dependencies(checks):
    step = optimizer.minimize(loss, tf.train.get_global_step())
  done = tf.group(step, *tf.get_collection(tf.GraphKeys.UPDATE_OPS))
  return npu_adapter.average_weights(done, averaging)


def _learning_rate(rates, steps):
  """The rate of the step to come, float32."""
  if not rates or len(rates) != len(steps):
    raise npu_adapter.OptionError(
      'every learning rate must have a count of steps it is for; got rates '
      f'{list(rates)} and steps {list(steps)}.'
    )
  ends = np.cumsum(steps[:-1], dtype=np.int64)
  over = tf.reduce_sum(tf.cast(tf.train.get_global_step() >= ends, tf.int32))
  return tf.gather(tf.constant(rates, tf.float32), over)
