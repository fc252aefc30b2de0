"""What every test gets: the repository on sys.path, a clean environment, a graph on request."""

import os
import signal
import subprocess
import sys

import pytest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if REPOSITORY not in sys.path:
  sys.path.insert(0, REPOSITORY)

# The kernels that command_line.tell_tensorflow chooses for every command: tests compare what a
# command computed with what they compute themselves, to the last bit.
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')

# A shell's background job ignores Ctrl-C, one under nohup a hangup, and so would the processes that
# tests start and signal.
for number, handler in (
  (signal.SIGINT, signal.default_int_handler),
  (signal.SIGHUP, signal.SIG_DFL),
):
  if signal.getsignal(number) is signal.SIG_IGN:
    signal.signal(number, handler)

# By these a launcher or a driver tells a process its place in a run.
RUN_VARIABLES = ('TF_CONFIG', 'JOB_ID', 'DEVICE_ID')
RUN_PREFIXES = ('RANK_', 'ASCEND_', 'NPU_ADAPTER_', 'CM_')

# Root may read everything, and some sandboxes have no other user.
NO_OTHER_USER = 77
BECOME_NOBODY = f"""
try:
  os.getuid() or os.setuid(65534)
except OSError:
  sys.exit({NO_OTHER_USER})
"""


def _run_variables():
  return [name for name in os.environ if name in RUN_VARIABLES or name.startswith(RUN_PREFIXES)]


@pytest.fixture(autouse=True)
def clean_environ(monkeypatch):
  """No test sees the machine's run variables, nor those an earlier test left behind."""
  for name in _run_variables():
    monkeypatch.delenv(name)
  yield
  for name in _run_variables():
    del os.environ[name]


@pytest.fixture
def graph():
  """A fresh TensorFlow graph, the default one inside the test; TensorFlow is imported only here."""
  import tensorflow.compat.v1 as tf

  with tf.Graph().as_default() as fresh_graph:
    yield fresh_graph


@pytest.fixture
def as_nobody():
  """Runs a program as a user whom file permissions bind; returns what it printed.

  Its `imports` are made before root becomes nobody, who may not be able to read the repository.
  """

  def run(imports, program, cwd='/'):
    start = f'import os, sys\nsys.path.insert(0, {REPOSITORY!r})\n{imports}\n'
    command = [sys.executable, '-c', start + BECOME_NOBODY + program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=str(cwd))
    if done.returncode == NO_OTHER_USER:
      pytest.skip('this sandbox has no user but root')
    assert done.returncode == 0, done.stderr
    return done.stdout

  return run
