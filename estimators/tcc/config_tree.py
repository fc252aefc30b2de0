"""The configuration under the names of the publication: its values, and what another may be.

A tree of dicts with plain values. Held in a YAML file beside the checkpoints; see config_file.py.
No TensorFlow.
"""

from __future__ import annotations

import copy
from typing import Any, Iterator, Mapping

from npu_adapter import errors

TREE: dict[str, Any] = {
  'DATASETS': ['pouring'],
  # %s is the name of a data set. None: generated clips.
  'PATH_TO_TFRECORDS': None,
  'TRAINING_ALGO': 'alignment',
  'IMAGE_SIZE': 224,
  'TRAIN': {'MAX_ITERS': 150000, 'BATCH_SIZE': 2, 'NUM_FRAMES': 20},
  'EVAL': {
    'BATCH_SIZE': 2,
    'NUM_FRAMES': 20,
    'VAL_ITERS': 20,
    'TASKS': [
      'algo_loss',
      'classification',
      'kendalls_tau',
      'event_completion',
      'few_shot_classification',
    ],
    'FRAMES_PER_BATCH': 25,
    'KENDALLS_TAU_STRIDE': 5,
    'KENDALLS_TAU_DISTANCE': 'sqeuclidean',
    'CLASSIFICATION_FRACTIONS': [0.1, 0.5, 1.0],
    'FEW_SHOT_NUM_LABELED': list(range(1, 11)),
    'FEW_SHOT_NUM_EPISODES': 50,
  },
  'MODEL': {
    'EMBEDDER_TYPE': 'conv',
    'TRAIN_BASE': 'only_bn',
    'L2_REG_WEIGHT': 1e-5,
    'BASE_MODEL': {'NETWORK': 'Resnet50_pretrained', 'LAYER': 'conv4_block3_out'},
    # Keras' file of weights; None: the one beside the records, if there is one.
    'RESNET_PRETRAINED_WEIGHTS': None,
    'VGGM': {'USE_BN': True},
    'CONV_EMBEDDER_MODEL': {
      'CONV_LAYERS': [[256, 3, True], [256, 3, True]],
      'FLATTEN_METHOD': 'max_pool',
      'FC_LAYERS': [[256, True], [256, True]],
      'CAPACITY_SCALAR': 2,
      'EMBEDDING_SIZE': 128,
      'L2_NORMALIZE': False,
      'BASE_DROPOUT_RATE': 0.0,
      'BASE_DROPOUT_SPATIAL': False,
      'FC_DROPOUT_RATE': 0.1,
      'USE_BN': True,
    },
    'CONVGRU_EMBEDDER_MODEL': {
      'CONV_LAYERS': [[512, 3, True], [512, 3, True]],
      'GRU_LAYERS': [128],
      'DROPOUT_RATE': 0.0,
      'USE_BN': True,
    },
  },
  'ALIGNMENT': {
    'LOSS_TYPE': 'regression_mse_var',
    'SIMILARITY_TYPE': 'l2',
    'SOFTMAX_TEMPERATURE': 0.1,
    'LABEL_SMOOTHING': 0.1,
    'CYCLE_LENGTH': 2,
    'STOCHASTIC_MATCHING': False,
    'VARIANCE_LAMBDA': 0.001,
    'FRACTION': 1.0,
    'HUBER_DELTA': 0.1,
    'NORMALIZE_INDICES': True,
  },
  'SAL': {
    'DROPOUT_RATE': 0.0,
    'FC_LAYERS': [[128, True], [64, True], [2, False]],
    'SHUFFLE_FRACTION': 0.75,
    'NUM_SAMPLES': 8,
    'LABEL_SMOOTHING': 0.0,
  },
  'ALIGNMENT_SAL_TCN': {'ALIGNMENT_LOSS_WEIGHT': 0.33, 'SAL_LOSS_WEIGHT': 0.33},
  'CLASSIFICATION': {'LABEL_SMOOTHING': 0.0, 'DROPOUT_RATE': 0.0},
  'TCN': {'POSITIVE_WINDOW': 5, 'REG_LAMBDA': 0.002},
  'OPTIMIZER': {
    'TYPE': 'AdamOptimizer',
    'LR': {
      'INITIAL_LR': 1e-4,
      'DECAY_TYPE': 'fixed',
      'EXP_DECAY_RATE': 0.97,
      'EXP_DECAY_STEPS': 1000,
      'MANUAL_LR_STEP_BOUNDARIES': [5000, 10000],
      'MANUAL_LR_DECAY_RATE': 0.1,
      'NUM_WARMUP_STEPS': 0,
    },
  },
  'DATA': {
    'SAMPLING_STRATEGY': 'offset_uniform',
    'RANDOM_OFFSET': 1,
    'STRIDE': 16,
    'NUM_STEPS': 2,
    'FRAME_STRIDE': 15,
    'PER_DATASET_FRACTION': 1.0,
    'PER_CLASS': False,
  },
  'AUGMENTATION': {
    'RANDOM_FLIP': True,
    'RANDOM_CROP': False,
    'CROP_MIN_SCALE': 0.8,
    'BRIGHTNESS': True,
    'BRIGHTNESS_MAX_DELTA': 32 / 255,
    'CONTRAST': True,
    'CONTRAST_LOWER': 0.5,
    'CONTRAST_UPPER': 1.5,
    'HUE': False,
    'HUE_MAX_DELTA': 0.2,
    'SATURATION': False,
    'SATURATION_LOWER': 0.5,
    'SATURATION_UPPER': 1.5,
  },
  'LOGGING': {'REPORT_INTERVAL': 100},
  'CHECKPOINT': {'SAVE_INTERVAL': 1000},
}
# Of the original, without a meaning here: said, not refused.
WITHOUT_EFFECT = (
  'LOGDIR', 'TRAIN.VISUALIZE_INTERVAL', 'EVAL.VISUALIZE_INTERVAL', 'DATA.SHUFFLE_QUEUE_SIZE',
  'DATA.NUM_PREFETCH_BATCHES', 'DATA.FRAME_LABELS', 'DATA.ADDITIONAL_EVAL_DATASETS',
)  # fmt: skip
# What may be nothing.
_OPTIONAL = ('PATH_TO_TFRECORDS', 'MODEL.RESNET_PRETRAINED_WEIGHTS')


def published() -> dict[str, Any]:
  """A tree of its own with the published values."""
  return copy.deepcopy(TREE)


def leaves(tree: Mapping[str, Any], above: str = '') -> Iterator[tuple[str, Any]]:
  """Every value with its name, as ('TRAIN.BATCH_SIZE', 2)."""
  for name, value in tree.items():
    if isinstance(value, Mapping):
      yield from leaves(value, f'{above}{name}.')
    else:
      yield f'{above}{name}', value


def get(tree: Mapping[str, Any], name: str) -> Any:
  """The value, or the part of the tree, of a name with dots."""
  found: Any = tree
  for part in name.split('.'):
    found = found[part]
  return found


def put(tree: dict[str, Any], name: str, value: Any) -> None:
  """Sets one value, or raises InputError for a name or a kind of value that the tree has not."""
  known = dict(leaves(TREE))
  if name not in known:
    raise errors.InputError(
      f'a name of the configuration must be one of the publication; got {name!r}.'
      f'{errors.nearest(name, list(known))}'
    )
  section, _, last = name.rpartition('.')
  (get(tree, section) if section else tree)[last] = _fitting(name, value, known[name])


def merge(tree: dict[str, Any], other: Mapping[str, Any]) -> list[str]:
  """Puts all values of another tree, or a part of one; returns the names without effect in it."""
  ignored = []
  for name, value in leaves(other):
    if name in WITHOUT_EFFECT:
      ignored.append(name)
    else:
      put(tree, name, value)
  return ignored


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
  """In words, what is another value than before."""
  old = dict(leaves(before))
  return [
    f'{name} was {old[name]!r} and is {value!r}'
    for name, value in leaves(now)
    if name in old and old[name] != value
  ]


def _fitting(name: str, value: Any, default: Any) -> Any:
  """The value as its default's kind; an error for another."""
  if value is None and name in _OPTIONAL:
    return None
  kind = str if name in _OPTIONAL else type(default)
  if kind is float and isinstance(value, int) and not isinstance(value, bool):
    return float(value)
  if kind is list and isinstance(value, (list, tuple)):
    return _plain(value)
  if type(value) is not kind:
    raise errors.InputError(f'{name} must be {_KINDS[kind]}; got {value!r}.')
  return value


def _plain(value: Any) -> Any:
  return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


_KINDS = {
  str: 'text',
  bool: 'true or false',
  int: 'a whole number',
  float: 'a number',
  list: 'a list, in [ ]',
}
