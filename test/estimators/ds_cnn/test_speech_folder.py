"""The folder make_speech writes: kept, filled or refused, and never half a data set."""

import contextlib
import fcntl
import importlib.util
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

from estimators.ds_cnn import make_speech
from estimators.ds_cnn.speech import speech_voices
from npu_adapter import errors

ROOT = pathlib.Path(__file__).resolve().parents[3]
SCRIPT = ROOT / 'estimators' / 'ds_cnn' / 'make_speech.py'
WORDS = ('go', 'stop')

pytestmark = pytest.mark.skipif(
  importlib.util.find_spec('espeakng_loader') is None, reason='espeakng-loader is not installed'
)


@pytest.fixture(autouse=True, scope='module')
def one_noise():
  """The background files take longest, and no test is about them."""
  with pytest.MonkeyPatch.context() as monkeypatch:
    monkeypatch.setattr(speech_voices, 'BACKGROUNDS', ('white_noise',))
    yield


def make(folder, **others):
  """Returns the lines it showed."""
  lines = []
  request = {'clips_per_word': 3, 'seed': 1, 'words': WORDS, 'processes': 2, **others}
  make_speech.ensure(str(folder), show=lines.append, **request)
  return lines


def clips(folder):
  return sorted(path for word in WORDS for path in (folder / word).iterdir())


def content(folder):
  """Every file of the folder, with the time of its last change."""
  return {path: path.stat().st_mtime_ns for path in folder.rglob('*')}


@pytest.fixture(scope='module')
def made(tmp_path_factory, one_noise):
  """A finished data set; tests must not change it."""
  folder = tmp_path_factory.mktemp('speech') / 'made'
  make(folder)
  return folder


def test_a_finished_folder_is_kept_as_it_is_even_without_the_packages(made, monkeypatch):
  before = content(made)
  monkeypatch.setattr(make_speech, '_PACKAGES', ('no_such_package',))
  assert 'holds this speech already' in make(made)[0]
  assert content(made) == before


def test_an_empty_folder_is_filled(tmp_path):
  make(tmp_path)
  assert len(clips(tmp_path)) == 3 * len(WORDS)
  assert [path.name for path in tmp_path.iterdir() if path.name.startswith('.')] == []


@pytest.mark.parametrize(
  'request_, words',
  [
    ({'seed': 2}, r'with seed 2; it holds some with seed 1'),
    ({'clips_per_word': 4}, r'with clips_per_word 4; it holds some with clips_per_word 3'),
    ({'words': ('go',)}, r'with words \["go"\]; it holds some with words \["go", "stop"\]'),
  ],
)
def test_a_folder_of_another_request_is_refused(made, request_, words):
  before = content(made)
  with pytest.raises(errors.OptionError, match=words + '.*another folder, or remove'):
    make(made, **request_)
  assert content(made) == before


def test_a_folder_that_lost_a_clip_is_refused(made, tmp_path):
  shutil.copytree(str(made), str(tmp_path / 'a'))
  clips(tmp_path / 'a')[0].unlink()
  with pytest.raises(errors.OptionError, match=r'go must hold 3 clips; it holds 2. Remove .*/a: '):
    make(tmp_path / 'a')


def test_a_folder_of_somebody_else_is_refused(tmp_path):
  (tmp_path / 'notes.txt').write_text('mine')
  with pytest.raises(errors.OptionError, match="holds other files, as 'notes.txt'. Name another"):
    make(tmp_path)
  assert os.listdir(str(tmp_path)) == ['notes.txt']


@pytest.mark.parametrize('text', ['', '[]', '{"seed": 1}', '\0'])
def test_a_manifest_of_something_else_is_refused(tmp_path, text):
  (tmp_path / 'manifest.json').write_text(text)
  with pytest.raises(errors.OptionError, match='format_version 1; it holds some with format_ver'):
    make(tmp_path)


def ensuring(folder):
  """Python code that makes a small data set in `folder` and prints its lines."""
  return (
    f'import sys; sys.path.insert(0, {str(ROOT)!r})\n'
    'from estimators.ds_cnn import make_speech\n'
    'from estimators.ds_cnn.speech import speech_voices\n'
    'speech_voices.BACKGROUNDS = ("white_noise",)\n'
    f'make_speech.ensure({str(folder)!r}, 30, 1, words={WORDS!r})'
  )


def test_it_is_made_even_when_the_reader_of_the_lines_has_enough(tmp_path):
  read_end, write_end = os.pipe()
  os.close(read_end)
  command = [sys.executable, '-c', ensuring(tmp_path / 'a')]
  done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, text=True)
  os.close(write_end)
  assert (done.returncode, done.stderr) == (0, '')
  assert len(clips(tmp_path / 'a')) == 30 * len(WORDS)


def wait_for(condition):
  for _ in range(600):
    if condition():
      return
    time.sleep(0.05)
  raise AssertionError('it did not happen within 30 s')


def start_long(folder):
  """Starts a run that would take minutes, and waits until it has written some clips."""
  process = subprocess.Popen(
    [sys.executable, str(SCRIPT), '--out', str(folder), '--clips_per_word', '30000'],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
  )
  making = folder.parent / f'.{folder.name}.making'
  wait_for(lambda: len(list(making.glob('*/*_nohash_*.wav'))) > 20)
  return process, making


@pytest.mark.parametrize('number, status', [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_leaves_nothing_behind(tmp_path, number, status):
  process, _ = start_long(tmp_path / 'a')
  process.send_signal(number)
  # Far less than the run would take: its workers must end too.
  complaint = process.communicate(timeout=40)[1]
  assert process.returncode == status
  assert 'Traceback' not in complaint
  assert not list(tmp_path.iterdir())


def processes_of(parent):
  """The processes that `parent` started and that still run."""
  found = []
  for path in pathlib.Path('/proc').glob('[0-9]*/stat'):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
      state, its_parent = path.read_text().rpartition(')')[2].split()[:2]
      if int(its_parent) == parent and state != 'Z':
        found.append(int(path.parent.name))
  return found


def runs(process):
  with contextlib.suppress(FileNotFoundError, ProcessLookupError):
    return 'Z' not in pathlib.Path(f'/proc/{process}/stat').read_text().rpartition(')')[2]
  return False


def test_a_killed_run_leaves_nothing_that_passes_for_complete_and_the_next_one_clears_it(tmp_path):
  process, making = start_long(tmp_path / 'a')
  workers = processes_of(process.pid)
  assert workers
  for worker in workers:
    os.kill(worker, signal.SIGSTOP)
  process.kill()
  process.communicate()
  assert not (tmp_path / 'a').exists()
  # What may still write keeps the claim, so that nobody writes in the same place.
  with open(making / '.lock') as lock, pytest.raises(BlockingIOError):
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
  for worker in workers:
    os.kill(worker, signal.SIGCONT)
  wait_for(lambda: not any(map(runs, workers)))
  make(tmp_path / 'a')
  assert [path.name for path in tmp_path.iterdir()] == ['a']
  assert len(clips(tmp_path / 'a')) == 3 * len(WORDS)
  assert {path.name for path in (tmp_path / 'a').iterdir() if path.is_dir()} == {
    *WORDS, '_background_noise_'
  }  # fmt: skip


def test_of_several_processes_that_want_one_folder_one_makes_it(tmp_path):
  command = [sys.executable, '-c', ensuring(tmp_path / 'a')]
  started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
  outputs = [process.communicate()[0] for process in started]
  assert [process.returncode for process in started] == [0, 0, 0]
  assert sorted('making 60 clips' in output for output in outputs) == [False, False, True]
  assert sum('holds this speech already' in output for output in outputs) == 2
  assert [path.name for path in tmp_path.iterdir()] == ['a']
