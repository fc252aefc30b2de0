"""Keras' weights of ResNet50V2, from its h5 file to a checkpoint that a training starts from.

Three layouts of h5: weights alone, under the names of the layers; a whole model, with the same in
the group model_weights; and Keras 3's .weights.h5, which counts the layers of each kind instead of
naming them.
"""

from __future__ import annotations

import functools
import os
import re
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

import npu_adapter
from estimators.tcc.networks import resnet50v2
from npu_adapter import errors

# The second is how the original's launch scripts spell it.
FILE_NAMES = tuple(
  f'resnet50v2_{word}_tf_dim_ordering_tf_kernels_notop.h5' for word in ('weights', 'weight')
)
CHECKPOINT = 'base.ckpt'
_DOWNLOAD = (
  'Take the file that tf.keras.applications.ResNet50V2(include_top=False) downloads, or another '
  'base network.'
)
# Of Keras 3, by class: how the names of such layers end, and what a layer has, in order.
_NUMBERED = {
  'conv2d': ('_conv', ('kernel', 'bias')),
  'batch_normalization': ('_bn', ('gamma', 'beta', 'moving_mean', 'moving_variance')),
}


def find(folder: str) -> str:
  """The path of the published file, under one of its two names."""
  paths = [os.path.join(folder, name) for name in FILE_NAMES]
  found = [path for path in paths if os.path.isfile(path)]
  if not found:
    raise errors.InputError(
      f'{folder!r} must hold the ImageNet weights of ResNet50V2, {FILE_NAMES[0]} (or _weight_); '
      f'got neither. {_DOWNLOAD}'
    )
  return found[0]


def load(path: str) -> dict[str, np.ndarray]:
  """{variable: array} of what resnet50v2.base has; the layers behind its last one are left out."""
  shapes = _shapes()
  found = _arrays(path, shapes)
  missing = [name for name in shapes if name not in found]
  if missing:
    raise errors.InputError(
      f'{path!r} must hold the layers of ResNet50V2 as far as conv4_block3_out; got {len(found)} '
      f'of their {len(shapes)} weights, without {missing[0]}. {_DOWNLOAD}'
    )
  for name, shape in shapes.items():
    if list(found[name].shape) != shape:
      raise errors.InputError(
        f'{name} in {path!r} must be of shape {shape}; got {list(found[name].shape)}. {_DOWNLOAD}'
      )
  return {name: np.asarray(found[name], np.float32) for name in shapes}


def write_checkpoint(path: str, folder: str) -> str:
  """Writes the weights of an h5 file as a checkpoint of the base network; returns its path."""
  arrays = load(path)
  os.makedirs(folder, exist_ok=True)
  with tf.Graph().as_default(), tf.Session() as session:
    for name, array in arrays.items():
      tf.get_variable(f'{resnet50v2.SCOPE}/{name}', initializer=tf.constant(array))
    session.run(tf.global_variables_initializer())
    return tf.train.Saver().save(
      session, os.path.join(folder, CHECKPOINT), write_meta_graph=False, write_state=False
    )


def warm_start(checkpoint: str) -> Any:
  """What NPUEstimator's warm_start_from is for a base network to start from write_checkpoint's."""
  # The fixed ones too, and the averages: all but an optimizer's slots, which are a name deeper.
  names = [f'{resnet50v2.SCOPE}/[^/]+/[^/]+:0']
  return npu_adapter.WarmStartSettings(checkpoint, vars_to_warm_start=names)


@functools.lru_cache(maxsize=None)
def _shapes() -> dict[str, list[int]]:
  """{layer/kind: shape} of the base network, in the order in which Keras makes them."""
  side = resnet50v2.SMALLEST_IMAGE
  with tf.Graph().as_default():
    resnet50v2.base(tf.zeros([1, side, side, 3]), is_training=False, train_base='frozen')
    return {
      variable.op.name.partition('/')[2]: variable.shape.as_list()
      for variable in tf.global_variables()
    }


def _arrays(path: str, wanted: dict[str, list[int]]) -> dict[str, Any]:
  """{layer/kind: array} of those of the wanted that a file has."""
  import h5py

  found = {}

  def read(place: str, each: Any) -> None:
    name = _name(place, wanted)
    if isinstance(each, h5py.Dataset) and name in wanted:
      found[name] = each[()]

  try:
    with h5py.File(path, 'r') as file:
      # Of a whole model without what its optimizer keeps.
      file.get('model_weights', file).visititems(read)
  except (OSError, RuntimeError, KeyError) as error:
    raise errors.InputError(
      f'{path!r} must be a whole h5 file of Keras weights; h5py says: {error}. Copy or download it '
      'again, or name another one.'
    ) from error
  return found


def _name(place: str, wanted: dict[str, list[int]]) -> str | None:
  """What stands at a place such as conv1_conv/conv1_conv/bias:0, as layer/kind."""
  parts = place.split('/')
  counted = re.fullmatch(r'layers/(.*?)(?:_(\d+))?/vars/(\d+)', place)
  if counted:
    keras_class, number, weight = counted.groups()
    return _counted(keras_class, int(number or 0), int(weight), wanted)
  return '/'.join([*parts[-2:-1], parts[-1].partition(':')[0]])


def _counted(keras_class: str, number: int, weight: int, wanted: Any) -> str | None:
  """The same of Keras 3, where layers/conv2d_4/vars/0 is the fifth convolution's kernel."""
  ending, kinds = _NUMBERED.get(keras_class, ('', ()))
  layers = [name.partition('/')[0] for name in wanted]
  same_kind = list(dict.fromkeys(each for each in layers if each.endswith(ending)))
  if number >= len(same_kind) or weight >= len(kinds):
    return None
  return f'{same_kind[number]}/{kinds[weight]}'
