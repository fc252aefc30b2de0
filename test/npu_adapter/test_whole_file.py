"""A file that is being written keeps its old content until the new one is there in full."""

import os

import pytest

from npu_adapter import whole_file


def test_text_is_written_as_utf_8_and_nothing_is_left_beside_it(tmp_path):
  path = tmp_path / 'a file'
  whole_file.write_text(str(path), 'Gerät 日')
  assert path.read_bytes().decode('utf-8') == 'Gerät 日'
  assert os.listdir(str(tmp_path)) == ['a file']


def test_the_old_content_stands_while_the_new_one_is_written(tmp_path):
  path = tmp_path / 'file'
  path.write_text('old')
  with whole_file.replacing(str(path)) as partial:
    with open(partial, 'w') as file:
      file.write('ne')
      file.flush()
      assert path.read_text() == 'old'
      file.write('w')
  assert path.read_text() == 'new'


def test_an_error_leaves_the_old_content(tmp_path):
  path = tmp_path / 'file'
  path.write_text('old')
  with pytest.raises(OSError, match='disk is full'):
    with whole_file.replacing(str(path)) as partial:
      with open(partial, 'w') as file:
        file.write('half')
      raise OSError('disk is full')
  assert path.read_text() == 'old'
  whole_file.write_text(str(path), 'new')
  assert (path.read_text(), os.listdir(str(tmp_path))) == ('new', ['file'])
