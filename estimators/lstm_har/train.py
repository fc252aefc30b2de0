#!/usr/bin/env python3
"""Trains a network that tells from movement what somebody does.

The bare command trains the 3x3 stacked residual bidirectional LSTM on the recordings of a watch
that come with the package seglearn, keeps the best checkpoint in validation, and ends with its
scores on people it has never seen. With --data_path it trains on UCI HAR.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from absl import flags as absl_flags  # noqa: E402

from estimators.lstm_har import architecture  # noqa: E402
from npu_adapter import averaging_flags, errors, flags  # noqa: E402

FLAGS = absl_flags.FLAGS
_HERE = os.path.dirname(os.path.abspath(__file__))
_TEXT, _NUMBER, _COUNT = (
  absl_flags.DEFINE_string,
  absl_flags.DEFINE_float,
  absl_flags.DEFINE_integer,
)

# fmt: off
_TEXT('data_path', None, "the folder 'UCI HAR Dataset', or the one it is in (default: recordings of a watch, of the package seglearn)")
_TEXT('output_path', None, 'folder for checkpoints, the training log, pictures and result.json; a run in it is resumed (default: output, beside this file)')
_TEXT('cache_path', None, 'folder for windows that were read once (default: $TF1_ASCEND_CACHE, else ~/.cache/tf1-ascend)')
_TEXT('start_checkpoint', None, 'checkpoint to take the first weights from')
absl_flags.DEFINE_list('validation_people', None, 'numbers of the people for validation (default: 7,8 of the watch; of UCI HAR every fifth)')
_COUNT('seed', 1, 'of weights, order and dropout', lower_bound=0)

absl_flags.DEFINE_enum('architecture', architecture.DEFAULT, list(architecture.PRESETS), 'network; what the four flags below say goes before it')
_COUNT('n_layers_in_highway', None, 'K: cells side by side in a layer; 0 is one cell, not normalised', lower_bound=0)
_COUNT('n_stacked_layers', None, 'S: layers one above the other', lower_bound=1)
absl_flags.DEFINE_bool('bidirectional', None, 'read the window backwards as well')
_COUNT('n_hidden', None, 'hidden units of a layer, half of them a direction', lower_bound=1)
_NUMBER('dropout_rate', 0.15, 'share of the input, and of the last output, dropped in training')

_COUNT('batch_size', 100, 'windows a step', lower_bound=1)
_COUNT('epochs', 80, 'passes over the training windows', lower_bound=1)
_COUNT('steps', None, 'training steps in all (default: as many as --epochs make)', lower_bound=1)
_NUMBER('learning_rate', 0.005, 'of the first step (the publication: 0.001, without a decay)')
_NUMBER('learning_rate_decay', 0.96, 'what the rate is multiplied with in each epoch')
_COUNT('replay_hardest', 0, 'batches of an epoch, those of the largest losses, that are trained on once more behind it', lower_bound=0)
_COUNT('eval_step_interval', None, 'steps between validations, each with a checkpoint (default: the whole epochs that make 100 steps)', lower_bound=1)
_COUNT('patience', 0, 'validations without a better one until the training ends; 0 is never', lower_bound=0)
_COUNT('ckpt_count', 2, 'checkpoints to keep beside the best one', lower_bound=1)
_COUNT('log_step_interval', 20, 'steps between lines of the log', lower_bound=1)
# fmt: on

for _alias, _name in (
  # As the reference implementation spells it.
  ('learing_rata', 'learning_rate'),
  ('ckpt_path', 'start_checkpoint'), ('train_steps', 'steps'), ('train_epochs', 'epochs'),
):  # fmt: skip
  absl_flags.DEFINE_alias(_alias, _name)


def _people():
  try:
    return FLAGS.validation_people and [int(number) for number in FLAGS.validation_people]
  except ValueError:
    raise errors.InputError(
      'validation_people must be numbers with commas between, as 7,8; got '
      f'{",".join(FLAGS.validation_people)!r}.'
    ) from None


def _architecture():
  return architecture.choose(
    FLAGS.architecture,
    layers_in_highway=FLAGS.n_layers_in_highway,
    stacked_layers=FLAGS.n_stacked_layers,
    bidirectional=FLAGS.bidirectional,
    hidden_units=FLAGS.n_hidden,
  )


def _settings(network, data, data_path):
  """What the flags and the data say, checked."""
  from estimators.lstm_har import input_pipeline, settings

  steps_per_epoch = input_pipeline.steps_per_epoch(data, FLAGS.batch_size) + FLAGS.replay_hardest
  mean, deviation = settings.standard(data)
  steps = FLAGS.steps or FLAGS.epochs * steps_per_epoch
  return settings.check(
    settings.Settings(
      architecture=network,
      channels=data.channels,
      labels=data.labels,
      mean=mean,
      deviation=deviation,
      validation_people=data.splits['validation'].people,
      batch_size=FLAGS.batch_size,
      steps_per_epoch=steps_per_epoch,
      steps=steps,
      learning_rate=FLAGS.learning_rate,
      learning_rate_decay=FLAGS.learning_rate_decay,
      dropout_rate=FLAGS.dropout_rate,
      replay_hardest=FLAGS.replay_hardest,
      seed=FLAGS.seed,
      data_path=data_path,
      averaging=averaging_flags.averaging(steps),
    )
  )


def main(argv):
  """Reads the flags, trains, and prints how good the best network is on people it never saw."""
  del argv
  from estimators.lstm_har import data_source, training_run

  network = _architecture()
  data_path = FLAGS.data_path and os.path.abspath(os.path.expanduser(FLAGS.data_path))
  data = data_source.open_data(data_path, FLAGS.cache_path, _people())
  settings = _settings(network, data, data_path)
  epoch = settings.steps_per_epoch
  evaluation_steps = FLAGS.eval_step_interval or epoch * -(-100 // epoch)
  config = flags.run_config(
    model_dir=FLAGS.output_path or os.path.join(_HERE, 'output'),
    precision_mode='allow_mix_precision',
    tf_random_seed=FLAGS.seed,
    save_checkpoints_steps=evaluation_steps,
    keep_checkpoint_max=FLAGS.ckpt_count,
  )
  plan = training_run.Plan(
    evaluation_steps,
    FLAGS.log_step_interval,
    FLAGS.patience,
    flags.loss_scale(),
    FLAGS.start_checkpoint,
  )
  training_run.run(settings, data, config, plan)


if __name__ == '__main__':
  flags.run(main)
