"""What a training process finds in its environment, and on which cores it may run."""

import os

import pytest

from npu_adapter import errors
from npu_adapter.launch import environment

CONTRACT = {
  'RANK_SIZE': '1',
  'RANK_ID': '0',
  'RANK_ID_START': '0',
  'JOB_ID': '10087',
  'ASCEND_DEVICE_ID': '0',
  'ASCEND_GLOBAL_LOG_LEVEL': '3',
}


def test_training_gets_the_variables_of_the_contract(toy):
  assert toy.launch().returncode == 0
  seen = toy.seen()['environment']
  assert {name: seen.get(name) for name in CONTRACT} == CONTRACT


def test_what_the_caller_set_stays(toy):
  mine = {**CONTRACT, 'JOB_ID': '7', 'ASCEND_GLOBAL_LOG_LEVEL': '1', 'RANK_ID': '3', 'OTHER': 'x'}
  assert toy.launch(environment=mine).returncode == 0
  seen = toy.seen()['environment']
  assert {name: seen.get(name) for name in mine} == mine


def test_an_empty_variable_is_not_set_and_a_rank_follows_its_start():
  found = environment.for_one_device({'RANK_ID_START': '2', 'JOB_ID': ''})
  assert found['RANK_ID'] == '2'
  assert found['JOB_ID'] == '10087'


@pytest.mark.parametrize('device', ['-1', 'a', '1.0', '00', ' 1', '0,1', '../x'])
def test_a_device_that_is_no_number_is_refused(toy, device):
  before = toy.files()
  done = toy.launch(environment={'ASCEND_DEVICE_ID': device})
  assert done.returncode == 2
  assert (
    f'ASCEND_DEVICE_ID must be a device number, 0 to 7 on a server of eight; got {device!r}'
    in (done.stderr)
  )
  assert toy.files() == before


def test_a_rank_size_left_over_from_another_run_is_refused():
  with pytest.raises(errors.OptionError, match="RANK_SIZE must be 1 .* got '8' from the env"):
    environment.for_one_device({'RANK_SIZE': '8'})


@pytest.mark.parametrize(
  'device, usable, cores',
  [
    (0, range(16), [0, 1]),
    (7, range(16), [14, 15]),
    (1, range(4, 24), [6, 7, 8]),
    (0, [3, 5], [3]),
    (4, [3, 5], [5]),
    (7, [3, 5], [5]),
    (4, [9], [9]),
  ],
)
def test_a_device_gets_its_eighth_of_the_usable_cores(monkeypatch, device, usable, cores):
  monkeypatch.setattr(os, 'sched_getaffinity', lambda process: set(usable), raising=False)
  monkeypatch.setattr(os, 'sched_setaffinity', print, raising=False)
  assert environment.cores_of(device) == cores


def test_eight_devices_share_all_cores_without_overlap(monkeypatch):
  monkeypatch.setattr(os, 'sched_getaffinity', lambda process: set(range(50)), raising=False)
  monkeypatch.setattr(os, 'sched_setaffinity', print, raising=False)
  assert sum((environment.cores_of(device) for device in range(8)), []) == list(range(50))


def test_a_ninth_device_has_no_share():
  with pytest.raises(errors.OptionError, match='among devices 0 to 7; got device 8'):
    environment.cores_of(8)


def test_a_system_that_cannot_bind_says_so(monkeypatch):
  monkeypatch.delattr(os, 'sched_setaffinity', raising=False)
  with pytest.raises(errors.OptionError, match='--bind_core needs a system that can bind'):
    environment.cores_of(0)


def test_bind_core_binds_training_and_names_the_case(toy):
  assert toy.launch('--bind_core').returncode == 0
  assert toy.seen()['cores'] == environment.cores_of(0)
  assert (toy.run_folder / 'toy_bindcore_bs100_1p_acc.log').is_file()


def test_without_bind_core_training_may_run_everywhere(toy):
  assert toy.launch('--bind_core=False').returncode == 0
  assert toy.seen()['cores'] == sorted(os.sched_getaffinity(0))
  assert (toy.run_folder / 'toy_bs100_1p_acc.log').is_file()
