"""What a data set is to the model: examples to train on, others to test on. No TensorFlow."""

from __future__ import annotations

from typing import Any, Callable, Mapping, NamedTuple

SPLITS = ('training', 'test')


class Examples(NamedTuple):
  """Numbers in a fixed shape, each example with a class."""

  source: str
  shape: tuple[int, ...]  # the last is of channels
  classes: int
  counts: Mapping[str, int]  # of the splits
  mean: tuple[float, ...]  # of each channel, in the training split
  deviation: tuple[float, ...]
  # tensors(split): [examples, *shape] and int32 [examples], in the graph that is the default then.
  tensors: Callable[[str], tuple[Any, Any]]


def rounded(values: Any) -> tuple[float, ...]:
  """Plain numbers of six digits: what differs between two machines' sums is beyond them."""
  return tuple(float(f'{value:.6g}') for value in values)
