"""A trained network as layers without batch norm: read from a checkpoint, folded, evaluated."""

from __future__ import annotations

from typing import Any, Callable, Iterator, NamedTuple, Sequence

import numpy as np
import tensorflow.compat.v1 as tf

import npu_adapter
from estimators.ds_cnn import clip_shape, input_pipeline, model
from estimators.ds_cnn.dataset import clip_store, speech_split
from estimators.ds_cnn.deployment import trained_network
from npu_adapter import errors, run_settings

# What batch norm adds to a variance, in training too.
_EPSILON = 1e-3
# What TensorFlow raises for a damaged or foreign file, in one version this, in another that.
_UNREADABLE = (tf.errors.OpError, ValueError, IndexError, RuntimeError)
_SLOTS = ('Adam', 'Adam_1')
# As many as an evaluation of train.py takes at a time.
_BATCH = 250


class Layer(NamedTuple):
  """One step of a network. Maps are [height, width, channels], height being time.

  `kernel` is [in, out]; of a convolution [height, width, in, out], of a depthwise one [height,
  width, in, 1]. `pool`, the mean over a map, has neither kernel nor bias.
  """

  name: str
  kind: str  # 'conv', 'depthwise', 'dense' or 'pool'
  relu: bool = True
  strides: tuple[int, int] = (1, 1)
  padding: str = 'SAME'
  kernel: Any = None
  bias: Any = None


class Clips(NamedTuple):
  """What a network is evaluated on."""

  fingerprints: np.ndarray  # float32 [clips, frames * coefficients]
  labels: np.ndarray  # int32 [clips]

  def accuracy(self, logits: np.ndarray) -> float:
    """The share of clips whose label has the highest logit."""
    return float((logits.argmax(axis=1) == self.labels).mean())


def _ds_cnn(sizes: Sequence[int]) -> Iterator[Layer]:
  windows = [tuple(sizes[start + 3 : start + 5]) for start in range(1, len(sizes), 5)]
  yield Layer('conv_0', 'conv', strides=windows[0])
  for number, strides in enumerate(windows[1:], start=1):
    yield Layer(f'depthwise_{number}', 'depthwise', strides=strides)
    yield Layer(f'pointwise_{number}', 'conv')
  yield Layer('pool', 'pool', relu=False)
  yield Layer('logits', 'dense', relu=False)


def _dnn(sizes: Sequence[int]) -> Iterator[Layer]:
  for number in range(1, len(sizes) + 1):
    yield Layer(f'dense_{number}', 'dense')
  yield Layer('logits', 'dense', relu=False)


def _cnn(sizes: Sequence[int]) -> Iterator[Layer]:
  yield Layer('conv_1', 'conv', strides=tuple(sizes[3:5]), padding='VALID')
  yield Layer('conv_2', 'conv', strides=tuple(sizes[8:10]), padding='VALID')
  yield Layer('linear', 'dense', relu=False)
  yield Layer('dense_1', 'dense')
  yield Layer('logits', 'dense', relu=False)


_LAYERS = {'ds_cnn': _ds_cnn, 'dnn': _dnn, 'cnn': _cnn}


class Checkpoint:
  """The variables of a network in a checkpoint; without the slots of its optimizer.

  `able` are the architectures that `what` is there for; another is an InputError.
  """

  def __init__(self, trained: trained_network.Trained, able: Sequence[str], what: str):
    self.path, self.settings = trained
    self.architecture = trained.settings.architecture
    if self.architecture not in able:
      raise errors.InputError(
        f'{what} is there for {" and ".join(able)}; the checkpoint is of {self.architecture}.'
      )
    try:
      self._reader = tf.train.load_checkpoint(trained.checkpoint)
    except _UNREADABLE as error:
      raise self._unreadable(error) from None
    self._shapes = {
      name: tuple(shape)
      for name, shape in self._reader.get_variable_to_shape_map().items()
      if name.startswith(f'{self.architecture}/') and name.rpartition('/')[2] not in _SLOTS
    }

  @property
  def step(self) -> int:
    """The training step the checkpoint was saved at."""
    return int(self.read('global_step'))

  @property
  def has_batch_norm(self) -> bool:
    """Whether there is something to fold."""
    return any('/batch_norm/' in name for name in self._shapes)

  def count(self, statistics: bool) -> int:
    """How many numbers are batch-norm statistics, or are not."""
    sizes = [
      int(np.prod(shape)) for name, shape in self._shapes.items()
      if ('/moving_' in name) == statistics
    ]  # fmt: skip
    return sum(sizes)

  def read(self, name: str) -> np.ndarray:
    """A variable by its full name."""
    try:
      value = self._reader.get_tensor(name)
    except _UNREADABLE as error:
      raise self._unreadable(error) from None
    if not np.isfinite(value).all():
      raise errors.InputError(
        f'the weights of a network must be finite numbers; {name} of {self.path!r} '
        'holds NaN or infinity: its training failed. Take an earlier checkpoint.'
      )
    return value

  def layers(self) -> list[Layer]:
    """The network without batch norm; that of a checkpoint that was folded before as it is."""
    return [
      layer if layer.kind == 'pool' else self._folded(layer)
      for layer in _LAYERS[self.architecture](self.settings.sizes)
    ]

  def logits(self, fingerprints: np.ndarray) -> np.ndarray:
    """The logits [clips, classes] as train.py computes them; not of a folded checkpoint."""
    with tf.Graph().as_default() as graph:
      x = tf.placeholder(tf.float32, [None, self.settings.shape.fingerprint_size])
      mode, params = npu_adapter.ModeKeys.PREDICT, self.settings.params()
      spec = model.model_fn({'fingerprint': x}, None, mode, params)
      with tf.Session(graph=graph) as session:
        trained_network.restore(session, trained_network.Trained(self.path, self.settings))
        wanted = spec.predictions['logits']
        return _in_batches(lambda batch: session.run(wanted, {x: batch}), fingerprints)

  def _folded(self, layer: Layer) -> Layer:
    """`layer` with its kernel and bias, float32, batch norm being multiplied into both."""
    scope = f'{self.architecture}/{layer.name}'
    kernel, bias = self.read(f'{scope}/kernel'), self.read(f'{scope}/bias')
    # In the networks that have batch norm it stands before every ReLU, and nowhere else.
    if self.has_batch_norm and layer.relu:
      beta, mean, variance = (
        self.read(f'{scope}/batch_norm/{name}').astype(np.float64)
        for name in ('beta', 'moving_mean', 'moving_variance')
      )
      scale = 1 / np.sqrt(variance + _EPSILON)  # [channels]
      # A depthwise kernel has its channels in the last place but one.
      kernel = kernel * (scale[:, np.newaxis] if layer.kind == 'depthwise' else scale)
      bias = (bias - mean) * scale + beta
    return layer._replace(kernel=kernel.astype(np.float32), bias=bias.astype(np.float32))

  def _unreadable(self, error: Exception) -> errors.InputError:
    text = str(getattr(error, 'message', error)).strip().split('\n')[0]
    return errors.InputError(
      f'{self.path!r} must be a whole checkpoint of the network that '
      f'{run_settings.FILE_NAME} beside it describes; reading it: {text}'
    )


def parameters(layers: Sequence[Layer]) -> int:
  """How many numbers the layers hold."""
  return sum(layer.kernel.size + layer.bias.size for layer in layers if layer.kernel is not None)


def clips(store: clip_store.ClipStore, split: str, count: int | None = None) -> Clips:
  """The first `count` clips of a split, or all, through cached fingerprints."""
  name = speech_split.SAID[split]
  rows = store.splits[name]
  if count is not None:
    rows = clip_store.Rows(rows.rows[:count], rows.labels[:count])
  path = input_pipeline.fingerprint_file(store._replace(splits={name: rows}), name)
  fingerprints = np.fromfile(path, np.float32).reshape(-1, store.shape.fingerprint_size)
  return Clips(fingerprints, rows.labels)


def splits(text: str, store: clip_store.ClipStore | None = None) -> list[str]:
  """The splits that a flag names; with a store those of them that have clips."""
  names = list(dict.fromkeys(name.strip() for name in text.split(',')))
  wrong = [name for name in names if name not in speech_split.SAID]
  if wrong:
    raise errors.InputError(
      f'splits must be of {", ".join(speech_split.SAID)}, with commas between; got {wrong[0]!r}.'
      f'{errors.nearest(wrong[0], speech_split.SAID)}'
    )
  if store is None:
    return names
  filled = [name for name in names if len(store.splits[speech_split.SAID[name]].rows)]
  if not filled:
    raise errors.InputError(f'splits must have clips; there is none for {", ".join(names)}.')
  return filled


def _in_batches(compute: Callable[[np.ndarray], np.ndarray], rows: np.ndarray) -> np.ndarray:
  parts = [compute(rows[start : start + _BATCH]) for start in range(0, len(rows), _BATCH)]
  return np.concatenate(parts)


class Evaluation:
  """A graph of folded layers. An activation with a range is rounded to 8 bits, as on a device.

  The activations are, in this order, the input and what each layer gives. A range of a means that
  they hold -a to a - a/128, in steps of a/128, and halves are rounded up: what CMSIS-NN does, and
  not what tf.fake_quant does for a range that is no power of two. 0 leaves them as they are.
  """

  def __init__(self, layers: Sequence[Layer], shape: clip_shape.ClipShape):
    self._activations = len(layers) + 1
    with tf.Graph().as_default() as graph:
      self._fingerprints = tf.placeholder(tf.float32, [None, shape.fingerprint_size])
      self._ranges = tf.placeholder(tf.float32, [self._activations])
      x = _rounded(self._fingerprints, self._ranges[0])
      outputs = [x]
      if layers[0].kind == 'conv':
        x = tf.reshape(x, [-1, shape.frames, shape.coefficients, 1])
      for place, layer in enumerate(layers, start=1):
        x = _rounded(_OPERATIONS[layer.kind](x, layer), self._ranges[place])
        outputs.append(x)
      self._logits = x
      self._peaks = tf.stack([tf.reduce_max(tf.abs(output)) for output in outputs])
    self._session = tf.Session(graph=graph)

  def __enter__(self) -> Evaluation:
    return self

  def __exit__(self, *_: Any) -> None:
    self._session.close()

  def logits(self, fingerprints: np.ndarray, ranges: np.ndarray | None = None) -> np.ndarray:
    """Float32 [clips, classes]."""
    fed = np.zeros(self._activations) if ranges is None else ranges
    return _in_batches(
      lambda batch: self._session.run(self._logits, {self._fingerprints: batch, self._ranges: fed}),
      fingerprints,
    )

  def peaks(self, fingerprints: np.ndarray) -> np.ndarray:
    """The greatest magnitude of each activation, none being rounded."""
    fed = {self._fingerprints: fingerprints, self._ranges: np.zeros(self._activations)}
    return self._session.run(self._peaks, fed)


def _rounded(x: Any, activation_range: Any) -> Any:
  step = activation_range / 128
  return tf.cond(
    activation_range > 0,
    lambda: tf.clip_by_value(tf.floor(x / step + 0.5), -128.0, 127.0) * step,
    lambda: x,
  )


def _conv(x: Any, layer: Layer) -> Any:
  return _finished(tf.nn.conv2d(x, layer.kernel, [1, *layer.strides, 1], layer.padding), layer)


def _depthwise(x: Any, layer: Layer) -> Any:
  strides = [1, *layer.strides, 1]
  return _finished(tf.nn.depthwise_conv2d(x, layer.kernel, strides, layer.padding), layer)


def _dense(x: Any, layer: Layer) -> Any:
  return _finished(tf.matmul(tf.reshape(x, [-1, layer.kernel.shape[0]]), layer.kernel), layer)


def _pool(x: Any, layer: Layer) -> Any:
  del layer
  return tf.reduce_mean(x, axis=[1, 2])


def _finished(x: Any, layer: Layer) -> Any:
  x = tf.nn.bias_add(x, layer.bias)
  return tf.nn.relu(x) if layer.relu else x


_OPERATIONS = {'conv': _conv, 'depthwise': _depthwise, 'dense': _dense, 'pool': _pool}
