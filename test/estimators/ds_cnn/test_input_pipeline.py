"""Batches for training and evaluation, from small stores of known samples."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from estimators.ds_cnn import features, input_pipeline
from estimators.ds_cnn.dataset import clip_store
from estimators.ds_cnn.input_pipeline import Augmentation
from npu_adapter import cores, errors
from npu_adapter.runtime import tf1

_spec = importlib.util.spec_from_file_location(
  'small_store', str(pathlib.Path(__file__).with_name('small_store.py'))
)
small_store = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(small_store)

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
SHAPE, LENGTH = small_store.SHAPE, small_store.LENGTH
CLIPS = small_store.noise_of(7)
NOTHING = Augmentation(background_volume=0, background_frequency=0, time_shift_ms=0, seed=3)
ALL = Augmentation(0.1, 0.8, 25, 3)


@pytest.fixture(autouse=True, scope='module')
def tf1_behaviour():
  tf1.enable()


@pytest.fixture
def store(tmp_path):
  """Seven clips of noise and three rows of background noise."""
  return small_store.make(tmp_path, CLIPS, small_store.noise_of(3, 2 * LENGTH, 1))


def batches(input_fn, count=None):
  """The first `count` batches, or all: a list of (features, labels)."""
  found = []
  with tf.Graph().as_default(), tf.Session() as session:
    iterator = tf.data.make_initializable_iterator(input_fn())
    batch = iterator.get_next()
    session.run(iterator.initializer)
    while count is None or len(found) < count:
      try:
        found.append(session.run(batch))
      except tf.errors.OutOfRangeError:
        assert count is None
        break
  return found


def training(store, augmentation=ALL, batch_size=3, first_step=0, count=12):
  input_fn = input_pipeline.train_input_fn(store, augmentation, batch_size, first_step)
  return batches(input_fn, count)


def labels_of(found):
  return np.concatenate([labels for _, labels in found]).tolist()


def assert_equal(found, expected):
  assert len(found) == len(expected)
  for (some, labels), (others, other_labels) in zip(found, expected):
    np.testing.assert_array_equal(labels, other_labels)
    np.testing.assert_array_equal(some['fingerprint'], others['fingerprint'])


# Training: the order.


def test_a_run_from_a_step_on_sees_what_the_run_from_the_start_sees(store):
  whole = training(store)
  # In the first epoch, in the second, at the first step of a later one.
  for first_step in (1, 4, 7):
    later = training(store, first_step=first_step, count=12 - first_step)
    assert_equal(later, whole[first_step:])


def test_the_batch_size_decides_neither_order_nor_augmentation(store):
  def clips(batch_size, count):
    found = training(store, batch_size=batch_size, count=count)
    return np.concatenate([some['fingerprint'] for some, _ in found]), labels_of(found)

  some, labels = clips(3, 8)
  others, other_labels = clips(24, 1)
  assert labels == other_labels
  np.testing.assert_array_equal(some, others)


def test_two_runs_are_equal_and_another_seed_is_another_run(store):
  first = training(store)
  assert_equal(training(store), first)
  other = training(store, ALL._replace(seed=4))
  assert labels_of(other) != labels_of(first)


def test_batches_are_the_same_on_a_machine_of_more_cores(store, monkeypatch):
  monkeypatch.setattr(cores, 'usable', lambda: 2)
  expected = training(store)
  monkeypatch.setattr(cores, 'usable', lambda: 12)
  assert_equal(training(store), expected)


@pytest.mark.parametrize('usable, loaders', [(1, 2), (2, 2), (12, 6)])
def test_half_of_the_usable_cores_load_and_never_fewer_than_two(
  store, graph, monkeypatch, usable, loaders
):
  monkeypatch.setattr(cores, 'usable', lambda: usable)
  input_pipeline.train_input_fn(store, ALL, 3)()
  nodes = {node.name: node for node in graph.as_graph_def().node}
  mapped = next(node for node in nodes.values() if node.op.startswith('ParallelMapDataset'))
  assert tf.make_ndarray(nodes[mapped.input[-1]].attr['value'].tensor) == loaders


def test_every_epoch_has_each_example_once_in_an_order_of_its_own(store):
  epochs = np.reshape(labels_of(training(store, NOTHING, count=21)), [9, 7]).tolist()
  assert all(sorted(epoch) == [1, 2, 3, 4, 5, 6, 7] for epoch in epochs)
  assert len({tuple(epoch) for epoch in epochs}) == 9


def test_a_batch_may_be_larger_than_the_data(store):
  found = training(store, NOTHING, batch_size=17, count=3)
  assert [len(labels) for _, labels in found] == [17] * 3
  assert labels_of(found) == labels_of(training(store, NOTHING, count=17))
  assert_equal(training(store, NOTHING, batch_size=17, first_step=2, count=1), found[2:])


def test_the_order_is_the_same_on_every_tensorflow(store):
  epochs = [labels.tolist() for _, labels in training(store, NOTHING, batch_size=7, count=3)]
  assert epochs == [[3, 7, 5, 6, 2, 4, 1], [2, 5, 3, 1, 4, 6, 7], [4, 2, 7, 5, 3, 6, 1]]


def test_shapes_are_static(store):
  with tf.Graph().as_default():
    for input_fn in (
      input_pipeline.train_input_fn(store, ALL, 3),
      input_pipeline.evaluation_input_fn(store, 'training', 3),
    ):
      found, labels = tf.data.make_initializable_iterator(input_fn()).get_next()
      assert found['fingerprint'].shape.as_list() == [3, SHAPE.fingerprint_size]
      assert found['fingerprint'].dtype == tf.float32
      assert labels.shape.as_list() == [3]
      assert labels.dtype == tf.int32
      assert all(value.shape.as_list()[0] == 3 for value in found.values())


def test_without_augmentation_a_clip_gives_its_fingerprint(store):
  expected = small_store.op_fingerprints(CLIPS)
  for found, labels in training(store, NOTHING, count=5):
    np.testing.assert_allclose(found['fingerprint'], expected[labels - 1], rtol=0, atol=1e-4)


def test_with_augmentation_the_samples_decide_and_not_the_file(store, monkeypatch):
  monkeypatch.setattr(input_pipeline, '_GROUP', 7)
  found, labels = training(store, ALL, batch_size=7, count=1)[0]
  samples = small_store.samples_of(store, ALL, labels)
  expected = small_store.op_fingerprints(samples * 32768)
  np.testing.assert_allclose(found['fingerprint'], expected, rtol=0, atol=1e-4)
  assert np.abs(expected - small_store.op_fingerprints(CLIPS)[labels - 1]).max(axis=1).min() > 0.1


# Evaluation.


@pytest.mark.parametrize(('batch_size', 'count'), [(3, 3), (7, 1), (1, 7), (50, 1)])
def test_evaluation_gives_each_clip_once_in_order_and_fills_up_with_weight_0(
  store, batch_size, count
):
  found = batches(input_pipeline.evaluation_input_fn(store, 'training', batch_size))
  assert len(found) == count
  weights = np.concatenate([some['weight'] for some, _ in found])
  assert weights.dtype == np.float32
  padding = batch_size * count - 7
  np.testing.assert_array_equal(weights, [1] * 7 + [0] * padding)
  assert labels_of(found) == [1, 2, 3, 4, 5, 6, 7] + [0] * padding
  fingerprints = np.concatenate([some['fingerprint'] for some, _ in found])
  np.testing.assert_array_equal(fingerprints[:7], small_store.op_fingerprints(CLIPS))
  assert np.isfinite(fingerprints).all()


def test_evaluation_may_be_repeated(store):
  input_fn = input_pipeline.evaluation_input_fn(store, 'training', 4)
  assert_equal(batches(input_fn), batches(input_fn))


def test_evaluation_of_silence_and_of_the_same_row_twice(store):
  rows = clip_store.Rows(np.array([0, 5, 5], np.int32), np.array([0, 1, 2], np.int32))
  store = store._replace(splits={'testing': rows})
  ((found, labels),) = batches(input_pipeline.evaluation_input_fn(store, 'testing', 3))
  clips = np.stack([np.zeros(LENGTH), CLIPS[4], CLIPS[4]])
  np.testing.assert_array_equal(found['fingerprint'], small_store.op_fingerprints(clips))
  assert labels.tolist() == [0, 1, 2]


def test_more_clips_than_are_computed_at_a_time_are_all_there(tmp_path, monkeypatch):
  monkeypatch.setattr(input_pipeline, '_EVALUATION_BATCH', 4)
  store = small_store.make(tmp_path, small_store.noise_of(11))
  path = input_pipeline.fingerprint_file(store, 'training')
  found = np.fromfile(path, np.float32).reshape([11, -1])
  np.testing.assert_array_equal(found, small_store.op_fingerprints(small_store.noise_of(11)))


def contents(store):
  return sorted(set(os.listdir(store.folder)) - {'clips.int16', 'noises.int16'})


def test_fingerprints_are_computed_once(store, monkeypatch):
  path = input_pipeline.fingerprint_file(store, 'training')
  assert contents(store) == [os.path.basename(path)]
  monkeypatch.setattr(input_pipeline, '_write_fingerprints', None)
  monkeypatch.setattr(input_pipeline, 'claim', None)
  assert input_pipeline.fingerprint_file(store, 'training') == path
  # Labels may change without the sounds.
  rows = store.splits['training']
  relabelled = store._replace(splits={'training': rows._replace(labels=rows.labels + 1)})
  assert input_pipeline.fingerprint_file(relabelled, 'training') == path
  ((_, labels),) = batches(input_pipeline.evaluation_input_fn(relabelled, 'training', 7))
  assert labels.tolist() == [2, 3, 4, 5, 6, 7, 8]


CHANGES = {
  'other rows': lambda store: store._replace(
    splits={'training': clip_store.Rows(*(part[::-1] for part in store.splits['training']))}
  ),
  'another stride': lambda store: store._replace(shape=SHAPE._replace(stride_ms=20)),
  'another window': lambda store: store._replace(shape=SHAPE._replace(window_ms=30)),
  'other coefficients': lambda store: store._replace(shape=SHAPE._replace(coefficients=12)),
}


@pytest.mark.parametrize('change', CHANGES)
def test_fingerprints_of_something_else_are_computed_anew(store, change):
  before = pathlib.Path(input_pipeline.fingerprint_file(store, 'training')).read_bytes()
  changed = CHANGES[change](store)
  path = pathlib.Path(input_pipeline.fingerprint_file(changed, 'training'))
  assert path.read_bytes() != before
  assert path.stat().st_size == 7 * changed.shape.fingerprint_size * 4
  assert len(contents(store)) == 2


def test_another_format_of_fingerprints_is_computed_anew(store, monkeypatch):
  before = input_pipeline.fingerprint_file(store, 'training')
  monkeypatch.setattr(features, 'FORMAT', features.FORMAT + 1)
  assert input_pipeline.fingerprint_file(store, 'training') != before


def test_a_file_of_fingerprints_that_lost_its_end_is_computed_again(store):
  path = pathlib.Path(input_pipeline.fingerprint_file(store, 'training'))
  expected = path.read_bytes()
  path.write_bytes(expected[:-4])
  assert input_pipeline.fingerprint_file(store, 'training') == str(path)
  assert path.read_bytes() == expected


KILLED = f"""
import sys, time
sys.path.insert(0, {str(REPOSITORY)!r})
import numpy as np
from estimators.ds_cnn import clip_shape, input_pipeline
from estimators.ds_cnn.dataset import clip_store
from npu_adapter.runtime import tf1
tf1.enable()
write = input_pipeline._write_fingerprints
def slow(*arguments):
  write(*arguments)
  print('written', flush=True)
  time.sleep(60)
input_pipeline._write_fingerprints = slow
rows = clip_store.Rows(np.arange(1, 8, dtype=np.int32), np.arange(1, 8, dtype=np.int32))
shape = clip_shape.ClipShape(clip_ms=100, stride_ms=10)
store = clip_store.ClipStore(sys.argv[1], '', shape, (), {{'training': rows}}, 8, 3, [])
input_pipeline.fingerprint_file(store, 'training')
"""


def test_a_process_killed_while_it_writes_fingerprints_leaves_none(store):
  process = subprocess.Popen(
    [sys.executable, '-c', KILLED, store.folder],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    universal_newlines=True,
  )
  assert 'written' in process.stdout.readline()
  process.kill()
  process.communicate()
  (left,) = contents(store)
  assert left.startswith('.')
  path = input_pipeline.fingerprint_file(store, 'training')
  np.testing.assert_array_equal(
    np.fromfile(path, np.float32).reshape([7, -1]),
    small_store.op_fingerprints(CLIPS),
  )
  assert contents(store) == [os.path.basename(path)]


def test_an_error_while_writing_fingerprints_leaves_nothing(store):
  os.truncate(store.samples_path, 100)
  with pytest.raises(tf.errors.OpError):
    input_pipeline.fingerprint_file(store, 'training')
  assert contents(store) == []


def test_a_cache_that_cannot_be_written_is_told_with_the_flag(store):
  store = store._replace(folder=store.samples_path)
  with pytest.raises(errors.InputError, match=r"clips\.int16': .* with --cache_path\."):
    input_pipeline.fingerprint_file(store, 'training')
