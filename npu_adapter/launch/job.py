"""One run, settled in every detail before anything is written or moved."""

from __future__ import annotations

import os
import sys
from typing import Any, Mapping

from npu_adapter.launch import environment, run_folder, training_flags
from npu_adapter.launch.cases import Case
from npu_adapter.launch.models import Model

_TO_READ = ('data_path', 'ckpt_path', 'mixlist_file', 'fusion_off_file')


class Job:
  """What runs, where, and in which environment."""

  def __init__(
    self,
    model: Model,
    case: Case,
    given: dict[str, Any],
    others: list[str],
    caller: Mapping[str, str],
  ):
    training_flags.check_known(model, given)
    self.model = model
    self.case = case
    self.environment = environment.for_one_device(caller)
    self.device = self.environment['ASCEND_DEVICE_ID']
    self.cores = environment.cores_of(int(self.device)) if given.get('bind_core') else None
    self.folder = given.get('output_path') or run_folder.usual(model.folder, self.device)
    found = training_flags.with_files(model, given)
    self.earlier_run = run_folder.place_for_earlier_run(self.folder)
    for name in _TO_READ:
      if name in found:
        found[name] = run_folder.moved(found[name], self.folder, self.earlier_run)
    flags = training_flags.build(model, case.settings, found, others, self.folder)
    self.command = [sys.executable, os.path.join(model.folder, 'train.py'), *flags]
    self.batch_size = int(found.get('batch_size') or model.values(case.settings)['batch_size'])
