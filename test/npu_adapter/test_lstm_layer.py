"""lstm: a plain loop over its cells gives the same, forwards and backwards, however it is cut."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import npu_adapter as npu
from npu_adapter import lstm_layer
from npu_adapter.runtime import tf1

STEPS, BATCH, SIZE, UNITS = 12, 5, 3, 4
CHANCE = np.random.RandomState(1)
SEQUENCE = CHANCE.standard_normal([STEPS, BATCH, SIZE])
KERNEL = CHANCE.standard_normal([SIZE + UNITS, 4 * UNITS])
BIAS = CHANCE.standard_normal([4 * UNITS])
# So that every output has a gradient of its own.
WEIGHTS = CHANCE.standard_normal([STEPS, BATCH, UNITS])
is_tf115 = tf.__version__.startswith('1.15')


@pytest.fixture(autouse=True)
def host(monkeypatch):
  monkeypatch.setenv('NPU_ADAPTER_BACKEND', 'host')
  tf1.enable()


def cell_loop(x, kernel, bias, forget_bias):
  """The equations, step for step; gates: input, candidate, forget, output."""
  cell = output = tf.zeros([BATCH, UNITS], x.dtype)
  outputs = []
  for step in tf.unstack(x):
    gates = tf.matmul(tf.concat([step, output], axis=1), kernel) + bias
    enter, new, forget, leave = (gates[:, n * UNITS : (n + 1) * UNITS] for n in range(4))
    cell = tf.sigmoid(forget + forget_bias) * cell + tf.sigmoid(enter) * tf.tanh(new)
    output = tf.sigmoid(leave) * tf.tanh(cell)
    outputs.append(output)
  return tf.stack(outputs)


def run(layer):
  """The outputs, and the gradients for the sequence and both variables."""
  with tf.Graph().as_default(), tf.Session() as session:
    x = tf.constant(SEQUENCE, tf.float32)
    kernel = tf.get_variable('kernel', initializer=tf.constant(KERNEL, tf.float32))
    bias = tf.get_variable('bias', initializer=tf.constant(BIAS, tf.float32))
    outputs = layer(x, kernel, bias)
    gradients = tf.gradients(outputs * tf.constant(WEIGHTS, tf.float32), [x, kernel, bias])
    assert [v.op.name for v in tf.global_variables()] == ['kernel', 'bias']
    assert outputs.shape.as_list() == [STEPS, BATCH, UNITS]
    session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
    return session.run([outputs, *gradients])


def cut(lengths, forget_bias=0.999):
  def layer(x, kernel, bias):
    parts = npu.lstm(tf.split(x, lengths), kernel, bias, forget_bias)
    assert [part.shape.as_list() for part in parts] == [[n, BATCH, UNITS] for n in lengths]
    return tf.concat(parts, axis=0)

  return layer


def check_equal(found, expected):
  for one, other in zip(found, expected):
    np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize('forget_bias', [0.0, 0.999])
def test_a_plain_loop_gives_the_same_outputs_and_gradients(forget_bias):
  expected = run(lambda x, kernel, bias: cell_loop(x, kernel, bias, forget_bias))
  check_equal(run(lambda x, kernel, bias: npu.lstm(x, kernel, bias, forget_bias)), expected)


@pytest.mark.parametrize('lengths', [[12], [6, 6], [1, 4, 7], [1] * 12], ids=str)
def test_cut_in_time_it_gives_the_same_outputs_and_gradients(lengths):
  check_equal(run(cut(lengths)), run(lambda x, *vs: npu.lstm(x, *vs, forget_bias=0.999)))


@pytest.mark.parametrize('lengths', [[12], [1, 4, 7]], ids=str)
def test_unrolled_it_gives_the_same_by_plain_operators(lengths):
  def layer(*inputs):
    with lstm_layer.unrolled():
      outputs = cut(lengths)(*inputs)
    kinds = {operation.type for operation in tf.get_default_graph().get_operations()}
    assert 'BlockLSTM' not in kinds
    return outputs

  check_equal(run(layer), run(cut(lengths)))


def test_the_cell_is_not_clipped():
  """The operator's own default is 3; a cell that always enters and never forgets counts to 12."""
  kernel = np.zeros([SIZE + UNITS, 4 * UNITS])
  open_gates = np.repeat([50.0, 50.0, 50.0, 50.0], UNITS)
  with tf.Graph().as_default(), tf.Session() as session:
    x, kernel, bias = (tf.constant(v, tf.float32) for v in (SEQUENCE, kernel, open_gates))
    npu.lstm(x, kernel, bias, name='counting')
    (operator,) = (o for o in tf.get_default_graph().get_operations() if o.type == 'BlockLSTM')
    assert operator.name.startswith('counting/')
    np.testing.assert_allclose(session.run(operator.outputs[1])[-1], 12.0, rtol=1e-5)


@pytest.mark.skipif(not is_tf115, reason='npu_bridge exists for TensorFlow 1.15')
@pytest.mark.parametrize('lengths', [[12], [1, 4, 7]], ids=str)
def test_on_ascend_it_is_the_vendors_layer_with_the_same_variables(vendor, monkeypatch, lengths):
  on_host = run(cut(lengths))
  monkeypatch.setenv('NPU_ADAPTER_BACKEND', 'ascend')
  check_equal(run(cut(lengths)), on_host)


@pytest.mark.skipif(not is_tf115, reason='npu_bridge exists for TensorFlow 1.15')
def test_the_vendors_layer_alone_would_save_variables_that_no_host_has(vendor):
  from npu_bridge.estimator.npu import npu_dynamic_rnn

  with tf.Graph().as_default():
    npu_dynamic_rnn.DynamicRNN(UNITS, tf.float32)(tf.constant(SEQUENCE, tf.float32))
    assert len(tf.global_variables()) == 3


@pytest.mark.parametrize(
  'shapes',
  [
    ([12, 3], [7, 16], [16]),
    ([12, 5, 3], [8, 16], [16]),
    ([12, 5, 3], [7, 15], [15]),
    ([12, 5, 3], [7, 16], [4]),
  ],
  ids=str,
)
def test_shapes_that_do_not_fit_are_told(graph, shapes):
  with pytest.raises(npu.OptionError, match=r'lstm takes \[steps, batch, size\], a kernel'):
    npu.lstm(*(tf.zeros(shape) for shape in shapes))


def test_a_sequence_of_no_parts_is_told(graph):
  with pytest.raises(npu.OptionError, match='lstm takes'):
    npu.lstm([], tf.zeros([7, 16]), tf.zeros([16]))
