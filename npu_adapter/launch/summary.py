"""What a run is summed up in: the final result, <CaseName>.log and the list of losses."""

from __future__ import annotations

import os
import platform
from typing import Any, NamedTuple

from npu_adapter import whole_file

NOT_MEASURED = 'not measured'


class Summary(NamedTuple):
  """Measured values; None where training did not write one."""

  network: str
  case_name: str
  batch_size: int
  images_per_second: float | None
  seconds_per_step: float | None
  accuracy: float | None
  accuracy_of: str | None
  losses: list[float]
  duration_seconds: int

  def final_result(self) -> str:
    """The block for the terminal."""
    return '\n'.join(
      [
        '------------------ Final result ------------------',
        f'Final Performance images/sec : {_computed(self.images_per_second)}',
        f'Final Performance sec/step : {_computed(self.seconds_per_step)}',
        f'Final Train Accuracy : {_text(self.accuracy)}',
        f'E2E Training Duration sec : {self.duration_seconds}',
      ]
    )

  def write(self, folder: str) -> None:
    """Writes <CaseName>.log and the losses, each as a whole."""
    facts = {
      'Network': self.network,
      'RankSize': 1,
      'BatchSize': self.batch_size,
      'DeviceType': platform.machine(),
      'CaseName': self.case_name,
      'ActualFPS': _computed(self.images_per_second),
      'TrainingTime': _computed(self.seconds_per_step),
      'ActualLoss': _text(self.losses[-1] if self.losses else None),
      'TrainAccuracy': _text(self.accuracy),
      'AccuracyOf': _text(self.accuracy_of),
      'E2ETrainingTime': self.duration_seconds,
    }
    losses = [_text(loss) for loss in self.losses]
    _write(os.path.join(folder, f'train_{self.case_name}_loss.txt'), losses)
    _write(
      os.path.join(folder, f'{self.case_name}.log'),
      [f'{name} = {value}' for name, value in facts.items()],
    )


def sum_up(
  events: list[dict[str, Any]],
  network: str,
  batch_size: int,
  case_ending: str,
  is_bound: bool,
  duration_seconds: float,
) -> Summary:
  """Returns what the lines of training_log.jsonl say; `batch_size` holds where they say nothing."""
  batch_sizes = [event['batch_size'] for event in events if event['event'] == 'start']
  batch_size = batch_sizes[-1] if batch_sizes else batch_size
  seconds = _seconds_per_step(events)
  accuracy, accuracy_of = _accuracy(events)
  bound = '_bindcore' if is_bound else ''
  return Summary(
    network=network,
    case_name=f'{network}{bound}_bs{batch_size}_1p_{case_ending}',
    batch_size=batch_size,
    images_per_second=batch_size / seconds if seconds else None,
    seconds_per_step=seconds,
    accuracy=accuracy,
    accuracy_of=accuracy_of,
    losses=_values(events, 'train', 'loss'),
    duration_seconds=round(duration_seconds),
  )


def _values(events: list[dict[str, Any]], kind: str, key: str) -> list[float]:
  """The log writes null for a number that is not finite; it must not pass for one before it."""
  found = [event[key] for event in events if event['event'] == kind and key in event]
  return [float('nan') if value is None else value for value in found]


def _seconds_per_step(events: list[dict[str, Any]]) -> float | None:
  found = _values(events, 'train', 'seconds_per_step')
  # The first line carries the building of the graph.
  steady = found[1:] or found
  return sum(steady) / len(steady) if steady else None


def _accuracy(events: list[dict[str, Any]]) -> tuple[float | None, str | None]:
  """The last accuracy on the test split; on the validation split where there is no other."""
  # What stands before the first training line is the accuracy of an untrained network.
  first = next((place for place, event in enumerate(events) if event['event'] == 'train'), 0)
  events = events[first:]
  for split in ('test', 'validation'):
    found = _values(
      [event for event in events if event.get('split') == split], 'evaluate', 'accuracy'
    )
    if found:
      return found[-1], split
  return None, None


def _text(value: Any) -> str:
  return NOT_MEASURED if value is None else str(value)


def _computed(value: float | None) -> str:
  """Nine digits: a mean of measurements has no more to say."""
  return NOT_MEASURED if value is None else str(float(f'{value:.9g}'))


def _write(path: str, lines: list[str]) -> None:
  whole_file.write_text(path, ''.join(f'{line}\n' for line in lines))
