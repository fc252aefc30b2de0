"""From what the user named, or nothing, to windows in three splits."""

from __future__ import annotations

from typing import Callable, Sequence

from estimators.lstm_har.dataset import har_data, uci_har, watch


def open_data(
  data_path: str | None,
  cache_path: str | None,
  validation_people: Sequence[int] | None = None,
  show: Callable[[str], None] = print,
) -> har_data.HarData:
  """UCI HAR where its folder is named, else the recordings of a watch."""
  cache = har_data.cache_folder(cache_path)
  if data_path is None:
    found = watch.open_data(cache, validation_people, show)
  else:
    found = uci_har.open_folder(data_path, cache, validation_people, show)
  for name, split in found.splits.items():
    who = ', '.join(map(str, split.people))
    show(f'{len(split.rows)} windows for {name}, of the people {who}')
  return found
