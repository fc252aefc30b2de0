"""The model_fn of tcc: its loss with L2 terms, what it predicts, maps in the place of frames."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import npu_adapter
from estimators.tcc import config_tree, model, presets, settings
from npu_adapter.runtime import tf1

tf1.enable()


def params_of(**values):
  tree = presets.tree_of('small')
  for name, value in {
    'IMAGE_SIZE': 16, 'TRAIN.NUM_FRAMES': 5, 'MODEL.L2_REG_WEIGHT': 0.01,
    'MODEL.CONV_EMBEDDER_MODEL.CONV_LAYERS': [[4, 3, True]],
    'MODEL.CONV_EMBEDDER_MODEL.FC_LAYERS': [[4, True]],
    'MODEL.CONV_EMBEDDER_MODEL.EMBEDDING_SIZE': 4, 'MODEL.CONV_EMBEDDER_MODEL.FC_DROPOUT_RATE': 0.0,
    **values,
  }.items():  # fmt: skip
    config_tree.put(tree, name, value)
  return settings.params(tree, 3, 1, 'none')


def features(chosen=5):
  chance = np.random.RandomState(0)
  return {
    'frames': tf.constant(chance.uniform(-1, 1, [2, 2 * chosen, 16, 16, 3]).astype(np.float32)),
    'steps': tf.constant(np.tile(np.arange(chosen, dtype=np.int32), [2, 1])),
    'length': tf.constant([9, 12], tf.int32),
    'frame_labels': tf.constant(chance.randint(0, 3, [2, chosen]).astype(np.int32)),
    'name': tf.constant(['a', 'b']),
  }


@pytest.mark.parametrize('algorithm', ['alignment', 'sal', 'classification'])
def test_the_loss_has_the_mean_of_the_l2_terms_with_those_of_heads(algorithm):
  with tf.Graph().as_default(), tf.Session() as session:
    tf.train.get_or_create_global_step()
    params = params_of(TRAINING_ALGO=algorithm)
    spec = model.model_fn(features(), None, npu_adapter.ModeKeys.TRAIN, params)
    session.run(tf.global_variables_initializer())
    kept = [v for v in tf.trainable_variables() if not v.op.name.startswith('base/')]
    kept = [v for v in kept if not v.op.name.endswith(('gamma', 'beta'))]
    total, own, values = session.run([spec.loss, 'algorithm_loss:0', kept])
  assert any('/' in v.op.name and v.op.name.split('/')[0] == algorithm for v in kept) == (
    algorithm != 'alignment'
  )
  terms = [0.01 * np.sum(np.square(value)) for value in values]
  assert total - own == pytest.approx(np.mean(terms), rel=1e-3)


def test_predictions_are_embeddings_and_whose_they_are():
  with tf.Graph().as_default():
    spec = model.model_fn(features(), None, npu_adapter.ModeKeys.PREDICT, params_of())
    assert set(spec.predictions) == {'embeddings', 'steps', 'length', 'frame_labels', 'name'}
    assert spec.predictions['embeddings'].shape.as_list() == [2, 5, 4]


def test_maps_in_the_place_of_frames_give_the_same_embeddings_and_the_same_variables():
  params = params_of(**{'MODEL.TRAIN_BASE': 'frozen'})
  with tf.Graph().as_default(), tf.Session() as session:
    given = features()
    plain = model.embed(given, params, is_training=False)
    names = {v.op.name for v in tf.global_variables()}
    with tf.variable_scope('', reuse=True):
      maps = model.map_frames(given['frames'], params, is_training=False)
      by_maps = model.embed({'maps': maps}, params, is_training=False)
    session.run(tf.global_variables_initializer())
    np.testing.assert_allclose(*session.run([plain, by_maps]), rtol=1e-5, atol=1e-6)
  with tf.Graph().as_default():
    model.embed({'maps': tf.zeros(maps.shape)}, params, is_training=True)
    assert {v.op.name for v in tf.global_variables()} == names


@pytest.mark.parametrize('optimizer', ['AdamOptimizer', 'MomentumOptimizer'])
def test_both_optimizers_lower_the_loss(optimizer):
  with tf.Graph().as_default(), tf.Session() as session:
    tf.train.get_or_create_global_step()
    params = params_of(
      TRAINING_ALGO='classification',
      **{'OPTIMIZER.TYPE': optimizer, 'OPTIMIZER.LR.INITIAL_LR': 0.01},
    )
    spec = model.model_fn(features(), None, npu_adapter.ModeKeys.TRAIN, params)
    session.run(tf.global_variables_initializer())
    first = session.run(spec.loss)
    for _ in range(40):
      session.run(spec.train_op)
    assert session.run(spec.loss) < 0.7 * first
