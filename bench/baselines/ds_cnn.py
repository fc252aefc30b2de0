"""The keyword spotter as it was first written: audio clip by clip in Python, plain layers, feeds.

What bench/ds_cnn.py measures against. It follows the published way of working, not its text: for
every clip one session call that reads, shifts, mixes and transforms it; for every step one call
that is fed the batch, evaluates accuracy and summaries, and writes them.
"""

import numpy as np
import tensorflow.compat.v1 as tf

_CLASSES = 12


class Baseline:
  """Trains and evaluates DS-CNN S on wav files; the graph is the current one."""

  def __init__(self, shape, noise, summaries_folder):
    self._shape, self._noise = shape, noise
    self._chance = np.random.RandomState(1)
    self._audio()
    self._network()
    self._session = tf.Session()
    self._writer = tf.summary.FileWriter(summaries_folder)
    self._session.run(tf.global_variables_initializer())
    self._step = 0

  def train(self, paths, labels, batch_size):
    """One training step on clips chosen by chance."""
    chosen = self._chance.randint(len(paths), size=batch_size)
    batch = np.stack([self._fingerprint(paths[number], True) for number in chosen])
    fetches = [self._summaries, self._accuracy, self._loss, self._train]
    summary, *_ = self._session.run(fetches, self._feed(batch, labels[chosen]))
    self._step += 1
    self._writer.add_summary(summary, self._step)

  def evaluate(self, paths, labels, batch_size):
    """Returns the accuracy over all clips."""
    right = 0.0
    for start in range(0, len(paths), batch_size):
      batch = np.stack(
        [self._fingerprint(path, False) for path in paths[start : start + batch_size]]
      )
      feed = self._feed(batch, labels[start : start + batch_size])
      right += self._session.run(self._accuracy, feed) * len(batch)
    return right / len(paths)

  def _audio(self):
    samples = self._shape.samples
    self._path = tf.placeholder(tf.string, [])
    self._volume = tf.placeholder(tf.float32, [])
    self._padding = tf.placeholder(tf.int32, [2, 2])
    self._offset = tf.placeholder(tf.int32, [2])
    self._background = tf.placeholder(tf.float32, [samples, 1])
    self._background_volume = tf.placeholder(tf.float32, [])
    content = tf.io.read_file(self._path)
    clip = tf.audio.decode_wav(content, desired_channels=1, desired_samples=samples).audio
    clip = tf.slice(tf.pad(clip * self._volume, self._padding), self._offset, [samples, -1])
    clip = tf.clip_by_value(clip + self._background * self._background_volume, -1.0, 1.0)
    spectrogram = tf.raw_ops.AudioSpectrogram(
      input=clip, window_size=self._shape.window_samples, stride=self._shape.stride_samples,
      magnitude_squared=True,
    )  # fmt: skip
    self._mfcc = tf.raw_ops.Mfcc(
      spectrogram=spectrogram, sample_rate=self._shape.sample_rate,
      dct_coefficient_count=self._shape.coefficients,
    )  # fmt: skip

  def _fingerprint(self, path, is_training):
    shift = self._chance.randint(-1600, 1600) if is_training else 0
    start = self._chance.randint(0, len(self._noise) - self._shape.samples)
    noise = self._noise[start : start + self._shape.samples].reshape(-1, 1)
    is_heard = is_training and self._chance.uniform() < 0.8
    feed = {
      self._path: path,
      self._volume: 1.0,
      self._padding: [[max(shift, 0), max(-shift, 0)], [0, 0]],
      self._offset: [max(-shift, 0), 0],
      self._background: noise,
      self._background_volume: self._chance.uniform(0, 0.1) if is_heard else 0.0,
    }
    return self._session.run(self._mfcc, feed).flatten()

  def _feed(self, batch, labels):
    truth = np.zeros((len(labels), _CLASSES))
    truth[np.arange(len(labels)), labels] = 1
    return {self._input: batch, self._truth: truth, self._rate: 0.0005}

  def _network(self):
    self._input = tf.placeholder(tf.float32, [None, self._shape.fingerprint_size])
    self._truth = tf.placeholder(tf.float32, [None, _CLASSES])
    self._rate = tf.placeholder(tf.float32, [])
    moved = []
    x = tf.reshape(self._input, [-1, self._shape.frames, self._shape.coefficients, 1])
    x = _layer(x, 'conv_0', 64, [10, 4], 2, moved)
    for number in range(1, 5):
      x = _layer(x, f'depthwise_{number}', None, [3, 3], 1, moved)
      x = _layer(x, f'pointwise_{number}', 64, [1, 1], 1, moved)
    x = tf.nn.avg_pool(x, [1, *x.shape[1:3].as_list(), 1], [1, 1, 1, 1], 'VALID')
    weights, bias = tf.get_variable('logits', [64, _CLASSES]), tf.get_variable('bias', [_CLASSES])
    logits = tf.matmul(tf.reshape(x, [-1, 64]), weights) + bias
    entropies = tf.nn.softmax_cross_entropy_with_logits_v2(labels=self._truth, logits=logits)
    self._loss = tf.reduce_mean(entropies)
    hits = tf.equal(tf.argmax(logits, 1), tf.argmax(self._truth, 1))
    self._accuracy = tf.reduce_mean(tf.cast(hits, tf.float32))
    with tf.control_dependencies(moved):
      self._train = tf.train.AdamOptimizer(self._rate).minimize(self._loss)
    scalars = [('cross_entropy', self._loss), ('accuracy', self._accuracy)]
    self._summaries = tf.summary.merge([tf.summary.scalar(*scalar) for scalar in scalars])


def _layer(x, name, filters, kernel, stride, moved):
  """A convolution, depthwise without `filters`, with bias, batch norm and ReLU."""
  channels = x.shape.as_list()[-1]
  with tf.variable_scope(name):
    weights = tf.get_variable('weights', [*kernel, channels, filters or 1])
    strides = [1, stride, stride, 1]
    convolve = tf.nn.conv2d if filters else tf.nn.depthwise_conv2d
    x = convolve(x, weights, strides, 'SAME')
    sizes = [filters or channels]
    x = tf.nn.bias_add(x, tf.get_variable('bias', sizes, initializer=tf.zeros_initializer()))
    beta = tf.get_variable('beta', sizes, initializer=tf.zeros_initializer())
    x, mean, variance = tf.nn.fused_batch_norm(x, tf.ones(sizes), beta)
    for number, value in enumerate((mean, variance)):
      average = tf.get_variable(f'average_{number}', sizes, trainable=False)
      moved.append(tf.assign_sub(average, (average - value) * 0.04))
    return tf.nn.relu(x)
