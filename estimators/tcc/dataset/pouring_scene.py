"""Draws the frames of a generated pouring clip: a motion in given looks. No TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np

from estimators.tcc.dataset import pouring_looks, pouring_motion


def draw(
  motion: pouring_motion.Motion,
  looks: pouring_looks.Looks,
  size: int,
  random: np.random.RandomState,
) -> np.ndarray:
  """Returns the frames, uint8 [frames, size, size, 3]."""
  canvas = _Canvas(len(motion.phases), size, looks, random)
  _draw_room(canvas, looks)
  canvas.fill(looks.table_y - canvas.y, looks.colours['table'])
  pose = Pose(motion, looks)
  _draw_glass(canvas, looks, pose)
  _draw_bottle(canvas, looks, pose)
  _draw_arm(canvas, looks, pose)
  return canvas.developed(looks, random)


class Pose:
  """What moves, in each frame: angles and levels [frames], places [frames, 2]."""

  def __init__(self, motion: pouring_motion.Motion, looks: pouring_looks.Looks):
    carried = motion.done(pouring_motion.CARRY) - motion.done(pouring_motion.RETURN)
    poured = motion.done(pouring_motion.POUR)
    returned = motion.done(pouring_motion.RETURN)
    lean = _smooth((carried - 0.3) / 0.7)
    emptying = looks.emptying_angle * poured * (1 - returned)
    self.angle = (looks.pouring_angle + emptying) * lean
    self.level = looks.full * poured
    self.bottle_level = looks.bottle_fill[0] + np.diff(looks.bottle_fill) * poured
    self.is_pouring = motion.phases == pouring_motion.POUR
    self.is_held = np.isin(motion.phases, pouring_motion.HELD)
    self.up = np.stack([-np.sin(self.angle), -np.cos(self.angle)], 1)
    self.right = np.stack([np.cos(self.angle), -np.sin(self.angle)], 1)
    self._place_bottle(looks, carried)
    away = motion.done(pouring_motion.LET_GO) + 1 - motion.done(pouring_motion.REACH)
    grip = self.bottle + self.right * (looks.bottle[1] / 2 + 0.4 * looks.hand_size)
    self.hand = grip + (looks.hand_start - grip) * away[:, None]

  def _place_bottle(self, looks: pouring_looks.Looks, way: np.ndarray) -> None:
    """The bottle stands, or its mouth is over the glass, or it is between the two."""
    x, _, body = looks.bottle
    to_mouth = body / 2 + looks.neck[1]
    rim = np.array([looks.glass[0], looks.table_y - looks.glass[2] - looks.mouth_gap])
    standing = np.array([x, looks.table_y - body / 2])
    over_glass = rim - self.up * to_mouth
    self.bottle = standing + (over_glass - standing) * way[:, None]
    self.bottle[:, 1] -= looks.arc * np.sin(np.pi * way)
    self.mouth = self.bottle + self.up * to_mouth


def _smooth(share: np.ndarray) -> np.ndarray:
  """From 0 to 1, starting and ending gently."""
  share = np.clip(share, 0, 1)
  return share * share * (3 - 2 * share)


def _draw_room(canvas: _Canvas, looks: pouring_looks.Looks) -> None:
  for thing in looks.clutter:
    outside = canvas.box(thing['middle'], thing['half'], thing['round'])
    canvas.fill(outside, thing['colour'], thing['opacity'])
  for passer in looks.passers:
    turn = 0.5 - 0.5 * np.cos(2 * np.pi * passer['rounds'] * canvas.time)
    middle = passer['from'] + (passer['to'] - passer['from']) * turn[:, None]
    canvas.fill(canvas.capsule(middle, middle, passer['size']), passer['colour'])


def _draw_glass(canvas: _Canvas, looks: pouring_looks.Looks, pose: Pose) -> None:
  x, width, height = looks.glass
  middle = np.array([x, looks.table_y - height / 2])
  outside = canvas.box(middle, np.array([width, height]) / 2, 0.01)
  surface = looks.table_y - height * pose.level
  canvas.fill(outside, np.ones(3), 0.12)
  poured = np.maximum(outside, canvas.column(surface) - canvas.y)
  canvas.fill(poured, looks.colours['liquid'])
  mouth = pose.mouth + [0, 0.015]
  stream = np.stack([mouth[:, 0], np.maximum(surface, mouth[:, 1])], 1)
  canvas.fill(canvas.capsule(mouth, stream, 0.014), looks.colours['liquid'], pose.is_pouring)
  canvas.fill(np.abs(outside) - 0.006, looks.colours['glass'], 0.8)


def _draw_bottle(canvas: _Canvas, looks: pouring_looks.Looks, pose: Pose) -> None:
  _, width, body = looks.bottle
  half = np.array([width, body]) / 2
  colour = looks.colours['bottle']
  neck = pose.bottle + pose.up * (body + looks.neck[1]) / 2
  neck_half = np.array([looks.neck[0], looks.neck[1] + 0.02]) / 2
  canvas.fill(canvas.turned_box(neck, pose, neck_half, 0.005), colour)
  outside = canvas.turned_box(pose.bottle, pose, half, 0.015)
  canvas.fill(outside, colour)
  reach = np.abs(pose.up[:, 1]) * half[1] + np.abs(pose.right[:, 1]) * half[0]
  surface = pose.bottle[:, 1] + reach * (1 - 2 * pose.bottle_level)
  inside = np.maximum(outside + 0.012, canvas.column(surface) - canvas.y)
  canvas.fill(inside, looks.colours['liquid'], looks.bottle_clearness)
  label = pose.bottle - pose.up * body * 0.1
  canvas.fill(
    canvas.turned_box(label, pose, half * [1, 0.25], 0), looks.colours['label'],
    1 - 0.6 * looks.bottle_clearness,
  )  # fmt: skip


def _draw_arm(canvas: _Canvas, looks: pouring_looks.Looks, pose: Pose) -> None:
  entry = np.broadcast_to(looks.arm_entry, pose.hand.shape)
  wrist = pose.hand + 0.3 * (entry - pose.hand)
  hand, sleeve = looks.colours['hand'], looks.colours['sleeve']
  canvas.fill(canvas.capsule(pose.hand, entry, looks.arm_width * 0.8), hand)
  canvas.fill(canvas.capsule(wrist, entry, looks.arm_width), sleeve)
  canvas.fill(canvas.capsule(pose.hand, pose.hand, looks.hand_size), hand)
  tips = pose.hand - pose.right * (looks.bottle[1] * 0.8 + looks.hand_size)
  canvas.fill(canvas.capsule(pose.hand, tips, looks.hand_size * 0.45), hand, pose.is_held)


class _Canvas:
  """Pictures float32 [frames, size, size, 3], and the place of each pixel in the scene.

  Shapes are given as the distance of every pixel from their edge, negative inside: an edge is as
  soft as one pixel is wide.
  """

  def __init__(
    self, frames: int, size: int, looks: pouring_looks.Looks, random: np.random.RandomState
  ):
    self.time = np.linspace(0, 1, frames)
    self._softness = size * looks.zoom
    place = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    x, y = np.meshgrid(-place if looks.is_mirrored else place, place)
    sine, cosine = np.sin(looks.turn), np.cos(looks.turn)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    x, y = np.tensordot(turn / looks.zoom, np.stack([x, y]), 1)
    shake = _wander(random, frames, looks.shake) + looks.shift + 0.5
    self.x = (x + self.column(shake[:, 0])).astype(np.float32)
    self.y = (y + self.column(shake[:, 1])).astype(np.float32)
    wall = looks.colours['wall'] + random.normal(0, 0.04, (1, size, size, 3))
    self._pixels = np.repeat(wall.astype(np.float32), frames, 0)

  @staticmethod
  def column(values: np.ndarray) -> np.ndarray:
    """A value for each frame, in the form of pictures."""
    return np.asarray(values, np.float32)[:, None, None]

  def _from(self, middle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far every pixel is to the right of a place, and below it."""
    x, y = np.asarray(middle, np.float32).reshape(-1, 2, 1, 1).transpose(1, 0, 2, 3)
    return self.x - x, self.y - y

  def box(self, middle: np.ndarray, half: np.ndarray, corner: float) -> np.ndarray:
    return _box(*self._from(middle), half, corner)

  def turned_box(
    self, middle: np.ndarray, pose: Pose, half: np.ndarray, corner: float
  ) -> np.ndarray:
    """A box that is turned with the bottle."""
    x, y = self._from(middle)
    right, up = pose.right, pose.up
    across = x * self.column(right[:, 0]) + y * self.column(right[:, 1])
    along = x * self.column(up[:, 0]) + y * self.column(up[:, 1])
    return _box(across, along, half, corner)

  def capsule(self, start: np.ndarray, end: np.ndarray, radius: float) -> np.ndarray:
    """A thick line with round ends; a disc when both are one place."""
    x, y = self._from(start)
    run = np.asarray(end - start, np.float32)
    length = np.maximum((run**2).sum(1), 1e-9)
    run_x, run_y = self.column(run[:, 0]), self.column(run[:, 1])
    along = np.clip((x * run_x + y * run_y) / self.column(length), 0, 1)
    return np.hypot(x - along * run_x, y - along * run_y) - np.float32(radius)

  def fill(self, outside: np.ndarray, colour: np.ndarray, opacity: Any = 1.0) -> None:
    """Paints over what is inside."""
    cover = np.clip(0.5 - outside * np.float32(self._softness), 0, 1)
    cover *= np.asarray(opacity, np.float32).reshape(-1, 1, 1)
    self._pixels += cover[..., None] * (np.asarray(colour, np.float32) - self._pixels)

  def developed(self, looks: pouring_looks.Looks, random: np.random.RandomState) -> np.ndarray:
    """Returns the pictures under the light and through the camera of the clip."""
    right, down = looks.light
    place = np.linspace(-0.5, 0.5, self._pixels.shape[1], dtype=np.float32)
    light = 1 + right * place[None, :] + down * place[:, None]
    flicker = 1 + _wander(random, len(self._pixels), looks.flicker)[:, 0]
    pixels = self._pixels * (light[None] * self.column(flicker))[..., None]
    # One field of noise, shifted for every frame: drawing one for each takes longer than all else.
    field = random.normal(0, looks.noise, (2 * pixels.shape[1], *pixels.shape[2:]))
    field = field.astype(np.float32)
    for picture, start in zip(pixels, random.randint(0, pixels.shape[1] + 1, len(pixels))):
      picture += field[start : start + len(picture)]
    return (np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8)


def _box(x: np.ndarray, y: np.ndarray, half: np.ndarray, corner: float) -> np.ndarray:
  x = np.abs(x) - np.float32(half[0] - corner)
  y = np.abs(y) - np.float32(half[1] - corner)
  outer = np.hypot(np.maximum(x, 0), np.maximum(y, 0))
  return outer + np.minimum(np.maximum(x, y), 0) - np.float32(corner)


def _wander(random: np.random.RandomState, frames: int, size: float) -> np.ndarray:
  """Two slow random curves with a deviation of about `size`, float64 [frames, 2]."""
  knots = random.normal(0, size, (2, frames // 6 + 3))
  at = np.linspace(0, knots.shape[1] - 1, frames)
  return np.stack([np.interp(at, np.arange(knots.shape[1]), curve) for curve in knots], 1)
