"""TCN as a Keras layer: the public options, trained, saved and loaded by Keras itself.

Each program runs in a process of its own, as Keras starts: not in the graph mode of the estimators.
"""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
HEAD = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import numpy as np
import tensorflow as tf
from estimators.keras_tcn.keras_layer import TCN, keras
chance = np.random.RandomState(0)
x = chance.normal(size=[16, 20, 3]).astype(np.float32)
y = x[:, -1, :1] + x[:, 2, 1:2]

def model_of(layer, steps=20):
  inputs = keras.layers.Input((steps, 3))
  return keras.models.Model(inputs, layer(inputs))
"""


def run(program, folder):
  done = subprocess.run(
    [sys.executable, '-W', 'error:::estimators', '-c', HEAD + program], cwd=str(folder),
    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
  )  # fmt: skip
  assert done.returncode == 0, done.stdout[-3000:]
  return done.stdout


def test_it_trains_and_comes_back_from_a_file_with_every_norm(tmp_path):
  run(
    """
for norm in ('batch', 'layer', 'weight'):
  layer = TCN(6, 3, 1, [1, 2, 4], use_skip_connections=False, dropout_rate=0.1,
              **{f'use_{norm}_norm': True})
  inputs = keras.layers.Input((20, 3))
  model = keras.models.Model(inputs, keras.layers.Dense(1)(layer(inputs)))
  model.compile('adam', 'mse')
  before = model.get_weights()
  first = model.evaluate(x, y, verbose=0)
  model.fit(x, y, epochs=30, verbose=0)
  assert model.evaluate(x, y, verbose=0) < first
  # All of them move, the averages of batch norm too; but for the biases that batch norm takes away.
  still = [w.name for w, old in zip(model.weights, before) if (model.get_weights()[
      [v.name for v in model.weights].index(w.name)] == old).all()]
  assert all(norm == 'batch' and 'bias' in name for name in still), still
  model.save(f'a {norm}.h5')
  again = keras.models.load_model(f'a {norm}.h5', custom_objects={'TCN': TCN})
  np.testing.assert_array_equal(again.predict(x), model.predict(x))
""",
    tmp_path,
  )


def test_the_seeds_model_has_80977_parameters(tmp_path):
  run(
    """
layer = TCN(24, 8, 1, [2 ** level for level in range(9)], use_skip_connections=False,
            dropout_rate=0.1, use_batch_norm=True)
inputs = keras.layers.Input((600, 2))
model = keras.models.Model(inputs, keras.layers.Dense(1)(layer(inputs)))
assert model.count_params() == 80977
assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == 80113
assert layer.receptive_field == 7155
""",
    tmp_path,
  )


def test_shapes_of_what_it_gives(tmp_path):
  run(
    """
def shapes(**options):
  steps = options.pop('steps', 20)
  layer = TCN(4, 2, 1, [1, 2], **options)
  found = model_of(layer, steps).predict(x)
  shape = layer.compute_output_shape((None, steps, 3))
  return [part.shape for part in found] if isinstance(found, list) else found.shape

assert shapes() == (16, 4)
assert shapes(return_sequences=True) == (16, 20, 4)
assert shapes(return_sequences=True, steps=None) == (16, 20, 4)
assert shapes(steps=None, padding='same') == (16, 4)
assert shapes(return_state=True, return_sequences=True) == [(16, 20, 4), (16, 4)]
""",
    tmp_path,
  )


def test_the_last_step_is_that_of_all_steps_and_of_any_length(tmp_path):
  run(
    """
layer = TCN(4, 3, 2, [1, 2, 4])
every = TCN(4, 3, 2, [1, 2, 4], return_sequences=True)
backwards = TCN(4, 3, 2, [1, 2, 4], go_backwards=True)
same = TCN(4, 3, 2, [1, 2, 4], padding='same')
every_same = TCN(4, 3, 2, [1, 2, 4], padding='same', return_sequences=True)
models = [model_of(each) for each in (layer, every, backwards, same, every_same)]
unknown = model_of(TCN(4, 3, 2, [1, 2, 4], return_sequences=True), None)
# Of a size at which rounding stays below the tolerance.
weights = [chance.normal(0, 0.3, weight.shape) for weight in models[0].get_weights()]
for model in (*models, unknown):
  model.set_weights(weights)
last, all_steps, from_the_end, middle, all_same = (model.predict(x) for model in models)
np.testing.assert_allclose(last, all_steps[:, -1], rtol=1e-5, atol=1e-5)
np.testing.assert_allclose(unknown.predict(x), all_steps, rtol=1e-5, atol=1e-5)
np.testing.assert_allclose(from_the_end, models[0].predict(x[:, ::-1]), rtol=1e-5, atol=1e-5)
np.testing.assert_allclose(middle, all_same[:, 10], rtol=1e-5, atol=1e-5)
""",
    tmp_path,
  )


def test_its_config_holds_every_option(tmp_path):
  run(
    """
options = dict(
  nb_filters=[4, 4], kernel_size=2, nb_stacks=2, dilations=[1, 4], padding='same',
  use_skip_connections=False, dropout_rate=0.25, return_sequences=True, activation='tanh',
  use_batch_norm=False, use_layer_norm=True, use_weight_norm=False, go_backwards=True,
  return_state=True,
)
config = TCN(kernel_initializer='glorot_uniform', **options).get_config()
assert {name: config[name] for name in options} == options
again = TCN.from_config(config).get_config()
assert again == config
""",
    tmp_path,
  )


@pytest.mark.parametrize(
  'options, message',
  [
    ('use_batch_norm=True, use_weight_norm=True', 'only one of use_batch_norm, use_layer_norm'),
    ("padding='valid'", "padding must be one of causal, same; got 'valid'"),
    ('nb_filters=[3, 4]', 'one for each dilation; got [3, 4]'),
    ("activation='rely'", "Did you mean 'relu'?"),
  ],
)
def test_options_that_cannot_be_are_refused(options, message, tmp_path):
  said = run(
    f"""
from npu_adapter import errors
try:
  TCN({options})
except errors.InputError as error:
  print('refused:', error)
""",
    tmp_path,
  )
  assert 'refused: ' in said
  assert message in said
