"""Written digits of 8 x 8 pixels, which come with scikit-learn; tested by other people's."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from estimators.swa.dataset import examples
from npu_adapter import errors

# Of 1,797. They are in the order of the people who wrote them. Half is for the test: with less to
# learn from there is more to gain, and more to tell it by.
_TRAINING = 898


def load() -> examples.Examples:
  """The first half to train on, the second to test."""
  try:
    from sklearn import datasets
  except ImportError as error:
    raise errors.AdapterError(
      f"the task digits needs scikit-learn; {error}. Install it: pip install '.[models]'"
    ) from None
  found = datasets.load_digits()
  images, labels = found.images[..., None], found.target
  parts = {'training': slice(_TRAINING), 'test': slice(_TRAINING, None)}
  seen = images[parts['training']]
  return examples.Examples(
    source="scikit-learn's digits",
    shape=images.shape[1:],
    classes=10,
    counts={split: len(labels[part]) for split, part in parts.items()},
    mean=examples.rounded([seen.mean()]),
    deviation=examples.rounded([seen.std()]),
    tensors=lambda split: (
      tf.constant(images[parts[split]], tf.float32),
      tf.constant(labels[parts[split]], tf.int32),
    ),
  )
