"""From folders to windows in three splits: UCI HAR's published folder, and a watch's recordings."""

import os
import pathlib
import shutil

import numpy as np
import pytest

from estimators.lstm_har import data_source
from estimators.lstm_har.dataset import har_data, uci_folder, uci_har, uci_text, watch
from npu_adapter import errors


def open_quietly(path, cache, people=None):
  return data_source.open_data(path and str(path), str(cache), people, show=lambda line: None)


@pytest.fixture
def copy(uci_folder, tmp_path):
  """The folder, to be spoilt."""
  folder = tmp_path / 'UCI HAR Dataset'
  shutil.copytree(str(uci_folder), str(folder))
  return folder


def test_the_folder_has_the_published_files_and_nothing_else(uci_folder):
  found = sorted(str(path.relative_to(uci_folder)) for path in uci_folder.rglob('*.txt'))
  signals = [
    f'{half}/Inertial Signals/{kind}_{axis}_{half}.txt'
    for half in ('train', 'test')
    for kind in ('body_acc', 'body_gyro', 'total_acc')
    for axis in 'xyz'
  ]
  others = [f'{half}/{kind}_{half}.txt' for half in ('train', 'test') for kind in ('y', 'subject')]
  assert found == sorted([*signals, *others, 'activity_labels.txt'])
  assert sorted(path for path in uci_folder.rglob('*') if path.is_file()) == sorted(
    uci_folder.rglob('*.txt')
  )


def test_its_files_are_byte_for_byte_as_published(uci_folder, uci_data):
  """A row is 128 numbers of 16 places and its end; what is read is written to the same bytes."""
  count = len(uci_data.splits['test'].rows)
  path = uci_folder / 'test' / 'Inertial Signals' / 'body_gyro_y_test.txt'
  content = path.read_bytes()
  assert len(content) == count * (128 * 16 + 2)
  windows = uci_data.windows('test')
  assert uci_text.windows_text(windows[:, :, uci_har.CHANNELS.index('body_gyro_y')]) == content
  labels = uci_data.splits['test'].labels + 1
  assert (uci_folder / 'test' / 'y_test.txt').read_bytes() == uci_text.numbers_text(labels)
  assert (uci_folder / 'activity_labels.txt').read_text().splitlines()[0] == '1 PEN'


def test_what_is_read_are_the_very_float32_that_were_recorded(uci_data):
  """The recordings have six decimals: eight digits hold them."""
  recordings = watch.load(watch.data_file())
  chosen = [
    watch.cut(series)[:, :, 3]
    for series, person, exercise in zip(recordings['X'], recordings['subject'], recordings['y'])
    if person == 9 and exercise == 0
  ]
  rotation = np.concatenate(chosen)[:3].astype(np.float32)
  split = uci_data.splits['test']
  rows = np.flatnonzero(split.labels == 0)
  found = uci_data.windows('test')[rows][:, :, uci_har.CHANNELS.index('body_gyro_x')]
  assert any(np.array_equal(found[at : at + 3], rotation) for at in range(len(found)))


def test_gravity_is_what_is_slow():
  time_s = np.arange(500) / 50
  slow, fast = 1 + 0.1 * np.sin(2 * np.pi * 0.1 * time_s), 0.5 * np.sin(2 * np.pi * 3 * time_s)
  series = np.zeros([500, 6])
  series[:, 0] = slow + fast
  channels = uci_folder_channels(series)
  np.testing.assert_allclose(channels['total_acc_x'], slow + fast)
  np.testing.assert_allclose(channels['body_acc_x'][50:-50], fast[50:-50], atol=0.03)


def uci_folder_channels(series):
  return dict(zip(uci_har.CHANNELS, uci_folder.in_channels(series).T))


def test_the_folder_is_found_by_its_name_and_by_the_one_it_is_in(uci_folder, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  there = os.path.relpath(str(uci_folder))
  for path in (there, f'{there}/', os.path.dirname(there)):
    assert open_quietly(path, tmp_path / 'cache').source == str(uci_folder)


def test_people_are_in_one_split_each(uci_data):
  people = {name: set(split.people) for name, split in uci_data.splits.items()}
  assert people == {'training': {1, 2, 4, 5, 6, 7}, 'validation': {3, 8}, 'test': {9, 10}}
  rows = np.concatenate([split.rows for split in uci_data.splits.values()])
  assert sorted(rows) == list(range(10 * 6 * 3))


def test_people_for_validation_can_be_chosen(uci_folder, cache):
  found = open_quietly(uci_folder, cache, [1, 4])
  assert found.splits['validation'].people == (1, 4)
  for wrong in ([9], [1, 2, 3, 4, 5, 6, 7, 8]):
    with pytest.raises(errors.InputError, match='validation_people must be some of the people who'):
      open_quietly(uci_folder, cache, wrong)


def test_files_are_read_once(copy, tmp_path):
  said = []
  for _ in range(2):
    data_source.open_data(str(copy), str(tmp_path / 'cache'), show=said.append)
  assert sum('reading 22 files' in line for line in said) == 1
  path = copy / 'train' / 'y_train.txt'
  os.utime(str(path), (1, 1))
  data_source.open_data(str(copy), str(tmp_path / 'cache'), show=said.append)
  assert sum('reading 22 files' in line for line in said) == 2


@pytest.mark.parametrize('half', ['train', 'test'])
def test_a_file_that_is_missing_is_named(copy, tmp_path, half):
  (copy / half / 'Inertial Signals' / f'total_acc_y_{half}.txt').unlink()
  with pytest.raises(errors.InputError, match=f"there is no '.*total_acc_y_{half}.txt'. Unpack"):
    open_quietly(copy, tmp_path / 'cache')
  assert not (tmp_path / 'cache').exists()


def _spoil_row(copy):
  path = copy / 'train' / 'Inertial Signals' / 'body_acc_z_train.txt'
  lines = path.read_bytes().split(b'\r\n')
  lines[4] = b'   NaN'.rjust(16) + lines[4][16:]
  path.write_bytes(b'\r\n'.join(lines))
  return r'body_acc_z_train.txt. must hold finite numbers; row 5 has nan as its number 1'


def _cut_file(copy):
  path = copy / 'test' / 'Inertial Signals' / 'body_acc_x_test.txt'
  path.write_bytes(b''.join(path.read_bytes().splitlines(keepends=True)[:-1]))
  return (
    r'body_acc_x_test.txt. must have as many rows as .*y_test.txt., a window each; got 35 and 36'
  )


def _narrow(copy):
  path = copy / 'train' / 'Inertial Signals' / 'body_acc_x_train.txt'
  path.write_bytes(b''.join(line[16:] for line in path.read_bytes().splitlines(keepends=True)))
  return r'body_acc_x_train.txt. must hold 128 numbers a row; row 1 has 127'


def _wrong_label(copy):
  path = copy / 'train' / 'y_train.txt'
  path.write_text('7\n' + path.read_text()[2:])
  return r"y_train.txt. must hold a label a line, a whole number from 1 to 6; row 1 is '7'"


def _too_few_people(copy):
  path = copy / 'train' / 'subject_train.txt'
  path.write_text(path.read_text()[2:])
  return r'subject_train.txt. must have as many rows as'


def _other_names(copy):
  (copy / 'activity_labels.txt').write_text('1 WALKING\n2 SITTING\n')
  return r'activity_labels.txt. must name the labels 1 to 6 in six lines'


@pytest.mark.parametrize(
  'spoil', [_spoil_row, _cut_file, _narrow, _wrong_label, _too_few_people, _other_names]
)
def test_what_is_wrong_in_a_folder_is_told_with_file_and_row(copy, tmp_path, spoil):
  with pytest.raises(errors.InputError, match=spoil(copy)):
    open_quietly(copy, tmp_path / 'cache')


def test_the_published_names_stand_in_for_a_file_of_names_that_is_missing(copy, tmp_path):
  (copy / 'activity_labels.txt').unlink()
  assert open_quietly(copy, tmp_path / 'cache').labels == (
    'WALKING', 'WALKING_UPSTAIRS', 'WALKING_DOWNSTAIRS', 'SITTING', 'STANDING', 'LAYING',
  )  # fmt: skip


def test_a_path_that_is_no_such_folder_is_told(tmp_path):
  (tmp_path / 'data.zip').write_bytes(b'')
  for path, hint in ((tmp_path, ''), (tmp_path / 'data.zip', 'Unpack the archive first')):
    with pytest.raises(errors.InputError, match=f"must be the folder 'UCI HAR Dataset'.*{hint}"):
      open_quietly(path, tmp_path / 'cache')


def test_a_cache_that_cannot_be_written_is_told(uci_folder, tmp_path):
  (tmp_path / 'file').write_bytes(b'')
  with pytest.raises(errors.InputError, match='cache_path must be a folder this user can write'):
    open_quietly(uci_folder, tmp_path / 'file')


def test_the_watch_has_3605_windows_of_people_who_are_in_one_split_each(tmp_path):
  found = open_quietly(None, tmp_path)
  people = {name: split.people for name, split in found.splits.items()}
  assert people == {'training': (1, 2, 3, 4, 5, 6), 'validation': (7, 8), 'test': (9, 10)}
  assert sum(len(split.rows) for split in found.splits.values()) == 3605
  assert found.labels == ('PEN', 'ABD', 'FEL', 'IR', 'ER', 'TRAP', 'ROW')
  assert found.windows('test').shape == (len(found.splits['test'].rows), 128, 6)
  for split in found.splits.values():
    assert set(split.labels) == set(range(7))


def test_windows_overlap_by_half(tmp_path):
  series = np.arange(300.0)[:, None]
  windows = watch.cut(series)
  assert windows[:, 0, 0].tolist() == [0, 64, 128]
  assert windows[:, -1, 0].tolist() == [127, 191, 255]


def test_without_seglearn_it_is_said_what_to_do(monkeypatch, tmp_path):
  monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
  with pytest.raises(errors.InputError, match='seglearn must be installed'):
    open_quietly(None, tmp_path)


def test_two_processes_that_write_the_same_do_not_disturb_each_other(tmp_path, monkeypatch):
  file = tmp_path / 'file'
  file.write_bytes(b'x')
  zeros = np.zeros([1, 128, 1], np.float32)
  recordings = har_data.Recordings(zeros, np.zeros([1]), np.ones([1]), np.zeros([1], bool))

  def read():
    # What another process does between the look and the writing.
    if not list((tmp_path / 'cache').glob('*')):
      har_data.cached(str(tmp_path / 'cache'), [str(file)], lambda: recordings)
    return recordings

  folder, found = har_data.cached(str(tmp_path / 'cache'), [str(file)], read)
  assert found.windows.shape == zeros.shape
  assert [path.name for path in pathlib.Path(folder).parent.iterdir()] == [os.path.basename(folder)]
