"""Batch norm's statistics of a Keras model, taken over a whole data set: of any Keras there is.

Keras itself brings the data: one of the model's own functions does something else for a while. In
training it does a step that changes nothing; in prediction a step in training mode. In both, each
batch norm layer counts what it is given.
"""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Iterator

import numpy as np
import tensorflow.compat.v1 as tf

from npu_adapter import errors

_NAME, _MOVING = 'BatchNormalization', 'moving_'
_PACKAGES = ('keras', 'tf_keras', 'tensorflow', 'tensorflow_core')


def layers_of(model: Any) -> list[Any]:
  """The batch norm layers that are trained, inside of other layers and models too."""
  return [each for each in _all_layers(model) if _is_batch_norm(each) and each.trainable]


def _is_batch_norm(layer: Any) -> bool:
  classes = [each for each in type(layer).__mro__ if each.__name__.startswith(_NAME)]
  return any(each.__module__.split('.')[0] in _PACKAGES for each in classes)


def _all_layers(model: Any) -> list[Any]:
  if hasattr(model, '_flatten_layers'):
    return list(model._flatten_layers())
  # TensorFlow 1.15. A list of layers that a layer has is an object with `layers`.
  found: dict[int, Any] = {}
  waiting = [model]
  while waiting:
    each = waiting.pop()
    if id(each) not in found:
      found[id(each)] = each
      waiting += [*getattr(each, '_layers', ()), *getattr(each, 'layers', ())]
  return [each for each in found.values() if callable(each)]


def unknown_averages(model: Any) -> list[str]:
  """Names of what looks like the averages of a layer of another class than Keras' own."""
  known = {
    id(each) for layer in _all_layers(model) if _is_batch_norm(layer) for each in layer.weights
  }
  others = [each for each in model.weights if id(each) not in known]
  names = [getattr(each, 'path', each.name) for each in others]
  return [name for name in names if _MOVING in name.split('/')[-1]]


def check(model: Any) -> None:
  """Raises InputError for a model whose statistics cannot be taken as it runs."""
  known = hasattr(model, 'train_step') and hasattr(model, 'distribute_strategy')
  if tf.executing_eagerly() and not known:
    raise errors.InputError(
      'SWA with batch norm needs graph mode on TensorFlow 1, and TensorFlow as the backend of '
      f'Keras 3; got a model of {type(model).__module__} without. Leave out '
      'tf.enable_eager_execution(), or choose the backend.'
    )


def statistics_pass(model: Any) -> Any:
  """Returns what takes the statistics of this model's layers, in the way it runs."""
  return _EagerPass(model) if tf.executing_eagerly() else _GraphPass(model)


class _Pass:
  """Between `begin` and `end`, steps of model.fit train nothing, and count batch norm's numbers."""

  def __init__(self, model: Any) -> None:
    self._model, self._layers = model, layers_of(model)
    self._is_next = False

  def announce_step(self) -> None:
    """The next step is to count.

    A step that is not announced trains: one of a later fit, after this one was broken off.
    """
    self._is_next = True

  def _is_announced(self) -> bool:
    is_next, self._is_next = self._is_next, False
    return is_next

  def write(self) -> None:
    """Puts what was counted so far into the model.

    A layer that nothing was counted of, as none that is called for inference, keeps what it has.
    """
    values = {}
    for layer, (count, total, squares) in zip(self._layers, self._sums()):
      if count:
        mean = total / count
        values[id(layer.moving_mean)] = mean
        values[id(layer.moving_variance)] = np.maximum(squares / count - mean * mean, 0)
    variables, weights = self._model.weights, self._model.get_weights()
    self._model.set_weights(
      [
        values[id(variable)].astype(weight.dtype) if id(variable) in values else weight
        for variable, weight in zip(variables, weights)
      ]
    )

  def _sums(self) -> list[Any]:
    raise NotImplementedError


class _EagerPass(_Pass):
  """Of a model whose steps are functions of Python, as in TensorFlow 2."""

  def __init__(self, model: Any) -> None:
    super().__init__(model)
    with model.distribute_strategy.scope():
      self._totals = [self._new_totals(each.moving_mean.shape) for each in self._layers]
    self._before: dict[str, Any] = {}

  def _new_totals(self, shape: Any) -> list[Any]:
    """Each device adds to its own; read, they are the sum of all."""
    shapes: list[Any] = [[], shape, shape]
    return [
      tf.Variable(
        np.zeros(each), dtype=tf.float64, trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.SUM,
      )
      for each in shapes
    ]  # fmt: skip

  def begin(self) -> None:
    """From now on the model's training changes nothing."""
    trains, counts = self._model.train_function, self._new_function('train')

    def diverted(iterator: Any) -> Any:
      if not self._is_announced():
        return trains(iterator)
      with _without_updates(self._model.optimizer):
        return counts(iterator)

    self._model.train_function = diverted

  def end(self) -> None:
    """The model is as it was."""
    self._restore()

  def over(self, data: Any, batch_size: int | None) -> None:
    """Counts over data that model.predict takes."""
    model = self._model

    def step(data: Any) -> Any:
      x = data[0] if isinstance(data, tuple) else data
      model(x, training=True)
      return tf.zeros(tf.shape(tf.nest.flatten(x)[0])[:1])

    with _replaced(model, 'predict_step', step):
      model.predict_function = self._new_function('predict')
      try:
        model.predict(data, batch_size=_of_arrays(data, batch_size), verbose=0)
      finally:
        self._restore()

  def _new_function(self, kind: str) -> Callable[[Any], Any]:
    """What fit or predict calls, made by Keras anew, so that it counts; _restore forgets it."""
    model = self._model
    names = [f'{kind}_function', f'{kind}_tf_function']
    self._before = {name: getattr(model, name) for name in names if hasattr(model, name)}
    getattr(model, f'make_{kind}_function')(force=True)
    made = getattr(model, f'{kind}_function')

    def counts(iterator: Any) -> Any:
      # The steps of several devices are in here: each layer is to count once for each.
      with self._counting():
        return made(iterator)

    return counts

  def _restore(self) -> None:
    while self._before:
      name, function = self._before.popitem()
      setattr(self._model, name, function)

  @contextlib.contextmanager
  def _counting(self) -> Iterator[None]:
    def count(layer: Any, *moments: Any) -> None:
      totals = self._totals[[each is layer for each in self._layers].index(True)]
      for total, value in zip(totals, _contribution(*(tf.cast(m, tf.float64) for m in moments))):
        total.assign_add(value)

    with _counted(self._layers, count):
      yield

  def _sums(self) -> list[Any]:
    return [[total.numpy() for total in totals] for totals in self._totals]


class _GraphPass(_Pass):
  """Of a model whose functions run a graph in a session, as in TensorFlow 1."""

  def __init__(self, model: Any) -> None:
    super().__init__(model)
    self._totals: list[Any] = [(0, 0, 0)] * len(self._layers)
    self._counted: list[tuple[int, Any]] = []
    self._diverted: Any = None

  def begin(self) -> None:
    """From now on the model's training changes nothing."""
    self._build()
    trains = self._model.train_function
    # The loss and the metrics without the updates: neither of weights nor of moving averages.
    counts = type(trains)(trains.inputs, trains.outputs, name='statistics')
    self._fetch(counts)
    self._divert(trains, counts)

  def over(self, data: Any, batch_size: int | None) -> None:
    """Counts over data that model.predict takes."""
    model = self._model
    self._build()
    model._make_predict_function()
    predicts = model.predict_function
    with model.inputs[0].graph.as_default():
      rows = tf.zeros(tf.shape(model.inputs[0])[:1])
      counts = type(predicts)(predicts.inputs, [rows], name='statistics')
    self._fetch(counts)
    model.predict_function = counts
    try:
      model.predict(data, batch_size=_of_arrays(data, batch_size))
    finally:
      model.predict_function = predicts

  def end(self) -> None:
    """The model is as it was."""
    if self._diverted is not None:
      function, its_class = self._diverted
      function.__class__, self._diverted = its_class, None

  def _divert(self, function: Any, instead: Callable[[Any], Any]) -> None:
    """Lets announced calls of a function, which fit has in hand already, go to another."""
    its_class = type(function)

    def call(_: Any, inputs: Any) -> Any:
      return instead(inputs) if self._is_announced() else its_class.__call__(function, inputs)

    self._diverted = function, its_class
    function.__class__ = type(its_class.__name__, (its_class,), {'__call__': call})

  def _build(self) -> None:
    """Adds a second network to the graph, in training mode, which tells what it is given."""
    if self._counted:
      return
    model = self._model

    def count(layer: Any, *moments: Any) -> None:
      number = [each is layer for each in self._layers].index(True)
      self._counted += [(number, moments)]

    with model.inputs[0].graph.as_default(), _counted(self._layers, count), _kept_lists(model):
      inputs = [tf.identity(each) for each in model.inputs]
      for each in inputs:
        # Not a tensor that Keras is to make a layer of.
        each._keras_history_checked = True
      model(inputs[0] if len(inputs) == 1 else inputs, training=True)

  def _fetch(self, function: Any) -> None:
    """Lets a function of Keras compute what is counted in the same run."""
    function.fetches = [tensor for _, moments in self._counted for tensor in moments]
    got: list[Any] = []

    def receive(value: Any) -> None:
      got.append(value)
      if len(got) == len(function.fetches):
        self._add(got)
        got.clear()

    function.fetch_callbacks = dict.fromkeys(function.fetches, receive)

  def _add(self, values: list[Any]) -> None:
    for place, (number, moments) in enumerate(self._counted):
      first = place * len(moments)
      given = (np.float64(value) for value in values[first : first + len(moments)])
      before = self._totals[number]
      self._totals[number] = tuple(a + b for a, b in zip(before, _contribution(*given)))

  def _sums(self) -> list[Any]:
    return self._totals


def _of_arrays(data: Any, batch_size: int | None) -> int | None:
  """Keras refuses a batch size for data that comes in batches."""
  is_array = all(hasattr(each, 'shape') for each in tf.nest.flatten(data))
  return batch_size if is_array else None


def _contribution(count: Any, mean: Any, variance: Any) -> tuple[Any, Any, Any]:
  """What a batch adds to the count of numbers, to their sum and to the sum of their squares."""
  return count, mean * count, (variance + mean * mean) * count


@contextlib.contextmanager
def _counted(layers: list[Any], count: Callable[..., None]) -> Iterator[None]:
  """Inside, a layer that is called for training tells count(layer, count, mean, variance)."""
  with contextlib.ExitStack() as stack:
    for layer in layers:
      stack.enter_context(_replaced(layer, 'call', _counting_call(layer, count)))
    yield


def _counting_call(layer: Any, count: Callable[..., None]) -> Callable[..., Any]:
  call = layer.call

  @tf.autograph.experimental.do_not_convert
  def counting(inputs: Any, *others: Any, **named: Any) -> Any:
    training = named.get('training', others[0] if others else None)
    if isinstance(training, (bool, int)) and training:
      # The fused operator takes no notice of a mask.
      mask = None if getattr(layer, 'fused', False) else named.get('mask')
      count(layer, *_moments(layer, inputs, mask))
    return call(inputs, *others, **named)

  return counting


def _moments(layer: Any, inputs: Any, mask: Any) -> tuple[Any, Any, Any]:
  """Of how many numbers each mean is, the means and the variances, of one batch."""
  x = tf.cast(inputs, tf.float32)
  kept = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
  kept = [axis % len(x.shape) for axis in kept]
  axes = [axis for axis in range(len(x.shape)) if axis not in kept]
  if mask is None:
    mean, variance = tf.nn.moments(x, axes)
    count = tf.size(x) / tf.size(mean)
  else:
    weights = tf.cast(mask, tf.float32)[..., None]
    mean, variance = tf.nn.weighted_moments(x, axes, weights)
    count = tf.reduce_sum(weights)
  shape = layer.moving_mean.shape
  return count, tf.reshape(mean, shape), tf.reshape(variance, shape)


@contextlib.contextmanager
def _without_updates(optimizer: Any) -> Iterator[None]:
  """Inside, this optimizer changes nothing, and asks for no gradients where it can help it."""
  instead = {'apply_gradients': _nothing, 'minimize': _nothing, 'scale_loss': tf.stop_gradient}
  with contextlib.ExitStack() as stack:
    for name, value in instead.items():
      stack.enter_context(_replaced(optimizer, name, value))
    yield


def _nothing(*_: Any, **__: Any) -> None:
  pass


@contextlib.contextmanager
def _kept_lists(model: Any) -> Iterator[None]:
  """Keras writes down what calling a layer adds to a training; not so what is called inside."""
  names = ('_updates', '_losses', '_callable_losses', '_metrics')
  before = [(each, name, vars(each)[name]) for each in _all_layers(model)
            for name in names if name in vars(each)]  # fmt: skip
  copies = [list(kept) for _, _, kept in before]
  try:
    yield
  finally:
    for (layer, name, _), copy in zip(before, copies):
      vars(layer)[name] = copy


@contextlib.contextmanager
def _replaced(thing: Any, name: str, value: Any) -> Iterator[None]:
  """Inside, this object has another attribute than its class; Keras takes no notice of it."""
  own = vars(thing)
  before = own.get(name)
  own[name] = value
  try:
    yield
  finally:
    if before is None:
      own.pop(name, None)
    else:
      own[name] = before
