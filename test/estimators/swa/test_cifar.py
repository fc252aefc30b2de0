"""The binary files of CIFAR: what is read of them, and what is said of those that are not whole."""

import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from estimators.swa import data_source
from npu_adapter import errors

_spec = importlib.util.spec_from_file_location(
  'swa_cifar_files', str(pathlib.Path(__file__).with_name('cifar_files.py'))
)
cifar_files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(cifar_files)


def read(data, split):
  with tf.Graph().as_default(), tf.Session() as session:
    return session.run(data.tensors(split))


@pytest.mark.parametrize('task', ['cifar10', 'cifar100'])
def test_pictures_and_classes_are_those_of_the_files_in_their_order(tmp_path, task):
  written = cifar_files.write(tmp_path / 'a b', task)
  for folder in (tmp_path / 'a b', next((tmp_path / 'a b').iterdir())):
    assert data_source.task_of(str(folder)) == task
    data = data_source.open_data(task, str(folder))
    assert data.counts == {split: len(labels) for split, (_, labels) in written.items()}
    for split, (pictures, labels) in written.items():
      found_pictures, found_labels = read(data, split)
      np.testing.assert_array_equal(found_pictures, pictures)
      np.testing.assert_array_equal(found_labels, labels)


def test_mean_and_deviation_are_those_of_each_channel_in_training(tmp_path):
  pictures, _ = cifar_files.write(tmp_path, 'cifar10')['training']
  data = data_source.open_data('cifar10', str(tmp_path))
  plain = pictures.reshape(-1, 3).astype(np.float64)
  np.testing.assert_allclose(data.mean, plain.mean(axis=0), rtol=1e-5)
  np.testing.assert_allclose(data.deviation, plain.std(axis=0), rtol=1e-5)


def test_a_file_that_is_cut_off_is_named(tmp_path):
  cifar_files.write(tmp_path, 'cifar100')
  path = tmp_path / 'cifar-100-binary' / 'train.bin'
  path.write_bytes(path.read_bytes()[:-5])
  with pytest.raises(errors.InputError, match=r'train\.bin.*whole records of 3074 bytes'):
    data_source.open_data('cifar100', str(tmp_path))


def test_a_file_that_is_missing_is_named(tmp_path):
  cifar_files.write(tmp_path, 'cifar10')
  (tmp_path / 'cifar-10-batches-bin' / 'data_batch_3.bin').unlink()
  with pytest.raises(errors.InputError, match=r'has no data_batch_3\.bin'):
    data_source.open_data('cifar10', str(tmp_path))


def test_a_class_that_the_data_set_has_not_is_an_error(tmp_path):
  cifar_files.write(tmp_path, 'cifar10')
  path = tmp_path / 'cifar-10-batches-bin' / 'test_batch.bin'
  path.write_bytes(bytes([10]) + path.read_bytes()[1:])
  with pytest.raises(errors.InputError, match='classes from 0 to 9; got 10'):
    data_source.open_data('cifar10', str(tmp_path))


def test_a_folder_without_either_says_what_must_be_there(tmp_path):
  with pytest.raises(errors.InputError, match='binary version of CIFAR-10 or CIFAR-100'):
    data_source.task_of(str(tmp_path))


def test_a_task_with_files_must_have_a_folder_and_one_without_must_not(tmp_path):
  with pytest.raises(errors.InputError, match='must have --data_path'):
    data_source.open_data('cifar10', None)
  with pytest.raises(errors.InputError, match='data_path must be left out for the task blobs'):
    data_source.open_data('blobs', str(tmp_path))
