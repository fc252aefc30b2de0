"""The TCN of the package keras-tcn in a Keras 3 model: a process that makes steps when asked.

usage: keras_tcn_pypi.py STEPS BATCH

Says `ready` and the number of parameters, then for each line of its input, a number of training
steps, the seconds each of them took. bench/keras_tcn.py starts it, with the environment that it
made for the package.
"""

import os
import sys
import time

_FILTERS, _TAPS, _LEVELS, _RATE = 24, 8, 9, 0.1


def main():
  """Builds the model and answers until its input ends."""
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  steps, batch = int(sys.argv[1]), int(sys.argv[2])
  import keras
  import numpy as np
  from tcn import TCN

  sequence = keras.Input((steps, 2), batch_size=batch)
  layer = TCN(
    nb_filters=_FILTERS, kernel_size=_TAPS, dilations=[2**level for level in range(_LEVELS)],
    use_skip_connections=False, dropout_rate=_RATE, use_batch_norm=True,
  )  # fmt: skip
  model = keras.Model(sequence, keras.layers.Dense(1)(layer(sequence)))
  model.compile(keras.optimizers.Adam(0.005, clipnorm=1.0), 'mse')
  chance = np.random.RandomState(1)
  sequences = chance.uniform(size=[batch, steps, 2]).astype(np.float32)
  targets = chance.uniform(size=[batch, 1]).astype(np.float32)
  model.train_on_batch(sequences, targets)
  print('ready', model.count_params(), flush=True)
  for line in sys.stdin:
    taken = []
    for _ in range(int(line)):
      started = time.perf_counter()
      model.train_on_batch(sequences, targets)
      taken.append(time.perf_counter() - started)
    print(*taken, flush=True)


if __name__ == '__main__':
  main()
