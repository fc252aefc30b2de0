#!/usr/bin/env python3
"""Writes a checkpoint of train.py as one file for inference: bytes of a wav file in, scores out.

The graph has a placeholder wav_data (string scalar: a 16-bit mono wav file of the model's sample
rate) and gives labels_softmax, float32 [1, labels]. As a pb it is one file, and the labels are
beside it: model.pb and model.labels.txt. As a SavedModel it is a folder with the same constants in
it and a serving signature, and the labels are in its assets.extra/labels.txt.
"""

import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from estimators.ds_cnn.deployment import label_file  # noqa: E402
from npu_adapter import errors, tool_command  # noqa: E402

FORMATS = ('pb', 'saved_model')


def main(argv=None):
  """Runs the command; returns its exit status."""
  return tool_command.run(_parser(), _run, argv)


def _parser():
  parser = tool_command.Parser('freeze.py', __doc__)
  add = parser.add_argument
  tool_command.add_checkpoint_flag(parser)
  add('--output', required=True, metavar='FILE.pb|FOLDER', help='what to write; must be new')
  add(
    '--format', type=tool_command.one_of(*FORMATS), metavar='FORMAT',
    help='pb or saved_model (default: pb where --output ends with .pb, else saved_model)',
  )  # fmt: skip
  add('--overwrite', action='store_true', help='replace an --output that is there')
  return parser


def _run(asked):
  form = asked.format or ('pb' if asked.output.endswith('.pb') else 'saved_model')
  output = os.path.realpath(asked.output)
  _check_output(output, form, asked.overwrite)
  from estimators.ds_cnn.deployment import trained_network, wav_graph

  trained = trained_network.find(asked.checkpoint)
  definition = wav_graph.frozen(trained)
  os.makedirs(os.path.dirname(output), exist_ok=True)
  write = {'pb': _write_pb, 'saved_model': _write_saved_model}[form]
  write(output, definition, trained.settings.labels)
  labels = label_file.beside_pb(output) if form == 'pb' else label_file.in_saved_model(output)
  print(f'{trained.settings.architecture} of {trained.checkpoint}')
  print(f'wrote {output}: {len(definition.node)} nodes, {definition.ByteSize()} bytes')
  print(f'wrote {labels}: what its {len(trained.settings.labels)} scores are of')


def _check_output(output, form, overwrite):
  """Raises InputError where something would be lost."""
  if form == 'pb':
    there = [path for path in (output, label_file.beside_pb(output)) if os.path.exists(path)]
    replaceable = all(os.path.isfile(path) for path in there)
  else:
    there = [output] if os.path.exists(output) and not _is_empty_folder(output) else []
    replaceable = os.path.isfile(os.path.join(output, 'saved_model.pb'))
  if there and not overwrite:
    raise errors.InputError(
      f'output must be new; {there[0]!r} is there. Name another, or replace it with --overwrite.'
    )
  if there and not replaceable:
    what = 'a file' if form == 'pb' else 'a SavedModel'
    raise errors.InputError(
      f'output must be new or {what} to replace; {there[0]!r} is something else. Name another.'
    )


def _is_empty_folder(path):
  return os.path.isdir(path) and not os.listdir(path)


def _write_pb(output, definition, labels):
  # The graph last: where it is, the labels are.
  label_file.write(label_file.beside_pb(output), labels)
  tool_command.write_whole(output, definition.SerializeToString())


def _write_saved_model(output, definition, labels):
  folder, name = os.path.split(output)
  with tempfile.TemporaryDirectory(prefix='.partial-', dir=folder) as scratch:
    partial = os.path.join(scratch, name)
    _save(partial, definition)
    path = label_file.in_saved_model(partial)
    os.makedirs(os.path.dirname(path))
    label_file.write(path, labels)
    before = os.path.join(scratch, 'before')
    if os.path.exists(output):
      os.rename(output, before)
    try:
      os.rename(partial, output)
    except OSError:
      if os.path.exists(before):
        os.rename(before, output)
      raise


def _save(folder, definition):
  import tensorflow.compat.v1 as tf

  from estimators.ds_cnn.deployment import wav_graph
  from npu_adapter import constant_graph

  with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session, constant_graph.quiet():
    tf.import_graph_def(definition, name='')
    wav, scores = (
      graph.get_tensor_by_name(f'{name}:0') for name in (wav_graph.INPUT, wav_graph.OUTPUT)
    )
    signature = tf.saved_model.predict_signature_def(
      {wav_graph.INPUT: wav}, {wav_graph.OUTPUT: scores}
    )
    key = tf.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY
    builder = tf.saved_model.Builder(folder)
    builder.add_meta_graph_and_variables(
      session, ['serve'], {key: signature}, strip_default_attrs=True
    )
    builder.save()


if __name__ == '__main__':
  sys.exit(main())
