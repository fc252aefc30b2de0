"""How a run ends: with the status of training, and with nothing of it left behind."""

import os
import signal
import time

import pytest

# Starts a worker that outlives its parent, and tells both process ids.
WITH_WORKER = (
  'worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]); '
  'open(F.output_path + "/ids.new", "w").write("%d %d" % (os.getpid(), worker.pid)); '
  'os.rename(F.output_path + "/ids.new", F.output_path + "/ids"); '
)
DEAF = 'signal.signal(signal.SIGTERM, signal.SIG_IGN); '


def alive(process_id):
  try:
    with open(f'/proc/{process_id}/stat') as file:
      return file.read().rpartition(')')[2].split()[0] != 'Z'
  except FileNotFoundError:
    return False


def wait_until_gone(process_ids):
  """The kernel takes a moment to bury what was killed."""
  limit = time.monotonic() + 60
  while any(map(alive, process_ids)) and time.monotonic() < limit:
    time.sleep(0.02)
  return not any(map(alive, process_ids))


@pytest.fixture
def start_with_worker(toy):
  """Starts a launch whose training has a worker; returns it with the ids of both."""
  started = []

  def start(act, **options):
    process = toy.start('model', 'toy', 'full', f'--act={act}', **options)
    started.append(process)
    ids = toy.run_folder / 'ckpt' / 'ids'
    while not ids.exists():
      assert process.poll() is None, process.communicate()
      time.sleep(0.02)
    return process, [int(number) for number in ids.read_text().split()]

  yield start
  for process in started:
    if process.poll() is None:
      process.kill()
    process.communicate()


def assert_failed(toy, done, status):
  assert done.returncode == status
  assert 'Final' not in done.stdout
  assert str(toy.run_folder / 'train_0.log') in done.stderr
  assert 'Traceback' not in done.stderr
  assert not list(toy.run_folder.glob('toy_*.log'))


def test_a_failed_training_fails_the_script_with_its_status(toy):
  done = toy.launch('--act=print("why it failed"); sys.exit(3)')
  assert_failed(toy, done, 3)
  assert 'training failed with exit status 3' in done.stderr
  assert 'why it failed' in (toy.run_folder / 'train_0.log').read_text()


def test_a_killed_training_gives_128_and_the_signal(toy):
  done = toy.launch('--act=os.kill(os.getpid(), signal.SIGKILL)')
  assert_failed(toy, done, 128 + 9)
  assert 'failed by SIGKILL' in done.stderr


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_launcher_ends_training_and_its_workers(toy, start_with_worker, number):
  process, ids = start_with_worker(WITH_WORKER + 'time.sleep(600)')
  process.send_signal(number)
  output, complaint = process.communicate()
  assert process.returncode == 128 + number
  assert f'was stopped by {number.name}' in complaint
  assert 'Final' not in output
  assert wait_until_gone(ids)


def test_a_second_signal_kills_a_training_that_hears_none(start_with_worker):
  process, ids = start_with_worker(DEAF + WITH_WORKER + 'time.sleep(600)')
  process.send_signal(signal.SIGTERM)
  while os.path.exists(f'/proc/{process.pid}') and process.poll() is None:
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
  assert process.wait() == 128 + signal.SIGTERM
  assert wait_until_gone(ids)


def test_a_training_that_hears_no_signal_is_killed_after_a_while(toy):
  code = (
    'import os, signal, sys; from npu_adapter.launch import process; '
    'deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); '
    'time.sleep(600)"; '
    'run = process.Run(grace_seconds=1); '
    'print(run([sys.executable, "-c", deaf], os.environ, lambda x: os.kill(os.getpid(), 15)))'
  )
  done = toy.python(code)
  assert done.stdout == f'{128 + signal.SIGTERM}\n'


def test_a_training_that_ends_well_when_told_to_stop_is_still_no_success(start_with_worker):
  polite = 'signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); '
  process, ids = start_with_worker(polite + WITH_WORKER + 'time.sleep(600)')
  process.send_signal(signal.SIGTERM)
  assert process.wait() == 128 + signal.SIGTERM
  assert wait_until_gone(ids)


def test_workers_left_behind_do_not_keep_a_finished_run_open(toy):
  done = toy.launch(f'--act={WITH_WORKER}')
  assert done.returncode == 0
  assert 'Final result' in done.stdout
  ids = (toy.run_folder / 'ckpt' / 'ids').read_text().split()
  assert wait_until_gone(ids)


def test_workers_that_go_on_talking_are_not_listened_to(toy):
  (toy.elsewhere / 'talk.py').write_text(
    'import time\nfor _ in range(100):\n  print(1, flush=True)\n  time.sleep(0.05)\nprint("done")\n'
  )
  done = toy.launch('--act=subprocess.Popen([sys.executable, "talk.py"]); time.sleep(0.5)')
  assert done.returncode == 0
  assert 'done' not in (toy.run_folder / 'train_0.log').read_text()


def test_nohup_keeps_a_run_alive_when_the_terminal_closes(start_with_worker):
  process, _ = start_with_worker(
    WITH_WORKER + 'time.sleep(600)',
    preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
  )
  process.send_signal(signal.SIGHUP)
  time.sleep(0.3)
  assert process.poll() is None
  process.terminate()
  assert process.wait() == 128 + signal.SIGTERM


def test_training_goes_on_when_nobody_reads_the_terminal(toy):
  reader, writer = os.pipe()
  os.close(reader)
  done = toy.launch('--act=[print("line", n, flush=True) for n in range(200)]', stdout=writer)
  os.close(writer)
  assert (done.returncode, done.stderr) == (0, '')
  assert 'line 199' in (toy.run_folder / 'train_0.log').read_text()
  assert (toy.run_folder / 'toy_bs100_1p_acc.log').is_file()


def test_training_cannot_wait_for_an_answer(toy):
  reader, writer = os.pipe()
  os.write(writer, b'typed')
  os.close(writer)
  done = toy.launch('--act=print("got", repr(sys.stdin.read()))', stdin=reader)
  os.close(reader)
  assert done.returncode == 0
  assert "got ''" in done.stdout


def test_a_signal_while_flags_are_checked_starts_no_training(toy):
  text = (toy.folder / 'train.py').read_text()
  slow = 'import os, time\nopen(os.environ["BEGUN"], "w")\ntime.sleep(600)\n'
  (toy.folder / 'train.py').write_text(slow + text)
  begun = toy.elsewhere / 'begun'
  process = toy.start('model', 'toy', 'full', environment={'BEGUN': str(begun)})
  while not begun.exists():
    time.sleep(0.02)
  process.terminate()
  assert process.wait() == 128 + signal.SIGTERM
  process.communicate()
  assert not toy.run_folder.exists()
