"""Flags that stand for values of the configuration, and how they go together with its files.

A flag wins over --set, that over the file of --config_path, that over the preset.
"""

from __future__ import annotations

import os
from typing import Any, Callable

from absl import flags as absl_flags

from estimators.tcc import config_tree, presets
from npu_adapter import errors

FLAGS = absl_flags.FLAGS
_TEXT, _COUNT, _NUMBER = (
  absl_flags.DEFINE_string,
  absl_flags.DEFINE_integer,
  absl_flags.DEFINE_float,
)
# Their part of --help.
_GROUP = {'module_name': 'configuration'}
# Flag, name in the configuration, kind, help.
_FLAGS = (
  ('batch_size', 'TRAIN.BATCH_SIZE', _COUNT, 'clips a step'),
  ('max_iters', 'TRAIN.MAX_ITERS', _COUNT, 'iterations in all'),
  ('num_frames', 'TRAIN.NUM_FRAMES', _COUNT, 'frames chosen of a clip'),
  ('learning_rate', 'OPTIMIZER.LR.INITIAL_LR', _NUMBER, 'of the first iteration'),
  ('image_size', 'IMAGE_SIZE', _COUNT, 'height and width that frames are resized to'),
  (
    'training_algo', 'TRAINING_ALGO', _TEXT,
    'alignment, sal, tcn, classification or alignment_sal_tcn',
  ),
  ('base_network', 'MODEL.BASE_MODEL.NETWORK', _TEXT, 'Resnet50_pretrained, VGGM or small'),
  ('train_base', 'MODEL.TRAIN_BASE', _TEXT, 'train_all, only_bn or frozen'),
  ('embedder', 'MODEL.EMBEDDER_TYPE', _TEXT, 'conv or convgru'),
  (
    'weights_path', 'MODEL.RESNET_PRETRAINED_WEIGHTS', _TEXT,
    "Keras' h5 of ResNet50V2 (default: the one in --data_path)",
  ),
  ('log_step_interval', 'LOGGING.REPORT_INTERVAL', _COUNT, 'iterations between lines of the log'),
  ('save_step_interval', 'CHECKPOINT.SAVE_INTERVAL', _COUNT, 'iterations between checkpoints'),
)  # fmt: skip

_TEXT('config_path', None, 'YAML file with values under the names of the publication', **_GROUP)
absl_flags.DEFINE_multi_string(
  'set', [], 'one value by its name, as --set=ALIGNMENT.LOSS_TYPE=classification', **_GROUP
)
_TEXT(
  'data_path', None,
  "folder of TFRecord files, or the one with <data set>_tfrecords and Keras' weights in it "
  '(default: generated clips)', **_GROUP,
)  # fmt: skip
absl_flags.DEFINE_list('datasets', None, 'names of data sets (default: pouring)', **_GROUP)
for _flag, _name, _define, _help in _FLAGS:
  _define(_flag, None, _help, **_GROUP)
for _alias, _flag in (
  ('data_dir', 'data_path'), ('train_steps', 'max_iters'), ('path_to_tfrecords', 'data_path'),
):  # fmt: skip
  absl_flags.DEFINE_alias(_alias, _flag, **_GROUP)


def tree(preset: str, show: Callable[[str], Any]) -> dict[str, Any]:
  """The whole configuration."""
  from estimators.tcc import config_file

  found = presets.tree_of(preset)
  if FLAGS.config_path:
    ignored = config_tree.merge(found, config_file.read(os.path.expanduser(FLAGS.config_path)))
    if ignored:
      show(f'without effect in {FLAGS.config_path!r}: {", ".join(ignored)}')
  for text in FLAGS.set:
    name, equals, value = text.partition('=')
    if not equals:
      raise errors.InputError(f'--set must be NAME=VALUE; got {text!r}.')
    config_tree.put(found, name, config_file.value_of(value))
  for flag, name, _, _ in _FLAGS:
    if FLAGS[flag].value is not None:
      config_tree.put(found, name, FLAGS[flag].value)
  if FLAGS.datasets:
    config_tree.put(found, 'DATASETS', FLAGS.datasets)
  if FLAGS.data_path:
    _take_data_path(found, os.path.abspath(os.path.expanduser(FLAGS.data_path)))
  return found


def _take_data_path(found: dict[str, Any], data_path: str) -> None:
  from estimators.tcc import data_source
  from estimators.tcc.networks import keras_weights

  found['PATH_TO_TFRECORDS'] = data_source.path_in(data_path)
  model = found['MODEL']
  is_resnet = model['BASE_MODEL']['NETWORK'] == 'Resnet50_pretrained'
  if is_resnet and model['RESNET_PRETRAINED_WEIGHTS'] is None:
    paths = [os.path.join(data_path, name) for name in keras_weights.FILE_NAMES]
    model['RESNET_PRETRAINED_WEIGHTS'] = next(filter(os.path.isfile, paths), None)
