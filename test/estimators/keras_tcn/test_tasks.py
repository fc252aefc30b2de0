"""The tasks: what their sequences are, that splits share none, and what guessing scores."""

import gzip
import math
import struct

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from estimators.keras_tcn import digit_images, input_pipeline, tasks
from npu_adapter import errors
from npu_adapter.runtime import tf1


@pytest.fixture(autouse=True, scope='module')
def _graph_mode():
  tf1.enable()


def batches(input_fn, count):
  """The first `count` batches of an input_fn: [(features, labels)]."""
  with tf.Graph().as_default(), tf.Session() as session:
    iterator = tf.data.make_initializable_iterator(input_fn())
    following = iterator.get_next()
    session.run(iterator.initializer)
    return [session.run(following) for _ in range(count)]


def training(task, count=2, batch_size=50, seed=1, first_step=0, images=None):
  found = batches(input_pipeline.train_input_fn(task, seed, batch_size, first_step, images), count)
  return np.concatenate([x['sequence'] for x, _ in found]), np.concatenate([y for _, y in found])


def evaluation(task, split, count, images=None, batch_size=250):
  input_fn = input_pipeline.evaluation_input_fn(task, split, count, images, batch_size)
  return batches(input_fn, math.ceil(count / min(batch_size, count)))


def test_a_sequence_to_add_has_two_different_marks_and_their_sum_as_target():
  sequences, targets = training(tasks.adding(12), count=8)
  values, marks = sequences[:, :, 0], sequences[:, :, 1]
  assert sequences.dtype == targets.dtype == np.float32
  assert set(np.unique(marks)) == {0.0, 1.0}
  assert (marks.sum(1) == 2).all()
  assert values.min() >= 0 and values.max() < 1
  np.testing.assert_allclose(targets[:, 0], (values * marks).sum(1), rtol=1e-6)


def test_every_pair_of_places_is_marked():
  sequences, _ = training(tasks.adding(4), count=8)
  pairs = {tuple(np.flatnonzero(row)) for row in sequences[:, :, 1]}
  assert len(pairs) == 6


def test_always_answering_1_has_a_mean_squared_error_of_a_sixth():
  _, targets = training(tasks.adding(10), count=40)
  assert tasks.trivial(tasks.adding()).loss == pytest.approx(1 / 6)
  assert np.mean((targets - 1) ** 2) == pytest.approx(1 / 6, abs=0.015)


def test_what_is_to_be_copied_comes_back_at_the_end():
  task = tasks.copy_memory(40)
  sequences, targets = training(task)
  shown = sequences[:, :10, 0]
  assert shown.min() == 1 and shown.max() == 8
  assert not sequences[:, 10:30].any()
  assert (sequences[:, 30:] == 9).all()
  np.testing.assert_array_equal(targets[:, 30:], shown)
  assert not targets[:, :30].any()
  assert tasks.trivial(task).loss == pytest.approx(10 * math.log(8) / 40)


@pytest.mark.parametrize('task', [tasks.adding(9), tasks.copy_memory(30)], ids=lambda t: t.name)
def test_a_sequence_is_a_function_of_seed_and_position_alone(task):
  sequences, targets = training(task, count=6, batch_size=5)
  others, other_targets = training(task, count=2, batch_size=10, first_step=1)
  np.testing.assert_array_equal(sequences[10:], others)
  np.testing.assert_array_equal(targets[10:], other_targets)
  with tf.Graph().as_default(), tf.Session() as session:
    key = input_pipeline.key_of('training', 1)
    alone = session.run(input_pipeline.example(task, key, 17))
  np.testing.assert_array_equal(alone[0], sequences[17])


def test_no_sequence_is_in_two_splits_or_under_two_seeds():
  task = tasks.adding(50)
  parts = [training(task, seed=seed)[0] for seed in (0, 1, 2)]
  parts += [evaluation(task, split, 100)[0][0]['sequence'] for split in ('validation', 'test')]
  rows = {row.tobytes() for part in parts for row in part}
  assert len(rows) == sum(len(part) for part in parts) == 500


def test_each_sequence_of_an_evaluation_counts_once():
  found = evaluation(tasks.adding(9), 'test', 23, batch_size=10)
  assert [len(y) for _, y in found] == [10, 10, 10]
  assert np.concatenate([x['weight'] for x, _ in found]).tolist() == [1] * 23 + [0] * 7


@pytest.mark.parametrize('make, least', [(tasks.adding, 2), (tasks.copy_memory, 21)])
def test_a_sequence_too_short_for_its_task_is_refused(make, least):
  make(least)
  with pytest.raises(errors.InputError, match=f'at least {least} .* got {least - 1}'):
    make(least - 1)


def test_digits_come_in_another_order_each_time_through_and_none_is_left_out():
  images = digit_images.load(None)
  task = tasks.digits(images.pixels)
  count = images.counts['training']
  assert (task.steps, count) == (64, 1083)
  sequences, labels = training(task, 2, count, images=images)
  first, second = (
    sorted(zip(part.reshape(count, -1).tolist(), own.tolist()))
    for part, own in zip(np.split(sequences, 2), np.split(labels, 2))
  )
  assert first == second
  assert (labels[:count] != labels[count:]).any()
  assert sequences.max() == 1


def test_training_on_digits_goes_on_in_the_middle_of_the_second_time_through():
  images = digit_images.load(None)
  task = tasks.digits(images.pixels)
  sequences, labels = training(task, 30, 50, images=images)
  later, later_labels = training(task, 2, 50, first_step=28, images=images)
  np.testing.assert_array_equal(sequences[1400:], later)
  np.testing.assert_array_equal(labels[1400:], later_labels)


def test_the_splits_of_the_digits_are_parts_of_the_set():
  from sklearn import datasets

  images = digit_images.load(None)
  parts = []
  with tf.Graph().as_default(), tf.Session() as session:
    for split in ('training', 'validation', 'test'):
      pixels, labels = session.run(images.tensors(split))
      assert len(pixels) == len(labels) == images.counts[split]
      parts.append(pixels)
  np.testing.assert_array_equal(np.concatenate(parts), datasets.load_digits().data)


def write_mnist(folder, ending='', training_count=5003, test_count=4):
  """Writes pictures of 2 x 3 pixels in MNIST's format; returns those of training."""
  chance = np.random.RandomState(1)
  folder.mkdir(exist_ok=True)
  found = []
  opener = gzip.open if ending else open
  for name, count in (('train', training_count), ('t10k', test_count)):
    pixels = chance.randint(0, 256, [count, 6]).astype(np.uint8)
    labels = chance.randint(0, 10, count).astype(np.uint8)
    with opener(str(folder / f'{name}-images-idx3-ubyte{ending}'), 'wb') as file:
      file.write(struct.pack('>4I', 0x803, count, 2, 3) + pixels.tobytes())
    with opener(str(folder / f'{name}-labels-idx1-ubyte{ending}'), 'wb') as file:
      file.write(struct.pack('>2I', 0x801, count) + labels.tobytes())
    found.append((pixels, labels))
  return found


@pytest.mark.parametrize('ending', ['', '.gz'])
def test_mnist_is_read_from_its_own_files_packed_or_not(ending, tmp_path):
  (pixels, labels), (test_pixels, _) = write_mnist(tmp_path / 'a folder', ending)
  images = digit_images.load(str(tmp_path / 'a folder'))
  assert images.counts == {'training': 3, 'validation': 5000, 'test': 4}
  task = tasks.digits(images.pixels)
  ((features, found),) = evaluation(task, 'test', 4, images)
  np.testing.assert_allclose(features['sequence'][:, :, 0] * 255, test_pixels, rtol=1e-5)
  ((features, found),) = evaluation(task, 'validation', 1, images)
  np.testing.assert_allclose(features['sequence'][0, :, 0] * 255, pixels[3], rtol=1e-5)
  assert found.tolist() == [labels[3]]


def test_mnist_files_that_are_not_there_or_not_whole_are_named(tmp_path):
  with pytest.raises(errors.InputError, match='has no train-images-idx3-ubyte'):
    digit_images.load(str(tmp_path))
  write_mnist(tmp_path / 'x')
  path = tmp_path / 'x' / 'train-images-idx3-ubyte'
  path.write_bytes(path.read_bytes()[:-1])
  with pytest.raises(errors.InputError, match='must be an idx file of pictures in full'):
    digit_images.load(str(tmp_path / 'x'))
  write_mnist(tmp_path / 'x')
  path = tmp_path / 'x' / 't10k-labels-idx1-ubyte'
  path.write_bytes(path.read_bytes() + b'x')
  with pytest.raises(errors.InputError, match='of 4 labels in full; got 13 bytes'):
    digit_images.load(str(tmp_path / 'x'))


def test_the_digits_have_one_length():
  with pytest.raises(errors.InputError, match='must be the 64 pixels of a picture .* got 100'):
    tasks.digits(64, 100)


def test_guessing_the_most_frequent_digit_is_the_line_for_digits():
  found = tasks.trivial(tasks.digits(64), (0.5, 0.25, 0.25))
  assert found.score == 0.5
  assert found.loss == pytest.approx(1.5 * math.log(2))
