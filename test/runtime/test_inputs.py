"""The input pipeline: what an input_fn may take and return."""

import functools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
import tensorflow.compat.v2 as tf2

from npu_adapter.runtime import inputs

pytestmark = pytest.mark.usefixtures('graph')

OFFERED = {'mode': 'train', 'params': {'batch_size': 2}, 'config': 'the config'}


def run(found):
  with tf.Session() as session:
    for hook in found.hooks:
      hook.begin()
      hook.after_create_session(session, None)
    return session.run([found.features, found.labels])


@pytest.mark.parametrize('module', [tf, tf2], ids=['v1', 'v2'])
def test_a_dataset_of_either_version_is_read_through_an_iterator(module):
  dataset = module.data.Dataset.from_tensor_slices(({'x': [1, 2]}, [3, 4])).batch(2)
  found = inputs.call(lambda: dataset, OFFERED)
  features, labels = run(found)
  assert features['x'].tolist() == [1, 2]
  assert labels.tolist() == [3, 4]
  assert found.iterator.initializer is not None
  assert inputs.ends(found.features)


def test_a_dataset_of_features_has_no_labels():
  found = inputs.call(lambda: tf.data.Dataset.range(3), OFFERED)
  assert found.labels is None
  assert isinstance(found.features, tf.Tensor)


@pytest.mark.parametrize('pair', [tuple, list])
def test_a_pair_of_tensors_is_taken_as_it_is(pair):
  x, y = tf.constant([1.0]), tf.constant([2.0])
  found = inputs.call(lambda: pair([{'x': x}, y]), OFFERED)
  assert found == ({'x': x}, y, [], None)
  assert not inputs.ends(found.features)


@pytest.mark.parametrize('make', [lambda x: x, lambda x: {'x': x}], ids=['tensor', 'dict'])
def test_a_tensor_or_a_dict_is_features_without_labels(make):
  features = make(tf.constant([1.0]))
  found = inputs.call(lambda: features, OFFERED)
  assert found.features is features
  assert found.labels is None


def test_a_pair_of_another_length_is_refused():
  with pytest.raises(ValueError, match=r'should return \(features, labels\) as a len 2 tuple'):
    inputs.call(lambda: (1, 2, 3), OFFERED)
  three = tf.data.Dataset.from_tensors((1, 2, 3))
  with pytest.raises(ValueError, match=r'should return \(features, labels\) as a len 2 tuple'):
    inputs.call(lambda: three, OFFERED)


def test_a_forgotten_return_is_named():
  with pytest.raises(ValueError, match='got None. Is a return statement missing'):
    inputs.call(lambda: None, OFFERED)


def test_an_input_fn_is_called_with_what_it_asks_for():
  seen = {}

  def input_fn(config, mode, params, repeats=1):
    seen.update(config=config, mode=mode, params=params, repeats=repeats)
    return tf.constant(1)

  inputs.call(input_fn, OFFERED)
  assert seen == {**OFFERED, 'repeats': 1}
  inputs.call(functools.partial(input_fn, repeats=3), OFFERED)
  assert seen['repeats'] == 3


def test_the_pipeline_is_placed_on_the_cpu():
  found = inputs.call(lambda: tf.constant(1), OFFERED)
  assert found.features.device.lower().endswith('cpu:0')


def test_a_queue_can_end():
  features = tf.train.batch([tf.constant(1)], 2) if tf.__version__[0] == '1' else None
  if features is None:
    pytest.skip('input queues are of TF 1')
  assert inputs.ends(features)


def test_a_lookup_table_in_the_pipeline_is_ready_when_the_data_start():
  keys = tf.constant(['a', 'b'])
  table = tf.lookup.StaticHashTable(
    tf.lookup.KeyValueTensorInitializer(keys, tf.constant([1, 2])), default_value=0
  )
  dataset = tf.data.Dataset.from_tensor_slices(np.array([b'b', b'a', b'c'])).map(table.lookup)
  found = inputs.call(lambda: dataset.batch(3).prefetch(1), OFFERED)
  with tf.train.MonitoredSession(hooks=found.hooks) as session:
    assert session.run(found.features).tolist() == [2, 1, 0]
