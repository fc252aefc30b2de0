"""How a generated pouring clip looks: sizes, places, colours, camera; another for every clip."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

# So far apart, of 1.73 from black to white, that a level or a hand can be told from what is behind.
_LEAST_CONTRAST, _LEAST_CONTRAST_OF_SKIN = 0.45, 0.25
_WOOD, _SKIN = np.array([1.0, 0.8, 0.6]), np.array([1.0, 0.75, 0.6])


class Looks(NamedTuple):
  """Lengths are parts of the picture's height, places [x, y] with y downwards, colours RGB.

  Before it is mirrored the glass is left, and the bottle and the hand come from the right.
  """

  table_y: float
  glass: np.ndarray  # x of its middle, width, height
  bottle: np.ndarray  # x of its middle where it stands, width, height of the body
  neck: np.ndarray  # width, height
  pouring_angle: float  # when the first drop falls
  emptying_angle: float  # how much further it turns until the last
  mouth_gap: float  # between the mouth and the glass
  arc: float  # how high the bottle is lifted on its way
  full: float  # share of the glass
  bottle_fill: np.ndarray  # share of the bottle before and after
  bottle_clearness: float  # 0 hides what is in it
  arm_entry: np.ndarray  # where the arm comes from, outside the picture
  hand_start: np.ndarray
  hand_size: float
  arm_width: float
  colours: dict[str, np.ndarray]
  is_mirrored: bool
  zoom: float
  turn: float  # of the camera, radians
  shift: np.ndarray  # of the camera
  shake: float  # of the camera
  light: np.ndarray  # how it changes to the right and downwards
  flicker: float
  noise: float
  clutter: list[dict[str, Any]]
  passers: list[dict[str, Any]]


def draw(random: np.random.RandomState) -> Looks:
  """Returns the looks of one clip."""
  uniform = random.uniform
  colours = _colours(random)
  table_y = uniform(0.82, 0.9)
  width = uniform(0.12, 0.18)
  body = uniform(0.27, 0.35)
  filled = uniform(0.7, 0.95)
  return Looks(
    table_y=table_y,
    glass=np.array([uniform(0.2, 0.28), uniform(0.2, 0.27), uniform(0.28, 0.36)]),
    bottle=np.array([uniform(0.62, 0.68), width, body]),
    neck=np.array([width * uniform(0.3, 1.0), uniform(0.05, 0.1)]),
    pouring_angle=uniform(1.45, 1.85),
    emptying_angle=uniform(0.15, 0.5),
    mouth_gap=uniform(0.03, 0.07),
    arc=uniform(0.0, 0.1),
    full=uniform(0.75, 0.95),
    bottle_fill=np.array([filled, filled * uniform(0.1, 0.5)]),
    bottle_clearness=uniform(0, 1) if random.rand() < 0.6 else 0.0,
    arm_entry=np.array([1.4, uniform(0.2, 0.7)]),
    hand_start=np.array([uniform(0.95, 1.0), uniform(0.4, 0.65)]),
    hand_size=uniform(0.065, 0.085),
    arm_width=uniform(0.045, 0.07),
    colours=colours,
    is_mirrored=random.rand() < 0.5,
    zoom=uniform(0.92, 1.08),
    turn=uniform(-0.08, 0.08),
    shift=uniform(-0.04, 0.04, 2),
    shake=uniform(0, 0.012),
    light=uniform(-0.25, 0.25, 2),
    flicker=uniform(0, 0.06),
    noise=uniform(0.005, 0.025),
    clutter=[_clutter(random, colours) for _ in range(random.randint(1, 5))],
    passers=[_passer(random, colours) for _ in range(random.randint(0, 3))],
  )


def _colours(random: np.random.RandomState) -> dict[str, np.ndarray]:
  """Those that meet in the picture can be told apart."""
  wall = random.uniform(0.35, 0.85) + random.uniform(-0.1, 0.1, 3)
  table = random.uniform(0.3, 0.8) * _WOOD + random.uniform(-0.1, 0.1, 3)
  colours = {'wall': wall, 'table': table, 'hand': _skin(random, wall)}
  for name, against in (
    ('liquid', ('wall', 'table')),
    ('bottle', ('wall', 'liquid', 'hand')),
    ('sleeve', ('wall',)),
    ('label', ('bottle',)),
  ):
    colours[name] = _contrasting(random, [colours[other] for other in against])
  colours['glass'] = np.full(3, 0.95 if wall.mean() < 0.5 else 0.1)
  return colours


def _skin(random: np.random.RandomState, wall: np.ndarray) -> np.ndarray:
  while True:
    colour = random.uniform(0.35, 1.0) * _SKIN + random.uniform(-0.05, 0.05, 3)
    if np.linalg.norm(colour - wall) >= _LEAST_CONTRAST_OF_SKIN:
      return colour


def _contrasting(random: np.random.RandomState, others: list[np.ndarray]) -> np.ndarray:
  while True:
    colour = random.uniform(0.0, 1.0, 3)
    if min(np.linalg.norm(colour - other) for other in others) >= _LEAST_CONTRAST:
      return colour


def _clutter(random: np.random.RandomState, colours: dict[str, np.ndarray]) -> dict[str, Any]:
  """A thing that stands or hangs behind; much like the wall, or not."""
  return {
    'middle': random.uniform(0, 1, 2) * [1, 0.75],
    'half': random.uniform(0.03, 0.25, 2),
    'round': random.uniform(0, 0.05),
    'colour': _contrasting(random, [colours['liquid']]),
    'opacity': random.uniform(0.15, 0.6),
  }


def _passer(random: np.random.RandomState, colours: dict[str, np.ndarray]) -> dict[str, Any]:
  """A ball that moves behind the table, whatever the hand does."""
  return {
    'from': random.uniform(0, 1, 2) * [1, 0.7],
    'to': random.uniform(0, 1, 2) * [1, 0.7],
    'rounds': random.uniform(0.5, 2.5),
    'size': random.uniform(0.03, 0.1),
    'colour': _contrasting(random, [colours['liquid']]),
  }
