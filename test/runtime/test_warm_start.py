"""Warm start: from which paths, which variables, and when not."""

import collections
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.runtime import export, warm_start
from npu_adapter.runtime.model_fn import EstimatorSpec
from npu_adapter.runtime.warm_start import VocabInfo, WarmStartSettings

Foreign = collections.namedtuple('Foreign', WarmStartSettings._fields)
RECEIVER = export.build_raw_serving_input_receiver_fn({'x': np.zeros([1, 3], np.float32)})


@pytest.fixture
def trained(make_estimator, model_fn, input_fn):
  return make_estimator(model_fn, 'trained').train(input_fn)


def exported(trained, tmp_path):
  return trained.export_saved_model(str(tmp_path / 'exported'), RECEIVER)


SOURCES = {
  'a folder': lambda trained, tmp_path: trained.model_dir,
  'a checkpoint': lambda trained, tmp_path: trained.latest_checkpoint(),
  'a path object': lambda trained, tmp_path: pathlib.Path(trained.model_dir),
  'a SavedModel': exported,
  'settings': lambda trained, tmp_path: WarmStartSettings(trained.model_dir),
  # tf.estimator's own class, which is told by its fields.
  'foreign settings': lambda trained, tmp_path: Foreign(trained.model_dir, '.*', {}, {}),
}


@pytest.mark.parametrize('source', SOURCES)
def test_a_model_starts_from_the_weights_of_another(
  source, trained, make_estimator, model_fn, input_fn, tmp_path, log
):
  warm = {'warm_start_from': SOURCES[source](trained, tmp_path)}
  estimator = make_estimator(model_fn, 'new', estimator=warm)
  expected = trained.evaluate(input_fn)
  found = estimator.evaluate(input_fn)
  assert found['loss'] == expected['loss']
  assert (expected['global_step'], found['global_step']) == (8, 0)
  assert any(line.startswith('Warm-starting with WarmStartSettings: ') for line in log)
  assert next(estimator.predict(input_fn))['y'] == next(trained.predict(input_fn))['y']


def test_training_starts_there_at_step_0(trained, make_estimator, model_fn, input_fn):
  warm = {'warm_start_from': trained.model_dir}
  estimator = make_estimator(model_fn, 'new', estimator=warm)
  estimator.train(input_fn, steps=1)
  assert estimator.get_variable_value('global_step') == 1
  moved = estimator.get_variable_value('weights') - trained.get_variable_value('weights')
  assert 0 < np.abs(moved).max() <= 0.06


def test_a_checkpoint_of_its_own_comes_first(trained, make_estimator, model_fn, input_fn, log):
  make_estimator(model_fn, 'new').train(input_fn, steps=1)
  before = make_estimator(model_fn, 'new').get_variable_value('weights')
  warm = {'warm_start_from': trained.model_dir}
  estimator = make_estimator(model_fn, 'new', estimator=warm)
  del log[:]
  estimator.train(input_fn, steps=1)
  assert not any('Warm-starting' in line for line in log)
  assert np.abs(estimator.get_variable_value('weights') - before).max() <= 0.06


def test_a_model_that_was_never_trained_exports_what_it_starts_from(
  trained, make_estimator, model_fn, tmp_path
):
  warm = {'warm_start_from': trained.model_dir}
  folder = make_estimator(model_fn, 'new', estimator=warm).export_saved_model(
    str(tmp_path / 'exported'), RECEIVER
  )
  value = tf.train.load_variable(f'{folder.decode()}/variables/variables', 'weights')
  np.testing.assert_array_equal(value, trained.get_variable_value('weights'))


def test_a_regular_expression_chooses_the_variables(
  trained, make_estimator, model_fn, input_fn, recorder
):
  values = {}

  class Look(tf.train.SessionRunHook):
    def after_create_session(self, session, coord):
      values.update(session.run({v.op.name: v for v in tf.trainable_variables()}))

  settings = WarmStartSettings(trained.model_dir, vars_to_warm_start='weights')
  estimator = make_estimator(model_fn, 'new', estimator={'warm_start_from': settings})
  estimator.train(input_fn, hooks=[Look()], steps=1)
  np.testing.assert_array_equal(values['weights'], trained.get_variable_value('weights'))
  assert values['bias'] == 0


def variable_model_fn(name, size):
  def model_fn(features, labels, mode):
    rows = tf.get_variable(name, [size, 1], initializer=tf.ones_initializer())
    loss = tf.reduce_sum(rows)
    step = tf.assign_add(tf.train.get_global_step(), 1)
    return EstimatorSpec(mode, loss=loss, train_op=step, predictions={'rows': rows + 0})

  return model_fn


def rows_of(estimator):
  batches = estimator.predict(lambda: tf.data.Dataset.range(1), yield_single_examples=False)
  return next(batches)['rows'].ravel().tolist()


def saved_rows(folder, values):
  with tf.Graph().as_default(), tf.Session() as session:
    tf.get_variable('old', initializer=np.array(values, np.float32)[:, None])
    session.run(tf.global_variables_initializer())
    tf.train.Saver().save(session, str(folder / 'model.ckpt'))


def test_a_variable_may_have_had_another_name(make_estimator, tmp_path):
  saved_rows(tmp_path, [1.0, 2.0])
  settings = WarmStartSettings(str(tmp_path), var_name_to_prev_var_name={'new': 'old'})
  estimator = make_estimator(variable_model_fn('new', 2), estimator={'warm_start_from': settings})
  assert rows_of(estimator) == [1.0, 2.0]


def test_rows_follow_their_words_into_another_vocabulary(make_estimator, tmp_path):
  saved_rows(tmp_path, [1.0, 2.0])
  (tmp_path / 'old.txt').write_text('cat\ndog\n')
  (tmp_path / 'new.txt').write_text('dog\nbird\ncat\n')
  vocabulary = VocabInfo(
    new_vocab=str(tmp_path / 'new.txt'),
    new_vocab_size=3,
    num_oov_buckets=0,
    old_vocab=str(tmp_path / 'old.txt'),
    backup_initializer=lambda shape, dtype=None, partition_info=None: tf.fill(shape, 9.0),
  )
  settings = WarmStartSettings(
    str(tmp_path),
    var_name_to_vocab_info={'new': vocabulary},
    var_name_to_prev_var_name={'new': 'old'},
  )
  estimator = make_estimator(variable_model_fn('new', 3), estimator={'warm_start_from': settings})
  assert rows_of(estimator) == [2.0, 9.0, 1.0]


def test_the_defaults_of_the_settings_are_tf_estimators():
  assert WarmStartSettings('path') == ('path', '.*', {}, {})
  assert WarmStartSettings._fields == (
    'ckpt_to_initialize_from', 'vars_to_warm_start', 'var_name_to_vocab_info',
    'var_name_to_prev_var_name',
  )  # fmt: skip


def test_settings_without_a_source_and_other_types_are_refused():
  with pytest.raises(ValueError, match='`ckpt_to_initialize_from` MUST be set'):
    WarmStartSettings('')
  with pytest.raises(ValueError, match='warm_start_from must be a string or a WarmStartSettings'):
    warm_start.settings_from(3)
