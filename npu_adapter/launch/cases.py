"""The four cases a launch script exists for."""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
  """`settings` names the part of launch.json that holds; `ending` ends the name of the case."""

  name: str
  settings: str
  ranks: int
  ending: str
  doc: str


CASES = {
  case.name: case
  for case in (
    Case('full', 'full', 1, 'acc', 'trains to the accuracy of the publication, on one device'),
    Case('performance', 'performance', 1, 'perf', 'a short run that measures the speed'),
    Case('full_8p', 'full', 8, 'acc', 'full on 8 devices: not built yet'),
    Case('performance_8p', 'performance', 8, 'perf', 'performance on 8 devices: not built yet'),
  )
}
