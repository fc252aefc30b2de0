"""A folded network in 8-bit fixed point: formats, ranges found by calibration, integer arithmetic.

A number x in a format of n fraction bits is the integer x * 2^n, rounded, from -128 to 127. Every
tensor has one format. An activation in the range a, which must be a power of two for this, has the
fraction bits 7 - log2(a).
"""

from __future__ import annotations

import math
from typing import Any, Callable, NamedTuple, Sequence

import numpy as np

from estimators.ds_cnn import clip_shape
from estimators.ds_cnn.deployment import folded_network
from npu_adapter import errors

ARCHITECTURES = ('ds_cnn', 'dnn')
INPUT = 'input'
_LOW, _HIGH = -128, 127
_MAGNITUDE_BITS = 7
# Calibration tries the range that holds every value it saw, and as many halves of it.
_HALVINGS = 6
# The feature extraction on the device shifts by the fraction bits of the input, to the left only.
_LARGEST_INPUT_RANGE = 128.0
# A shift by more leaves nothing of a 32-bit sum.
_LONGEST_SHIFT = 30


class Format(NamedTuple):
  """The fraction bits of a layer's tensors; None for an activation that is not in fixed point."""

  kernel: int | None
  bias: int | None
  input: int | None
  output: int | None


class FixedLayer(NamedTuple):
  """A layer in integers: output = (sum + (bias << bias_shift) + half) >> out_shift, saturated.

  `half` is 1 << out_shift >> 1. A pool has no bias, and its out_shift, 0 or negative, is a shift of
  the sum over the map to the left, before it is divided by how many they are, and rounded.
  """

  layer: folded_network.Layer  # its kernel and bias are int32
  format: Format
  bias_shift: int
  out_shift: int


def fraction_bits(values: np.ndarray) -> int:
  """7 less the integer bits that the largest magnitude needs; 7 for zeros alone."""
  peak = float(np.abs(values).max())
  return _MAGNITUDE_BITS - (math.ceil(math.log2(peak)) if peak else 0)


def as_integers(values: np.ndarray, bits: int) -> np.ndarray:
  """Rounds to the nearest, halves to even, and saturates; int32."""
  return np.clip(np.round(values * 2.0**bits), _LOW, _HIGH).astype(np.int32)


def activation_names(layers: Sequence[folded_network.Layer]) -> list[str]:
  """The order of ranges: the input, then what each layer gives."""
  return [INPUT, *(layer.name for layer in layers)]


def range_bits(activation_range: float) -> int | None:
  """The fraction bits of a range; None where it is 0 or no power of two."""
  if not activation_range:
    return None
  mantissa, exponent = math.frexp(activation_range)
  return _MAGNITUDE_BITS - (exponent - 1) if mantissa == 0.5 else None


def formats(layers: Sequence[folded_network.Layer], ranges: Sequence[float]) -> list[Format]:
  """The formats of each layer's tensors.

  A bias has no finer steps than the sum it is added to, because it can be shifted to the left only.
  """
  bits = [range_bits(value) for value in ranges]
  found = []
  for layer, before, after in zip(layers, bits, bits[1:]):
    if layer.kernel is None:
      found.append(Format(None, None, before, after))
      continue
    kernel, bias = fraction_bits(layer.kernel), fraction_bits(layer.bias)
    limit = bias if before is None else before + kernel
    found.append(Format(kernel, min(bias, limit), before, after))
  return found


def rounded(
  layers: Sequence[folded_network.Layer], found: Sequence[Format]
) -> list[folded_network.Layer]:
  """The layers with kernels and biases in float32 that have the values the integers stand for."""
  return [
    layer if layer.kernel is None
    else layer._replace(
      kernel=_nearest(layer.kernel, form.kernel), bias=_nearest(layer.bias, form.bias)
    )
    for layer, form in zip(layers, found)
  ]  # fmt: skip


def _nearest(values: np.ndarray, bits: int) -> np.ndarray:
  return (as_integers(values, bits) / 2.0**bits).astype(np.float32)


def calibrated(
  layers: Sequence[folded_network.Layer],
  shape: clip_shape.ClipShape,
  fingerprints: np.ndarray,
) -> np.ndarray:
  """Finds a range, a power of two, for each activation, from the input to the logits.

  Of the candidates the one is taken with which the answers stay closest to those of the float
  network: by the mean relative entropy of the probabilities, all activations before being in
  fixed point already, none behind. A rule that looks at one tensor alone, as its largest value or
  its squared error, keeps the great coefficients of silence and rounds those of speech away.
  """
  with folded_network.Evaluation(layers, shape) as evaluation:
    wanted = _log_probabilities(evaluation.logits(fingerprints))
  no_ranges = np.zeros(len(layers) + 1)
  with folded_network.Evaluation(rounded(layers, formats(layers, no_ranges)), shape) as evaluation:
    ranges = no_ranges.copy()
    for place, peak in enumerate(evaluation.peaks(fingerprints)):
      # The widest first: it stays when narrower ones are no better.
      ranges[place] = min(
        candidates(layers, ranges, place, float(peak)),
        key=_distance(evaluation, fingerprints, ranges, place, wanted),
      )
  return ranges


def candidates(
  layers: Sequence[folded_network.Layer], ranges: np.ndarray, place: int, peak: float
) -> list[float]:
  """The ranges that calibration tries for an activation that reaches `peak`, the widest first."""
  widest = 2.0 ** math.ceil(math.log2(peak)) if peak else 1.0
  narrowest = widest / 2**_HALVINGS
  if place == 0:
    widest = min(widest, _LARGEST_INPUT_RANGE)
  elif layers[place - 1].kernel is None:
    # A mean lies in the range of its values; wider would be a shift to the right.
    widest = min(widest, ranges[place - 1])
  else:
    # Finer than the sum would be a shift to the left.
    kernel = fraction_bits(layers[place - 1].kernel)
    narrowest = max(narrowest, ranges[place - 1] / 2.0**kernel)
    widest = max(widest, narrowest)
  steps = int(math.log2(widest / narrowest)) if widest > narrowest else 0
  return [widest / 2**halvings for halvings in range(steps + 1)]


def _distance(
  evaluation: folded_network.Evaluation,
  fingerprints: np.ndarray,
  ranges: np.ndarray,
  place: int,
  wanted: np.ndarray,
) -> Callable[[float], float]:
  """A function of a range at `place`: the mean relative entropy of the answers with it."""

  def distance(candidate: float) -> float:
    tried = ranges.copy()
    tried[place] = candidate
    got = _log_probabilities(evaluation.logits(fingerprints, tried))
    return float((np.exp(wanted) * (wanted - got)).sum(axis=1).mean())

  return distance


def _log_probabilities(logits: np.ndarray) -> np.ndarray:
  logits = logits.astype(np.float64)
  logits = logits - logits.max(axis=1, keepdims=True)
  return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def fixed(layers: Sequence[folded_network.Layer], ranges: Sequence[float]) -> list[FixedLayer]:
  """The network in integers; InputError where the ranges do not allow it."""
  for name, value in zip(activation_names(layers), ranges):
    if range_bits(value) is None:
      raise errors.InputError(
        f'integers need a power of two as the range of every activation; that of {name} is '
        f'{value:g}.'
      )
  if ranges[0] > _LARGEST_INPUT_RANGE:
    raise errors.InputError(
      f'integers need an input range of at most {_LARGEST_INPUT_RANGE:g}; got {ranges[0]:g}.'
    )
  return [_fixed(layer, form) for layer, form in zip(layers, formats(layers, ranges))]


def _fixed(layer: folded_network.Layer, form: Format) -> FixedLayer:
  if layer.kernel is None:
    _check_shift(layer.name, form.output - form.input, 'its range must be no wider than before')
    return FixedLayer(layer, form, 0, form.input - form.output)
  sum_bits = form.input + form.kernel
  _check_shift(
    layer.name, sum_bits - form.output, 'its range must be wider, or that before it less'
  )
  integers = layer._replace(
    kernel=as_integers(layer.kernel, form.kernel), bias=as_integers(layer.bias, form.bias)
  )
  return FixedLayer(integers, form, sum_bits - form.bias, sum_bits - form.output)


def _check_shift(name: str, shift: int, remedy: str) -> None:
  if not 0 <= shift <= _LONGEST_SHIFT:
    raise errors.InputError(
      f'integers need shifts of 0 to {_LONGEST_SHIFT} bits; {name} has one of {shift}: {remedy}.'
    )


def integer_logits(
  network: Sequence[FixedLayer], shape: clip_shape.ClipShape, fingerprints: np.ndarray
) -> np.ndarray:
  """What a device computes: int32 [clips, classes], from float32 [clips, frames * coefficients]."""
  bits = network[0].format.input
  x = np.clip(np.floor(fingerprints * 2.0**bits + 0.5), _LOW, _HIGH).astype(np.int32)
  if network[0].layer.kind == 'conv':
    x = x.reshape(-1, shape.frames, shape.coefficients, 1)
  for step in network:
    x = _ARITHMETIC[step.layer.kind](x, step)
  return x


def _finished(total: np.ndarray, step: FixedLayer) -> np.ndarray:
  half = 1 << step.out_shift >> 1
  total = total + (step.layer.bias << step.bias_shift) + half
  x = np.clip(total >> step.out_shift, _LOW, _HIGH)
  return np.maximum(x, 0) if step.layer.relu else x


def _dense(x: np.ndarray, step: FixedLayer) -> np.ndarray:
  return _finished(x.reshape(len(x), -1) @ step.layer.kernel, step)


def _pool(x: np.ndarray, step: FixedLayer) -> np.ndarray:
  count = x.shape[1] * x.shape[2]
  total = x.sum(axis=(1, 2)) << -step.out_shift
  return np.clip((2 * total + count) // (2 * count), _LOW, _HIGH)


def _conv(x: np.ndarray, step: FixedLayer) -> np.ndarray:
  total: Any = 0
  for piece, weights in _windows(x, step.layer):
    total = total + piece @ weights  # [clips, height, width, in] by [in, out]
  return _finished(total, step)


def _depthwise(x: np.ndarray, step: FixedLayer) -> np.ndarray:
  total: Any = 0
  for piece, weights in _windows(x, step.layer):
    total = total + piece * weights[:, 0]
  return _finished(total, step)


def padding(size: int, kernel: int, stride: int) -> tuple[int, int, int]:
  """Along one side of a map: how many zeros before, how many behind, and the size that results."""
  out = -(-size // stride)
  total = max(0, (out - 1) * stride + kernel - size)
  return total // 2, total - total // 2, out


def _windows(x: np.ndarray, layer: folded_network.Layer) -> Any:
  """Yields, for each place in the kernel, what lies under it all over the map, and its weights."""
  height, width = layer.kernel.shape[:2]
  top, bottom, rows = padding(x.shape[1], height, layer.strides[0])
  left, right, columns = padding(x.shape[2], width, layer.strides[1])
  x = np.pad(x, [(0, 0), (top, bottom), (left, right), (0, 0)], 'constant')
  for row in range(height):
    for column in range(width):
      last = (row + rows * layer.strides[0], column + columns * layer.strides[1])
      piece = x[:, row : last[0] : layer.strides[0], column : last[1] : layer.strides[1]]
      yield piece[:, :rows, :columns], layer.kernel[row, column]


_ARITHMETIC: dict[str, Callable[[np.ndarray, FixedLayer], np.ndarray]] = {
  'conv': _conv,
  'depthwise': _depthwise,
  'dense': _dense,
  'pool': _pool,
}
