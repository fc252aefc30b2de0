"""What a TCN is made of: its options, their checks, its weights, and how far back it sees."""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence

from npu_adapter import errors

PADDINGS = ('causal', 'same')
ACTIVATIONS = ('relu', 'linear', 'tanh', 'sigmoid', 'elu', 'selu')
# Of a block's two convolutions.
HALVES = (0, 1)
# What each norm has for a convolution, beside its kernel and bias.
NORM_WEIGHTS = {
  'none': (),
  'weight': ('gain',),
  'layer': ('gamma', 'beta'),
  'batch': ('gamma', 'beta', 'moving_mean', 'moving_variance'),
}


class Architecture(NamedTuple):
  """The options of a TCN. Blocks of one stack have one dilation and one count of filters each."""

  filters: tuple[int, ...] = (64,) * 6
  kernel_size: int = 3
  stacks: int = 1
  dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
  padding: str = 'causal'
  skip_connections: bool = True
  dropout_rate: float = 0.0
  activation: str = 'relu'
  norm: str = 'none'
  initializer: str = 'he_normal'

  @property
  def blocks(self) -> tuple[tuple[int, int], ...]:
    """(dilation, filters) of every block, from the input on."""
    return tuple(zip(self.dilations, self.filters)) * self.stacks

  @property
  def receptive_field(self) -> int:
    """How many steps of the input the last step of the output depends on."""
    return 1 + 2 * (self.kernel_size - 1) * self.stacks * sum(self.dilations)


class Weight(NamedTuple):
  """One variable of a TCN. `kind` says what it is, and with it how it starts."""

  name: str
  shape: tuple[int, ...]
  kind: str

  @property
  def is_trained(self) -> bool:
    """Whether gradients move it; else batch norm does."""
    return not self.kind.startswith('moving_')


def check(architecture: Architecture) -> Architecture:
  """Returns `architecture`, or raises InputError for one that cannot be built."""
  _whole('kernel_size', [architecture.kernel_size])
  _whole('nb_stacks', [architecture.stacks])
  _whole('dilations', architecture.dilations)
  _whole('nb_filters', architecture.filters)
  if len(architecture.filters) != len(architecture.dilations):
    raise errors.InputError(
      'nb_filters must be one number, or one for each dilation; got '
      f'{list(architecture.filters)} for the dilations {list(architecture.dilations)}.'
    )
  _one_of('padding', architecture.padding, PADDINGS)
  _one_of('norm', architecture.norm, tuple(NORM_WEIGHTS))
  _one_of('activation', architecture.activation, ACTIVATIONS)
  filters = set(architecture.filters)
  if architecture.skip_connections and len(filters) > 1:
    raise errors.InputError(
      'with use_skip_connections all blocks must have the same nb_filters, because their outputs '
      f'are added; got {list(architecture.filters)}. Switch it off, or use one number.'
    )
  if not 0 <= architecture.dropout_rate < 1:
    raise errors.InputError(
      f'dropout_rate must be from 0 to below 1; got {architecture.dropout_rate}.'
    )
  return architecture


def _whole(name: str, values: Sequence[Any]) -> None:
  if not values or any(isinstance(v, bool) or v != int(v) or v < 1 for v in values):
    raise errors.InputError(f'{name} must be whole numbers of at least 1; got {list(values)}.')


def _one_of(name: str, value: str, allowed: Sequence[str]) -> None:
  if value not in allowed:
    raise errors.InputError(
      f'{name} must be one of {", ".join(allowed)}; got {value!r}.{errors.nearest(value, allowed)}'
    )


def doubled(dilations: Sequence[int]) -> tuple[int, ...]:
  """The public layer's rule: a list with a number that is no power of two is one of exponents."""
  whole = [int(dilation) for dilation in dilations]
  if all(dilation > 0 and not dilation & (dilation - 1) for dilation in whole):
    return tuple(whole)
  if any(exponent < 0 for exponent in whole):
    raise errors.InputError(f'dilations must not be negative; got {list(dilations)}.')
  return tuple(2**exponent for exponent in whole)


def filters_of(filters: Any, dilations: Sequence[int]) -> tuple[int, ...]:
  """One count of filters for each dilation, of a number or a list."""
  if isinstance(filters, (list, tuple)):
    return tuple(filters)
  return (filters,) * len(dilations)


def weights(architecture: Architecture, channels: int) -> list[Weight]:
  """All variables of a TCN over an input of `channels`, in the order they are saved in."""
  found: list[Weight] = []
  for block, (_, filters) in enumerate(architecture.blocks):
    prefix = f'block_{block}'
    for half in HALVES:
      found += _convolution(architecture, f'{prefix}/conv_{half}', channels, filters, half)
    if channels != filters:
      shape = (1, channels, filters)
      found += [
        Weight(f'{prefix}/shortcut/kernel', shape, 'kernel'),
        Weight(f'{prefix}/shortcut/bias', (filters,), 'bias'),
      ]
    channels = filters
  return found


def _convolution(
  architecture: Architecture, prefix: str, channels: int, filters: int, half: int
) -> list[Weight]:
  shape = (architecture.kernel_size, filters if half else channels, filters)
  kinds = NORM_WEIGHTS[architecture.norm]
  return [
    Weight(f'{prefix}/kernel', shape, 'kernel'),
    Weight(f'{prefix}/bias', (filters,), 'bias'),
    *(Weight(f'{prefix}/{kind}', (filters,), kind) for kind in kinds),
  ]
