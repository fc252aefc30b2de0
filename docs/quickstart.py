"""Trains, evaluates, predicts and exports a TF1 model_fn, unchanged on Ascend, GPU and CPU."""

import sys
import tempfile

import numpy as np
import tensorflow.compat.v1 as tf

import npu_adapter as npu


def input_fn(points, repeats=1):
  labels = (points[:, 0] * points[:, 1] > 0).astype(np.int32)
  data = tf.data.Dataset.from_tensor_slices(({'point': points}, labels))
  return data.repeat(repeats).batch(100, drop_remainder=True)


def model_fn(features, labels, mode):
  hidden = tf.layers.dense(features['point'], 32, tf.nn.relu)  # float32 [batch, 32]
  logits = tf.layers.dense(hidden, 2)
  guess = tf.argmax(logits, axis=1)
  if mode == npu.ModeKeys.PREDICT:
    return npu.NPUEstimatorSpec(mode, {'same_sign': guess})
  loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
  optimizer = npu.wrap_optimizer(tf.train.AdamOptimizer(0.01))
  train_op = optimizer.minimize(loss, tf.train.get_global_step())
  accuracy = tf.metrics.accuracy(labels, guess)
  return npu.NPUEstimatorSpec(mode, None, loss, train_op, {'accuracy': accuracy})


points = np.random.RandomState(0).uniform(-1, 1, [3000, 2]).astype(np.float32)
folder = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()
config = npu.NPURunConfig(model_dir=folder, tf_random_seed=1, save_checkpoints_steps=500)
estimator = npu.NPUEstimator(model_fn, config=config)
estimator.train(lambda: input_fn(points[:2000], repeats=50))
result = estimator.evaluate(lambda: input_fn(points[2000:]))
print('accuracy on new points: {:.3f}'.format(result['accuracy']))
first = next(estimator.predict(lambda: input_fn(points[2000:])))
print("do the first one's signs agree?", bool(first['same_sign']))
serving_fn = npu.build_raw_serving_input_receiver_fn({'point': points[:1]})
print('exported to', estimator.export_saved_model(folder + '/export', serving_fn).decode())
