"""What a network of the family is made of, and the named ones. No TensorFlow."""

from __future__ import annotations

from typing import Any, NamedTuple

from npu_adapter import errors


class Architecture(NamedTuple):
  """KxS of arXiv 1708.08989: K cells side by side in a layer, S layers one above the other."""

  layers_in_highway: int  # K; 0 is one cell a layer, without the normalisation behind it
  stacked_layers: int  # S
  bidirectional: bool
  hidden_units: int = 28  # of a step's output; half of them a direction


PRESETS = {
  '3x3_bidirectional': Architecture(3, 3, True),
  '3x3': Architecture(3, 3, False),
  '0x3_bidirectional': Architecture(0, 3, True),
  '0x3': Architecture(0, 3, False),
}
DEFAULT = '3x3_bidirectional'


def choose(preset: str, **changed: Any) -> Architecture:
  """Returns a named architecture with those fields changed that are not None."""
  found = PRESETS[preset]._replace(
    **{name: value for name, value in changed.items() if value is not None}
  )
  return check(found)


def check(found: Architecture) -> Architecture:
  """Returns it, or raises InputError for one that cannot be built."""
  if found.layers_in_highway < 0 or found.stacked_layers < 1 or found.hidden_units < 1:
    raise errors.InputError(
      'n_layers_in_highway must be at least 0, n_stacked_layers and n_hidden at least 1; got '
      f'{found.layers_in_highway}, {found.stacked_layers} and {found.hidden_units}.'
    )
  if found.bidirectional and found.hidden_units % 2:
    raise errors.InputError(
      'n_hidden must be even for a bidirectional network, half of it a direction; got '
      f'{found.hidden_units}.'
    )
  return found


def title(found: Architecture) -> str:
  """The name the publication gives it, as 3x3 bidirectional."""
  name = f'{found.layers_in_highway}x{found.stacked_layers}'
  return f'{name} bidirectional' if found.bidirectional else name
