#!/usr/bin/env python3
"""Evaluates a training of train.py: all tasks of its configuration, in one command.

The loss of the algorithm, phase classification at several shares of labels, few-shot
classification, event completion and Kendall's tau, on clips that were never trained on; beside them
the same of raw pixels. Writes evaluation.json and pictures into the model folder.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from absl import flags as absl_flags  # noqa: E402

from npu_adapter import flags  # noqa: E402

FLAGS = absl_flags.FLAGS
_HERE = os.path.dirname(os.path.abspath(__file__))
_TEXT, _COUNT, _SWITCH = (
  absl_flags.DEFINE_string,
  absl_flags.DEFINE_integer,
  absl_flags.DEFINE_bool,
)

# fmt: off
_TEXT('output_path', None, 'folder of train.py (default: output, beside this file)')
_TEXT('data_path', None, 'folder of TFRecord files (default: those it was trained on)')
_TEXT('cache_path', None, 'folder for generated clips (default: $TF1_ASCEND_CACHE, else ~/.cache/tf1-ascend)')
_SWITCH('continuous_eval', False, 'evaluate each checkpoint that a training in the folder writes, up to its last')
_SWITCH('visualize', True, 'draw alignment.gif and distances.png')
_SWITCH('defun', True, 'without effect: there is one graph')
_COUNT('max_embs', 0, 'clips of a split, at most; 0 for all', lower_bound=0)
_COUNT('num_parallel_calls', None, 'clips prepared at a time (default: one a core)', lower_bound=1)
# fmt: on
absl_flags.DEFINE_alias('logdir', 'output_path')
absl_flags.DEFINE_alias('data_dir', 'data_path')


def main(argv):
  """Reads the flags, evaluates, prints a table."""
  del argv
  from estimators.tcc import evaluation_run, trained_model

  scorer = trained_model.open_folder(
    FLAGS.output_path or os.path.join(_HERE, 'output'), FLAGS.data_path, FLAGS.cache_path,
    FLAGS.num_parallel_calls,
  )  # fmt: skip
  scorer = evaluation_run.at_most(scorer, FLAGS.max_embs)
  if FLAGS.continuous_eval:
    evaluation_run.follow(scorer, FLAGS.visualize)
  else:
    evaluation_run.run(scorer, trained_model.last_checkpoint(scorer), FLAGS.visualize)


if __name__ == '__main__':
  flags.run(main)
