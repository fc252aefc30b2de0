"""Unpacking a speech_commands archive: once, whole, and into its folder only."""

import io
import os
import pathlib
import signal
import subprocess
import sys
import tarfile

import pytest

from estimators.ds_cnn.dataset import archive

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
FILES = {
  './README.md': b'words\n',
  './yes/a_nohash_0.wav': bytes(range(256)) * 5,
  './yes/b_nohash_0.wav': b'',
  './no/a_nohash_0.wav': b'n' * 1024,
}
# Unpacks argv[1] beside itself; after each file it tells so and waits for argv[2] seconds.
SLOW = f"""
import os, sys, time
sys.path.insert(0, {str(REPOSITORY)!r})
from estimators.ds_cnn.dataset import archive
write = archive._write
def slow(*arguments):
  write(*arguments)
  print('wrote', flush=True)
  time.sleep(float(sys.argv[2]))
archive._write = slow
print(archive.unpack(sys.argv[1], os.path.dirname(sys.argv[1])), flush=True)
"""


def add(tar, name, content=b'x', kind=tarfile.REGTYPE, **fields):
  member = tarfile.TarInfo(name)
  member.type = kind
  member.size = len(content) if kind == tarfile.REGTYPE else 0
  for field, value in fields.items():
    setattr(member, field, value)
  tar.addfile(member, io.BytesIO(content))


def make(path, files=FILES):
  with tarfile.open(str(path), 'w' if path.suffix == '.tar' else 'w:gz') as tar:
    for name, content in files.items():
      add(tar, name, content)
  return path


def unpack(path):
  return pathlib.Path(archive.unpack(str(path), str(path.parent), lambda line: None))


def content(folder):
  found = (path for path in folder.rglob('*') if path.is_file())
  return {'./' + str(path.relative_to(folder)): path.read_bytes() for path in found}


def names(folder):
  return sorted(os.listdir(str(folder)))


@pytest.fixture
def place(tmp_path):
  (tmp_path / 'a place').mkdir()
  return tmp_path / 'a place'


@pytest.mark.parametrize('suffix', ['.tar.gz', '.tgz', '.tar'])
def test_an_archive_is_unpacked_into_a_folder_of_its_name(place, suffix):
  path = make(place / ('speech_v0.02' + suffix))
  assert archive.is_archive(str(path))
  folder = unpack(path)
  assert folder == place / 'speech_v0.02'
  assert content(folder) == FILES
  assert names(place) == ['speech_v0.02', path.name]


def test_other_users_may_read_what_was_unpacked(place):
  before = os.umask(0o022)
  try:
    folder = unpack(make(place / 'speech.tar'))
  finally:
    os.umask(before)
  assert folder.stat().st_mode & 0o777 == 0o755
  assert (folder / 'yes').stat().st_mode & 0o777 == 0o755


def test_an_archive_is_unpacked_once_and_then_nothing_is_written(place, monkeypatch):
  path = make(place / 'speech.tar.gz')
  lines = []
  archive.unpack(str(path), str(place), lines.append)
  (place / 'speech' / 'yes' / 'mine.wav').write_bytes(b'mine')
  monkeypatch.setattr(archive, 'claim', None)
  archive.unpack(str(path), str(place), lines.append)
  assert (place / 'speech' / 'yes' / 'mine.wav').read_bytes() == b'mine'
  assert lines == [f'unpacking {path} into {place / "speech"} (once)']


@pytest.mark.parametrize('name', ['speech.zip', 'speech.gz', 'tar', '.tar.gz', '.tar'])
def test_what_is_no_archive_by_its_name_is_none(place, name):
  (place / name).write_bytes(b'x')
  assert not archive.is_archive(str(place / name))
  assert not archive.is_archive(str(place / 'missing.tar'))


# What must not be unpacked.


@pytest.mark.parametrize(
  'name',
  ['/tmp_escape', '//tmp_escape', '../escape', 'yes/../../escape', './../escape', '..', 'a\\..\\b'],
)
def test_a_path_that_leads_out_of_the_folder_is_refused(tmp_path, name):
  place = tmp_path / 'below' / 'deeper'
  place.mkdir(parents=True)
  path = place / 'speech.tar'
  with tarfile.open(str(path), 'w') as tar:
    add(tar, 'yes/a.wav')
    add(tar, name)
  with pytest.raises(archive.ArchiveError, match=r'leads out of the folder: .*Nothing of it was'):
    unpack(path)
  assert [str(found.relative_to(place)) for found in tmp_path.rglob('*') if found.is_file()] == [
    'speech.tar'
  ]
  assert names(place) == ['speech.tar']


def test_a_path_with_a_nul_is_refused(place):
  path = place / 'speech.tar'
  with tarfile.open(str(path), 'w', format=tarfile.PAX_FORMAT) as tar:
    add(tar, 'x', pax_headers={'path': 'yes/a\0b.wav'})
  with pytest.raises(archive.ArchiveError, match='leads out'):
    unpack(path)


def test_a_path_that_turns_inside_the_folder_is_followed(place):
  assert content(unpack(make(place / 'x.tar', {'a/../b.wav': b'1', 'c//d.wav': b'2'}))) == {
    './b.wav': b'1',
    './c/d.wav': b'2',
  }


@pytest.mark.parametrize(
  'kind', [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE]
)
def test_links_and_devices_are_refused(place, kind):
  path = place / 'speech.tar'
  with tarfile.open(str(path), 'w') as tar:
    add(tar, 'yes/a.wav')
    add(tar, 'yes/b.wav', kind=kind, linkname='yes/a.wav')
  with pytest.raises(archive.ArchiveError, match=r"'yes/b\.wav', which is no plain file or folder"):
    unpack(path)
  assert names(place) == ['speech.tar']


@pytest.mark.parametrize(('limit', 'most'), [('MOST_FILES', 4), ('MOST_BYTES', 2310)])
def test_an_archive_may_be_as_large_as_its_bounds_and_no_larger(place, monkeypatch, limit, most):
  path = make(place / 'speech.tar.gz')
  monkeypatch.setattr(archive, limit, most - 1)
  with pytest.raises(archive.ArchiveError, match=r'at most \d+ files and \d+ GB; .* holds more'):
    unpack(path)
  assert names(place) == ['speech.tar.gz']
  monkeypatch.setattr(archive, limit, most)
  assert content(unpack(path)) == FILES


def test_the_size_is_checked_before_a_file_is_written(place, monkeypatch):
  monkeypatch.setattr(archive, 'MOST_BYTES', 1000)
  monkeypatch.setattr(archive, '_write', None)
  with pytest.raises(archive.ArchiveError, match='holds more'):
    unpack(make(place / 'speech.tar', {'yes/a.wav': bytes(1001)}))


# What is not whole.


def damaged(place, path, data):
  """Puts `data` in the place of the archive; what unpacking it gives, or None for an error."""
  path.write_bytes(data)
  try:
    folder = unpack(path)
  except archive.ArchiveError as error:
    assert 'Nothing of it was kept' in str(error)
    assert names(place) == [path.name]
    return None
  found = content(folder)
  os.rename(str(folder), str(place.parent / f'done {len(names(place.parent))}'))
  return found


def test_an_archive_cut_anywhere_is_an_error(place):
  path = make(place / 'speech.tar')
  data = path.read_bytes()
  # Four headers; the files take none, three, none and two blocks, a block of zeros ends it.
  end = 512 * (4 + 1 + 3 + 2 + 1)
  assert not any(data[end - 512 :])
  for length in (*range(0, end, 128), end - 1):
    assert damaged(place, path, data[:length]) is None, length
  assert damaged(place, path, data[:end]) == FILES


def test_a_compressed_archive_cut_anywhere_is_an_error(place):
  path = make(place / 'speech.tar.gz')
  data = path.read_bytes()
  for length in range(0, len(data), 7):
    assert damaged(place, path, data[:length]) is None, length


def test_a_damaged_compressed_archive_is_an_error_or_does_not_matter(place):
  path = make(place / 'speech.tar.gz')
  data = path.read_bytes()
  refused = 0
  for at in range(0, len(data), 5):
    found = damaged(place, path, data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
    assert found in (None, FILES), at
    refused += found is None
  assert refused > 0.9 * len(data) / 5


def test_a_damaged_header_in_the_middle_is_not_the_end(place):
  path = make(place / 'speech.tar')
  data = bytearray(path.read_bytes())
  data[data.index(b'./no/')] ^= 1
  assert damaged(place, path, bytes(data)) is None


def test_something_else_under_the_name_of_an_archive_is_an_error(place):
  assert damaged(place, place / 'speech.tar.gz', b'<html>404</html>' * 100) is None


def start(path, seconds):
  return subprocess.Popen(
    [sys.executable, '-c', SLOW, str(path), str(seconds)],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    universal_newlines=True,
  )


def next_line(process, text):
  for line in process.stdout:
    if text in line:
      return
  raise AssertionError(process.communicate()[1])


def test_a_killed_process_leaves_nothing_that_passes_for_the_folder(place):
  path = make(place / 'speech.tar.gz')
  process = start(path, 60)
  next_line(process, 'wrote')
  process.kill()
  process.communicate()
  assert len(names(place)) == 2
  assert not (place / 'speech').exists()
  assert content(unpack(path)) == FILES
  assert names(place) == ['speech', 'speech.tar.gz']


def test_an_interrupted_process_leaves_nothing(place):
  path = make(place / 'speech.tar.gz')
  process = start(path, 60)
  next_line(process, 'wrote')
  process.send_signal(signal.SIGINT)
  assert 'KeyboardInterrupt' in process.communicate()[1]
  assert names(place) == ['speech.tar.gz']


def test_of_several_processes_one_unpacks_and_the_others_wait(place):
  path = make(place / 'speech.tar.gz')
  processes = [start(path, 0.2) for _ in range(4)]
  ends = [process.communicate() for process in processes]
  assert [process.returncode for process in processes] == [0] * 4, ends
  assert ''.join(out for out, _ in ends).count('unpacking') == 1
  assert all(out.splitlines()[-1] == str(place / 'speech') for out, _ in ends)
  assert content(place / 'speech') == FILES
  assert names(place) == ['speech', 'speech.tar.gz']


def test_a_parent_that_cannot_be_written_is_told(place):
  path = make(place / 'speech.tar')
  (place / 'file').write_bytes(b'')
  with pytest.raises(
    archive.ArchiveError, match=r'must be a folder this user can write.*elsewhere'
  ):
    archive.unpack(str(path), str(place / 'file'))


def test_a_file_that_stands_in_the_way_is_told_and_kept(place):
  path = make(place / 'speech.tar')
  (place / 'speech').write_bytes(b'mine')
  with pytest.raises(archive.ArchiveError, match=r"'.*/speech'"):
    unpack(path)
  assert (place / 'speech').read_bytes() == b'mine'
  assert names(place) == ['speech', 'speech.tar']


def test_a_name_that_is_a_file_and_a_folder_is_an_error(place):
  path = make(place / 'x.tar', {'yes': b'1', 'yes/a.wav': b'2'})
  with pytest.raises(archive.ArchiveError):
    unpack(path)
  assert names(place) == ['x.tar']
