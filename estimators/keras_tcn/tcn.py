"""The temporal convolutional network itself: residual blocks of dilated convolutions over time.

Plain operations over weights that the caller has made, so that a model_fn and a Keras layer are
the same network. Bai, Kolter and Koltun, arXiv 1803.01271.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping, NamedTuple

import tensorflow.compat.v1 as tf

from estimators.keras_tcn import architecture as tcn_architecture
from estimators.keras_tcn import positions
from estimators.keras_tcn.architecture import Architecture

# Keras' own: how much of a moving average stays each step, and what is added to a variance.
_MOMENTUM = 0.99
_EPSILON = 1e-3
_ACTIVATIONS = {
  'relu': tf.nn.relu, 'linear': tf.identity, 'tanh': tf.tanh, 'sigmoid': tf.sigmoid,
  'elu': tf.nn.elu, 'selu': tf.nn.selu,
}  # fmt: skip


class Network(NamedTuple):
  """How a TCN is to be computed."""

  architecture: Architecture
  weights: Mapping[str, Any]  # by the names of architecture.weights
  is_training: bool
  # Takes ones, float32 [batch, 1, channels], and returns them with some zero, the rest enlarged.
  drop: Callable[[Any], Any]
  convolve: Callable[..., Any]
  # Keeps of a block its input alone and computes the rest again for the gradient: a quarter of the
  # memory, for a third more work.
  is_forgetful: bool = False


class Output(NamedTuple):
  """Features, float32 [batch, steps, filters], and what batch norm's averages are to become."""

  features: Any
  averages: dict[str, Any]


def apply(x: Any, network: Network, plan: positions.Plan) -> Output:
  """Runs the blocks over float32 [batch, steps, channels], at the positions of a plan."""
  if plan.read is not None:
    x = _last_of(x, plan.read.count, plan.read.stride)
  averages: dict[str, Any] = {}
  skips = []
  for number, pair in enumerate(plan.blocks):
    name = f'block_{number}'
    with tf.name_scope(name):
      x, skip = _block(x, name, pair, network, averages)
    skips.append(skip)
  if network.architecture.skip_connections:
    # What the last block has is at the end of what every other has.
    steps = plan.blocks[-1][1].outputs
    x = tf.add_n(skips if steps is None else [skip[:, -steps:] for skip in skips])
  return Output(x, averages)


def one_step(features: Any, architecture: Architecture) -> Any:
  """What stands for the whole sequence: the last step, or the middle where both sides are seen."""
  if architecture.padding == 'causal':
    return features[:, -1]
  steps = features.shape.as_list()[1]
  return features[:, (tf.shape(features)[1] if steps is None else steps) // 2]


def _last_of(x: Any, count: int | None, stride: int) -> Any:
  """The last `count` positions that are `stride` apart; all of them for None."""
  if count is None:
    return x
  first = x.shape.as_list()[1] - 1 - (count - 1) * stride
  return x[:, first::stride] if first or stride > 1 else x


def _block(
  x: Any, name: str, pair: Any, network: Network, averages: dict[str, Any]
) -> tuple[Any, Any]:
  """Two convolutions and a way around them; returns the output, and for skips its branch alone."""
  first, second = (_Half(f'{name}/conv_{half}', x, network) for half in tcn_architecture.HALVES)
  shortcut = _shortcut(name, network)
  activation = _ACTIVATIONS[network.architecture.activation]
  of_first, of_second = len(first.own), len(first.own) + len(second.own)

  def block(x: Any, kernel: Any, other_kernel: Any, *own: Any) -> list[Any]:
    branch, *statistics = first.finish(network.convolve(x, kernel, pair[0]), own[:of_first])
    branch = network.convolve(branch, other_kernel, pair[1])
    branch, *others = second.finish(branch, own[of_first:of_second])
    if network.architecture.activation != 'relu':
      branch = activation(branch)  # of a ReLU with dropout it is the same again
    around = _around(x, own[of_second:], pair[1], network)
    # The branch alone where it is read: without a reader its gradient would be a block of zeros.
    skip = [branch] if network.architecture.skip_connections else []
    return [activation(around + branch), *skip, *statistics, *others]

  run = _forgetful if network.is_forgetful else _plainly
  inputs = (x, first.kernel, second.kernel, *first.own, *second.own, *shortcut)
  x, *rest = run(block, *inputs)
  skip = rest.pop(0) if network.architecture.skip_connections else None
  half = len(rest) // 2
  averages.update(first.averages(rest[:half]))
  averages.update(second.averages(rest[half:]))
  return x, skip


def _shortcut(name: str, network: Network) -> list[Any]:
  """Kernel and bias of the 1 x 1 convolution around a block; none where channels are as many."""
  names = [f'{name}/shortcut/kernel', f'{name}/shortcut/bias']
  return [tf.convert_to_tensor(network.weights[name]) for name in names if name in network.weights]


def _around(x: Any, shortcut: Any, how: positions.Convolution, network: Network) -> Any:
  """A block's input at the positions of its output, with as many channels."""
  x = _last_of(x, how.outputs, how.stride)
  if not shortcut:
    return x
  kernel, bias = shortcut
  one_by_one = positions.Convolution(1, 1, 0, 0, how.outputs)
  return tf.nn.bias_add(network.convolve(x, kernel, one_by_one), bias)


class _Half:
  """One of a block's convolutions: its kernel, and what follows it."""

  def __init__(self, name: str, x: Any, network: Network):
    self._name, self._network, self._norm = name, network, network.architecture.norm
    weights = {
      kind: network.weights[f'{name}/{kind}']
      for kind in ('kernel', 'bias', *tcn_architecture.NORM_WEIGHTS[self._norm])
    }
    self._moving = {kind: weights.pop(kind) for kind in list(weights) if 'moving_' in kind}
    tensors = {kind: tf.convert_to_tensor(weight) for kind, weight in weights.items()}
    self.kernel = tensors.pop('kernel')
    if self._norm == 'weight':
      self.kernel = tf.nn.l2_normalize(self.kernel, [0, 1]) * tensors.pop('gain')
    self.own = list(tensors.values())  # bias, and gamma and beta where there are
    self._mask = self._drawn(x) if network.architecture.dropout_rate else None

  def _drawn(self, x: Any) -> Any:
    """A factor for each channel of each sequence; None outside of training."""
    if not self._network.is_training:
      return None
    shape = tf.stack([tf.shape(x)[0], 1, self.kernel.shape.as_list()[2]])
    return self._network.drop(tf.ones(shape, name='channels'))

  def finish(self, x: Any, own: Any) -> list[Any]:
    """Bias, norm, activation and dropout; returns the result and batch norm's mean and variance."""
    statistics: list[Any] = []
    if self._norm == 'batch':
      x, statistics = self._batch_norm(x, *own)
    else:
      x = tf.nn.bias_add(x, own[0])
    if self._norm == 'layer':
      x = _layer_norm(x, *own[1:])
    x = _ACTIVATIONS[self._network.architecture.activation](x)
    return [x if self._mask is None else x * self._mask, *statistics]

  def averages(self, statistics: list[Any]) -> dict[str, Any]:
    """What the moving averages become after a batch of these statistics; {} without batch norm."""
    return {
      f'{self._name}/{kind}': moving * _MOMENTUM + tf.stop_gradient(new) * (1 - _MOMENTUM)
      for (kind, moving), new in zip(self._moving.items(), statistics)
    }

  def _batch_norm(self, x: Any, bias: Any, gamma: Any, beta: Any) -> tuple[Any, list[Any]]:
    """Normalises x + bias over batch and steps; in training also returns its mean and variance.

    The bias moves the mean and nothing else: added to the channel's mean instead of the whole of x
    it gives the same for less.
    """
    if not self._network.is_training:
      scale = gamma * tf.rsqrt(self._moving['moving_variance'] + _EPSILON)
      return x * scale + ((bias - self._moving['moving_mean']) * scale + beta), []
    # Its gradient is zero, but must be there: loss-scale optimizers stop where there is none.
    image, mean, variance = tf.nn.fused_batch_norm(
      tf.expand_dims(x, 1), gamma, beta + 0.0 * bias, epsilon=_EPSILON, is_training=True
    )[:3]
    return tf.squeeze(image, 1), [mean + bias, variance]


def _layer_norm(x: Any, gamma: Any, beta: Any) -> Any:
  mean, variance = tf.nn.moments(x, [-1], keep_dims=True)
  return (x - mean) * (tf.rsqrt(variance + _EPSILON) * gamma) + beta


def _plainly(function: Callable[..., list[Any]], *inputs: Any) -> list[Any]:
  return function(*inputs)


def _forgetful(function: Callable[..., list[Any]], *inputs: Any) -> list[Any]:
  """The same, but its gradient computes what stands between again, out of the inputs."""

  @tf.custom_gradient
  def run(*inputs: Any) -> tuple[Any, Any]:
    def gradient(*slopes: Any) -> list[Any]:
      # Not before there is a gradient; and no optimizer takes it for what was computed already.
      with tf.control_dependencies(slopes[:1]):
        again = [tf.identity(each) for each in inputs]
      return tf.gradients(function(*again), again, slopes)

    return tuple(function(*inputs)), gradient

  return list(run(*inputs))
