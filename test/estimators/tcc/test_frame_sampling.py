"""Which frames of a clip are seen: in order, within the clip, the same for the same key."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from estimators.tcc.dataset import frame_sampling
from npu_adapter import errors

Sampling, Context = frame_sampling.Sampling, frame_sampling.Context


def drawn(sampling, length, count, seed=0):
  """The chosen frames of `count` keys, [count, chosen]."""
  with tf.Graph().as_default(), tf.Session() as session:
    number = tf.placeholder(tf.int64, [])
    frames = frame_sampling.choose(sampling, length, tf.stack([np.int64(seed), number]))
    assert frames.shape.as_list() == [sampling.chosen]
    assert frames.dtype == tf.int32
    return np.stack([session.run(frames, {number: example}) for example in range(count)])


def with_context(frames, length, context):
  with tf.Graph().as_default(), tf.Session() as session:
    return session.run(frame_sampling.with_context(tf.constant(frames), length, context)).tolist()


@pytest.mark.parametrize('offset', [0, 1, 7])
def test_offset_uniform_takes_different_frames_in_order_from_the_offset_on(offset):
  found = drawn(Sampling(num_frames=5, random_offset=offset), 20, 300)
  assert (np.diff(found) > 0).all()
  assert sorted(np.unique(found)) == list(range(offset, 20))


def test_offset_uniform_takes_every_frame_as_often():
  counts = np.bincount(drawn(Sampling(num_frames=4), 11, 1000).ravel(), minlength=11)
  assert counts[0] == 0
  # 400 of 1000 draws each: 15.5 is the deviation of one count.
  assert (np.abs(counts[1:] - 400) < 70).all()


def test_a_clip_with_just_enough_frames_gives_all_of_them():
  found = drawn(Sampling(num_frames=5), 6, 20)
  assert (found == [1, 2, 3, 4, 5]).all()


@pytest.mark.parametrize(
  'length, expected', [(5, [0, 1, 2, 3, 4]), (3, [0, 1, 2, 2, 2]), (1, [0, 0, 0, 0, 0])]
)
def test_a_clip_too_short_gives_its_first_frames_and_its_last_again(length, expected):
  assert (drawn(Sampling(num_frames=5), length, 20) == expected).all()


def test_stride_begins_anywhere_from_where_the_clip_is_long_enough():
  found = drawn(Sampling('stride', num_frames=3, stride=4), 20, 300)
  assert (np.diff(found) == 4).all()
  assert sorted(np.unique(found[:, 0])) == list(range(8))


def test_stride_shows_the_last_frame_again_where_the_clip_ends():
  found = drawn(Sampling('stride', num_frames=4, stride=4), 10, 20)
  assert (found == [0, 4, 8, 9]).all()


def test_a_positive_is_from_the_window_before_its_frame_which_follows_it():
  sampling = Sampling(num_frames=6, positive_window=5)
  found = drawn(sampling, 40, 400).reshape(400, 6, 2)
  positives, frames = found[..., 0], found[..., 1]
  assert (np.diff(frames) > 0).all()
  back = (frames - positives)[frames >= 5]
  assert sorted(np.unique(back)) == [1, 2, 3, 4, 5]
  counts = np.bincount(back)[1:]
  assert counts.min() > 0.8 * counts.max()
  assert positives.min() == 0
  early = frames < 5
  assert (positives[early] >= 0).all()
  assert (positives[early] < frames[early]).all()


def test_the_frames_are_the_same_with_positives_and_without():
  with_positives = drawn(Sampling(num_frames=6, positive_window=5), 40, 5).reshape(5, 6, 2)
  np.testing.assert_array_equal(with_positives[..., 1], drawn(Sampling(num_frames=6), 40, 5))


@pytest.mark.parametrize('strategy', frame_sampling.STRATEGIES)
def test_frames_are_a_function_of_seed_and_number(strategy):
  sampling = Sampling(strategy, num_frames=5, stride=4, positive_window=3)
  first = drawn(sampling, 60, 8, seed=1)
  np.testing.assert_array_equal(drawn(sampling, 60, 8, seed=1), first)
  assert len({tuple(row) for row in first}) == 8
  assert (drawn(sampling, 60, 8, seed=2) != first).any(axis=1).all()


def test_context_looks_back_oldest_first_and_not_before_the_clip():
  found = with_context([3, 17, 40], 41, Context(3, 15))
  assert found == [0, 0, 3, 0, 2, 17, 10, 25, 40]
  assert with_context([3, 17], 41, Context(1, 15)) == [3, 17]


def test_context_does_not_go_beyond_the_clip():
  assert with_context([4, 9], 6, Context(2, 2)) == [2, 4, 5, 5]


@pytest.mark.parametrize(
  'sampling, context, message',
  [
    (Sampling('offset_unifrom'), Context(), "offset_unifrom'. Did you mean 'offset_uniform'"),
    (Sampling(num_frames=0), Context(), 'num_frames must be a whole number of at least 1; got 0'),
    (Sampling(random_offset=-1), Context(), 'random_offset must be .* at least 0; got -1'),
    (Sampling(stride=0), Context(), 'stride must be'),
    (Sampling(positive_window=1.5), Context(), 'positive_window must be'),
    (Sampling(), Context(num_steps=0), 'num_steps must be'),
    (Sampling(), Context(frame_stride=0), 'frame_stride must be'),
  ],
)
def test_what_cannot_be_drawn_is_told(sampling, context, message):
  frame_sampling.check(Sampling(random_offset=0), Context())
  with pytest.raises(errors.InputError, match=message):
    frame_sampling.check(sampling, context)
