"""Keras' ResNet50V2 with random weights: its files in each layout, and what it makes of images.

A program of its own, because Keras 3 does not live with TF1 behaviour. Usage: python
keras_resnet50v2.py FOLDER
"""

import os
import sys

# On the newest line tf.keras is Keras 3, and tf_keras is beside it.
os.environ['TF_USE_LEGACY_KERAS'] = '0'

import numpy as np
import tensorflow as tf

CUT = 'conv4_block3_out'
# Not a square, and halved to odd numbers on the way.
IMAGE_SHAPE = (4, 72, 100, 3)


def random_weight(name, shape, chance):
  """Like a trained one: kernels that keep the scale, averages that are not 0 and 1."""
  if 'kernel' in name:
    return chance.normal(size=shape) * (1 / np.prod(shape[:-1])) ** 0.5
  if 'gamma' in name or 'variance' in name:
    return chance.uniform(0.5, 1.5, shape)
  return chance.normal(size=shape) * 0.2


def randomised(keras):
  model = keras.applications.ResNet50V2(weights=None, include_top=False)
  chance = np.random.RandomState(5)
  # Keras 3 has the name of the layer in the path alone.
  names = [getattr(each, 'path', each.name) for each in model.weights]
  shapes = [each.shape for each in model.get_weights()]
  model.set_weights([random_weight(*each, chance) for each in zip(names, shapes)])
  return model


def save(model, folder):
  """One file for each layout that this Keras writes."""
  model.save(os.path.join(folder, 'model.h5'))
  if not tf.__version__.startswith('1.'):
    model.save_weights(os.path.join(folder, 'counted.weights.h5'))
  if hasattr(tf.keras, '__version__') and tf.keras.__version__.startswith('3.'):
    os.environ['TF_USE_LEGACY_KERAS'] = '1'
    import tf_keras

    old = tf_keras.applications.ResNet50V2(weights=None, include_top=False)
    old.set_weights(model.get_weights())
    model = old
  model.save_weights(os.path.join(folder, 'weights.h5'))


def main(folder):
  tf.compat.v1.enable_eager_execution()
  model = randomised(tf.keras)
  images = np.random.RandomState(6).uniform(-1, 1, IMAGE_SHAPE).astype(np.float32)
  cut = tf.keras.Model(model.inputs, model.get_layer(CUT).output)
  save(model, folder)
  found = {'images': images, 'inferred': cut(images, training=False)}
  # Last, because it moves the averages.
  found['trained'] = cut(images, training=True)
  found['moved'] = cut(images, training=False)
  found = {name: np.asarray(value) for name, value in found.items()}
  parameters = sum(each.size for each in cut.get_weights())
  np.savez(os.path.join(folder, 'features.npz'), parameters=parameters, **found)


if __name__ == '__main__':
  main(sys.argv[1])
