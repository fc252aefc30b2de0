"""Input receivers: their shape, their checks, and the functions that build them."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.runtime import export

pytestmark = pytest.mark.usefixtures('graph')


def test_single_tensors_get_names():
  tensor, fed = tf.constant([1.0]), tf.placeholder(tf.float32)
  receiver = export.ServingInputReceiver(tensor, fed, {'other': fed})
  assert receiver.features == {'feature': tensor}
  assert receiver.receiver_tensors == {'input': fed}
  assert receiver.receiver_tensors_alternatives == {'other': {'input': fed}}


def test_dicts_stay_as_they_are_and_features_may_have_numbers_for_names():
  tensor = tf.constant([1.0])
  receiver = export.ServingInputReceiver({'a': tensor, 1: tensor}, {'b': tensor})
  assert set(receiver.features) == {'a', 1}
  assert set(receiver.receiver_tensors) == {'b'}
  assert receiver.receiver_tensors_alternatives is None


def test_a_model_of_one_tensor_gets_it_as_it_is():
  tensor = tf.SparseTensor([[0]], [1], [1])
  receiver = export.TensorServingInputReceiver(tensor, tf.placeholder(tf.string))
  assert receiver.features is tensor
  assert set(receiver.receiver_tensors) == {'input'}


class Labelled:
  """Stands in for a tensor with named axes."""

  def __init__(self, tensor):
    self.tensor = tensor


def test_ragged_tensors_and_what_converts_to_a_tensor_can_be_features():
  ragged = tf.RaggedTensor.from_row_splits(tf.constant([1, 2]), [0, 1, 2])
  fed = tf.placeholder(tf.string)
  assert export.TensorServingInputReceiver(ragged, fed).features is ragged
  labelled = Labelled(tf.constant([1]))
  with pytest.raises(ValueError, match='feature must be a Tensor'):
    export.TensorServingInputReceiver(labelled, fed)
  tf.register_tensor_conversion_function(Labelled, lambda value, *_, **__: value.tensor)
  assert export.ServingInputReceiver({'x': Labelled(tf.constant([1]))}, fed).features
  assert export.TensorServingInputReceiver(labelled, fed).features is labelled


@pytest.mark.parametrize('kind', ['ServingInputReceiver', 'TensorServingInputReceiver'])
def test_what_is_no_tensor_is_refused(kind):
  tensor = tf.constant([1.0])
  make = getattr(export, kind)
  with pytest.raises(ValueError, match='features must be defined'):
    make(None, tensor)
  with pytest.raises(ValueError, match='receiver_tensors must be defined'):
    make(tensor, None)
  with pytest.raises(ValueError, match='must be a Tensor, SparseTensor, or RaggedTensor'):
    make([1.0], tensor)
  with pytest.raises(ValueError, match='receiver_tensor keys must be strings: 1'):
    make(tensor, {1: tensor})
  with pytest.raises(ValueError, match='receiver_tensors_alternatives must be a dict'):
    make(tensor, tensor, [tensor])


def test_a_supervised_receiver_keeps_features_and_labels_as_the_model_expects_them():
  tensor = tf.constant([1.0])
  receiver = export.SupervisedInputReceiver(tensor, {'y': tensor}, tensor)
  assert receiver.features is tensor
  assert receiver.labels == {'y': tensor}
  assert receiver.receiver_tensors == {'input': tensor}
  with pytest.raises(ValueError, match='labels must be defined'):
    export.SupervisedInputReceiver(tensor, None, tensor)
  assert export.UnsupervisedInputReceiver(tensor, tensor).features == {'feature': tensor}


@pytest.mark.parametrize('batch_size', [None, 4])
def test_a_raw_receiver_is_fed_tensors_of_the_given_shapes_and_types(batch_size):
  like = {'image': tf.zeros([7, 28, 28], name='image'), 'weight': np.zeros([7, 2], np.int64)}
  receiver = export.build_raw_serving_input_receiver_fn(like, batch_size)()
  image, weight = receiver.features['image'], receiver.features['weight']
  assert (image.dtype, image.shape.as_list()) == (tf.float32, [batch_size, 28, 28])
  assert (weight.dtype, weight.shape.as_list()) == (tf.int64, [batch_size, 2])
  assert receiver.receiver_tensors == receiver.features


def test_a_parsing_receiver_is_fed_serialised_examples():
  spec = {'x': tf.FixedLenFeature([2], tf.float32)}
  receiver = export.build_parsing_serving_input_receiver_fn(spec)()
  feature = tf.train.Feature(float_list=tf.train.FloatList(value=[1.0, 2.0]))
  example = tf.train.Example(features=tf.train.Features(feature={'x': feature}))
  with tf.Session() as session:
    fed = {receiver.receiver_tensors['examples']: [example.SerializeToString()]}
    assert session.run(receiver.features['x'], fed).tolist() == [[1.0, 2.0]]
  assert 'input_example_tensor' in receiver.receiver_tensors['examples'].name


def test_a_raw_supervised_receiver_is_fed_features_and_labels():
  x, y = tf.zeros([3, 2]), tf.zeros([3], tf.int32)
  receiver = export.build_raw_supervised_input_receiver_fn({'x': x}, y)()
  assert set(receiver.features) == {'x'}
  assert receiver.labels.dtype == tf.int32
  assert set(receiver.receiver_tensors) == {'x', 'label'}
  single = export.build_raw_supervised_input_receiver_fn(x, y)()
  assert set(single.receiver_tensors) == {'input', 'label'}
  with pytest.raises(ValueError, match='must have distinct keys. Found overlapping keys'):
    export.build_raw_supervised_input_receiver_fn({'x': x}, {'x': y})


def test_a_supervised_receiver_can_be_modelled_on_an_input_fn(input_fn):
  build = export.build_supervised_input_receiver_fn_from_input_fn(input_fn)
  assert tf.get_default_graph().get_operations() == []
  receiver = build()
  assert receiver.features['x'].shape.as_list() == [None, 3]
  assert receiver.labels.shape.as_list() == [None, 1]
