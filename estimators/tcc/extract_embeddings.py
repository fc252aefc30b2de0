#!/usr/bin/env python3
"""Writes the embedding of every frame of a split's clips into a file, for visualize_alignment.py.

By the last checkpoint of a training of train.py. --keep_data keeps the frames too.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from absl import flags as absl_flags  # noqa: E402

from npu_adapter import errors, flags  # noqa: E402

FLAGS = absl_flags.FLAGS
_TEXT, _COUNT, _SWITCH = (
  absl_flags.DEFINE_string,
  absl_flags.DEFINE_integer,
  absl_flags.DEFINE_bool,
)

# fmt: off
_TEXT('output_path', None, 'folder of train.py; must be given')
_TEXT('dataset', None, 'name of a data set (default: the first of the training)')
_TEXT('split', 'val', 'split of its files: train, val or test')
_TEXT('save_path', 'embeddings.npy', 'file to write')
_TEXT('path_to_tfrecords', None, 'folder of TFRecord files, %s for the data set (default: that of the training)')
_TEXT('cache_path', None, 'folder for generated clips (default: $TF1_ASCEND_CACHE, else ~/.cache/tf1-ascend)')
_COUNT('frames_per_batch', 30, 'frames that are embedded at a time', lower_bound=1)
_SWITCH('keep_data', False, 'keep the frames beside the embeddings')
_SWITCH('keep_labels', True, 'keep the labels of the frames')
_COUNT('sample_all_stride', 1, 'every how manieth frame', lower_bound=1)
_COUNT('max_embs', 0, 'clips at most; 0 for all', lower_bound=0)
_SWITCH('defun', True, 'without effect: there is one graph')
# fmt: on
absl_flags.DEFINE_alias('logdir', 'output_path')


def main(argv):
  """Reads the flags, embeds, writes the file."""
  del argv
  from estimators.tcc import embedding, trained_model
  from estimators.tcc.evaluation import embeddings_file

  if not FLAGS.output_path:
    raise errors.InputError('output_path must be given; got none. It is the folder of train.py.')
  save_path = embeddings_file.check_path(os.path.expanduser(FLAGS.save_path))
  scorer = trained_model.open_folder(
    FLAGS.output_path, FLAGS.path_to_tfrecords, FLAGS.cache_path
  )  # fmt: skip
  records = _records(scorer)
  pieces = embedding.Pieces(FLAGS.frames_per_batch, FLAGS.sample_all_stride)
  clips = scorer.embed(records, pieces)
  if not FLAGS.keep_labels:
    clips = [clip._replace(labels=0 * clip.labels - 1) for clip in clips]
  frames = None
  if FLAGS.keep_data:
    frames = [embedding.pictures(record, FLAGS.sample_all_stride) for record in records]
  embeddings_file.save(save_path, embeddings_file.of_clips(clips, frames))
  print(f'{save_path} has {sum(len(clip.labels) for clip in clips)} frames of {len(clips)} clips')


def _records(scorer):
  from estimators.tcc import data_source
  from estimators.tcc.dataset import record_index

  dataset = FLAGS.dataset or scorer.tree['DATASETS'][0]
  folder = scorer.tree['PATH_TO_TFRECORDS'] or data_source.generated_folder(FLAGS.cache_path)
  records = record_index.open_split(folder, dataset, FLAGS.split, scorer.tree['DATA']['PER_CLASS'])
  return records[: FLAGS.max_embs or None]


if __name__ == '__main__':
  flags.run(main)
