"""The C header of a network in 8-bit fixed point, under the names ARM's CMSIS-NN examples use.

For each layer NAME_WT, NAME_BIAS, NAME_BIAS_LSHIFT and NAME_OUT_RSHIFT, which are what the q7
functions of CMSIS 5 take; MFCC_DEC_BITS for the input and AVG_POOL_OUT_LSHIFT for the pool. The
names: of ds_cnn CONV1, then CONVn_DS and CONVn_PW from 2, and FINAL_FC; of dnn IP1, IP2 and so on.
The order of the weights:
  convolution   output channel, height (time), width (frequency), input channel
  depthwise     height, width, channel
  dense         output, input
"""

from __future__ import annotations

from typing import Iterator, Sequence

import numpy as np

from estimators.ds_cnn import clip_shape
from estimators.ds_cnn.deployment import fixed_point, folded_network

_ORDERS = {'conv': (3, 0, 1, 2), 'depthwise': (0, 1, 2, 3), 'dense': (1, 0)}
_KINDS = {'conv': 'convolution', 'depthwise': 'depthwise convolution', 'dense': 'dense'}

_ARITHMETIC = """\
 A number x in the format Qm.n is the integer x * 2^n, rounded, from -128 to 127; m + n = 7.
 A layer: (sum(input * WT) + (BIAS << BIAS_LSHIFT) + (1 << OUT_RSHIFT >> 1)) >> OUT_RSHIFT, limited
 to 8 bits, then ReLU but for the last. CMSIS-NN rounds so unless it is built with ARM_NN_TRUNCATE;
 older versions, which know ARM_NNUSE_ROUND, if they are built with that.\
"""
_POOL = """\
 The pool: the sum over the map << AVG_POOL_OUT_LSHIFT, divided by the size of the map and rounded.\
"""


def text(network: Sequence[fixed_point.FixedLayer], shape: clip_shape.ClipShape, title: str) -> str:
  """The header; `title` says in a line or more what the network is."""
  is_map = network[0].layer.kind == 'conv'
  name = 'DS_CNN' if is_map else 'DNN'
  arithmetic = f'{_ARITHMETIC}\n{_POOL}' if is_map else _ARITHMETIC
  lines = [
    f'/* {_commented(title)}',
    '',
    arithmetic,
    ' These rows take the place of those of the same names in ds_cnn.h. */' if is_map
    else ' The two shifts of a layer are the numbers behind its dimensions in dnn.cpp. */',
    f'#ifndef {name}_WEIGHTS_H',
    f'#define {name}_WEIGHTS_H',
    '',
    f'/* Input: {_size((shape.frames, shape.coefficients))} (frames x coefficients), '
    f'{_format(network[0].format.input)} */',
    f'#define MFCC_DEC_BITS {network[0].format.input}',
  ]  # fmt: skip
  for step, sizes in zip(network, _sizes(network, shape)):
    lines += ['', *_rows(step, name_of(step.layer.name, network), *sizes)]
  return '\n'.join([*lines, '', '#endif', ''])


def name_of(layer: str, network: Sequence[fixed_point.FixedLayer]) -> str:
  """What ARM's examples call a layer."""
  kind, _, number = layer.rpartition('_')
  if layer == 'pool':
    return 'AVG_POOL'
  if kind == 'dense':
    return f'IP{number}'
  if layer == 'logits':
    return 'FINAL_FC' if network[0].layer.kind == 'conv' else f'IP{len(network)}'
  part = {'conv': '', 'depthwise': '_DS', 'pointwise': '_PW'}[kind]
  return f'CONV{int(number) + 1}{part}'


def in_order(layer: folded_network.Layer) -> np.ndarray:
  """The weights of a layer one after the other, as CMSIS-NN reads them."""
  return layer.kernel.transpose(_ORDERS[layer.kind]).reshape(-1)


def _rows(
  step: fixed_point.FixedLayer, name: str, before: tuple[int, ...], after: tuple[int, ...]
) -> list[str]:
  layer, form = step.layer, step.format
  if layer.kernel is None:
    return [
      f'/* {name}: {layer.name}, mean over the map, {_size(before)} -> {_size(after)}; '
      f'input {_format(form.input)}, output {_format(form.output)} */',
      f'#define {name}_OUT_LSHIFT {-step.out_shift}',
    ]
  dimensions = layer.kernel.transpose(_ORDERS[layer.kind]).shape
  dimensions = dimensions[:3] if layer.kind == 'depthwise' else dimensions
  return [
    f'/* {name}: {layer.name}, {_KINDS[layer.kind]}{_window(layer, before)}, '
    f'{_size(before)} -> {_size(after)};',
    f'   input {_format(form.input)}, output {_format(form.output)}; '
    f'WT [{_size(dimensions)}] {_format(form.kernel)}, BIAS [{layer.bias.size}] '
    f'{_format(form.bias)} */',
    f'#define {name}_WT {_list(in_order(layer))}',
    f'#define {name}_BIAS {_list(layer.bias)}',
    f'#define {name}_BIAS_LSHIFT {step.bias_shift}',
    f'#define {name}_OUT_RSHIFT {step.out_shift}',
  ]


def _sizes(
  network: Sequence[fixed_point.FixedLayer], shape: clip_shape.ClipShape
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
  """The sizes of what goes into each layer and comes out; maps as [height, width, channels]."""
  size: tuple[int, ...] = (shape.frames, shape.coefficients, 1)
  if network[0].layer.kind == 'dense':
    size = (shape.fingerprint_size,)
  for step in network:
    before, layer = size, step.layer
    if layer.kernel is None:
      size = size[2:]
    elif layer.kind == 'dense':
      size = layer.bias.shape
    else:
      size = tuple(-(-side // stride) for side, stride in zip(size, layer.strides))
      size = (*size, layer.bias.size)
    yield before, size


def _window(layer: folded_network.Layer, size: tuple[int, ...]) -> str:
  if layer.kind == 'dense':
    return ''
  kernel = layer.kernel.shape[:2]
  padding = [fixed_point.padding(*sides)[0] for sides in zip(size[:2], kernel, layer.strides)]
  return (
    f' {_size(kernel)} (height x width), stride {_size(layer.strides)}, padding {_size(padding)} '
    '(top x left)'
  )


def _size(sides: Sequence[int]) -> str:
  return ' x '.join(str(side) for side in sides)


def _format(bits: int) -> str:
  return f'Q{7 - bits}.{bits}'


def _list(values: np.ndarray) -> str:
  return '{' + ', '.join(str(value) for value in values.tolist()) + '}'


def _commented(title: str) -> str:
  return title.replace('*/', '* /').replace('\n', '\n ')
