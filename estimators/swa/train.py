#!/usr/bin/env python3
"""Trains a network, averages the weights of its last part, and tests both beside each other.

The bare command is the original's demonstration: three clouds of 131,072 points, a cyclic rate
from epoch 75 of 100 on, a sample of the weights every third epoch. --task=digits trains a
convolutional network on real pictures; --task=cifar10 or cifar100 with --data_path as published.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from absl import flags as absl_flags  # noqa: E402

from estimators.swa import presets  # noqa: E402
from npu_adapter import flags  # noqa: E402

FLAGS = absl_flags.FLAGS
_HERE = os.path.dirname(os.path.abspath(__file__))
_TEXT, _NUMBER, _COUNT, _CHOICE = (
  absl_flags.DEFINE_string,
  absl_flags.DEFINE_float,
  absl_flags.DEFINE_integer,
  absl_flags.DEFINE_enum,
)

# fmt: off
_CHOICE('task', None, list(presets.TASKS), 'what to learn (default: blobs; with --data_path, what its files are)')
_TEXT('data_path', None, "folder with the binary version of CIFAR-10 or CIFAR-100, or the one it is in")
_TEXT('output_path', None, 'folder for checkpoints, the training log, the learning curve and result.json; a run in it is resumed (default: output, beside this file)')
_TEXT('start_checkpoint', None, 'checkpoint to take the first weights from')
_COUNT('seed', 1, 'of weights, order and dropout', lower_bound=0)

_TEXT('network', None, 'vgg16 or preresnet164 for CIFAR (default: vgg16); the other tasks have one each')
_COUNT('batch_size', None, 'examples a step (blobs: 16384)', lower_bound=1)
_COUNT('epochs', None, 'passes over the training examples (blobs: 100)', lower_bound=1)
_COUNT('steps', None, 'training steps in all, instead of --epochs', lower_bound=1)
_NUMBER('learning_rate', None, 'of the first step (blobs: 0.1)')
_CHOICE('schedule', None, ['constant', 'falling'], 'learning rate without averaging, or with its manual schedule; falling: to a hundredth, between half and nine tenths of the steps')
_NUMBER('momentum', None, 'of SGD (blobs: 0)')
_NUMBER('weight_decay', None, 'of all weights (blobs: 0)')

absl_flags.DEFINE_bool('swa', True, 'average weights; --noswa trains with SGD alone')
_COUNT('start_epoch', None, 'epoch that begins the first cycle, counted from 1 (blobs: 75)', lower_bound=1)
_COUNT('swa_freq', None, 'epochs from a sample of the weights to the next (blobs: 3)', lower_bound=1)
_CHOICE('lr_schedule', None, ['manual', 'constant', 'cyclic'], 'manual: the rate of --schedule; constant: falls to --swa_lr; cyclic: then from --swa_lr2 to --swa_lr between two samples (blobs: cyclic)')
_TEXT('swa_lr', None, "learning rate that samples are taken at; 'auto': a tenth of the first (blobs: 0.001)")
_TEXT('swa_lr2', None, "learning rate that a cycle begins with; 'auto': a quarter of the way from --swa_lr to the first (blobs: 0.003)")
_NUMBER('swa_decay', None, 'let samples fade by this factor each (default: all weigh the same)')

_COUNT('eval_step_interval', None, 'steps between tests (default: those of a tenth of the run)', lower_bound=1)
_COUNT('save_step_interval', None, 'steps between checkpoints (default: --eval_step_interval)', lower_bound=1)
_COUNT('log_step_interval', None, 'steps between lines of the log (default: those of a twentieth of the run)', lower_bound=1)
# fmt: on

for _alias, _name in (
  # As the original's launch scripts spell them.
  ('train_epochs', 'epochs'), ('train_steps', 'steps'), ('max_step', 'steps'),
  ('batch', 'batch_size'), ('modeldir', 'output_path'), ('save_interval', 'save_step_interval'),
  ('ckpt_path', 'start_checkpoint'),
):  # fmt: skip
  absl_flags.DEFINE_alias(_alias, _name)


def _settings():
  """What the flags say, checked, and the data they name."""
  from estimators.swa import choices

  names = (*presets.OF_TRAINING, *presets.OF_AVERAGING)
  return choices.settings_of(
    FLAGS.task,
    FLAGS.network,
    FLAGS.data_path and os.path.abspath(os.path.expanduser(FLAGS.data_path)),
    {name: FLAGS[name].value for name in names if FLAGS[name].value is not None},
    FLAGS.seed,
    FLAGS.swa,
    FLAGS.steps,
    FLAGS.swa_decay,
  )


def main(argv):
  """Reads the flags, trains, and prints how good the last weights and the average are."""
  del argv
  from estimators.swa import training_run

  settings, data = _settings()
  evaluation_steps = FLAGS.eval_step_interval or max(1, settings.steps // 10)
  config = flags.run_config(
    model_dir=FLAGS.output_path or os.path.join(_HERE, 'output'),
    precision_mode='allow_mix_precision',
    tf_random_seed=FLAGS.seed,
    save_checkpoints_steps=FLAGS.save_step_interval or evaluation_steps,
    keep_checkpoint_max=2,
  )
  plan = training_run.Plan(
    evaluation_steps,
    FLAGS.log_step_interval or max(1, settings.steps // 20),
    flags.loss_scale(),
    FLAGS.start_checkpoint,
  )
  training_run.run(settings, data, config, plan)


if __name__ == '__main__':
  flags.run(main)
