"""Three clouds of points in a plane that overlap: what the original demonstrates averaging with."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from estimators.swa.dataset import examples
from npu_adapter import errors

POINTS, TEST_POINTS = 131072, 32768
_CLASSES, _DEVIATION, _SEED = 3, 2.0, 2


def load() -> examples.Examples:
  """The points of the original; for the test as many again by a quarter, of the same clouds."""
  try:
    from sklearn import datasets
  except ImportError as error:
    raise errors.AdapterError(
      f"the task blobs needs scikit-learn; {error}. Install it: pip install '.[models]'"
    ) from None
  points, labels, centres = datasets.make_blobs(
    POINTS, 2, centers=_CLASSES, cluster_std=_DEVIATION, random_state=_SEED, return_centers=True
  )
  test = datasets.make_blobs(
    TEST_POINTS, 2, centers=centres, cluster_std=_DEVIATION, random_state=_SEED + 1
  )
  split_of = {'training': (points, labels), 'test': test}
  return examples.Examples(
    source='three clouds of points',
    shape=(2,),
    classes=_CLASSES,
    counts={'training': POINTS, 'test': TEST_POINTS},
    # The original's network sees them as they are.
    mean=(0.0, 0.0),
    deviation=(1.0, 1.0),
    tensors=lambda split: (
      tf.constant(split_of[split][0], tf.float32),
      tf.constant(split_of[split][1], tf.int32),
    ),
  )
