"""Where a run writes, and that no later run costs an earlier one."""

import time


def test_a_run_writes_its_files_into_the_folder_of_the_device(toy):
  done = toy.launch()
  assert done.returncode == 0
  assert sorted(path.name for path in toy.run_folder.iterdir()) == [
    'ckpt',
    'toy_bs100_1p_acc.log',
    'train_0.log',
    'train_toy_bs100_1p_acc_loss.txt',
  ]
  log = (toy.run_folder / 'train_0.log').read_text()
  assert sorted(log.splitlines()) == ['step on stdout', 'warning on stderr']
  assert log in done.stdout
  assert str(toy.run_folder) in done.stdout
  assert list(toy.elsewhere.iterdir()) == []


def test_the_performance_case_and_another_device_have_their_own_names(toy):
  assert toy.launch(case='performance', environment={'ASCEND_DEVICE_ID': '12'}).returncode == 0
  folder = toy.run_folder.parent / '12'
  assert (folder / 'train_12.log').is_file()
  assert (folder / 'toy_bs100_1p_perf.log').is_file()


def test_output_path_replaces_the_folder(toy):
  assert toy.launch('--output_path', 'a/my run').returncode == 0
  folder = toy.elsewhere / 'a' / 'my run'
  assert (folder / 'train_0.log').is_file()
  assert toy.flags(folder)['output_path'] == str(folder / 'ckpt')
  assert not toy.run_folder.exists()


def test_an_earlier_run_is_moved_aside_and_told(toy):
  for number in range(3):
    done = toy.launch(f'--act=open(F.output_path + "/mine", "w").write("{number}")')
    assert done.returncode == 0
    if number:
      assert f'the earlier run is now in {toy.run_folder}.{number}\n' in done.stdout
  folders = [toy.run_folder.parent / name for name in ('0.1', '0.2', '0')]
  assert [(folder / 'ckpt' / 'mine').read_text() for folder in folders] == ['0', '1', '2']
  assert all((folder / 'train_0.log').is_file() for folder in folders)


def test_an_empty_folder_is_used_as_it_is(toy):
  toy.run_folder.mkdir(parents=True)
  done = toy.launch()
  assert done.returncode == 0
  assert 'earlier run' not in done.stdout
  assert [path.name for path in toy.run_folder.parent.iterdir()] == ['0']


def test_a_folder_of_other_things_is_not_moved(toy):
  (toy.elsewhere / 'thesis.txt').write_text('mine')
  done = toy.launch('--output_path=.')
  assert done.returncode == 2
  assert 'holds other things. Name a folder inside it.' in done.stderr
  assert (toy.elsewhere / 'thesis.txt').read_text() == 'mine'


def test_a_file_is_no_folder(toy):
  (toy.elsewhere / 'file').write_text('')
  done = toy.launch('--output_path=file')
  assert done.returncode == 2
  assert '--output_path must name a folder' in done.stderr


def test_a_folder_that_cannot_be_made_ends_with_1_and_no_traceback(toy):
  (toy.elsewhere / 'file').write_text('')
  done = toy.launch('--output_path=file/run')
  assert done.returncode == 1
  assert 'file' in done.stderr
  assert 'Traceback' not in done.stderr


def test_a_run_can_start_from_the_checkpoint_of_the_run_it_moves(toy):
  assert toy.launch('--act=open(F.output_path + "/m-5.index", "w")').returncode == 0
  done = toy.launch('--ckpt_path', toy.run_folder / 'ckpt' / 'm-5')
  assert done.returncode == 0
  assert toy.flags()['ckpt_path'] == str(toy.run_folder) + '.1/ckpt/m-5'


def test_a_second_launch_leaves_the_folder_of_a_running_one_alone(toy):
  first = toy.start('model', 'toy', 'full', '--act=time.sleep(600)')
  seen = toy.run_folder / 'ckpt' / 'training_log.jsonl'
  while not seen.exists() or not seen.read_text():
    assert first.poll() is None
    time.sleep(0.05)
  try:
    second = toy.launch()
    assert second.returncode == 1
    assert 'is the folder of a training that still runs' in second.stderr
    assert toy.launch(environment={'ASCEND_DEVICE_ID': '1'}).returncode == 0
  finally:
    first.terminate()
    first.communicate()
  assert [path.name for path in sorted(toy.run_folder.parent.iterdir())] == ['0', '1']
  assert toy.launch().returncode == 0


def test_a_log_is_written_while_training_runs(toy):
  running = toy.start('model', 'toy', 'full', '--act=time.sleep(600)')
  log = toy.run_folder / 'train_0.log'
  while not log.exists() or b'warning on stderr' not in log.read_bytes():
    assert running.poll() is None
    time.sleep(0.05)
  running.terminate()
  running.communicate()
