#!/usr/bin/env python3
"""Evaluates a trained ds_cnn or dnn in 8-bit fixed point, and writes its weights for CMSIS-NN.

Batch norm is folded first. Then every kernel and every bias is rounded to 8 bits with one power of
two for the whole tensor, and every activation to 8 bits in a range, a power of two as well, that is
given (--act_max) or found (--calibrate).
"""

import math
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from estimators.ds_cnn import data_flags  # noqa: E402
from npu_adapter import (
  errors,  # noqa: E402
  tool_command,  # noqa: E402
)

CALIBRATION_CLIPS = 100
# Of these the integers are computed as a device does; numpy takes its time for that.
CHECKED_CLIPS = 20


def main(argv=None):
  """Runs the command; returns its exit status."""
  return tool_command.run(_parser(), _run, argv)


def _parser():
  parser = tool_command.Parser('quantize.py', __doc__)
  add = parser.add_argument
  tool_command.add_checkpoint_flag(parser, '; one that fold_batch_norm.py wrote will do as well')
  add(
    '--act_max', nargs='+', metavar='A',
    help='ranges of the activations, with spaces or commas between: A means -A to A - A/128 in 256 '
    'steps, 0 leaves an activation in float. ds_cnn with L layers takes 2L + 2 values: the input, '
    'conv_0, depthwise_1, pointwise_1, depthwise_2 and so on, the pool, the logits (S and M 12, L '
    '14); dnn with L layers takes L + 2: the input, dense_1 and so on, the logits',
  )  # fmt: skip
  add(
    '--calibrate', type=tool_command.number(int, 1), metavar='N',
    help='find the ranges on the first N training clips instead: from the input on, for each '
    'activation the power of two with which the probabilities of the clips stay closest to those '
    'of the float network, by relative entropy, the activations before being rounded already '
    f'(default: {CALIBRATION_CLIPS} clips)',
  )  # fmt: skip
  add(
    '--splits', default='validation,test', metavar='LIST',
    help='clips to evaluate on: validation, test, training (default: %(default)s)',
  )  # fmt: skip
  add(
    '--weights_header', type=tool_command.new_file('.h'), metavar='FILE.h',
    help='C header to write: weights, biases, shifts and formats for CMSIS-NN. A bias has no more '
    'fraction bits than input and kernel together, because CMSIS-NN shifts it to the left only',
  )  # fmt: skip
  add('--json', type=tool_command.new_file(), metavar='FILE', help='the same numbers for machines')
  add('--overwrite', action='store_true', help='replace a --weights_header or --json that is there')
  data_flags.add_data_flags(parser)
  return parser


def _run(asked):
  from estimators.ds_cnn import data_source
  from estimators.ds_cnn.deployment import fixed_point, folded_network, trained_network
  from npu_adapter.runtime import tf1

  folded_network.splits(asked.splits)
  _check(asked)
  tf1.enable()
  checkpoint = folded_network.Checkpoint(
    trained_network.find(asked.checkpoint), fixed_point.ARCHITECTURES, '8-bit evaluation'
  )
  settings = checkpoint.settings
  layers = checkpoint.layers()
  ranges = _given_ranges(asked.act_max, layers)
  if asked.weights_header and ranges is not None:
    fixed_point.fixed(layers, ranges)  # says early what is wrong
  print(f'{settings.architecture} of step {checkpoint.step}: {checkpoint.path}')
  data = data_source.Data(asked.cache_path, asked.on_bad_clip, asked.data_path)
  store = data_source.open_data(data, settings)
  origin = 'act_max'
  if ranges is None:
    ranges, count = _found_ranges(asked.calibrate, layers, store)
    origin = f'calibration on {count} training clips'
  result = {
    'model': settings.architecture,
    'sizes': settings.sizes,
    'checkpoint': checkpoint.path,
    'step': checkpoint.step,
    'data': store.source,
    'bytes': folded_network.parameters(layers),
    'ranges_from': origin,
    'layers': _described(layers, ranges),
    'accuracy': _accuracies(asked, checkpoint, layers, ranges, store),
  }
  _show(result)
  if asked.weights_header:
    result['integer_check'] = _write_header(asked, result, layers, ranges, store)
  if asked.json:
    tool_command.write_json(asked.json, result)


def _check(asked):
  """What can be known without reading anything."""
  if asked.act_max and asked.calibrate is not None:
    raise errors.OptionError('ranges are given with act_max or found with calibrate; got both.')
  for name in ('weights_header', 'json'):
    path = getattr(asked, name)
    if path and os.path.exists(path) and not asked.overwrite:
      raise errors.OptionError(
        f'{name} must be new; {path!r} is there. Name another, or replace it with --overwrite.'
      )


def _given_ranges(words, layers):
  """The values of --act_max as numbers; None without it."""
  from estimators.ds_cnn.deployment import fixed_point

  if not words:
    return None
  words = ' '.join(words).replace(',', ' ').split()
  try:
    ranges = [float(word) for word in words]
  except ValueError:
    ranges = [math.nan]
  if not all(0 <= value < math.inf for value in ranges):
    raise errors.OptionError(f'act_max must be numbers of 0 or more; got {" ".join(words)!r}.')
  names = fixed_point.activation_names(layers)
  if len(ranges) != len(names):
    raise errors.OptionError(
      f'act_max must have {len(names)} values here, for {", ".join(names)}; got {len(ranges)}: '
      f'{" ".join(words)!r}.'
    )
  return ranges


def _found_ranges(count, layers, store):
  """The ranges, and on how many clips they were found."""
  from estimators.ds_cnn.deployment import fixed_point, folded_network

  there = len(store.splits['training'].rows)
  if count is not None and count > there:
    raise errors.OptionError(f'calibrate must be at most the {there} training clips; got {count}.')
  count = min(count or CALIBRATION_CLIPS, there)
  clips = folded_network.clips(store, 'training', count)
  print(f'finding the ranges of {len(layers) + 1} activations on {count} training clips')
  return fixed_point.calibrated(layers, store.shape, clips.fingerprints).tolist(), count


def _described(layers, ranges):
  """A row for the input and for each layer; the formats as fraction bits."""
  from estimators.ds_cnn.deployment import fixed_point

  rows = [
    {'name': name, 'range': value, 'fraction_bits': fixed_point.range_bits(value)}
    for name, value in zip(fixed_point.activation_names(layers), ranges)
  ]
  for row, layer, form in zip(rows[1:], layers, fixed_point.formats(layers, ranges)):
    if layer.kernel is not None:
      row['kernel_peak'] = float(abs(layer.kernel).max())
      row['kernel_fraction_bits'] = form.kernel
      row['bias_peak'] = float(abs(layer.bias).max())
      row['bias_fraction_bits'] = form.bias
  return rows


def _accuracies(asked, checkpoint, layers, ranges, store):
  """By split: how many clips, and the share that is right in float and in 8 bits."""
  import numpy as np

  from estimators.ds_cnn.deployment import fixed_point, folded_network

  own = fixed_point.rounded(layers, fixed_point.formats(layers, np.zeros(len(ranges))))
  limited = fixed_point.rounded(layers, fixed_point.formats(layers, ranges))
  found = {}
  with folded_network.Evaluation(layers, store.shape) as exact, \
      folded_network.Evaluation(own, store.shape) as weights, \
      folded_network.Evaluation(limited, store.shape) as all_of_it:  # fmt: skip
    for name in folded_network.splits(asked.splits, store):
      clips = folded_network.clips(store, name)
      x = clips.fingerprints
      # The folded network is the trained one up to the last bits, which may decide about a clip.
      source = checkpoint if checkpoint.has_batch_norm else exact
      found[name] = {
        'clips': len(clips.labels),
        'float': clips.accuracy(source.logits(x)),
        'weights': clips.accuracy(weights.logits(x)),
        'weights_and_activations': clips.accuracy(all_of_it.logits(x, ranges)),
      }
  return found


def _show(result):
  print(f'{"":14}{"kernel":>18}{"bias":>18}{"output":>18}')
  for row in result['layers']:
    columns = [
      _column(row.get('kernel_peak'), row.get('kernel_fraction_bits')),
      _column(row.get('bias_peak'), row.get('bias_fraction_bits')),
      _column(row['range'], row['fraction_bits']),
    ]
    print(f'{row["name"]:14}' + ''.join(f'{column:>18}' for column in columns))
  print(
    'Largest magnitude of kernel and bias, range of the output, and their formats: Qm.n has m bits '
    f'before the point\nand n behind it. Ranges by {result["ranges_from"]}. Kernels and biases: '
    f'{result["bytes"]:,} bytes.'
  )
  print(f'{"accuracy":14}{"clips":>8}{"float":>10}{"weights":>10}{"+ activations":>15}')
  for name, found in result['accuracy'].items():
    print(
      f'{name:14}{found["clips"]:8}{found["float"]:10.2%}{found["weights"]:10.2%}'
      f'{found["weights_and_activations"]:15.2%}'
    )


def _column(peak, bits):
  if peak is None:
    return ''
  no_format = '-' if peak else 'float'
  return f'{peak:.4g}  {no_format if bits is None else f"Q{7 - bits}.{bits}":>6}'


def _write_header(asked, result, layers, ranges, store):
  """Writes the header, computes some clips from its integers, and returns how they compare."""
  import numpy as np

  from estimators.ds_cnn.deployment import cmsis_weights, fixed_point, folded_network

  network = fixed_point.fixed(layers, ranges)
  title = (
    f'{result["model"]} {" ".join(map(str, result["sizes"]))} of step {result["step"]} in 8 bits: '
    f'{os.path.basename(result["checkpoint"])},\nranges by {result["ranges_from"]}, written by '
    'quantize.py.'
  )
  header = cmsis_weights.text(network, store.shape, title)
  tool_command.write_whole(asked.weights_header, header.encode())
  x = folded_network.clips(store, 'training', CHECKED_CLIPS).fingerprints
  limited = fixed_point.rounded(layers, fixed_point.formats(layers, ranges))
  with folded_network.Evaluation(limited, store.shape) as evaluation:
    wanted = np.round(evaluation.logits(x, ranges) * 128 / ranges[-1])
  got = fixed_point.integer_logits(network, store.shape, x)
  differing, most = int((got != wanted).sum()), int(abs(got - wanted).max())
  print(
    f'wrote {asked.weights_header}; computed in integers, {got.size - differing} of {got.size} '
    f'logits of {len(x)} clips are the same' + (f', others differ by up to {most}' if most else '')
  )
  return {'logits': got.size, 'differing': differing, 'largest_difference': most}


if __name__ == '__main__':
  sys.exit(main())
