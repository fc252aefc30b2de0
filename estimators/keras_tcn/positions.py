"""Which positions of each block need computing for what is read of a TCN's output.

The positions of a convolution's input or output are a grid that ends at the last step of the
sequence: every `stride`-th step, `count` of them. Reading the whole sequence, every grid is the
whole sequence. Reading the last step alone, a block needs only the steps that its kernel reaches
from there: with dilations that double, the grid of a block is as wide as its dilation.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from estimators.keras_tcn.architecture import Architecture


class Grid(NamedTuple):
  """`count` steps, `stride` apart, up to the last one of a sequence."""

  stride: int
  count: int


class Convolution(NamedTuple):
  """A convolution from grid to grid, in positions of its input: what is left of the dilation.

  `before` and `after` zeros stand around the input. There are `outputs`; None: as many as inputs.
  The first `silent` taps of the kernel would meet nothing but zeros and are left out.
  """

  dilation: int
  stride: int
  before: int
  after: int
  outputs: int | None
  silent: int = 0


class Plan(NamedTuple):
  """The steps of the input that are read, None for all; the two convolutions of every block."""

  read: Grid | None
  blocks: tuple[tuple[Convolution, Convolution], ...]


def whole(architecture: Architecture, steps: int | None) -> Plan:
  """Every block at every step; of sequences of any length without `steps`."""
  blocks = []
  for dilation, _ in architecture.blocks:
    zeros = (architecture.kernel_size - 1) * dilation
    after = 0 if architecture.padding == 'causal' else zeros - zeros // 2
    each = Convolution(dilation, 1, zeros - after, after, None)
    if steps and not after:
      each = _without_silent_taps(each, steps, architecture.kernel_size)
    blocks.append((each, each))
  return Plan(None, tuple(blocks))


def last_step(architecture: Architecture, steps: int) -> Plan:
  """What the last step of a causal TCN depends on, worked out from the output back."""
  if architecture.padding != 'causal':
    raise ValueError(f'the last step is enough for causal padding; got {architecture.padding!r}')
  taps = architecture.kernel_size
  wanted = Grid(0, 1)  # a grid of one position has no stride
  blocks = []
  for dilation, _ in reversed(architecture.blocks):
    pair = []
    stride = math.gcd(wanted.stride, dilation)
    left, there = dilation // stride, math.ceil(steps / stride)
    for kept in (wanted.stride // stride or 1, 1):
      reach = (wanted.count - 1) * kept + (taps - 1) * left + 1
      count = min(reach, there)
      how = Convolution(left, kept, reach - count, 0, wanted.count)
      pair.append(_without_silent_taps(how, count, taps))
      wanted = Grid(stride, count)
    blocks.append((pair[1], pair[0]))
  return Plan(wanted, tuple(reversed(blocks)))


def _without_silent_taps(how: Convolution, inputs: int, taps: int) -> Convolution:
  """Leaves out the taps that are further back from the last input than the first one is."""
  silent = max(0, taps - 1 - (inputs - 1) // how.dilation)
  return how._replace(before=how.before - silent * how.dilation, silent=silent)
