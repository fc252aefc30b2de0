"""The sequence model: what it learns by, what it is measured by. No flags, no files."""

import math

import tensorflow.compat.v1 as tf

import npu_adapter
from estimators.keras_tcn import architecture as tcn_architecture
from estimators.keras_tcn import convolution, positions, tcn

# Where its variables are.
SCOPES = ('tcn', 'dense')


def model_fn(features, labels, mode, params):
  """Estimator contract.

  `features['sequence']` is float32 [batch, steps, channels]. `labels`, None when predicting, are
  float32 [batch, outputs] for numbers, int32 [batch] or [batch, steps] for classes. `params`:
    architecture      an architecture.Architecture
    outputs           how many numbers or classes come out
    is_every_step     whether there is an answer at each step, or after the last alone
    is_regression     numbers, learned by squared error; else classes, by cross entropy
    scored_steps      of a class at each step: so many last steps count for the accuracy
    last_step_form    train with the positions alone that the last step depends on
    is_forgetful      compute activations twice instead of keeping them
    learning_rate     of Adam
    schedule          'constant', or 'cosine': down to nothing at step `last_step`
    clip_norm         longest a gradient of one variable may be; 0 for any length
    loss_scale        what npu_adapter.wrap_optimizer takes

  For evaluation there may be `features['weight']`, float32 [batch]: an example of weight 0 fills up
  the batch and does not count.
  """
  is_training = mode == npu_adapter.ModeKeys.TRAIN
  answers = network(features['sequence'], params, is_training)
  if mode == npu_adapter.ModeKeys.PREDICT:
    return npu_adapter.EstimatorSpec(mode, _predictions(answers, params))
  losses = _losses(answers, labels, params)  # float32 [batch]
  scores = _scores(answers, labels, params)
  if is_training:
    loss = tf.reduce_mean(losses, name='loss')
    # For the log: a hook fetches it by name.
    tf.reduce_mean(scores, name='train_score')
    return npu_adapter.EstimatorSpec(mode, loss=loss, train_op=_train_op(loss, params))
  weights = features.get('weight', tf.ones_like(losses))
  # A batch may be fill alone.
  loss = tf.div_no_nan(tf.reduce_sum(losses * weights), tf.reduce_sum(weights), name='loss')
  metrics = {
    # Over examples; the estimator's own `loss` is over batches, and the last may hold fewer.
    'mean_loss': tf.metrics.mean(losses, weights),
    'mean_score': tf.metrics.mean(scores, weights),
  }
  return npu_adapter.EstimatorSpec(mode, loss=loss, eval_metric_ops=metrics)


def network(sequence, params, is_training):
  """Float32 [batch, outputs], or [batch, steps, outputs] where every step has an answer."""
  architecture = params['architecture']
  weights = variables(architecture, sequence.shape.as_list()[2])
  how = tcn.Network(
    architecture, weights, is_training,
    drop=lambda ones: npu_adapter.dropout(ones, architecture.dropout_rate),
    convolve=convolution.fastest(),
    is_forgetful=params['is_forgetful'] and is_training,
  )  # fmt: skip
  with tf.name_scope('tcn'):
    found = tcn.apply(sequence, how, _plan(sequence, params, is_training))
  for name, average in found.averages.items():
    tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, tf.assign(weights[name], average))
  x = found.features if params['is_every_step'] else tcn.one_step(found.features, architecture)
  return _dense(x, params['outputs'])


def variables(architecture, channels):
  """{name: variable} of a TCN, each as it starts."""
  made = {}
  with tf.variable_scope('tcn'):
    for weight in tcn_architecture.weights(architecture, channels):
      if weight.kind == 'gain':
        # Of weight norm: at first the kernel is what it was drawn as.
        kernel = made[weight.name.replace('gain', 'kernel')]
        start = {'initializer': tf.norm(kernel.initialized_value(), axis=[0, 1])}
      else:
        start = {'shape': weight.shape, 'initializer': _start(weight.kind, architecture)}
      made[weight.name] = tf.get_variable(
        weight.name, dtype=tf.float32, trainable=weight.is_trained, **start
      )
  return made


def _start(kind, architecture):
  if kind == 'kernel':
    return {
      'he_normal': tf.variance_scaling_initializer(2.0, 'fan_in', 'truncated_normal'),
      'glorot_uniform': tf.glorot_uniform_initializer(),
      # The paper's own.
      'small_normal': tf.random_normal_initializer(stddev=0.01),
    }[architecture.initializer]
  return tf.ones_initializer() if kind in ('gamma', 'moving_variance') else tf.zeros_initializer()


def _plan(sequence, params, is_training):
  """Batch norm's statistics are of all positions, unless asked for otherwise; else all is exact."""
  architecture, steps = params['architecture'], sequence.shape.as_list()[1]
  is_allowed = not params['is_every_step'] and architecture.padding == 'causal'
  if is_allowed and (params['last_step_form'] or not is_training):
    return positions.last_step(architecture, steps)
  return positions.whole(architecture, steps)


def _dense(x, outputs):
  with tf.variable_scope('dense'):
    kernel = tf.get_variable(
      'kernel', [x.shape.as_list()[-1], outputs], tf.float32, tf.glorot_uniform_initializer()
    )
    bias = tf.get_variable('bias', [outputs], tf.float32, tf.zeros_initializer())
  return tf.nn.bias_add(tf.tensordot(x, kernel, 1), bias)


def _predictions(answers, params):
  if params['is_regression']:
    return {'output': tf.identity(answers, name='output')}
  return {
    'output': tf.nn.softmax(answers, name='output'),
    'class': tf.argmax(answers, axis=-1, output_type=tf.int32),
    'logits': answers,
  }


def _losses(answers, labels, params):
  if params['is_regression']:
    losses = tf.square(answers - labels)
  else:
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=answers)
  return tf.reduce_mean(losses, axis=list(range(1, losses.shape.ndims)))


def _scores(answers, labels, params):
  """Of numbers the absolute error, of classes how many are right, float32 [batch]."""
  if params['is_regression']:
    return tf.reduce_mean(tf.abs(answers - labels), axis=1)
  hits = tf.cast(tf.equal(tf.argmax(answers, -1, output_type=tf.int32), labels), tf.float32)
  return (
    tf.reduce_mean(hits[:, -params['scored_steps'] :], axis=1) if hits.shape.ndims > 1 else hits
  )


def _train_op(loss, params):
  rate = tf.identity(_learning_rate(params), name='learning_rate')
  optimizer = npu_adapter.wrap_optimizer(
    tf.train.AdamOptimizer(rate, epsilon=1e-7), params['loss_scale']
  )
  pairs = optimizer.compute_gradients(loss)
  if params['clip_norm']:
    pairs = [(tf.clip_by_norm(gradient, params['clip_norm']), v) for gradient, v in pairs]
  step = optimizer.apply_gradients(pairs, tf.train.get_global_step())
  return tf.group(step, *tf.get_collection(tf.GraphKeys.UPDATE_OPS))


def _learning_rate(params):
  if params['schedule'] == 'constant':
    return tf.constant(params['learning_rate'], tf.float32)
  done = tf.cast(tf.train.get_global_step(), tf.float32) / params['last_step']
  return params['learning_rate'] * 0.5 * (1 + tf.cos(math.pi * tf.minimum(done, 1.0)))
