"""Exporters: what they write, what they skip, what they delete, what they know after a restart."""

import inspect
import os
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.runtime import export, exporter, saved_model

RAW = export.build_raw_serving_input_receiver_fn({'x': np.zeros([1, 3], np.float32)})
NAMES = ('BestExporter', 'FinalExporter', 'LatestExporter')
needs_tf_estimator = pytest.mark.skipif(
  not hasattr(tf, 'estimator'), reason='no tf.estimator in this TensorFlow'
)


@pytest.fixture(autouse=True)
def fast_clock(monkeypatch):
  """Every export gets a second of its own without waiting for it."""
  seconds = iter(range(1600000000, 1700000000))
  clock = types.SimpleNamespace(time=lambda: float(next(seconds)))
  monkeypatch.setattr(saved_model, 'time', clock)


class Trained:
  """A model with a checkpoint that was trained longer than the other."""

  def __init__(self, estimator, input_fn, base):
    self.estimator = estimator
    self.input_fn = input_fn
    self.base = base
    estimator.train(input_fn)
    self.better = estimator.latest_checkpoint()
    self.worse = self.better[: -len('8')] + '0'
    self.middle = self.better[: -len('8')] + '4'

  def evaluate(self, checkpoint):
    return self.estimator.evaluate(self.input_fn, checkpoint_path=checkpoint)

  def export(self, chosen, checkpoint, is_final=False):
    """Evaluates and exports, in the order of train_and_evaluate."""
    result = self.evaluate(checkpoint)
    return chosen.export(self.estimator, str(self.base), checkpoint, result, is_final)

  def exports(self):
    return sorted(os.listdir(str(self.base))) if self.base.exists() else []


@pytest.fixture
def trained(make_estimator, model_fn, input_fn, tmp_path):
  estimator = make_estimator(model_fn, save_checkpoints_steps=4)
  return Trained(estimator, input_fn, tmp_path / 'model' / 'export' / 'mine')


def step_in(folder):
  """The global step of an exported model."""
  path = os.path.join(os.fsdecode(folder), 'variables', 'variables')
  return int(tf.train.load_variable(path, 'global_step'))


def test_a_final_exporter_writes_at_the_end_only(trained, log):
  final = exporter.FinalExporter('mine', RAW)
  assert final.name == 'mine'
  assert trained.export(final, trained.middle) is None
  assert trained.exports() == []
  folder = trained.export(final, trained.better, is_final=True)
  assert trained.exports() == [os.path.basename(os.fsdecode(folder))]
  assert step_in(folder) == 8
  assert 'Performing the final export in the end of training.' in log


def test_a_latest_exporter_writes_every_time_and_keeps_the_newest(trained):
  latest = exporter.LatestExporter('mine', RAW, exports_to_keep=2)
  paths = (trained.worse, trained.middle, trained.better)
  folders = [trained.export(latest, path) for path in paths]
  assert trained.exports() == [os.path.basename(os.fsdecode(folder)) for folder in folders[1:]]
  assert [step_in(folder) for folder in folders[1:]] == [4, 8]


def test_what_is_no_export_is_never_deleted(trained):
  others = ('temp-1500000000', '150000000', '15000000000', 'notes', '150000000x')
  for name in (*others, '1500000000'):
    (trained.base / name).mkdir(parents=True)
  trained.export(exporter.LatestExporter('mine', RAW, exports_to_keep=1), trained.better)
  assert set(others) < set(trained.exports())
  assert len(trained.exports()) == len(others) + 1


@pytest.mark.parametrize('kind', [exporter.LatestExporter, exporter.BestExporter])
def test_without_a_number_to_keep_all_exports_stay(trained, kind):
  (trained.base / '1500000000').mkdir(parents=True)
  trained.export(kind('mine', RAW, exports_to_keep=None), trained.better)
  assert len(trained.exports()) == 2


@pytest.mark.parametrize('kind', [exporter.LatestExporter, exporter.BestExporter])
@pytest.mark.parametrize('number', [0, -1])
def test_no_exports_to_keep_is_refused(kind, number):
  with pytest.raises(ValueError, match=f'must be a positive number. Got {number}'):
    kind('mine', RAW, exports_to_keep=number)


def test_an_export_that_another_process_deleted_first_is_logged(trained, monkeypatch, log):
  (trained.base / '1500000000').mkdir(parents=True)

  def gone(path):
    raise tf.errors.NotFoundError(None, None, 'gone')

  monkeypatch.setattr(tf.io.gfile, 'rmtree', gone)
  trained.export(exporter.LatestExporter('mine', RAW, exports_to_keep=1), trained.better)
  assert any('1500000000 recursively' in line for line in log)


def test_extra_assets_and_the_text_form_are_handed_on(trained, tmp_path):
  (tmp_path / 'words.txt').write_text('yes no')
  assets = {'words.txt': str(tmp_path / 'words.txt')}
  latest = exporter.LatestExporter('mine', RAW, assets_extra=assets, as_text=True)
  folder = os.fsdecode(trained.export(latest, trained.better))
  assert os.path.exists(os.path.join(folder, 'saved_model.pbtxt'))
  assert os.listdir(os.path.join(folder, 'assets.extra')) == ['words.txt']


def test_a_best_exporter_writes_what_is_better_than_all_before(trained):
  best = exporter.BestExporter('mine', RAW)
  paths = (trained.middle, trained.worse, trained.middle, trained.better)
  folders = [trained.export(best, path) for path in paths]
  assert [step_in(folder) if folder else None for folder in folders] == [4, None, None, 8]


def test_the_first_model_of_all_is_exported(trained):
  folder = trained.export(exporter.BestExporter('mine', RAW), trained.worse)
  assert step_in(folder) == 0


def test_a_best_exporter_started_anew_knows_the_models_of_before(trained):
  assert trained.export(exporter.BestExporter('mine', RAW), trained.middle)
  again = exporter.BestExporter('mine', RAW)
  assert trained.export(again, trained.worse) is None
  assert trained.export(again, trained.better)


def test_a_best_model_that_was_evaluated_but_not_exported_is_exported_after_a_restart(trained):
  trained.evaluate(trained.worse)
  trained.evaluate(trained.better)
  assert trained.export(exporter.BestExporter('mine', RAW), trained.better)


def test_without_event_files_a_best_exporter_starts_from_nothing(trained):
  trained.export(exporter.BestExporter('mine', RAW), trained.better)
  again = exporter.BestExporter('mine', RAW, event_file_pattern=None)
  assert trained.export(again, trained.worse)


def test_only_event_files_of_the_pattern_count(trained):
  trained.estimator.evaluate(trained.input_fn, checkpoint_path=trained.better, name='other')
  assert trained.export(exporter.BestExporter('mine', RAW), trained.worse)
  pattern = 'eval_other/*.tfevents.*'
  assert not trained.export(
    exporter.BestExporter('mine', RAW, event_file_pattern=pattern), trained.worse
  )


def test_an_event_file_that_was_cut_off_counts_as_far_as_it_goes(trained, log):
  trained.evaluate(trained.better)
  trained.evaluate(trained.middle)
  tf.summary.FileWriterCache.clear()
  (path,) = tf.io.gfile.glob(trained.estimator.eval_dir() + '/*.tfevents.*')
  with open(path, 'r+b') as file:
    file.truncate(os.path.getsize(path) - 3)
  # The next file of the same second would have the same name.
  os.rename(path, path.replace('.tfevents.', '.tfevents.1'))
  assert trained.export(exporter.BestExporter('mine', RAW), trained.worse) is None
  assert any('Cannot read' in line and 'to its end' in line for line in log)


@pytest.mark.parametrize(
  'compare_fn',
  [
    lambda best_eval_result, current_eval_result: (
      best_eval_result['error'] < current_eval_result['error']
    ),
    lambda current_eval_result, best_eval_result: (
      best_eval_result['error'] < current_eval_result['error']
    ),
  ],
)
def test_what_is_better_can_be_said_with_the_arguments_in_any_order(trained, compare_fn):
  trained.evaluate(trained.worse)
  trained.evaluate(trained.better)
  best = exporter.BestExporter('mine', RAW, compare_fn=compare_fn)
  assert trained.export(best, trained.middle) is None
  assert trained.export(exporter.BestExporter('mine', RAW, compare_fn=compare_fn), trained.worse)


def smaller(best_eval_result):
  return best_eval_result


def with_threshold(best_eval_result, current_eval_result, threshold):
  return best_eval_result + threshold < current_eval_result


@pytest.mark.parametrize(
  'compare_fn, words',
  [
    (None, '`compare_fn` must not be None'),
    (smaller, 'compare_fn .* must include current_eval_result argument'),
    (lambda current_eval_result: 1, 'compare_fn .* must include best_eval_result argument'),
    (with_threshold, r"compare_fn .* has following not expected args: \['threshold'\]"),
  ],
)
def test_a_compare_fn_that_cannot_be_called_is_refused(compare_fn, words):
  with pytest.raises(ValueError, match=words):
    exporter.BestExporter('mine', RAW, compare_fn=compare_fn)


def test_models_without_a_loss_need_a_compare_fn_of_their_own(trained):
  best = exporter.BestExporter('mine', RAW, event_file_pattern=None)
  best.export(trained.estimator, str(trained.base), trained.better, {'loss': 1.0}, False)
  with pytest.raises(ValueError, match='current_eval_result cannot be empty or no loss is found'):
    best.export(trained.estimator, str(trained.base), trained.better, {'error': 1.0}, False)
  best.export(trained.estimator, str(trained.base), trained.better, {'loss': 0.5}, False)


def test_a_loss_that_is_no_number_is_worse_than_any(trained):
  best = exporter.BestExporter('mine', RAW, event_file_pattern=None)
  losses = (float('nan'), float('nan'), 3.0, float('nan'))
  folders = [
    best.export(trained.estimator, str(trained.base), trained.better, {'loss': loss}, False)
    for loss in losses
  ]
  assert [folder is not None for folder in folders] == [True, False, True, False]


def test_an_exporter_without_a_name_or_an_export_cannot_be_made():
  class Nothing(exporter.Exporter):
    pass

  with pytest.raises(TypeError, match='abstract'):
    Nothing()


@needs_tf_estimator
@pytest.mark.parametrize('name', NAMES)
def test_arguments_and_defaults_are_tf_estimators(name):
  ours, theirs = (
    inspect.signature(getattr(module, name)).parameters for module in (exporter, tf.estimator)
  )
  assert list(ours) == list(theirs)
  for argument in set(theirs) - {'compare_fn'}:
    assert ours[argument].default == theirs[argument].default


@needs_tf_estimator
@pytest.mark.parametrize('name', NAMES)
def test_an_exporter_of_tf_estimator_exports_our_model(trained, name):
  # With event files TF 1.15's BestExporter takes the model at hand for an earlier one.
  options = {'event_file_pattern': None} if name == 'BestExporter' else {}
  theirs = getattr(tf.estimator, name)('mine', RAW, **options)
  assert step_in(trained.export(theirs, trained.better, is_final=True)) == 8
