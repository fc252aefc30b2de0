"""From what the user named to decoded clips."""

import importlib.util
import os
import pathlib

import pytest

from estimators.ds_cnn import data_source, settings
from estimators.ds_cnn.clip_shape import ClipShape
from estimators.ds_cnn.dataset import speech_data
from estimators.ds_cnn.input_pipeline import Augmentation
from npu_adapter import errors

_spec = importlib.util.spec_from_file_location(
  'small_run', str(pathlib.Path(__file__).with_name('small_run.py'))
)
small_run = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(small_run)

SETTINGS = settings.Settings(
  'single_fc', (), ('yes', 'no'), ClipShape(), speech_data.Shares(30, 30, 10, 50), Augmentation(),
  10, (0.1,), (1,), 0.0, False,
)  # fmt: skip


def test_the_cache_is_where_the_user_says(monkeypatch):
  monkeypatch.setenv('HOME', '/home of somebody')
  monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
  monkeypatch.delenv('TF1_ASCEND_CACHE', raising=False)
  assert data_source.cache_folder(None) == '/home of somebody/.cache/tf1-ascend/ds_cnn'
  monkeypatch.setenv('XDG_CACHE_HOME', '/xdg')
  assert data_source.cache_folder(None) == '/xdg/tf1-ascend/ds_cnn'
  monkeypatch.setenv('TF1_ASCEND_CACHE', '/ours')
  assert data_source.cache_folder(None) == '/ours/ds_cnn'
  assert data_source.cache_folder('named') == 'named/ds_cnn'


def test_a_named_folder_is_decoded_into_the_cache_and_counted(tmp_path):
  small_run.make(tmp_path / 'speech')
  lines = []
  data = data_source.Data(str(tmp_path / 'a cache'), 'error', str(tmp_path / 'speech'))
  store = data_source.open_data(data, SETTINGS, lines.append)
  assert os.path.dirname(store.folder) == str(tmp_path / 'a cache' / 'ds_cnn')
  assert store.labels == ('_silence_', '_unknown_', 'yes', 'no')
  assert set(store.splits['training'].labels) == {0, 1, 2, 3}
  assert lines[-1] == '0 background sounds; clips: ' + ', '.join(
    f'{len(store.splits[split].rows)} for {split}'
    for split in ('training', 'validation', 'testing')
  )


def test_an_empty_path_is_told_and_is_not_taken_for_none(tmp_path):
  data = data_source.Data(str(tmp_path / 'cache'), 'error', '')
  with pytest.raises(errors.InputError, match="there is none at ''"):
    data_source.open_data(data, SETTINGS._replace(data_path=str(tmp_path)))


def test_a_folder_that_is_not_there_is_told_and_nothing_is_made(tmp_path):
  data = data_source.Data(str(tmp_path / 'cache'), 'error', str(tmp_path / 'speech'))
  with pytest.raises(errors.InputError, match='data_path must be'):
    data_source.open_data(data, SETTINGS)
  assert os.listdir(str(tmp_path)) == []
