"""TCN as a Keras layer: the public options, in Keras models of any TensorFlow.

  from estimators.keras_tcn.keras_layer import TCN, keras
  model = keras.models.load_model('tcn.h5', custom_objects={'TCN': TCN})

`keras` is tf.keras, and from TensorFlow 2.16 on tf_keras: Keras 3 has no graph mode.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import tensorflow.compat.v1 as tf

from estimators.keras_tcn import architecture as tcn_architecture
from estimators.keras_tcn import convolution, positions, tcn
from npu_adapter import errors

_FIRST_WITH_KERAS_3 = (2, 16)


def _keras() -> Any:
  if tuple(int(number) for number in tf.__version__.split('.')[:2]) < _FIRST_WITH_KERAS_3:
    return importlib.import_module('tensorflow').keras
  if importlib.util.find_spec('tf_keras') is None:
    raise errors.AdapterError(
      f'the layer TCN needs tf_keras beside TensorFlow {tf.__version__}, and it is not installed: '
      'pip install tf_keras, of the same version as TensorFlow.'
    )
  return importlib.import_module('tf_keras')


keras = _keras()


class TCN(keras.layers.Layer):
  """A temporal convolutional network over [batch, steps, channels].

  Gives [batch, filters], of the last step (with padding='same' the middle one), or with
  return_sequences [batch, steps, filters]; with return_state also the last step's features. Without
  batch norm, and outside of training with it, the last step is computed from the positions alone
  that it depends on.
  """

  def __init__(
    self,
    nb_filters: Any = 64,
    kernel_size: int = 3,
    nb_stacks: int = 1,
    dilations: Any = (1, 2, 4, 8, 16, 32),
    padding: str = 'causal',
    use_skip_connections: bool = True,
    dropout_rate: float = 0.0,
    return_sequences: bool = False,
    activation: str = 'relu',
    kernel_initializer: Any = 'he_normal',
    use_batch_norm: bool = False,
    use_layer_norm: bool = False,
    use_weight_norm: bool = False,
    go_backwards: bool = False,
    return_state: bool = False,
    **kwargs: Any,
  ):
    super().__init__(**kwargs)
    norms = {'batch': use_batch_norm, 'layer': use_layer_norm, 'weight': use_weight_norm}
    asked = [norm for norm, is_asked in norms.items() if is_asked]
    if len(asked) > 1:
      raise errors.InputError(
        'only one of use_batch_norm, use_layer_norm and use_weight_norm may be set; got '
        f'{" and ".join(f"use_{norm}_norm" for norm in asked)}.'
      )
    dilations = tcn_architecture.doubled(dilations)
    self.return_sequences, self.return_state = return_sequences, return_state
    self.go_backwards = go_backwards
    self.kernel_initializer = keras.initializers.get(kernel_initializer)
    self.architecture = tcn_architecture.check(
      tcn_architecture.Architecture(
        filters=tcn_architecture.filters_of(nb_filters, dilations),
        kernel_size=kernel_size,
        stacks=nb_stacks,
        dilations=dilations,
        padding=padding,
        skip_connections=use_skip_connections,
        dropout_rate=dropout_rate,
        activation=activation,
        norm=asked[0] if asked else 'none',
      )
    )

  @property
  def receptive_field(self) -> int:
    """How many steps of the input the last step of the output depends on."""
    return self.architecture.receptive_field

  def build(self, input_shape: Any) -> None:
    """Makes the weights, for the channels of the input."""
    channels = tf.TensorShape(input_shape).as_list()[-1]
    starts: dict[str, Any] = {}
    weights = tcn_architecture.weights(self.architecture, channels)
    for weight in weights:
      self.add_weight(
        name=weight.name,
        shape=weight.shape,
        initializer=self._initializer(weight, starts),
        trainable=weight.is_trained,
      )
    # Keras keeps weights in this order: those that are trained, then the others.
    ordered = sorted(weights, key=lambda weight: not weight.is_trained)
    self._names = tuple(weight.name for weight in ordered)
    super().build(input_shape)

  def _initializer(self, weight: tcn_architecture.Weight, starts: dict[str, Any]) -> Any:
    """How a weight starts. A kernel with a gain is drawn here: its gain is to be its norm."""
    if weight.kind == 'kernel' and self.architecture.norm == 'weight':
      start = starts[weight.name] = self.kernel_initializer(weight.shape, dtype=tf.float32)
      return lambda *arguments, **named: start
    if weight.kind == 'kernel':
      return self.kernel_initializer
    if weight.kind == 'gain':
      start = starts[weight.name.replace('gain', 'kernel')]
      return lambda *arguments, **named: tf.norm(start, axis=[0, 1])
    return 'ones' if weight.kind in ('gamma', 'moving_variance') else 'zeros'

  def call(self, inputs: Any, training: Any = None) -> Any:
    """Runs the network; `training` is what Keras hands on, a truth value or a tensor of one."""
    x = tf.reverse(inputs, [1]) if self.go_backwards else inputs
    if training is None:
      training = keras.backend.learning_phase() if _is_graph_of_1() else False
    if isinstance(training, (tf.Tensor, tf.Variable)):
      # The learning phase of a Keras graph.
      phase = tf.cast(training, tf.bool)
      found = tf.cond(phase, lambda: self._outputs(x, True), lambda: self._outputs(x, False))
    else:
      found = self._outputs(x, bool(training))
    output, state, *averages = found
    self._move(averages)
    return [output, state] if self.return_state else output

  # No Python branch below depends on a tensor; looking for them takes TensorFlow a second.
  @tf.autograph.experimental.do_not_convert
  def _outputs(self, x: Any, is_training: bool) -> list[Any]:
    """Output, state and what the moving averages become: as many tensors in training as not."""
    weights = dict(zip(self._names, self.weights))
    rate = self.architecture.dropout_rate
    network = tcn.Network(
      self.architecture, weights, is_training, lambda ones: tf.nn.dropout(ones, rate=rate),
      convolution.fastest(),
    )  # fmt: skip
    features, moved = tcn.apply(x, network, self._plan(x, is_training))
    output = features if self.return_sequences else tcn.one_step(features, self.architecture)
    averages = [moved.get(name, weights[name]) for name in self._names if 'moving_' in name]
    return [output, features[:, -1], *(tf.convert_to_tensor(average) for average in averages)]

  def _plan(self, x: Any, is_training: bool) -> positions.Plan:
    steps = x.shape.as_list()[1]
    is_exact = self.architecture.norm != 'batch' or not is_training
    if steps and is_exact and not self.return_sequences and self.architecture.padding == 'causal':
      return positions.last_step(self.architecture, steps)
    return positions.whole(self.architecture, steps)

  def _move(self, averages: list[Any]) -> None:
    names = [name for name in self._names if 'moving_' in name]
    weights = dict(zip(self._names, self.weights))
    for name, average in zip(names, averages):
      if _is_graph_of_1():
        self.add_update(tf.assign(weights[name], average))
      else:
        weights[name].assign(average)

  def compute_output_shape(self, input_shape: Any) -> Any:
    """The shapes of what call() gives."""
    batch, steps, _ = tf.TensorShape(input_shape).as_list()
    state = tf.TensorShape([batch, self.architecture.blocks[-1][1]])
    output = tf.TensorShape([batch, steps, state[1]]) if self.return_sequences else state
    return [output, state] if self.return_state else output

  def get_config(self) -> dict[str, Any]:
    """The arguments of the constructor, as a file can hold them."""
    own = self.architecture
    return {
      **super().get_config(),
      'nb_filters': list(own.filters),
      'kernel_size': own.kernel_size,
      'nb_stacks': own.stacks,
      'dilations': list(own.dilations),
      'padding': own.padding,
      'use_skip_connections': own.skip_connections,
      'dropout_rate': own.dropout_rate,
      'return_sequences': self.return_sequences,
      'activation': own.activation,
      'kernel_initializer': keras.initializers.serialize(self.kernel_initializer),
      **{f'use_{norm}_norm': own.norm == norm for norm in ('batch', 'layer', 'weight')},
      'go_backwards': self.go_backwards,
      'return_state': self.return_state,
    }


def _is_graph_of_1() -> bool:
  outside = getattr(tf, 'executing_eagerly_outside_functions', tf.executing_eagerly)
  return not outside()
