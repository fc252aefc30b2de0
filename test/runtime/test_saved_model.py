"""Export: the folder, the signatures, what a loaded model answers."""

import os
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
import tensorflow.compat.v2 as tf2

from npu_adapter.runtime import export, saved_model
from npu_adapter.runtime.estimator import Estimator
from npu_adapter.runtime.model_fn import EstimatorSpec, ModeKeys
from npu_adapter.runtime.run_config import RunConfig

TRAIN, EVAL, PREDICT = ModeKeys.TRAIN, ModeKeys.EVAL, ModeKeys.PREDICT
X = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]], np.float32)
RAW = export.build_raw_serving_input_receiver_fn({'x': X})
PARSED = export.build_parsing_serving_input_receiver_fn({'x': tf.FixedLenFeature([3], tf.float32)})


@pytest.fixture
def trained(make_estimator, model_fn, input_fn):
  return make_estimator(model_fn, save_checkpoints_steps=4).train(input_fn)


class Loaded:
  """A SavedModel in a session of its own."""

  def __init__(self, folder, tag='serve'):
    self.graph = tf.Graph()
    self.session = tf.Session(graph=self.graph)
    with self.graph.as_default():
      self.meta_graph = tf.saved_model.loader.load(self.session, [tag], os.fsdecode(folder))
    self.signatures = self.meta_graph.signature_def

  def run(self, output, name='serving_default', **inputs):
    signature = self.signatures[name]
    fed = {signature.inputs[key].name: value for key, value in inputs.items()}
    return self.session.run(signature.outputs[output].name, fed)


def test_an_exported_model_answers_as_the_trained_one(
  make_estimator, any_model_fn, input_fn, tmp_path
):
  estimator = make_estimator(any_model_fn).train(input_fn)
  loaded = Loaded(estimator.export_saved_model(str(tmp_path / 'a folder'), RAW))
  assert set(loaded.signatures) == {'serving_default'}
  np.testing.assert_array_equal(loaded.run('x', x=X), X)
  weights = loaded.session.run(loaded.graph.get_collection('trainable_variables')[0])
  names = estimator.get_variable_names()
  assert any(np.array_equal(weights, estimator.get_variable_value(name)) for name in names)


def test_the_folder_is_named_by_the_time_and_holds_a_saved_model(trained, tmp_path, monkeypatch):
  monkeypatch.setattr(saved_model.time, 'time', lambda: 1234567890.5)
  folder = trained.export_saved_model(tmp_path / 'base', RAW)
  assert isinstance(folder, bytes)
  assert os.fsdecode(folder) == str(tmp_path / 'base' / '1234567890')
  assert os.listdir(str(tmp_path / 'base')) == ['1234567890']
  assert sorted(os.listdir(folder)) == [b'saved_model.pb', b'variables']


def test_two_exports_in_one_second_get_two_folders(trained, tmp_path):
  folders = [trained.export_saved_model(str(tmp_path), RAW) for _ in range(2)]
  assert len(set(folders)) == 2
  assert int(os.path.basename(folders[0])) < int(os.path.basename(folders[1]))


def test_a_folder_that_never_becomes_free_is_an_error(trained, tmp_path, monkeypatch):
  monkeypatch.setattr(saved_model.time, 'time', lambda: 5.0)
  monkeypatch.setattr(saved_model.time, 'sleep', lambda seconds: None)
  (tmp_path / '5').mkdir()
  with pytest.raises(RuntimeError, match='Failed to obtain a unique export directory name'):
    trained.export_saved_model(str(tmp_path), RAW)


def test_a_model_can_be_fed_serialised_examples(trained, tmp_path):
  loaded = Loaded(trained.export_saved_model(str(tmp_path), PARSED))
  values = tf.train.FloatList(value=[1.0, 2.0, 3.0])
  features = tf.train.Features(feature={'x': tf.train.Feature(float_list=values)})
  example = tf.train.Example(features=features).SerializeToString()
  assert loaded.run('x', examples=[example]).tolist() == [[1.0, 2.0, 3.0]]


def test_a_checkpoint_can_be_named(trained, tmp_path):
  first = trained.latest_checkpoint().replace('ckpt-8', 'ckpt-0')
  folder = trained.export_saved_model(str(tmp_path), RAW, checkpoint_path=pathlib.Path(first))
  assert not Loaded(folder).run('y', x=X).any()


def test_text_and_extra_assets_can_be_asked_for(trained, tmp_path):
  (tmp_path / 'words.txt').write_text('yes\nno\n')
  assets = {'some/words.txt': str(tmp_path / 'words.txt')}
  folder = trained.export_saved_model(str(tmp_path / 'base'), RAW, assets, as_text=True)
  folder = pathlib.Path(os.fsdecode(folder))
  assert (folder / 'saved_model.pbtxt').exists()
  assert (folder / 'assets.extra' / 'some' / 'words.txt').read_text() == 'yes\nno\n'


def heads(features, labels, mode):
  scores = tf.reduce_sum(features['x'], axis=1, keepdims=True)
  outputs = {
    'serving_default': export.PredictOutput({'scores': scores}),
    'classify': export.ClassificationOutput(scores=scores),
    'regress': export.RegressionOutput(scores),
  }
  return EstimatorSpec(
    mode, predictions=scores, export_outputs=outputs, loss=tf.reduce_sum(scores),
    train_op=tf.assign_add(tf.train.get_global_step(), 1),
  )  # fmt: skip


def test_every_head_is_a_signature_where_it_can_be_served(make_estimator, input_fn, tmp_path, log):
  estimator = make_estimator(heads).train(input_fn)
  by_example = Loaded(estimator.export_saved_model(str(tmp_path), PARSED))
  assert set(by_example.signatures) == {'serving_default', 'classify', 'regress'}
  del log[:]
  by_tensor = Loaded(estimator.export_saved_model(str(tmp_path), RAW))
  assert set(by_tensor.signatures) == {'serving_default'}
  assert any(line.startswith('Signatures EXCLUDED from export') for line in log)
  assert any("'classify' : Classification input must be a single string" in line for line in log)
  assert "Signatures INCLUDED in export for Predict: ['serving_default']" in log


def test_alternative_inputs_give_signatures_of_their_own(trained, tmp_path):
  def receiver_fn():
    doubled = tf.placeholder(tf.float32, [None, 3])
    x = doubled / 2
    return export.ServingInputReceiver({'x': x}, {'doubled': doubled}, {'direct': {'x': x}})

  loaded = Loaded(trained.export_saved_model(str(tmp_path), receiver_fn))
  assert set(loaded.signatures) == {'serving_default', 'direct:serving_default'}
  one = loaded.run('y', doubled=2 * X)
  np.testing.assert_array_equal(one, loaded.run('y', 'direct:serving_default', x=X))


def test_a_signature_that_does_not_feed_all_its_outputs_need_is_left_out(
  make_estimator, tmp_path, log
):
  def model_fn(features, mode):
    outputs = {
      'serving_default': export.PredictOutput(features['x'] * features['y']),
      'x alone': export.PredictOutput(features['x'] * 2),
    }
    step = tf.assign_add(tf.train.get_global_step(), 1)
    return EstimatorSpec(mode, features, tf.constant(1.0), step, export_outputs=outputs)

  def receiver_fn():
    fed = {name: tf.placeholder(tf.float32, [None], name=name) for name in 'xy'}
    return export.ServingInputReceiver(fed, fed, {'only x': {'x': fed['x']}})

  estimator = make_estimator(model_fn)
  estimator.train(lambda: {'x': tf.constant([1.0]), 'y': tf.constant([1.0])}, steps=1)
  loaded = Loaded(estimator.export_saved_model(str(tmp_path), receiver_fn))
  assert set(loaded.signatures) == {'serving_default', 'x alone', 'only x:x alone'}
  reasons = [line for line in log if line.startswith("'only x:serving_default' : ")]
  assert ['dependency on `y`' in line for line in reasons] == [True]


def test_a_tf_train_checkpoint_as_saver_is_trained_and_exported(make_estimator, input_fn, tmp_path):
  def model_fn(features, labels, mode):
    weight = tf.get_variable('weight', [], initializer=tf.zeros_initializer(), use_resource=True)
    step = tf.train.get_global_step()
    saved = tf2.train.Checkpoint(weight=weight, step=step)
    y = features['x'] * weight
    train_op = tf.group(tf.assign_add(weight, 1.0), tf.assign_add(step, 1))
    return EstimatorSpec(
      mode, {'y': y}, tf.reduce_sum(y), train_op, scaffold=tf.train.Scaffold(saver=saved)
    )

  estimator = make_estimator(model_fn).train(input_fn, steps=2)
  assert 'weight/.ATTRIBUTES/VARIABLE_VALUE' in estimator.get_variable_names()
  loaded = Loaded(estimator.export_saved_model(str(tmp_path), RAW))
  np.testing.assert_array_equal(loaded.run('y', x=X), 2 * X)


def test_a_subclass_chooses_which_checkpoint_is_exported(model_fn, input_fn, tmp_path):
  class Cautious(Estimator):
    def latest_checkpoint(self):
      return str(tmp_path / 'model' / 'model.ckpt-4')

  config = RunConfig(str(tmp_path / 'model'), save_checkpoints_steps=4)
  estimator = Cautious(model_fn, config=config).train(input_fn)
  loaded = Loaded(estimator.export_saved_model(str(tmp_path / 'exported'), RAW))
  assert loaded.session.run(loaded.graph.get_collection('global_step')[0]) == 4


def supervised_receiver():
  labels = np.zeros([1, 1], np.float32)
  return export.build_raw_supervised_input_receiver_fn({'x': X}, labels)()


def test_all_modes_can_be_exported_with_one_set_of_variables(trained, tmp_path):
  folder = trained.experimental_export_all_saved_models(
    str(tmp_path), {PREDICT: RAW, EVAL: supervised_receiver, TRAIN: supervised_receiver}
  )
  train, evaluate, serve = (Loaded(folder, tag) for tag in ('train', 'eval', 'serve'))
  assert set(train.signatures) >= {'train'}
  assert set(evaluate.signatures) >= {'eval'}
  assert set(serve.signatures) >= {'serving_default'}
  assert len(train.graph.get_collection('saved_model_train_op')) == 1
  names = {'loss', 'predictions', 'metrics/error/value', 'metrics/error/update_op'}
  assert set(evaluate.signatures['eval'].outputs) == names
  y = serve.run('y', x=X)
  loss = evaluate.run('loss', 'eval', x=X, label=np.zeros([2, 1]))
  assert loss == pytest.approx(np.mean(y**2), rel=1e-5)


def test_one_other_mode_can_be_exported(trained, tmp_path):
  folder = trained.export_saved_model(str(tmp_path), supervised_receiver, experimental_mode=EVAL)
  assert set(Loaded(folder, 'eval').signatures) >= {'eval'}


def test_no_mode_at_all_is_refused_and_leaves_nothing(trained, tmp_path):
  with pytest.raises(ValueError, match='No valid modes for exporting found'):
    trained.experimental_export_all_saved_models(str(tmp_path / 'base'), {'predict': RAW})
  assert not (tmp_path / 'base').exists()


def test_a_receiver_function_and_a_trained_model_are_required(
  trained, make_estimator, model_fn, tmp_path
):
  with pytest.raises(ValueError, match='An input_receiver_fn must be defined'):
    trained.export_saved_model(str(tmp_path), None)
  with pytest.raises(ValueError, match="Couldn't find trained model at "):
    make_estimator(model_fn, 'other').export_saved_model(str(tmp_path), RAW)


def test_variables_that_were_not_trained_are_named_and_nothing_is_left_behind(
  trained, make_estimator, model_fn, tmp_path
):
  def bigger(features, labels, mode):
    tf.get_variable('never_trained', [])
    return model_fn(features, labels, mode)

  estimator = make_estimator(bigger)
  with pytest.raises(ValueError, match='(?s)Could not load all requested variables.*never_trained'):
    estimator.export_saved_model(str(tmp_path / 'base'), RAW)
  assert os.listdir(str(tmp_path / 'base')) == []


def test_local_variables_and_tables_are_initialised_when_the_model_is_loaded(
  make_estimator, tmp_path
):
  def model_fn(features, labels, mode):
    table = tf.lookup.StaticHashTable(
      tf.lookup.KeyValueTensorInitializer(['1'], tf.constant([10.0])), 0.0
    )
    tf.get_variable('weight', [])
    found = table.lookup(tf.as_string(tf.cast(features['x'][:, 0], tf.int32)))
    step = tf.assign_add(tf.train.get_global_step(), 1)
    return EstimatorSpec(mode, loss=tf.reduce_sum(found), train_op=step, predictions={'y': found})

  estimator = make_estimator(model_fn).train(lambda: {'x': tf.constant(X)}, steps=1)
  loaded = Loaded(estimator.export_saved_model(str(tmp_path), RAW))
  assert loaded.run('y', x=X).tolist() == [10.0, 0.0]


def test_an_asset_of_the_graph_goes_along(make_estimator, tmp_path):
  (tmp_path / 'words.txt').write_text('yes\nno\n')

  def model_fn(features, labels, mode):
    table = tf.lookup.StaticHashTable(
      tf.lookup.TextFileInitializer(
        str(tmp_path / 'words.txt'), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE,
        tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER,
      ), -1,
    )  # fmt: skip
    tf.get_variable('weight', [])
    found = table.lookup(features['word'])
    step = tf.assign_add(tf.train.get_global_step(), 1)
    loss = tf.reduce_sum(tf.cast(found, tf.float32))
    return EstimatorSpec(mode, loss=loss, train_op=step, predictions={'number': found})

  estimator = make_estimator(model_fn).train(lambda: {'word': tf.constant(['no'])}, steps=1)
  receiver_fn = export.build_raw_serving_input_receiver_fn({'word': np.array([b'a'], object)})
  folder = estimator.export_saved_model(str(tmp_path / 'base'), receiver_fn)
  (tmp_path / 'words.txt').unlink()
  assert Loaded(folder).run('number', word=['no', 'maybe']).tolist() == [1, -1]


def test_the_old_name_still_exports_and_says_so(trained, tmp_path, log):
  folder = trained.export_savedmodel(str(tmp_path), RAW, strip_default_attrs=True)
  assert Loaded(folder).run('y', x=X).shape == (2, 1)
  assert any('has been renamed, use `export_saved_model` instead' in line for line in log)


def test_attributes_with_their_default_value_are_left_out_by_the_new_name_only(trained, tmp_path):
  def size(folder):
    return os.path.getsize(os.path.join(folder, b'saved_model.pb'))

  new = trained.export_saved_model(str(tmp_path / 'new'), RAW)
  old = trained.export_savedmodel(str(tmp_path / 'old'), RAW)
  assert size(new) < size(old)


@pytest.mark.skipif(not hasattr(tf, 'estimator'), reason='no tf.estimator in this TensorFlow')
def test_a_receiver_of_tf_estimator_can_be_used(trained, tmp_path):
  def receiver_fn():
    x = tf.placeholder(tf.float32, [None, 3])
    return tf.estimator.export.ServingInputReceiver({'x': x}, {'x': x})

  assert Loaded(trained.export_saved_model(str(tmp_path), receiver_fn)).run('y', x=X).any()
