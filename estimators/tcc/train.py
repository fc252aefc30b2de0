#!/usr/bin/env python3
"""Trains a network to embed the frames of videos so that the same moment looks the same in each.

The bare command trains by temporal cycle-consistency on generated clips of pouring, from nothing,
in minutes on a CPU; ends with how well clips it has never seen are aligned, beside an untrained
network and raw pixels. --preset=published is the setting of the publication.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from absl import flags as absl_flags  # noqa: E402
from absl import logging  # noqa: E402, F401 (has --alsologtostderr)

from estimators.tcc import configuration_flags, presets  # noqa: E402
from npu_adapter import flags  # noqa: E402

FLAGS = absl_flags.FLAGS
_HERE = os.path.dirname(os.path.abspath(__file__))
_TEXT, _COUNT, _CHOICE, _SWITCH = (
  absl_flags.DEFINE_string,
  absl_flags.DEFINE_integer,
  absl_flags.DEFINE_enum,
  absl_flags.DEFINE_bool,
)

# fmt: off
_CHOICE('preset', 'small', sorted(presets.PRESETS), 'where values that are not given come from')
_TEXT('output_path', None, 'folder for checkpoints, config.yml, the training log, pictures and result.json; a run in it is resumed (default: output, beside this file)')
_TEXT('cache_path', None, 'folder for generated clips (default: $TF1_ASCEND_CACHE, else ~/.cache/tf1-ascend)')
_TEXT('start_checkpoint', None, 'checkpoint to take the first weights from')
_COUNT('seed', 1, 'of weights, order, sampling and dropout', lower_bound=0)
_COUNT('num_parallel_calls', None, 'clips prepared at a time (default: one a core)', lower_bound=1)
_SWITCH('cache_features', False, 'with --train_base=frozen and without augmentation: what the base network makes of each frame is computed once')
_SWITCH('force_train', False, 'go on in a folder whose run had another configuration, with the new one')
_SWITCH('defun', True, 'without effect: the training is one graph')
_SWITCH('debug', False, 'show what TensorFlow says of its work')
_SWITCH('visualize', True, 'draw alignment.gif and distances.png at the end')
# fmt: on

for _alias, _name in (
  # As the original and its launch scripts spell them.
  ('logdir', 'output_path'), ('ckpt_path', 'start_checkpoint'),
):  # fmt: skip
  absl_flags.DEFINE_alias(_alias, _name)


def main(argv):
  """Reads the flags, trains, and prints how well clips that were never trained on are aligned."""
  del argv
  from estimators.tcc import data_source, feature_cache, settings, training_run

  if FLAGS.debug:
    training_run.show_tensorflow()
  tree = configuration_flags.tree(FLAGS.preset, print)
  settings.check(tree)
  if FLAGS.cache_features:
    feature_cache.check(tree)
  data = data_source.open_data(tree, FLAGS.cache_path)
  config = flags.run_config(
    model_dir=FLAGS.output_path or os.path.join(_HERE, 'output'),
    precision_mode='allow_mix_precision',
    tf_random_seed=FLAGS.seed,
    save_checkpoints_steps=tree['CHECKPOINT']['SAVE_INTERVAL'],
    keep_checkpoint_max=10,
  )
  plan = training_run.Plan(
    FLAGS.seed,
    flags.loss_scale(),
    FLAGS.start_checkpoint,
    FLAGS.num_parallel_calls,
    FLAGS.force_train,
    FLAGS.visualize,
    FLAGS.cache_features,
    FLAGS.cache_path,
  )
  training_run.run(tree, data, config, plan)


if __name__ == '__main__':
  flags.run(main)
