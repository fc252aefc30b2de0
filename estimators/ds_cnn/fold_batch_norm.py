#!/usr/bin/env python3
"""Multiplies the batch norm of a trained ds_cnn or cnn into its kernels and biases.

The new checkpoint has the same kernels and biases by name and no batch norm: what a device computes
that has none. It is kept only after it has given the same logits as the trained network.
"""

import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from estimators.ds_cnn import data_flags  # noqa: E402
from npu_adapter import errors, run_settings, tool_command  # noqa: E402

ARCHITECTURES = ('ds_cnn', 'cnn')
SUFFIX = '_bnfused'
# Of the largest logit: more than what another order of float32 additions does.
TOLERANCE = 1e-4
RANDOM_FINGERPRINTS = 100


def main(argv=None):
  """Runs the command; returns its exit status."""
  return tool_command.run(_parser(), _run, argv)


def _parser():
  parser = tool_command.Parser('fold_batch_norm.py', __doc__)
  add = parser.add_argument
  tool_command.add_checkpoint_flag(parser)
  add(
    '--output', metavar='PATH',
    help=f'checkpoint to write, or a folder for it (default: the checkpoint with {SUFFIX} behind '
    'its name; in a folder `best` it goes when the training goes on and finds a better one)',
  )  # fmt: skip
  add('--overwrite', action='store_true', help='replace an --output that is there')
  add(
    '--splits', default='validation,test', metavar='LIST',
    help='clips to evaluate on before and after: validation, test, training; or none, which '
    f'compares the logits of {RANDOM_FINGERPRINTS} random fingerprints and needs no data '
    '(default: %(default)s)',
  )  # fmt: skip
  data_flags.add_data_flags(parser)
  return parser


def _run(asked):
  from estimators.ds_cnn.deployment import folded_network, trained_network
  from npu_adapter.runtime import tf1

  names = [] if asked.splits == 'none' else folded_network.splits(asked.splits)
  tf1.enable()
  trained = folded_network.Checkpoint(
    trained_network.find(asked.checkpoint), ARCHITECTURES, 'batch norm'
  )
  if not trained.has_batch_norm:
    raise errors.OptionError(f'checkpoint must have batch norm to fold; {trained.path!r} has none.')
  output = _output(asked, trained)
  layers = trained.layers()
  print(f'{trained.architecture} of step {trained.step}: {trained.path}')
  _write(output, trained, layers, lambda written: _compare(asked, names, trained, written))
  _describe(output, trained.settings)
  print(
    f'{trained.count(statistics=False):,} parameters and {trained.count(statistics=True):,} '
    f'statistics of batch norm became {folded_network.parameters(layers):,} parameters'
  )
  print(f'wrote {output}')


def _output(asked, trained):
  """The path to write to; OptionError where something would be lost."""
  output = asked.output or trained.path + SUFFIX
  if os.path.isdir(output) or output.endswith(os.sep):
    output = os.path.join(output, os.path.basename(trained.path) + SUFFIX)
  if os.path.realpath(output) == os.path.realpath(trained.path):
    raise errors.OptionError('output must be another checkpoint than the one to fold.')
  if os.path.exists(f'{output}.index') and not asked.overwrite:
    raise errors.OptionError(
      f'output must be new; {output!r} is there. Name another, or replace it with --overwrite.'
    )
  if _settings_beside(output) not in (None, trained.settings):
    raise errors.OptionError(
      f'output must be in a folder of its own, or of the same model; the settings beside '
      f'{output!r} are of another.'
    )
  return output


def _settings_beside(checkpoint):
  """What the tools of the model take for the settings of a checkpoint, or None."""
  from estimators.ds_cnn import settings as model_settings

  folder = os.path.dirname(os.path.abspath(checkpoint))
  for place in (folder, os.path.dirname(folder)):
    if os.path.exists(os.path.join(place, run_settings.FILE_NAME)):
      return model_settings.read(checkpoint)
  return None


def _compare(asked, names, trained, written):
  """Evaluates both networks and prints what they score; AdapterError if they are not the same."""
  import numpy as np

  from estimators.ds_cnn.deployment import folded_network, trained_network

  found = trained_network.Trained(written, trained.settings)
  layers = folded_network.Checkpoint(found, ARCHITECTURES, 'batch norm').layers()
  differences, largest = [], 0.0
  with folded_network.Evaluation(layers, trained.settings.shape) as folded:
    for name, clips in _clips(asked, names, trained.settings):
      before, after = trained.logits(clips.fingerprints), folded.logits(clips.fingerprints)
      differences.append(float(np.abs(after - before).max()))
      largest = max(largest, float(np.abs(before).max()))
      if name:
        print(
          f'{name} accuracy = {100 * clips.accuracy(before):.2f}% before, '
          f'{100 * clips.accuracy(after):.2f}% after (N={len(clips.labels)})'
        )
  print(f'largest difference of logits: {max(differences):.1e}; the logits reach {largest:.1f}')
  if not max(differences) <= TOLERANCE * max(1.0, largest):
    raise errors.AdapterError(
      f'the folded network must give the same logits; they differ by {max(differences):.1e}. '
      'Nothing was written.'
    )


def _clips(asked, names, settings):
  """Yields a name and clips for each split; random fingerprints, without a name, for none."""
  import numpy as np

  from estimators.ds_cnn import data_source
  from estimators.ds_cnn.deployment import folded_network

  if not names:
    size = [RANDOM_FINGERPRINTS, settings.shape.fingerprint_size]
    # About as large as the coefficients of speech.
    fingerprints = np.random.RandomState(0).normal(scale=10, size=size).astype(np.float32)
    yield None, folded_network.Clips(fingerprints, np.zeros(RANDOM_FINGERPRINTS, np.int32))
    return
  data = data_source.Data(asked.cache_path, asked.on_bad_clip, asked.data_path)
  store = data_source.open_data(data, settings)
  for name in folded_network.splits(asked.splits, store):
    yield name, folded_network.clips(store, name)


def _write(output, trained, layers, check):
  """Writes a checkpoint of the layers beside `output`, checks it, and gives it its name."""
  folder, name = os.path.split(os.path.abspath(output))
  os.makedirs(folder, exist_ok=True)
  with tempfile.TemporaryDirectory(prefix='.partial-', dir=folder) as scratch:
    written = os.path.join(scratch, name)
    _save(written, _variables(trained, layers))
    check(written)
    # The index last: with it a checkpoint counts as one.
    for file_name in sorted(os.listdir(scratch), key=lambda name: name.endswith('.index')):
      os.replace(os.path.join(scratch, file_name), os.path.join(folder, file_name))


def _variables(trained, layers):
  """By the names of the trained checkpoint."""
  variables = {'global_step': trained.read('global_step')}
  for layer in layers:
    if layer.kernel is not None:
      variables[f'{trained.architecture}/{layer.name}/kernel'] = layer.kernel
      variables[f'{trained.architecture}/{layer.name}/bias'] = layer.bias
  return variables


def _save(path, variables):
  import tensorflow.compat.v1 as tf

  with tf.Graph().as_default(), tf.Session() as session:
    for name, value in variables.items():
      tf.get_variable(name, initializer=value)
    session.run(tf.global_variables_initializer())
    # Neither the list of checkpoints, which names the one to go on training with, nor the graph.
    tf.train.Saver().save(session, path, write_meta_graph=False, write_state=False)


def _describe(output, settings):
  """Makes the folder of `output` one that the tools of the model understand."""
  import tensorflow.compat.v1 as tf

  from estimators.ds_cnn import settings as model_settings

  folder, name = os.path.split(os.path.abspath(output))
  if _settings_beside(output) is None:
    model_settings.write(settings, folder)
  if tf.train.get_checkpoint_state(folder) is None:
    text = str(tf.train.generate_checkpoint_state_proto(folder, name))
    tool_command.write_whole(os.path.join(folder, 'checkpoint'), text.encode())


if __name__ == '__main__':
  sys.exit(main())
