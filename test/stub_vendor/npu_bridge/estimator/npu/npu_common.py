"""STUB of the vendor's job information: a process-wide singleton, read once."""

import json
import os

from npu_bridge import stub_control
from npu_bridge.estimator.npu import util


class JobInfo:
  """What the job file, or the environment when it does not open, says about this process."""

  def __init__(self, device_index, rank_table_file, rank_size, local_checkpoint_dir):
    self.device_index = device_index
    self.rank_table_file = rank_table_file
    self.rank_size = rank_size
    self.local_checkpoint_dir = local_checkpoint_dir


def load_job_info(job_start_file=''):
  """The job info of this process; the first call decides, later arguments are not read."""
  if stub_control.state.job_info is None:
    stub_control.state.job_info = _read_file(job_start_file) or _read_environment()
  return stub_control.state.job_info


def _read_file(path):
  try:
    with open(path) as job_file:
      job = json.load(job_file)
  except OSError:
    return None
  return JobInfo(
    device_index=job['device_info'][0]['Index'],
    rank_table_file=job['rank_table_file'],
    rank_size=int(job['rank_size']),
    local_checkpoint_dir=job['local_checkpoint_dir'],
  )


def _read_environment():
  if not os.environ.get('JOB_ID'):
    raise ValueError(
      'Load job info failed, please check whether `JOB_ID` is set in environment variable'
    )
  return JobInfo(
    device_index=os.environ.get('DEVICE_ID', '0'),
    rank_table_file=os.environ.get('RANK_TABLE_FILE'),
    rank_size=util.get_ranksize(),
    local_checkpoint_dir=os.environ.get('LOCAL_CHECKPOINT_DIR'),
  )
