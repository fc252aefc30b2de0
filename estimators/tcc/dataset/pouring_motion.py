"""What happens in a generated pouring clip: of every frame its phase, and how far it has come.

A hand reaches for a bottle, carries it to a glass, pours, carries it back and lets go. Clips differ
in how long each phase takes and in where it is fast, slow or held up. No TensorFlow.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

PHASES = ('reach for the bottle', 'carry and tilt', 'pour', 'tilt back and put down', 'let go')
REACH, CARRY, POUR, RETURN, LET_GO = range(len(PHASES))
# The phases in which the bottle is in the hand.
HELD = (CARRY, POUR, RETURN)
FEWEST_FRAMES, MOST_FRAMES = 50, 120
_USUAL_SHARES = (0.17, 0.21, 0.28, 0.20, 0.14)
_LEAST_FRAMES_OF_PHASE = 5


class Motion(NamedTuple):
  """The frames of a clip, one after the other."""

  phases: np.ndarray  # int32 [frames]
  progress: np.ndarray  # float64 [frames]: of its phase, from 0 to 1, never going back

  def done(self, phase: int) -> np.ndarray:
    """How much of a phase is over, float64 [frames]: 0 before it, 1 after it."""
    return np.where(self.phases == phase, self.progress, self.phases > phase)


def draw(random: np.random.RandomState) -> Motion:
  """Returns the motion of one clip."""
  frames = random.randint(FEWEST_FRAMES, MOST_FRAMES + 1)
  shares = np.array(_USUAL_SHARES) * np.exp(random.normal(0, 0.4, len(PHASES)))
  spare = frames - _LEAST_FRAMES_OF_PHASE * len(PHASES)
  ends = np.round(spare * np.cumsum(shares) / shares.sum()).astype(int)
  counts = np.diff(ends, prepend=0) + _LEAST_FRAMES_OF_PHASE
  return Motion(
    np.repeat(np.arange(len(PHASES), dtype=np.int32), counts),
    np.concatenate([_progress(random, count) for count in counts]),
  )


def _progress(random: np.random.RandomState, count: int) -> np.ndarray:
  """Rises from 0 to 1 at a speed that wanders; now and then it nearly stops for a while."""
  knots = np.exp(random.normal(0, 0.7, 4))
  at = (np.arange(count) + 0.5) / count
  speed = np.interp(at, np.linspace(0, 1, len(knots)), knots)
  start, share, is_held_up = random.uniform(0.1, 0.7), random.uniform(0.1, 0.25), random.rand()
  if is_held_up < 0.3:
    speed[(at >= start) & (at < start + share)] *= 0.05
  # The middle of what a frame moves through, so that no frame stands for two phases.
  return (np.cumsum(speed) - speed / 2) / speed.sum()
