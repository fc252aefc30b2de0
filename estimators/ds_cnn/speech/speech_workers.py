"""Runs speech_worker in fresh processes, some at a time, and leaves none of them behind."""

from __future__ import annotations

import concurrent.futures
import json
import os
import subprocess
import sys
import threading
from typing import Any, Sequence

from npu_adapter import errors

_WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'speech_worker.py')


class Workers:
  """A context: when it ends no worker runs any more, whatever ended it.

  The workers inherit the descriptor `lock`, so that a claim outlives this process while they write.
  """

  def __init__(self, processes: int, lock: int):
    self._pool = concurrent.futures.ThreadPoolExecutor(processes)
    self._lock = lock
    self._guard = threading.Lock()
    self._running: set[subprocess.Popen[str]] = set()
    self._stopped = False
    # On a big machine every worker would start a thread per core only to import numpy.
    self._environment = {**os.environ, 'OPENBLAS_NUM_THREADS': '1', 'OMP_NUM_THREADS': '1'}

  def __enter__(self) -> Workers:
    return self

  def __exit__(self, *_: object) -> None:
    with self._guard:
      self._stopped = True
      for process in self._running:
        process.kill()
    self._pool.shutdown()

  def start(self, jobs: Sequence[dict[str, Any]]) -> list[concurrent.futures.Future[Any]]:
    """Returns the reports to come, in the order of the jobs."""
    return [self._pool.submit(self._run, job) for job in jobs]

  def _run(self, job: dict[str, Any]) -> Any:
    with self._guard:
      if self._stopped:
        return None
      process = subprocess.Popen(
        [sys.executable, _WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=self._environment,
        pass_fds=[self._lock],
        universal_newlines=True,
      )
      self._running.add(process)
    output, complaint = process.communicate(json.dumps({**job, 'parent': os.getpid()}))
    with self._guard:
      self._running.discard(process)
    if process.returncode:
      raise errors.AdapterError(
        f'the worker that makes {job["arguments"]} must end with status 0; it ended with '
        f'{process.returncode}: {complaint.strip() or "no message"}'
      )
    return json.loads(output)
