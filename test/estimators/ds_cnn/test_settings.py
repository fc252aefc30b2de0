"""The settings of a run: checked, written down, and read back by the tools."""

import json
import os

import pytest

from estimators.ds_cnn import clip_shape, input_pipeline, networks, settings
from estimators.ds_cnn.dataset import speech_data
from npu_adapter import errors

GOOD = settings.Settings(
  architecture='ds_cnn',
  sizes=networks.sizes('ds_cnn', 'S'),
  wanted_words=('yes', 'no', 'up'),
  shape=clip_shape.ClipShape(16000, 1000.0, 40.0, 20.0, 10),
  shares=speech_data.Shares(10.0, 12.5, 10.0, 0.0),
  augmentation=input_pipeline.Augmentation(0.1, 0.8, 100.0, 7),
  batch_size=100,
  learning_rates=(0.0005, 0.00002),
  steps=(10000, 3000),
  dropout_rate=0.0,
  check_nans=False,
)
NAN, INFINITE = float('nan'), float('inf')


def changed(**values):
  """GOOD with other values; a value named `group_field` is one of a group of settings."""
  found = GOOD
  for name, value in values.items():
    group, _, field = name.partition('__')
    value = getattr(found, group)._replace(**{field: value}) if field else value
    found = found._replace(**{group: value})
  return found


def test_good_settings_are_returned_as_they_are():
  assert settings.check(GOOD) is GOOD


@pytest.mark.parametrize(
  ('values', 'words'),
  [
    ({'shape__sample_rate': 4000}, r'sample_rate must be at least 8000'),
    ({'shape__clip_ms': NAN}, r'clip_duration_ms must be a number'),
    ({'shares__testing': 101}, r'testing_percentage must be from 0 to 100; got 101'),
    ({'shares__validation': 95}, r'must leave something to train on'),
    ({'steps': (1, 2, 3)}, r'rate for each number of how_many_training_steps; got .* \[1, 2, 3\]'),
    ({'learning_rates': (), 'steps': ()}, r'learning_rate must be above 0; got \[\]'),
    ({'learning_rates': (0.1, 0.0)}, r'learning_rate must be above 0; got \[0\.1, 0\.0\]'),
    ({'learning_rates': (NAN, 0.1)}, r'learning_rate must be above 0; got \[nan, 0\.1\]'),
    ({'learning_rates': (INFINITE, 0.1)}, r'learning_rate must be above 0; got \[inf, 0\.1\]'),
    ({'steps': (100, -1)}, r'how_many_training_steps must be above 0; got \[100, -1\]'),
    ({'steps': (0, 100)}, r'how_many_training_steps must be above 0; got \[0, 100\]'),
    ({'batch_size': 0}, r'batch_size must be above 0; got \[0\]'),
    ({'dropout_rate': 1.0}, r'dropout_rate must be from 0 to below 1; got 1\.0'),
    ({'dropout_rate': -0.1}, r'dropout_rate must be from 0 to below 1; got -0\.1'),
    (
      {'augmentation__background_frequency': 1.1},
      r'background_frequency must be from 0 to 1; got 1\.1',
    ),
    ({'augmentation__background_volume': NAN}, r'background_volume must be from 0 to 1; got nan'),
    ({'augmentation__time_shift_ms': 1000}, r'to below clip_duration_ms \(1000\); got 1000\.'),
    ({'augmentation__time_shift_ms': -1}, r'time_shift_ms must be from 0 .*; got -1\.'),
    ({'augmentation__time_shift_ms': NAN}, r'time_shift_ms must be from 0 .*; got nan\.'),
    ({'augmentation__seed': -1}, r'seed must be from 0 to 2147483647; got -1'),
    ({'augmentation__seed': 2**31}, r'seed must be from 0 to 2147483647; got 2147483648'),
    ({'wanted_words': ()}, r"wanted_words must be different words .*; got ''"),
    ({'wanted_words': ('yes', 'no', 'yes')}, r"wanted_words must be .*; got 'yes,no,yes'"),
    ({'wanted_words': ('yes', '')}, r"wanted_words must be .*; got 'yes,'"),
    ({'wanted_words': ('yes', '_silence_')}, r"none of _silence_, _unknown_; got 'yes,_silence_'"),
  ],
)
def test_a_wrong_value_is_told_with_the_name_of_its_flag(values, words):
  with pytest.raises(errors.InputError, match=words):
    settings.check(changed(**values))


@pytest.mark.parametrize(
  'values',
  [
    {'augmentation__time_shift_ms': 0},
    {'augmentation__background_frequency': 1, 'augmentation__background_volume': 1},
    {'augmentation__seed': 2**31 - 1},
    {'shares__validation': 0, 'shares__testing': 0},
    {'dropout_rate': 0.999, 'batch_size': 1},
  ],
)
def test_the_ends_of_what_is_allowed_are_allowed(values):
  assert settings.check(changed(**values))


def test_labels_and_the_last_step_follow_from_the_settings():
  assert GOOD.labels == ('_silence_', '_unknown_', 'yes', 'no', 'up')
  assert GOOD.last_step == 13000


def test_the_params_of_the_model_hold_its_sizes_and_schedule():
  assert GOOD.params('dynamic') == {
    'architecture': 'ds_cnn',
    'sizes': GOOD.sizes,
    'frames': 49,
    'coefficients': 10,
    'classes': 5,
    'dropout_rate': 0.0,
    'learning_rates': (0.0005, 0.00002),
    'step_boundaries': (10000, 3000),
    'check_nans': False,
    'averaging': None,
    'loss_scale': 'dynamic',
  }


# The file.


@pytest.mark.parametrize(
  'values', [{}, {'architecture': 'single_fc', 'sizes': ()}, {'wanted_words': ('häuser', 'no')}]
)
@pytest.mark.parametrize('checkpoint', ['model.ckpt-3', 'best/ds_cnn_9512.ckpt-3'])
def test_what_was_written_is_read_back_beside_a_checkpoint_or_above(tmp_path, values, checkpoint):
  (tmp_path / 'best').mkdir()
  settings.write(changed(**values), str(tmp_path))
  found = settings.read(str(tmp_path / checkpoint))
  assert found == changed(**values)
  assert [type(value) for value in found] == [type(value) for value in GOOD]
  assert os.listdir(str(tmp_path / 'best')) == []
  assert sorted(os.listdir(str(tmp_path))) == ['best', 'settings.json']


def test_a_checkpoint_without_a_folder_is_in_the_current_one(tmp_path, monkeypatch):
  settings.write(GOOD, str(tmp_path))
  monkeypatch.chdir(tmp_path)
  assert settings.read('model.ckpt-3') == GOOD


def test_writing_again_replaces_the_whole(tmp_path):
  settings.write(changed(wanted_words=tuple('abcdefghijklmnop')), str(tmp_path))
  settings.write(GOOD, str(tmp_path))
  assert settings.read(str(tmp_path / 'x')) == GOOD


def test_a_failed_write_leaves_what_was_there(tmp_path):
  settings.write(GOOD, str(tmp_path))
  with pytest.raises(TypeError):
    settings.write(GOOD._replace(batch_size=object()), str(tmp_path))
  assert settings.read(str(tmp_path / 'x')) == GOOD


def test_a_missing_file_is_told_with_where_it_should_be(tmp_path):
  with pytest.raises(errors.InputError, match=r'settings\.json, which train\.py writes .*neither'):
    settings.read(str(tmp_path / 'model.ckpt-3'))


def text_with(**values):
  values = {**GOOD._asdict(), **{name: GOOD._asdict()[name]._asdict() for name in GROUPS}, **values}
  return json.dumps({name: value for name, value in values.items() if value is not None}).encode()


GROUPS = ('shape', 'shares', 'augmentation')
FOREIGN = {
  'nothing': b'',
  'no text': b'\xff\xfe\x00',
  'half of it': text_with()[:200],
  'a list': b'[1, 2]',
  'a number': b'3',
  'something else': b'{"learning_rate": 0.1}',
  'a field too few': text_with(steps=None),
  'a field too many': text_with(colour='red'),
  'a group that is none': text_with(shape=[16000, 1000]),
  'a text for a number': text_with(batch_size='100'),
  'a text for numbers': text_with(learning_rates='fast'),
  'an impossible value': text_with(dropout_rate=2),
  'an unknown architecture': text_with(architecture='ds_cmn'),
  'sizes of another architecture': text_with(architecture='lstm'),
}


@pytest.mark.parametrize('what', FOREIGN)
def test_a_file_that_is_not_what_was_written_is_told(tmp_path, what):
  (tmp_path / 'settings.json').write_bytes(FOREIGN[what])
  with pytest.raises(errors.InputError, match=r"settings\.json' is not what train\.py writes: ."):
    settings.read(str(tmp_path / 'model.ckpt-3'))


# What flags say.


@pytest.mark.parametrize(
  ('architecture', 'size', 'stride_ms'),
  [
    ('ds_cnn', None, 20),
    ('ds_cnn', 'L', 20),
    ('dnn', None, 40),
    ('dnn', 'M', 40),
    ('lstm', 'S', 40),
    ('lstm', 'M', 20),
    ('gru', '', 40),
    ('gru', 'L', 20),
    ('dnn', '128 128 128', 20),
    ('single_fc', None, 20),
    ('nonsense', 'S', 20),
  ],
)
def test_the_stride_is_that_of_the_published_size(architecture, size, stride_ms):
  assert settings.window_stride_ms(architecture, size) == stride_ms


def test_numbers_are_read_and_words_told():
  assert settings.numbers('learning_rate', ['0.1', '2e-5'], float) == [0.1, 2e-5]
  with pytest.raises(
    errors.InputError, match=r"how_many_training_steps must be numbers .*; got '10,1e3'\."
  ):
    settings.numbers('how_many_training_steps', ['10', '1e3'], int)
