"""The right to make a file or a folder: who gets it, and what is left when it was not used."""

import os
import pathlib
import threading

import pytest

from estimators.ds_cnn.dataset import claim


def names(folder):
  return sorted(os.listdir(str(folder)))


def test_what_is_renamed_stays_and_nothing_else(tmp_path):
  path = str(tmp_path / 'a file')
  with claim.claimed(path) as place:
    assert os.path.dirname(os.path.dirname(place)) == str(tmp_path)
    assert not os.path.exists(place)
    pathlib.Path(place).write_text('x')
    os.rename(place, path)
  assert names(tmp_path) == ['a file']
  assert (tmp_path / 'a file').read_text() == 'x'


@pytest.mark.parametrize('make', [os.mkdir, os.mkfifo, lambda place: 0])
@pytest.mark.parametrize('error', [KeyboardInterrupt, None])
def test_what_is_not_renamed_is_removed(tmp_path, make, error):
  try:
    with claim.claimed(str(tmp_path / 'x')) as place:
      make(place)
      if error:
        raise error
  except KeyboardInterrupt:
    assert error
  assert names(tmp_path) == []


def test_the_folders_above_are_made(tmp_path):
  path = tmp_path / 'a' / 'b' / 'c'
  with claim.claimed(str(path)) as place:
    os.mkdir(place)
    os.rename(place, str(path))
  assert path.is_dir()


@pytest.mark.parametrize('is_folder', [True, False])
def test_what_a_killed_process_left_is_not_found_in_the_place(tmp_path, is_folder):
  with claim.claimed(str(tmp_path / 'x')) as place:
    pass
  left = pathlib.Path(place)
  left.parent.mkdir()
  (left.parent / 'lock').write_text('')
  if is_folder:
    left.mkdir()
    (left / 'half').write_text('')
  else:
    left.write_text('half')
  with claim.claimed(str(tmp_path / 'x')) as place:
    assert place == str(left)
    assert not left.exists()
  assert names(tmp_path) == []


def test_only_one_at_a_time_has_the_claim_and_the_others_are_told(tmp_path):
  path, inside, lines, most = tmp_path / 'x', [], [], []

  def work():
    with claim.claimed(str(path), lines.append) as place:
      inside.append(1)
      most.append(len(inside))
      os.mkdir(place)
      # Long enough for another to get in, if it could.
      threading.Event().wait(0.02)
      inside.pop()

  threads = [threading.Thread(target=work) for _ in range(8)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert most == [1] * 8
  assert names(tmp_path) == []
  assert lines
  assert all('another process is writing' in line for line in lines)


def test_a_place_that_cannot_be_written_is_an_error_of_the_system(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(NotADirectoryError):
    with claim.claimed(str(tmp_path / 'file' / 'x')):
      raise AssertionError
