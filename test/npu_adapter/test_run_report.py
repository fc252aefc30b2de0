"""result.json: what is in it whatever it is given, and that it is never half of one."""

import json
import os
import platform

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import npu_adapter as npu
from npu_adapter import run_report


def strictly_read(path):
  """As JSON has it: no NaN, no Infinity."""

  def refuse(word):
    raise AssertionError(f'{word} is no JSON')

  with open(path, encoding='utf-8') as file:
    return json.load(file, parse_constant=refuse)


def estimator(folder, **options):
  config = npu.NPURunConfig(**options)
  return npu.NPUEstimator(lambda features: None, str(folder), config)


def test_the_report_is_strict_json_of_numbers_arrays_and_texts(tmp_path):
  folder = tmp_path / 'a model'
  folder.mkdir()
  values = {
    'accuracy': {'test': np.float32(0.5), 'validation': None, 'bad': float('nan')},
    'counts': np.array([[1, 2], [3, 4]]), 'loss': np.array([0.5, np.inf]), 'steps': (10, 20),
    'bad': np.float64('nan'), 'worse': [float('inf'), {'deep': float('-inf')}], 'is_best': True,
    'text': 'Übung "1"', 'step': np.int64(7), 3: 'three',
    np.int64(4): 'four',
  }  # fmt: skip
  path = run_report.write(str(folder), values)
  assert path == str(folder / 'result.json')
  assert os.listdir(str(folder)) == ['result.json']
  assert strictly_read(path) == {
    'accuracy': {'test': 0.5, 'validation': None, 'bad': None},
    'counts': [[1, 2], [3, 4]], 'loss': [0.5, None], 'steps': [10, 20],
    'bad': None, 'worse': [None, {'deep': None}], 'is_best': True,
    'text': 'Übung "1"', 'step': 7, '3': 'three',
    '4': 'four',
  }  # fmt: skip


def test_a_path_that_is_no_unicode_is_no_reason_to_lose_a_report(tmp_path):
  folder = os.fsdecode(b'caf\xe9')
  path = run_report.write(str(tmp_path), {'folder': folder})
  assert strictly_read(path) == {'folder': folder}


class Nameless:
  """An object that cannot be described."""

  def __repr__(self):
    raise RuntimeError('no words')


def test_a_report_that_fails_leaves_the_one_before(tmp_path, monkeypatch):
  path = run_report.write(str(tmp_path), {'step': 1})
  with pytest.raises(RuntimeError, match='no words'):
    run_report.write(str(tmp_path), {'step': 2, 'what': Nameless()})
  assert strictly_read(path) == {'step': 1}

  def killed(*unused):
    raise KeyboardInterrupt

  monkeypatch.setattr(os, 'replace', killed)
  with pytest.raises(KeyboardInterrupt):
    run_report.write(str(tmp_path), {'step': 3})
  assert strictly_read(path) == {'step': 1}


def test_the_environment_names_backend_versions_and_the_options_that_were_given(tmp_path):
  dump = npu.DumpConfig(enable_dump=True, dump_path=str(tmp_path), dump_step='0|5')
  made = estimator(
    tmp_path / 'model', precision_mode='allow_mix_precision', dump_config=dump,
    iterations_per_loop=5, session_config=tf.ConfigProto(allow_soft_placement=True),
  )  # fmt: skip
  path = run_report.write(str(tmp_path), run_report.environment_of(made))
  found = strictly_read(path)
  options = found.pop('options')
  assert found == {
    'backend': 'host', 'precision_mode': 'allow_mix_precision', 'tensorflow': tf.__version__,
    'python': platform.python_version(), 'npu_adapter': npu.__version__,
  }  # fmt: skip
  assert options['iterations_per_loop'] == 5
  assert options['model_dir'] == str(tmp_path / 'model')
  assert options['dump_config'] == repr(dump) and "dump_step='0|5'" in repr(dump)
  assert 'allow_soft_placement: true' in options['session_config']
  assert 'enable_data_pre_proc' not in options


def test_the_later_name_of_the_precision_mode_is_found_too(tmp_path):
  made = estimator(tmp_path, precision_mode_v2='mixed_float16')
  assert run_report.environment_of(made)['precision_mode'] == 'mixed_float16'
  assert run_report.environment_of(estimator(tmp_path))['precision_mode'] is None


@pytest.mark.skipif(not tf.__version__.startswith('1.15'), reason='npu_bridge is for TF 1.15')
def test_on_an_npu_the_backend_is_ascend(tmp_path, vendor):
  assert run_report.environment_of(estimator(tmp_path))['backend'] == 'ascend'


def test_the_speed_is_the_median_of_the_log_and_its_time_the_last():
  events = [
    {'event': 'train', 'step': 1, 'seconds': 0.0},
    {'event': 'train', 'step': 2, 'seconds': 1.0, 'samples_per_s': 10.0},
    {'event': 'train', 'step': 3, 'seconds': 2.0, 'samples_per_s': 90.0},
    {'event': 'train', 'step': 4, 'seconds': 3.0, 'samples_per_s': 20.0},
    {'event': 'evaluate', 'step': 4, 'accuracy': 0.5},
  ]
  assert run_report.speed_of(events) == {'training_seconds': 3.0, 'samples_per_s': 20.0}
  assert run_report.speed_of(events[-1:]) == {'training_seconds': None, 'samples_per_s': None}
