"""Named configurations: what of the publication each one changes.

A value that the user gives wins over its preset. No TensorFlow.
"""

from __future__ import annotations

from typing import Any

from estimators.tcc import config_tree

# For the generated clips of 64 pixels and two CPU cores: a network that starts from nothing.
_SMALL = {
  'IMAGE_SIZE': 64,
  'TRAIN': {'MAX_ITERS': 4000, 'BATCH_SIZE': 4, 'NUM_FRAMES': 20},
  'MODEL': {
    'TRAIN_BASE': 'train_all',
    'BASE_MODEL': {'NETWORK': 'small'},
    'CONV_EMBEDDER_MODEL': {
      'CONV_LAYERS': [[64, 3, True], [64, 3, True]],
      'FC_LAYERS': [[128, True], [128, True]],
      'CAPACITY_SCALAR': 1,
    },
  },
  'OPTIMIZER': {'LR': {'INITIAL_LR': 1e-3, 'DECAY_TYPE': 'poly'}},
  # Without them it learns the colours of the few clips: tau 0.89 instead of 0.96 on others.
  'AUGMENTATION': {'RANDOM_CROP': True, 'HUE': True, 'SATURATION': True},
}
# The original's demo.yml, as small as it goes.
_DEMO = {
  'IMAGE_SIZE': 112,
  'TRAIN': {'MAX_ITERS': 10, 'BATCH_SIZE': 2, 'NUM_FRAMES': 5},
  'EVAL': {'NUM_FRAMES': 5, 'VAL_ITERS': 2},
}
PRESETS: dict[str, dict[str, Any]] = {'small': _SMALL, 'published': {}, 'demo': _DEMO}


def tree_of(preset: str) -> dict[str, Any]:
  """The whole configuration of a preset."""
  tree = config_tree.published()
  config_tree.merge(tree, PRESETS[preset])
  return tree
