"""lstm: a layer of LSTM cells by one operator of the device, its variables the caller's own."""

from __future__ import annotations

import contextlib
from typing import Any, Iterator

import tensorflow.compat.v1 as tf

from npu_adapter import backends, errors

_GATES = 4
_is_unrolled = False


def lstm(x: Any, kernel: Any, bias: Any, forget_bias: float = 1.0, name: str | None = None) -> Any:
  """Returns the output of every step, [steps, batch, units], of a sequence that starts from zeros.

  x: float32 [steps, batch, size], or a list of such tensors: one sequence cut in time, each part
  going on where the one before ended. What comes back is cut as x was. On a host each part is an
  operator of its own, so that layers one above the other work on several cores at a time; a device
  with an operator for it gets the sequence in one part.

  kernel: [size + units, 4 * units], of the input and then of the last output; bias: [4 * units].
  Their gates stand as those of tf.nn.rnn_cell.BasicLSTMCell, whose checkpoints fit: input,
  candidate, forget, output. `forget_bias` is added to the third.
  """
  parts = [tf.convert_to_tensor(part) for part in (x if isinstance(x, (list, tuple)) else [x])]
  units = _units(parts, kernel, bias)
  with tf.name_scope(name, 'lstm'):
    cut = _outputs(parts, kernel, bias, forget_bias)
    for part, output in zip(parts, cut):
      output.set_shape([*part.shape.as_list()[:2], units])
  return cut if isinstance(x, (list, tuple)) else cut[0]


@contextlib.contextmanager
def unrolled() -> Iterator[None]:
  """Inside, lstm builds plain operators, step after step.

  For a graph that goes to a converter which knows no operator for an LSTM. It is large, and slow
  to build. The steps of the sequences must be known.
  """
  global _is_unrolled
  before, _is_unrolled = _is_unrolled, True
  try:
    yield
  finally:
    _is_unrolled = before


def _outputs(parts: list[Any], kernel: Any, bias: Any, forget_bias: float) -> list[Any]:
  """The outputs of each part."""
  if _is_unrolled:
    return _by_plain_operators(parts, kernel, bias, forget_bias)
  whole = parts[0] if len(parts) == 1 else tf.concat(parts, axis=0)
  outputs = backends.choose().lstm(whole, kernel, bias, forget_bias)
  if outputs is None:
    return _by_block_operators(parts, kernel, bias, forget_bias)
  if len(parts) == 1:
    return [outputs]
  return list(tf.split(outputs, [tf.shape(part)[0] for part in parts], axis=0))


def _by_plain_operators(parts: list[Any], kernel: Any, bias: Any, forget_bias: float) -> list[Any]:
  cell, output = _zero_state(parts, bias)
  found = []
  for part in parts:
    outputs = []
    for step in tf.unstack(part):
      gates = tf.nn.bias_add(tf.matmul(tf.concat([step, output], axis=1), kernel), bias)
      enters, candidate, stays, leaves = tf.split(gates, _GATES, axis=1)
      cell = tf.sigmoid(stays + forget_bias) * cell + tf.sigmoid(enters) * tf.tanh(candidate)
      output = tf.sigmoid(leaves) * tf.tanh(cell)
      outputs.append(output)
    found.append(tf.stack(outputs))
  return found


def _by_block_operators(parts: list[Any], kernel: Any, bias: Any, forget_bias: float) -> list[Any]:
  """One BlockLSTM a part, whose gates stand in the same order; each gets the state of the last."""
  cell, output = _zero_state(parts, bias)
  nothing = tf.zeros(cell.shape.as_list()[1:], bias.dtype.base_dtype)
  outputs = []
  for part in parts:
    block = tf.raw_ops.BlockLSTM(
      seq_len_max=tf.cast(tf.shape(part)[0], tf.int64),
      x=part,
      cs_prev=cell,
      h_prev=output,
      w=kernel,
      # Peepholes, which are off.
      wci=nothing,
      wcf=nothing,
      wco=nothing,
      b=bias,
      forget_bias=forget_bias,
      # Below 0: not clipped. The operator's own default clips at 3.
      cell_clip=-1,
      use_peephole=False,
    )
    cell, output = block.cs[-1], block.h[-1]
    outputs.append(block.h)
  return outputs


def _zero_state(parts: list[Any], bias: Any) -> tuple[Any, Any]:
  """The cell and the output before the first step, [batch, units]."""
  units = bias.shape.as_list()[0] // _GATES
  zeros = tf.zeros([tf.shape(parts[0])[1], units], bias.dtype.base_dtype)
  return zeros, zeros


def _units(parts: list[Any], kernel: Any, bias: Any) -> int:
  shapes = [part.shape.as_list() if part.shape.ndims == 3 else None for part in parts]
  sizes = {shape[2] if shape else None for shape in shapes}
  wide, gates = kernel.shape.as_list()
  units = gates // _GATES
  is_right = sizes == {wide - units} and gates == _GATES * units
  if not parts or not is_right or bias.shape.as_list() != [gates]:
    raise errors.OptionError(
      'lstm takes [steps, batch, size], a kernel [size + units, 4 * units] and a bias [4 * units]; '
      f'got {[part.shape for part in parts]}, {kernel.shape} and {bias.shape}.'
    )
  return units
