"""Keras' h5 files: every layout is read, the network answers as Keras does, errors are told."""

import os
import pathlib
import re
import subprocess
import sys

import h5py
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from estimators.tcc.networks import keras_weights, resnet50v2
from npu_adapter import errors
from npu_adapter.runtime import tf1

SCRIPT = pathlib.Path(__file__).resolve().parent / 'keras_resnet50v2.py'
IS_TF115 = tf.__version__.startswith('1.')
LAYOUTS = ['weights.h5', 'model.h5', *([] if IS_TF115 else ['counted.weights.h5'])]
PUBLISHED, MISSPELT = keras_weights.FILE_NAMES


@pytest.fixture(autouse=True, scope='module')
def graph_mode():
  tf1.enable()


@pytest.fixture(scope='module')
def keras_folder(tmp_path_factory):
  """Files of one ResNet50V2 that Keras wrote, and its features."""
  folder = tmp_path_factory.mktemp('of Keras')
  done = subprocess.run(
    [sys.executable, str(SCRIPT), str(folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
  )
  assert done.returncode == 0, done.stdout.decode()
  yield folder
  for name in LAYOUTS:
    (folder / name).unlink()  # 95 MB each


@pytest.fixture(scope='module')
def of_keras(keras_folder):
  return dict(np.load(str(keras_folder / 'features.npz')))


@pytest.fixture(scope='module')
def checkpoint(keras_folder, tmp_path_factory):
  folder = tmp_path_factory.mktemp('base')
  return keras_weights.write_checkpoint(str(keras_folder / 'weights.h5'), str(folder))


@pytest.fixture(scope='module')
def arrays():
  """{layer/kind: array} of a whole base network."""
  with tf.Graph().as_default():
    resnet50v2.base(tf.zeros([1, 64, 64, 3]), False, 'frozen')
    shapes = {each.op.name[len('base/') :]: each.shape.as_list() for each in tf.global_variables()}
  chance = np.random.RandomState(1)
  return {name: chance.uniform(size=shape).astype('f') for name, shape in shapes.items()}


def write(path, arrays, text=str.encode, root='/'):
  """As Keras did it in 2018: a group a layer, its names in an attribute and in the paths."""
  with h5py.File(str(path), 'a') as file:
    layers = list(dict.fromkeys(name.split('/')[0] for name in arrays))
    root = file.require_group(root)
    root.attrs['layer_names'] = [text(layer) for layer in layers]
    for layer in layers:
      group, names = root.create_group(layer), [n for n in arrays if n.split('/')[0] == layer]
      group.attrs['weight_names'] = [text(f'{name}:0') for name in names]
      for name in names:
        group.create_dataset(f'{name}:0', data=arrays[name])
  return str(path)


def without(arrays, *left_out):
  return {name: array for name, array in arrays.items() if name not in left_out}


def values_in(checkpoint):
  reader = tf.train.load_checkpoint(checkpoint)
  return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def assert_close(found, expected):
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


# What it reads.


@pytest.mark.parametrize('layout', LAYOUTS)
def test_every_layout_of_keras_gives_the_same_arrays(keras_folder, checkpoint, layout):
  found = keras_weights.load(str(keras_folder / layout))
  stored = values_in(checkpoint)
  assert {f'base/{name}' for name in found} == set(stored)
  for name, array in found.items():
    np.testing.assert_array_equal(array, stored[f'base/{name}'], name)


def test_layers_behind_the_cut_are_left_out(keras_folder, of_keras):
  found = keras_weights.load(str(keras_folder / 'weights.h5'))
  assert sum(array.size for array in found.values()) == int(of_keras['parameters']) == 5209600
  assert not [name for name in found if re.match('conv4_block4|conv5|post_bn', name)]


@pytest.mark.parametrize('text', [str.encode, str], ids=['bytes', 'str'])
def test_names_may_be_bytes_or_str(tmp_path, arrays, text):
  found = keras_weights.load(write(tmp_path / 'x.h5', arrays, text))
  assert list(found) == list(arrays)
  for name, array in arrays.items():
    np.testing.assert_array_equal(found[name], array)


def test_what_the_optimizer_of_a_whole_model_keeps_is_left_out(tmp_path, arrays):
  path = write(tmp_path / 'x.h5', arrays, root='model_weights')
  with h5py.File(path, 'a') as file:
    momentum = 0 * arrays['conv1_conv/kernel']
    file.create_dataset('optimizer_weights/Adam/m/conv1_conv/kernel:0', data=momentum)
  found = keras_weights.load(path)['conv1_conv/kernel']
  np.testing.assert_array_equal(found, arrays['conv1_conv/kernel'])


# The network with these weights.


def with_weights(checkpoint, images, is_training, train_base, rounds=1):
  """Features of the last of so many runs, in each of which the averages move."""
  with tf.Graph().as_default(), tf.Session() as session:
    features = resnet50v2.base(tf.constant(images), is_training, train_base)
    tf.train.Saver().restore(session, checkpoint)
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    if not is_training:
      return session.run(features)
    found = session.run([features, *updates])[0]
    folder = os.path.join(os.path.dirname(checkpoint), 'moved')
    return found, tf.train.Saver().save(session, folder, write_state=False)


def test_in_inference_the_features_are_those_of_keras(checkpoint, of_keras):
  expected = of_keras['inferred']
  assert expected.shape == (4, 5, 7, 1024) and 0.1 < expected.std() < 100
  assert_close(with_weights(checkpoint, of_keras['images'], False, 'only_bn'), expected)
  assert_close(with_weights(checkpoint, of_keras['images'], True, 'frozen')[0], expected)


@pytest.mark.parametrize('train_base', ['only_bn', 'train_all'])
def test_in_training_features_and_averages_are_those_of_keras(checkpoint, of_keras, train_base):
  found, moved = with_weights(checkpoint, of_keras['images'], True, train_base)
  # Deep batch norm makes much of small differences.
  np.testing.assert_allclose(found, of_keras['trained'], atol=1e-3 * np.abs(found).max())
  changed = np.abs(of_keras['moved'] - of_keras['inferred']).max()
  found = with_weights(moved, of_keras['images'], False, train_base)
  assert np.abs(found - of_keras['moved']).max() < 0.02 * changed


def test_a_warm_start_sets_fixed_weights_and_averages_and_no_slots(checkpoint):
  with tf.Graph().as_default(), tf.Session() as session:
    features = resnet50v2.base(tf.zeros([2, 32, 32, 3]), True, 'only_bn')
    with tf.variable_scope('embedder'):
      other = tf.get_variable('conv1/kernel', initializer=tf.ones([3]))
    loss = tf.reduce_mean(features) + tf.reduce_sum(other)
    tf.train.AdamOptimizer().minimize(loss)
    tf.train.warm_start(*keras_weights.warm_start(checkpoint))
    session.run(tf.global_variables_initializer())
    values = session.run({each.op.name: each for each in tf.global_variables()})
  stored = values_in(checkpoint)
  assert len(stored) == 168
  for name, array in stored.items():
    np.testing.assert_array_equal(values[name], array, name)
  assert values['embedder/conv1/kernel'].tolist() == [1, 1, 1]
  assert not values['base/conv2_block1_1_bn/gamma/Adam'].any()


# Where the file is.


@pytest.mark.parametrize('name', [PUBLISHED, MISSPELT])
def test_the_file_is_found_under_both_spellings(tmp_path, name):
  (tmp_path / name).write_bytes(b'')
  assert keras_weights.find(str(tmp_path)) == str(tmp_path / name)


def test_of_both_the_right_spelling_is_taken(tmp_path):
  for name in (PUBLISHED, MISSPELT):
    (tmp_path / name).write_bytes(b'')
  assert keras_weights.find(str(tmp_path)) == str(tmp_path / PUBLISHED)
  assert PUBLISHED == 'resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5'


def test_a_folder_without_it_is_told(tmp_path):
  with pytest.raises(errors.InputError, match=r'must hold the ImageNet weights.*got neither'):
    keras_weights.find(str(tmp_path / 'nowhere'))


# What is wrong with it.


def test_a_missing_layer_is_named(tmp_path, arrays):
  lost = 'conv4_block3_2_bn/moving_variance'
  path = write(tmp_path / 'x.h5', without(arrays, lost))
  with pytest.raises(errors.InputError, match=f'got 167 of their 168 weights, without {lost}') as e:
    keras_weights.load(path)
  assert path in str(e.value)


def test_a_wrong_shape_is_named(tmp_path, arrays):
  changed = {**arrays, 'conv2_block1_0_conv/kernel': np.zeros([1, 1, 64, 255], 'f')}
  expected = r'conv2_block1_0_conv/kernel in .* must be of shape \[1, 1, 64, 256\]; got \[1, 1, 64,'
  with pytest.raises(errors.InputError, match=expected):
    keras_weights.load(write(tmp_path / 'x.h5', changed))


def test_a_file_that_breaks_off_is_told(tmp_path, arrays):
  path = pathlib.Path(write(tmp_path / 'x.h5', arrays))
  path.write_bytes(path.read_bytes()[:1000000])
  with pytest.raises(errors.InputError, match=r'x\.h5. must be a whole h5 file.*truncated'):
    keras_weights.load(str(path))


@pytest.mark.parametrize('content', [b'', b'no h5 at all'])
def test_another_kind_of_file_is_told(tmp_path, content):
  path = tmp_path / 'x.h5'
  path.write_bytes(content)
  with pytest.raises(errors.InputError, match=r'must be a whole h5 file.*Copy or download it'):
    keras_weights.load(str(path))


def test_a_file_that_is_not_there_is_told(tmp_path):
  with pytest.raises(errors.InputError, match=r'must be a whole h5 file'):
    keras_weights.load(str(tmp_path / 'x.h5'))


def test_a_bad_file_leaves_no_checkpoint(tmp_path, arrays):
  path = write(tmp_path / 'x.h5', without(arrays, 'conv1_conv/bias'))
  with pytest.raises(errors.InputError):
    keras_weights.write_checkpoint(path, str(tmp_path / 'base'))
  assert not (tmp_path / 'base').exists()
