"""numpy_input_fn and pandas_input_fn: batches of arrays in memory, read by tf.data."""

from __future__ import annotations

import importlib.util
from typing import Any, Callable, Mapping, NamedTuple, Sequence

import numpy as np
import tensorflow.compat.v1 as tf

# What tf.estimator calls an x that is no dict; it shows in the text of an error.
_ONLY_FEATURE = '__direct_np_input__'


class _Order(NamedTuple):
  """Which rows come when. `repeats` is None for reading on without an end."""

  batch_size: int
  repeats: int | None
  shuffle: bool


def numpy_input_fn(
  x: Any,
  y: Any = None,
  batch_size: int = 128,
  num_epochs: int | None = 1,
  shuffle: bool | None = None,
  queue_capacity: int | None = 1000,
  num_threads: int = 1,
) -> Callable[[], Any]:
  """Returns an input_fn of the rows of `x` and `y`, each an array or a dict of arrays.

  A batch goes on over the end of an epoch; only the last one may be short, and there is none with
  num_epochs=None. With `shuffle` every epoch has an order of its own, over all rows.
  num_threads: each reads num_epochs epochs.
  queue_capacity: without a meaning here.
  """
  order = _order(batch_size, num_epochs, shuffle, num_threads)

  def input_fn() -> Any:
    features = _features(x)
    targets = _targets(y)
    _check_names(features, targets)
    _check_lengths(features, targets)
    tensors = _read([*features.values(), *targets.values()], order)
    read_features = _like(x, features, tensors[: len(features)])
    if y is None:
      return read_features
    return read_features, _like(y, targets, tensors[len(features) :])

  return input_fn


def pandas_input_fn(
  x: Any,
  y: Any = None,
  batch_size: int = 128,
  num_epochs: int | None = 1,
  shuffle: bool | None = None,
  queue_capacity: int | None = 1000,
  num_threads: int = 1,
  target_column: str = 'target',
) -> Callable[[], Any]:
  """Returns an input_fn of the rows a DataFrame has now, with a feature for each column.

  `y` is a Series, or a DataFrame for a dict of targets, with the index of `x`. The other arguments
  are those of numpy_input_fn. `target_column` must not be a column of `x`.
  """
  if importlib.util.find_spec('pandas') is None:
    raise TypeError('pandas_input_fn should not be called without pandas installed')
  order = _order(batch_size, num_epochs, shuffle, num_threads)
  if not isinstance(target_column, str):
    raise TypeError('target_column must be a string type')
  if y is not None:
    _check_target(x, y, target_column)
  features = _columns(x)
  has_many = hasattr(y, 'columns')
  targets = _columns(y) if has_many else {} if y is None else {target_column: np.array(y)}

  def input_fn() -> Any:
    tensors = _read([*features.values(), *targets.values()], order)
    read_features = dict(zip(features, tensors))
    if y is None:
      return read_features
    read_targets = dict(zip(targets, tensors[len(features) :]))
    return read_features, read_targets if has_many else read_targets[target_column]

  return input_fn


def _order(batch_size: int, num_epochs: int | None, shuffle: Any, num_threads: int) -> _Order:
  if not isinstance(shuffle, bool):
    raise ValueError(
      'shuffle must be provided and explicitly set as boolean (it is recommended to set it as True '
      f'for training); got {shuffle}'
    )
  if num_epochs is None:
    return _Order(batch_size, None, shuffle)
  if num_threads > 1:
    tf.logging.warning(
      'num_threads=%d reads every row num_threads * num_epochs times, as in tf.estimator; set '
      'num_threads=1 to read it num_epochs times.', num_threads,
    )  # fmt: skip
  return _Order(batch_size, max(num_epochs, 0) * num_threads, shuffle)


def _features(x: Any) -> dict[str, Any]:
  if isinstance(x, dict):
    if not x:
      raise ValueError('x cannot be an empty dict')
    return dict(sorted(x.items()))
  if isinstance(x, np.ndarray):
    if x.size == 0:
      raise ValueError('x cannot be an empty array')
    return {_ONLY_FEATURE: x}
  raise TypeError(f'x must be a dict or array; got {type(x).__name__}')


def _targets(y: Any) -> dict[Any, Any]:
  """Under None where `y` is no dict: a name that no feature has."""
  if y is None:
    return {}
  if not isinstance(y, dict):
    return {None: y}
  if not y:
    raise ValueError('y cannot be empty dict, use None instead.')
  return dict(sorted(y.items()))


def _check_names(features: Mapping[str, Any], targets: Mapping[Any, Any]) -> None:
  both = set(features) & set(targets)
  if both:
    raise ValueError(f'{len(both)} duplicate keys are found in both x and y: {both}')


def _check_lengths(features: Mapping[str, Any], targets: Mapping[Any, Any]) -> None:
  lengths = {array.shape[0] for array in (*features.values(), *targets.values())}
  if len(lengths) == 1:
    return
  of_x = {name: array.shape for name, array in features.items()}
  of_y = {name: array.shape for name, array in targets.items()}
  raise ValueError(
    'Length of tensors in x and y is mismatched. All elements in x and y must have the same '
    f'length.\nShapes in x: {of_x}\nShapes in y: {of_y.get(None, of_y or None)}\n'
  )


def _like(given: Any, names: Mapping[Any, Any], tensors: Sequence[Any]) -> Any:
  """A dict of tensors where a dict was given, else the one tensor."""
  return dict(zip(names, tensors)) if isinstance(given, dict) else tensors[0]


def _check_target(x: Any, y: Any, target_column: str) -> None:
  if target_column in x:
    raise ValueError(
      f'Cannot use name {target_column} for target column: DataFrame already has a column with '
      f'that name: {x.columns}'
    )
  if not np.array_equal(x.index, y.index):
    raise ValueError(
      f'Index for x and y are mismatched.\nIndex for x: {x.index}\nIndex for y: {y.index}\n'
    )


def _columns(frame: Any) -> dict[Any, Any]:
  """Copies: what becomes of the frame later is not read."""
  return {name: np.array(frame[name]) for name in frame.columns}


def _encodable(rows: Any) -> Any:
  """As objects, texts are encoded in UTF-8; numpy's own kind of them would be in ASCII."""
  return rows.astype(object) if rows.dtype.kind == 'U' else rows


def _read(arrays: Sequence[Any], order: _Order) -> list[Any]:
  """Returns the tensors of one batch after the other.

  Of tf.data's iterators the one-shot kind starts by itself, as a queue does: an input_fn of the
  user's own may call this one and go on with the tensors. The arrays stay outside of the graph,
  which is written into the model folder and must stay below 2 GB.
  """
  count = len(arrays[0])
  rows = tf.data.Dataset.range(count)
  if order.shuffle:
    rows = rows.shuffle(max(count, 1))
  is_endless = order.repeats is None
  rows = rows.repeat(order.repeats).batch(order.batch_size, drop_remainder=is_endless)
  types = [tf.as_dtype(array.dtype) for array in arrays]

  def take(numbers: Any) -> list[Any]:
    return [_encodable(array[numbers]) for array in arrays]

  # AutoGraph has nothing to convert in it, and warns of what it cannot read.
  @tf.autograph.experimental.do_not_convert
  def batch_of(numbers: Any) -> tuple[Any, ...]:
    return tuple(tf.numpy_function(take, [numbers], types))

  batches = rows.map(batch_of)
  tensors = list(tf.data.make_one_shot_iterator(batches).get_next())
  for tensor, array in zip(tensors, arrays):
    tensor.set_shape([order.batch_size if is_endless else None, *array.shape[1:]])
  return tensors
