"""The record of a training: one JSON line an event, for plots, summaries and people. No TensorFlow.

Events and what they carry, beside `event` and `step`:
  start     batch_size, and what the caller adds about the run
  train     loss and the other tensors that are logged, seconds; after the first run of a process
            also seconds_per_step and samples_per_s, since the line before
  evaluate  split, and its metrics; from a Validation also seconds, so that a run resumed there
            goes on from them
  end       seconds
A number that is not finite is null. `seconds` are those of training alone: what stands between
TrainingLog.paused() and its end is not counted, nor what comes before start_clock().
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import Any, Iterable, Iterator, Mapping

from npu_adapter import errors, json_values, whole_file

FILE_NAME = 'training_log.jsonl'


class TrainingLog:
  """Appends events to a file. A training that is resumed goes on with the events up to its step."""

  def __init__(self, path: str, batch_size: int, first_step: int = 0, **facts: Any):
    self.path = path
    self.batch_size = batch_size
    kept = _up_to(read(path), first_step) if first_step and os.path.exists(path) else []
    self._counted_s = max((event['seconds'] for event in kept if 'seconds' in event), default=0.0)
    self._started: float | None = None
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    _write_all(path, kept)
    self._file = open(path, 'a', encoding='utf-8')  # noqa: SIM115 (open as long as the log)
    self.write('start', first_step, batch_size=batch_size, **facts)

  def write(self, event: str, step: int, **values: Any) -> None:
    """Adds one event; from here on a kill of the process does not lose it."""
    self._file.write(_line({'event': event, 'step': int(step), **values}))
    self._file.flush()

  def close(self) -> None:
    """Ends the file; what was written is there already."""
    self._file.close()

  def start_clock(self) -> None:
    """Counts from here; without effect while it is counting."""
    if self._started is None:
      self._started = time.monotonic()

  def stop_clock(self) -> None:
    """Counts no further, until start_clock()."""
    self._counted_s = self.seconds
    self._started = None

  @property
  def seconds(self) -> float:
    """Seconds of training in all, with those of the runs this one resumes."""
    running = 0.0 if self._started is None else time.monotonic() - self._started
    return self._counted_s + running

  @contextlib.contextmanager
  def paused(self) -> Iterator[None]:
    """Stops the clock, if it is counting, for what is no training."""
    was_counting = self._started is not None
    self.stop_clock()
    try:
      yield
    finally:
      if was_counting:
        self.start_clock()

  def evaluations(self, split: str) -> dict[int, Mapping[str, Any]]:
    """The evaluations of a split by their step, with those of the runs this one resumes."""
    return evaluations(read(self.path), split)


def evaluations(events: Iterable[Mapping[str, Any]], split: str) -> dict[int, Mapping[str, Any]]:
  """The evaluations of a split among `events`, by their step; the last where a step has several."""
  return {
    event['step']: event
    for event in events
    if event['event'] == 'evaluate' and event.get('split') == split
  }


def read(path: str) -> list[dict[str, Any]]:
  """Returns the events of a file. A last line that was cut by a kill is left out."""
  with open(path, 'rb') as file:
    # What follows the last line break was not written to its end.
    lines = file.read().split(b'\n')[:-1]
  return [_event(path, number, line) for number, line in enumerate(lines, start=1)]


def _event(path: str, number: int, line: bytes) -> dict[str, Any]:
  try:
    event = json.loads(line.decode('utf-8'))
  except ValueError:
    event = None
  is_event = isinstance(event, dict) and 'event' in event and isinstance(event.get('step'), int)
  if not is_event:
    raise errors.AdapterError(
      'every line of a training log must be a JSON object with event and step; line '
      f'{number} of {path!r} is {line[:60].decode("utf-8", "replace")!r}. Remove that line, or the '
      'file to start anew.'
    )
  return event


def _up_to(events: list[dict[str, Any]], step: int) -> list[dict[str, Any]]:
  """What happened until `step`: a run that was killed had gone further than its checkpoint."""
  return [event for event in events if event['step'] <= step and event['event'] != 'end']


def _write_all(path: str, events: list[dict[str, Any]]) -> None:
  whole_file.write_text(path, ''.join(_line(event) for event in events))


def _line(values: dict[str, Any]) -> str:
  return json.dumps(json_values.plain(values), allow_nan=False) + '\n'
