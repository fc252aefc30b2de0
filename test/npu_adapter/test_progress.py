"""How far long work is: lines in a log file, a bar on a terminal."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios

from npu_adapter import progress

PROGRAM = 'from npu_adapter import progress; print(sum(progress.shown(range(5), "clips")))'
REPOSITORY = os.path.dirname(os.path.dirname(progress.__file__))


def test_short_work_shows_nothing_in_a_log(capsys):
  assert list(progress.shown('abc', 'clips')) == ['a', 'b', 'c']
  assert capsys.readouterr() == ('', '')


def test_long_work_says_now_and_then_how_much_is_done(capsys, monkeypatch):
  monkeypatch.setattr(progress, '_LINE_EVERY_S', 0)
  assert list(progress.shown('abc', 'clips')) == ['a', 'b', 'c']
  assert capsys.readouterr().err == '0 of 3 clips\n1 of 3 clips\n2 of 3 clips\n'


def on_a_terminal(program):
  """Returns (what is said on standard output, what on a terminal)."""
  terminal, end = pty.openpty()
  fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))
  done = subprocess.run(
    [sys.executable, '-c', program], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=end, check=True
  )
  shown = b''
  while select.select([terminal], [], [], 0)[0]:
    shown += os.read(terminal, 1000)
  os.close(end)
  os.close(terminal)
  return done.stdout.decode().strip(), shown.decode()


def test_a_terminal_gets_a_bar():
  found, shown = on_a_terminal(PROGRAM)
  assert found == '10'
  assert '5 [' in shown
  assert 'clips' in shown


def test_a_terminal_without_tqdm_gets_no_bar_and_no_error():
  hidden = 'import importlib.util as u; u.find_spec = lambda name: None; '
  assert on_a_terminal(hidden + PROGRAM) == ('10', '')
