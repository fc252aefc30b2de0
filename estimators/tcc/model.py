"""The video-alignment model: from frames to embeddings, and what these learn by.

No flags, no files.
"""

import tensorflow.compat.v1 as tf

import npu_adapter
from estimators.tcc import schedule
from estimators.tcc.algorithms import training_algorithms
from estimators.tcc.networks import base_networks, embedders

_HEADS = ('sal', 'classification')
SCOPES = (base_networks.SCOPE, embedders.SCOPE, *_HEADS)
_MOMENTUM = 0.9


def model_fn(features, labels, mode, params):
  """Estimator contract.

  `features['frames']` is float32 [batch, chosen * context, height, width, 3] in [-1, 1]: the
  frames chosen of each clip, each behind those before it that are seen with it. In their place
  there may be `features['maps']`, float32 [batch, chosen * context, height, width, channels]: what
  a base network that is not trained makes of them. To learn there are also `steps`, `length` and
  `frame_labels`, as input_pipeline gives them; `labels` is None. `params`:
    base                a name of base_networks.TABLE
    base_options        what it takes beside what all take
    train_base          'train_all', 'only_bn' or 'frozen'
    embedder            what embedders.embed takes
    image_size          height and width of the frames
    context             frames that are seen together
    algorithm           a name of algorithm_options.ALGORITHMS
    algorithm_options   of its type
    l2_weight           of a head that an algorithm adds; the embedder has its own
    optimizer           'AdamOptimizer' or 'MomentumOptimizer'
    schedule            a schedule.Schedule
    seed                of what the algorithm draws
    loss_scale          what npu_adapter.wrap_optimizer takes

  PREDICT gives the embeddings, float32 [batch, chosen, size], and of the features what tells whose
  they are.
  """
  del labels
  is_training = mode == npu_adapter.ModeKeys.TRAIN
  embeddings = embed(features, params, is_training)
  if mode == npu_adapter.ModeKeys.PREDICT:
    told = {name: value for name, value in features.items() if name not in ('frames', 'maps')}
    return npu_adapter.EstimatorSpec(mode, {**told, 'embeddings': embeddings})
  loss, metrics = training_algorithms.loss(
    params['algorithm'], embeddings, features['steps'], features['length'],
    features['frame_labels'], params['algorithm_options'], is_training, params['seed'],
  )  # fmt: skip
  loss = tf.identity(loss, name='algorithm_loss')
  if not is_training:
    means = {'algorithm_loss': loss, **metrics}
    return npu_adapter.EstimatorSpec(
      mode, loss=loss, eval_metric_ops={name: tf.metrics.mean(each) for name, each in means.items()}
    )
  terms = embedders.l2_terms() + _l2_of_heads(params['l2_weight'])
  # The mean, as published: the sum would weigh more with every layer.
  total = loss + tf.add_n(terms) / len(terms) if terms else loss
  total = tf.identity(total, name='loss')
  return npu_adapter.EstimatorSpec(mode, loss=total, train_op=_train_op(total, params))


def embed(features, params, is_training):
  """The embeddings of the chosen frames, float32 [batch, chosen, size]."""
  maps = features.get('maps')
  if maps is None:
    maps = map_frames(features['frames'], params, is_training)
  else:
    # For its variables, which belong into the checkpoint. It is never computed.
    size = params['image_size']
    map_frames(tf.zeros([1, 1, size, size, 3]), params, is_training)
  return embedders.embed(maps, params['embedder'], params['context'], is_training)


def map_frames(frames, params, is_training):
  """What the base network makes of frames, float32 [batch, frames, height, width, channels]."""
  batch, count, *image = frames.shape.as_list()
  base = base_networks.TABLE[params['base']]
  maps = base(
    tf.reshape(frames, [-1, *image]), is_training, params['train_base'], **params['base_options']
  )
  return tf.reshape(maps, [batch or -1, count, *maps.shape.as_list()[1:]])


def _l2_of_heads(weight):
  """As of the embedder's: a scalar for each kernel and bias of what an algorithm adds to it."""
  heads = [each for scope in _HEADS for each in tf.trainable_variables(f'{scope}/')]
  return [2 * weight * tf.nn.l2_loss(each) for each in heads] if weight else []


def _train_op(loss, params):
  rate = tf.identity(schedule.rate(params['schedule']), name='learning_rate')
  optimizer = _OPTIMIZERS[params['optimizer']](rate)
  optimizer = npu_adapter.wrap_optimizer(optimizer, params['loss_scale'])
  step = optimizer.minimize(loss, tf.train.get_global_step())
  return tf.group(step, *tf.get_collection(tf.GraphKeys.UPDATE_OPS))


_OPTIMIZERS = {
  'AdamOptimizer': tf.train.AdamOptimizer,
  'MomentumOptimizer': lambda rate: tf.train.MomentumOptimizer(rate, _MOMENTUM),
}
