"""The losses of the training algorithms by their definitions: plain loops, double precision.

Similarities are of one frame with one frame, distances of differences; nothing is vectorised, and
TensorFlow is not imported.
"""

import math

import numpy as np


def softmax(values):
  highest = max(values)
  powers = [math.exp(value - highest) for value in values]
  return [power / sum(powers) for power in powers]


def similarity(one, other, kind, temperature):
  """Of two embeddings."""
  if kind == 'l2':
    found = -sum((float(a) - float(b)) ** 2 for a, b in zip(one, other))
  else:
    found = sum(float(a) * float(b) for a, b in zip(one, other))
  return found / len(one) / temperature


def nearest(one, clip, kind, temperature):
  """The frames of a clip, each as much as it is like `one`."""
  shares = softmax([similarity(one, frame, kind, temperature) for frame in clip])
  return sum(share * np.asarray(frame, np.float64) for share, frame in zip(shares, clip))


def go_round(embeddings, way, start, kind, temperature):
  """From a frame of the first clip of a way through the others: how it is like each of the first's.

  embeddings: [clips, frames, size]; returns a list of `frames` logits.
  """
  at = embeddings[way[0]][start]
  for clip in way[1:]:
    at = nearest(at, embeddings[clip], kind, temperature)
  return [similarity(at, frame, kind, temperature) for frame in embeddings[way[0]]]


def all_ways(clips, frames):
  """((clip, other clip), frame) of every ordered pair of clips and every frame of the one."""
  return [
    ((one, other), start)
    for one in range(clips)
    for other in range(clips)
    if one != other
    for start in range(frames)
  ]


def alignment_loss(embeddings, ways, steps, lengths, options):
  """The mean of the losses of ways (clips, start); options as algorithm_options.Alignment."""
  losses = []
  for way, start in ways:
    logits = go_round(embeddings, way, start, options.similarity_type, options.softmax_temperature)
    times = [int(step) for step in steps[way[0]]]
    if options.normalize_indices:
      times = [time / int(lengths[way[0]]) for time in times]
    losses.append(loss_of_way(logits, start, times, options))
  return sum(losses) / len(losses)


def loss_of_way(logits, start, times, options):
  if options.loss_type == 'classification':
    return cross_entropy(logits, start, options.label_smoothing)
  chances = softmax(logits)
  mean = sum(chance * time for chance, time in zip(chances, times))
  error = times[start] - mean
  if options.loss_type == 'regression_mse':
    return error**2
  if options.loss_type == 'regression_huber':
    if abs(error) <= options.huber_delta:
      return error**2 / 2
    return options.huber_delta * (abs(error) - options.huber_delta / 2)
  log_variance = math.log(variance_of(logits, times))
  return math.exp(-log_variance) * error**2 + options.variance_lambda * log_variance


def variance_of(logits, times):
  chances = softmax(logits)
  mean = sum(chance * time for chance, time in zip(chances, times))
  return sum(chance * (time - mean) ** 2 for chance, time in zip(chances, times))


def cross_entropy(logits, label, smoothing=0.0):
  """Of one row with the smoothed label."""
  chances = softmax([float(logit) for logit in logits])
  found = 0.0
  for number, chance in enumerate(chances):
    wanted = smoothing / len(chances) + (1 - smoothing if number == label else 0)
    found -= wanted * math.log(chance)
  return found


def dense(x, kernel, bias, has_relu):
  """One row through one layer."""
  found = np.asarray(bias, np.float64).copy()
  for value, weights in zip(x, np.asarray(kernel, np.float64)):
    found += value * weights
  return np.maximum(found, 0) if has_relu else found


def shuffle_and_learn_loss(embeddings, triplets, layers, smoothing=0.0):
  """triplets: (clip, its three frames, is shuffled); layers: (kernel, bias) of each."""
  losses = []
  for clip, frames, is_shuffled in triplets:
    x = np.concatenate([np.asarray(embeddings[clip][frame], np.float64) for frame in frames])
    for number, (kernel, bias) in enumerate(layers):
      x = dense(x, kernel, bias, number < len(layers) - 1)
    losses.append(cross_entropy(x, is_shuffled, smoothing))
  return sum(losses) / len(losses)


def n_pairs_loss(embeddings, reg_lambda):
  """Of clips of partner, partner, partner, ...: the mean over clips."""
  losses = []
  for clip in np.asarray(embeddings, np.float64):
    some, others = list(clip[0::2]), list(clip[1::2])
    entropies = [
      cross_entropy([float(np.dot(one, other)) for other in others], number)
      for number, one in enumerate(some)
    ]
    squares = sum(float(np.dot(x, x)) for x in some) + sum(float(np.dot(x, x)) for x in others)
    losses.append((sum(entropies) + reg_lambda / 4 * squares) / len(some))
  return sum(losses) / len(losses)


def classification_loss(embeddings, labels, kernel, bias, smoothing=0.0):
  """The mean over labelled frames, and the share of these that is told rightly."""
  losses, right = [], []
  for clip, of_clip in zip(embeddings, labels):
    for frame, label in zip(clip, of_clip):
      if label >= 0:
        logits = dense(np.asarray(frame, np.float64), kernel, bias, False)
        losses.append(cross_entropy(logits, label, smoothing))
        right.append(int(np.argmax(logits) == label))
  return sum(losses) / len(losses), sum(right) / len(right)
