#!/usr/bin/env python3
"""Trains a temporal convolutional network: to add two marked numbers, to remember, to read digits.

The bare command trains on the adding problem as the original did, but on sequences that are all
different; keeps the best checkpoint, and ends with its error on sequences it never saw, beside that
of always answering 1. --preset=ci is a run of minutes.
"""

import math
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from absl import flags as absl_flags  # noqa: E402

from estimators.keras_tcn import presets  # noqa: E402
from npu_adapter import errors, flags  # noqa: E402

FLAGS = absl_flags.FLAGS
_HERE = os.path.dirname(os.path.abspath(__file__))
_TEXT, _WORDS = absl_flags.DEFINE_string, absl_flags.DEFINE_list
_NUMBER, _COUNT = absl_flags.DEFINE_float, absl_flags.DEFINE_integer
_CHOICE, _SWITCH = absl_flags.DEFINE_enum, absl_flags.DEFINE_bool

# fmt: off
_CHOICE('preset', 'seed', sorted(presets.PRESETS), 'where flags that are not given come from')
_CHOICE('task', None, ['adding', 'copy_memory', 'digits'], 'what to learn (original: adding)')
_COUNT('sequence_length', None, 'steps of a sequence (default: 600 adding, 520 copy_memory, the pixels of a picture for digits; ci: 100)', lower_bound=1)
_TEXT('data_path', None, "digits: folder with MNIST's four idx files (default: scikit-learn's digits)")
_TEXT('output_path', None, 'folder for checkpoints, tcn.h5, the training log, the learning curve and result.json; a run in it is resumed (default: output, beside this file)')
_TEXT('summaries_dir', None, 'folder for TensorBoard summaries')
_TEXT('start_checkpoint', None, 'checkpoint to take the first weights from')
_COUNT('seed', 1, 'of weights, training sequences and dropout; validation and test are the same for all', lower_bound=0)

_WORDS('nb_filters', None, 'filters of a convolution, or one number a dilation (original: 24)')
_COUNT('kernel_size', None, 'taps of a convolution (original: 8)', lower_bound=1)
_COUNT('nb_stacks', None, 'how many times over the dilations (original: 1)', lower_bound=1)
_WORDS('dilations', None, 'dilation of each block (original: 1,2,4,...,256)')
_CHOICE('norm', None, ['none', 'batch', 'layer', 'weight'], 'normalisation (original: batch; paper: weight)')
_CHOICE('initializer', None, ['he_normal', 'glorot_uniform', 'small_normal'], 'how kernels start (original: he_normal)')
_SWITCH('use_skip_connections', None, 'add the branches of all blocks (original: no)')
_NUMBER('dropout_rate', None, 'share of channels dropped in training (original: 0.1; paper: 0)')
_CHOICE('last_step_form', 'auto', ['auto', 'always', 'never'], 'compute the positions alone that the last step depends on; auto: where that is the same; always: with batch norm too, over fewer positions')

_COUNT('batch_size', None, 'sequences a step (original: 512)', lower_bound=1)
_NUMBER('learning_rate', None, 'of Adam (original: 0.005)')
_CHOICE('schedule', None, ['constant', 'cosine'], 'learning rate over the steps (original: constant)')
_NUMBER('clip_norm', None, 'longest gradient of one variable; 0 for any (original: 1)')
_NUMBER('epochs', None, 'times --train_data_n sequences (original: 50)')
_COUNT('steps', None, 'training steps, instead of --epochs', lower_bound=1)
_COUNT('train_data_n', None, 'sequences that --epochs counts as one; none is ever seen twice (original: 200000)', lower_bound=1)
_COUNT('validation_data_n', None, 'sequences for validation (original: 2000)', lower_bound=1)
_COUNT('test_data_n', 10000, 'sequences for the test', lower_bound=1)
_COUNT('kept_activations_mb', 512, 'where activations would take more, they are computed twice: less memory, a third more work', lower_bound=1)
_COUNT('eval_step_interval', None, 'steps between validations (original: 100)', lower_bound=1)
_COUNT('save_step_interval', None, 'steps between checkpoints (default: --eval_step_interval)', lower_bound=1)
_COUNT('log_step_interval', None, 'steps between lines of the log (original: 20)', lower_bound=1)
# fmt: on

for _alias, _name in (
  ('learing_rata', 'learning_rate'), ('lr', 'learning_rate'), ('seq_length', 'sequence_length'),
  ('train_steps', 'steps'), ('train_epochs', 'epochs'), ('ckpt_path', 'start_checkpoint'),
  ('tensorboard_path', 'summaries_dir'),
):  # fmt: skip
  absl_flags.DEFINE_alias(_alias, _name)


def _given():
  """The flags, with those of the preset where none was given."""
  preset = presets.PRESETS[FLAGS.preset]
  return {
    name: value if FLAGS[name].value is None else FLAGS[name].value
    for name, value in preset.items()
  }


def _settings(given, images):
  """What the flags say, checked."""
  from estimators.keras_tcn import architecture, settings, tasks

  length = given['sequence_length']
  if given['task'] == 'digits':
    task = tasks.digits(images.pixels, FLAGS.sequence_length)
  else:
    task = {'adding': tasks.adding, 'copy_memory': tasks.copy_memory}[given['task']](length)
  dilations = _whole_numbers('dilations', given['dilations'])
  filters = _whole_numbers('nb_filters', given['nb_filters'])
  counts = images.counts if images else {}
  return settings.check(
    settings.Settings(
      task=task,
      architecture=architecture.Architecture(
        filters=filters * len(dilations) if len(filters) == 1 else filters,
        kernel_size=given['kernel_size'],
        stacks=given['nb_stacks'],
        dilations=dilations,
        skip_connections=given['use_skip_connections'],
        dropout_rate=given['dropout_rate'],
        norm=given['norm'],
        initializer=given['initializer'],
      ),
      last_step_form=FLAGS.last_step_form,
      batch_size=given['batch_size'],
      steps=FLAGS.steps or _steps(given, counts.get('training', given['train_data_n'])),
      learning_rate=given['learning_rate'],
      schedule=given['schedule'],
      clip_norm=given['clip_norm'],
      seed=FLAGS.seed,
      validation_data_n=min(given['validation_data_n'], counts.get('validation', 10**9)),
      test_data_n=min(FLAGS.test_data_n, counts.get('test', 10**9)),
      kept_activations_mb=FLAGS.kept_activations_mb,
      data_path=images and FLAGS.data_path and os.path.abspath(FLAGS.data_path),
    )
  )


def _steps(given, sequences):
  if not 0 < given['epochs'] < math.inf:
    raise errors.InputError(f'epochs must be above 0; got {given["epochs"]}.')
  return max(1, math.ceil(given['epochs'] * sequences / given['batch_size']))


def _whole_numbers(name, words):
  try:
    return tuple(int(word) for word in words)
  except ValueError:
    raise errors.InputError(
      f'{name} must be whole numbers with commas between, as 1,2,4; got {",".join(words)!r}.'
    ) from None


def _images(task):
  """The pictures of the task digits; None for what is drawn by chance."""
  if task != 'digits':
    if FLAGS.data_path:
      raise errors.InputError(
        f'data_path must be left out for the task {task}, whose sequences are generated; got '
        f'{FLAGS.data_path!r}.'
      )
    return None
  from estimators.keras_tcn import digit_images

  return digit_images.load(FLAGS.data_path and os.path.expanduser(FLAGS.data_path))


def main(argv):
  """Reads the flags, trains, and prints how good the best network is on what it never saw."""
  del argv
  from estimators.keras_tcn import training_run

  given = _given()
  images = _images(given['task'])
  settings = _settings(given, images)
  config = flags.run_config(
    model_dir=FLAGS.output_path or os.path.join(_HERE, 'output'),
    precision_mode='allow_mix_precision',
    tf_random_seed=FLAGS.seed,
    save_checkpoints_steps=FLAGS.save_step_interval or given['eval_step_interval'],
    keep_checkpoint_max=2,
  )
  plan = training_run.Plan(
    given['eval_step_interval'],
    given['log_step_interval'],
    flags.loss_scale(),
    FLAGS.start_checkpoint,
    FLAGS.summaries_dir,
  )
  training_run.run(settings, images, config, plan)


if __name__ == '__main__':
  flags.run(main)
