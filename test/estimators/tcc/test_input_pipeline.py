"""What a training step gets is a function of seed and number; what an evaluation gets is fixed."""

import collections
import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from estimators.tcc import input_pipeline
from estimators.tcc.dataset import augmentation, clip_records, frame_sampling
from npu_adapter import errors
from npu_adapter.runtime import tf1

_spec = importlib.util.spec_from_file_location(
  'small_clips', str(pathlib.Path(__file__).with_name('small_clips.py'))
)
small_clips = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(small_clips)

SAMPLING = frame_sampling.Sampling(num_frames=4)
CONTEXT = frame_sampling.Context(num_steps=2, frame_stride=3)
FRAMES = input_pipeline.Frames(16, SAMPLING, CONTEXT)
ORDER = input_pipeline.Order(batch_size=3, seed=5)
LENGTHS = (12, 5, 30, 9, 20)


@pytest.fixture(autouse=True)
def new_graph():
  tf1.enable()
  with tf.Graph().as_default():
    yield


@pytest.fixture(scope='module')
def clips(tmp_path_factory):
  """Five clips; the third has no labels."""
  folder = tmp_path_factory.mktemp('a data set')
  made = [small_clips.clip(number, length, number != 2) for number, length in enumerate(LENGTHS)]
  return small_clips.records(folder, made)


def batches(input_fn, count=None):
  """So many batches, or all of them."""
  found = []
  with tf.Graph().as_default(), tf.Session() as session:
    iterator = tf.data.make_initializable_iterator(input_fn())
    batch = iterator.get_next()
    session.run(iterator.initializer)
    while len(found) != count:
      try:
        found.append(session.run(batch))
      except tf.errors.OutOfRangeError:
        break
  return found


def trained(data_sets, count, frames=FRAMES, order=ORDER, augment=None, first_step=0):
  input_fn = input_pipeline.train_input_fn(data_sets, frames, order, augment, first_step)
  return batches(input_fn, count)


def same(one, other):
  for name in one:
    np.testing.assert_array_equal(one[name], other[name])


def grey_of(frames):
  """Of pictures in [-1, 1] the grey that small_clips gave them."""
  return np.round((frames.mean(axis=(-3, -2, -1)) + 1) * 127.5).astype(int)


def number_of(name):
  return int(name.decode().split()[1])


def test_a_batch_holds_the_frames_its_steps_tell_each_behind_its_context(clips):
  for batch in trained([clips], 10):
    for row, name in enumerate(batch['name']):
      clip = number_of(name)
      steps, length = batch['steps'][row], batch['length'][row]
      assert length == LENGTHS[clip]
      shown = np.stack([np.maximum(steps - 3, 0), steps], 1).ravel()
      grey = grey_of(batch['frames'][row])
      assert np.abs(grey - small_clips.grey(clip, shown)).max() <= 1
      expected = np.full(4, -1) if clip == 2 else steps // 10
      np.testing.assert_array_equal(batch['frame_labels'][row], expected)


def test_the_frames_of_a_clip_differ_from_one_time_to_the_next(clips):
  seen = collections.defaultdict(set)
  for batch in trained([clips], 20):
    for name, steps in zip(batch['name'], batch['steps']):
      seen[name].add(tuple(steps))
  assert len(seen[b'clip 2']) > 5


def test_shapes_and_types_are_known_before_anything_runs(clips):
  frames = FRAMES._replace(sampling=SAMPLING._replace(positive_window=5))
  iterator = tf.data.make_initializable_iterator(
    input_pipeline.train_input_fn([clips], frames, ORDER, augmentation.Augmentation())()
  )
  found = {
    name: (value.shape.as_list(), value.dtype) for name, value in iterator.get_next().items()
  }
  assert found == {
    'frames': ([3, 16, 16, 16, 3], tf.float32),
    'steps': ([3, 8], tf.int32),
    'length': ([3], tf.int32),
    'frame_labels': ([3, 8], tf.int32),
    'name': ([3], tf.string),
  }


@pytest.mark.parametrize('augment', [None, augmentation.Augmentation(hue=True, random_crop=True)])
def test_it_begins_at_any_step_as_if_it_had_begun_at_the_first(clips, augment):
  straight = trained([clips, clips[:2]], 9, augment=augment)
  for first_step in (1, 4, 7):
    later = trained([clips, clips[:2]], 2, augment=augment, first_step=first_step)
    for batch, expected in zip(later, straight[first_step:]):
      same(batch, expected)


def test_another_seed_is_other_clips_and_other_frames(clips):
  one, other = (trained([clips], 5, order=ORDER._replace(seed=seed)) for seed in (5, 6))
  assert any((a['name'] != b['name']).any() for a, b in zip(one, other))
  assert any((a['steps'] != b['steps']).any() for a, b in zip(one, other))


def test_an_epoch_has_each_clip_once_in_an_order_of_its_own(clips):
  names = np.concatenate([batch['name'] for batch in trained([clips], 10)]).reshape(6, 5)
  for epoch in names:
    assert sorted(map(number_of, epoch)) == [0, 1, 2, 3, 4]
  assert len({tuple(epoch) for epoch in names}) > 3


def test_data_sets_take_turns_and_a_batch_is_of_one(clips, tmp_path):
  others = small_clips.records(tmp_path, [small_clips.clip(number, 8) for number in (5, 6)])
  numbers = [sorted(map(number_of, batch['name'])) for batch in trained([clips, others], 10)]
  assert all(max(found) <= 4 for found in numbers[::2])
  assert all(min(found) >= 5 for found in numbers[1::2])
  counts = collections.Counter(sum(numbers, []))
  assert {counts[number] for number in range(5)} == {3}
  assert counts[5] + counts[6] == 15
  assert abs(counts[5] - counts[6]) == 1


def decoded_by_tensorflow(jpeg):
  with tf.Session() as session:
    return session.run(tf.image.decode_jpeg(jpeg))


def test_pictures_are_resized_bilinearly_and_scaled_to_minus_1_to_1(tmp_path):
  pixels = np.random.RandomState(0).randint(0, 256, (24, 20, 3)).astype(np.uint8)
  jpeg = clip_records.encode_frame(pixels)
  found = small_clips.records(tmp_path, [clip_records.Clip('clip 0', [jpeg])])
  frames = input_pipeline.Frames(10, frame_sampling.Sampling(num_frames=1), CONTEXT)
  (batch,) = trained([found], 1, frames, input_pipeline.Order(1, 0))
  decoded = decoded_by_tensorflow(jpeg).astype(np.float64)
  # Every second column is the mean of two; of rows, 24 to 10, it is weighted.
  at = (np.arange(10) + 0.5) * 2.4 - 0.5
  below, share = at.astype(int), (at % 1)[:, None, None]
  rows = decoded[below] * (1 - share) + decoded[below + 1] * share
  expected = (rows[:, ::2] + rows[:, 1::2]) / 2 / 127.5 - 1
  np.testing.assert_allclose(batch['frames'][0, 1], expected, atol=1e-5)


def test_pictures_of_the_right_size_are_left_as_they_are(tmp_path):
  pixels = np.random.RandomState(0).randint(0, 256, (16, 16, 3)).astype(np.uint8)
  jpeg = clip_records.encode_frame(pixels)
  found = small_clips.records(tmp_path, [clip_records.Clip('clip 0', [jpeg])])
  (batch,) = trained([found], 1, order=input_pipeline.Order(1, 0))
  expected = decoded_by_tensorflow(jpeg) / 127.5 - 1
  np.testing.assert_allclose(batch['frames'][0, 0], expected, atol=1e-6)


def test_all_frames_of_a_clip_are_augmented_alike_and_clips_differ(clips):
  brighter = augmentation.NONE._replace(brightness=True)
  deltas = set()
  for plain, changed in zip(trained([clips], 3), trained([clips], 3, augment=brighter)):
    same({**plain, 'frames': 0}, {**changed, 'frames': 0})
    for one, other in zip(plain['frames'], changed['frames']):
      delta = (other - one)[(other > -1) & (other < 1)]
      np.testing.assert_allclose(delta, delta[0], atol=1e-5)
      deltas.add(round(float(delta[0]), 5))
  assert len(deltas) == 9


def test_crops_are_taken_before_the_resize(tmp_path):
  wide = np.zeros((16, 48, 3), np.uint8)
  wide[:, 16:32] = 255
  found = small_clips.records(
    tmp_path, [clip_records.Clip('clip 0', [clip_records.encode_frame(wide)] * 2)]
  )
  (whole,) = trained([found], 1, order=input_pipeline.Order(1, 0))
  assert whole['frames'].mean() == pytest.approx(6 / 16 * 2 - 1, abs=0.02)
  (middle,) = batches(
    input_pipeline.evaluation_input_fn([found], FRAMES._replace(is_cropped=True), 1, 1)
  )
  assert middle['frames'].min() > 0.95


def test_every_second_training_clip_is_flipped_and_none_in_evaluation(tmp_path):
  half = np.zeros((16, 16, 3), np.uint8)
  half[:, 8:] = 255
  clip = clip_records.Clip('clip 0', [clip_records.encode_frame(half)] * 2)
  found = small_clips.records(tmp_path, [clip])
  order, flip = input_pipeline.Order(1, 0), augmentation.NONE._replace(random_flip=True)
  for batch in trained([found], 4, order=order):
    assert batch['frames'][..., 12:, :].min() > 0.9
  sides = [
    batch['frames'][..., 12:, :].mean() for batch in trained([found], 40, FRAMES, order, flip)
  ]
  np.testing.assert_allclose(np.abs(sides), 1, atol=0.1)
  assert 8 < sum(side > 0 for side in sides) < 32


def test_evaluation_gives_the_same_batches_every_time_and_then_ends(clips):
  input_fn = input_pipeline.evaluation_input_fn([clips], FRAMES, batch_size=2, batches=4)
  first, second = batches(input_fn), batches(input_fn)
  assert len(first) == len(second) == 4
  for one, other in zip(first, second):
    same(one, other)
  assert first[0]['frames'].shape == (2, 8, 16, 16, 3)
  names = np.concatenate([batch['name'] for batch in first])
  assert sorted(map(number_of, names[:5])) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize('stride', [1, 4])
def test_every_frame_of_every_clip_comes_once_in_order_behind_its_context(clips, stride):
  found = batches(input_pipeline.every_frame_input_fn(clips, FRAMES, 7, stride))
  steps, grey = collections.defaultdict(list), collections.defaultdict(list)
  order = []
  for batch in found:
    assert batch['frames'].shape == (1, 14, 16, 16, 3)
    kept = batch['weight'][0] > 0
    name = batch['name'][0]
    order.append(number_of(name))
    steps[name].extend(batch['steps'][0][kept])
    grey[name].append(grey_of(batch['frames'][0]).reshape(7, 2)[kept])
    assert batch['length'][0] == LENGTHS[number_of(name)]
  assert order == sorted(order)
  for clip, length in enumerate(LENGTHS):
    name = f'clip {clip}'.encode()
    expected = np.arange(0, length, stride)
    np.testing.assert_array_equal(steps[name], expected)
    shown = np.stack([np.maximum(expected - 3, 0), expected], 1)
    assert np.abs(np.concatenate(grey[name]) - small_clips.grey(clip, shown)).max() <= 1


def test_the_last_piece_of_a_clip_is_filled_with_its_last_frame_at_weight_0(clips):
  found = batches(input_pipeline.every_frame_input_fn(clips[:1], FRAMES, 7))
  assert [batch['weight'][0].tolist() for batch in found] == [[1] * 7, [1] * 5 + [0] * 2]
  assert found[1]['steps'][0].tolist() == [7, 8, 9, 10, 11, 11, 11]


def test_a_frame_that_is_shown_twice_is_decoded_once(clips):
  """Nine of ten context frames here are another's own frame."""
  with tf.Graph().as_default() as graph:
    shown = frame_sampling.with_context(tf.range(10), 10, frame_sampling.Context(2, 1))
    needed, places = tf.unique(shown)
    with tf.Session(graph=graph) as session:
      assert session.run(needed).tolist() == list(range(10))
      assert session.run(places).tolist() == session.run(shown).tolist()


def test_the_clips_are_no_constants_of_the_graph(clips):
  with tf.Graph().as_default() as graph:
    tf.data.make_initializable_iterator(
      input_pipeline.train_input_fn([clips], FRAMES, ORDER, augmentation.Augmentation())()
    ).get_next()
    assert graph.as_graph_def().ByteSize() < 100000


def test_a_training_on_part_of_a_data_set_takes_its_first_clips(clips):
  assert input_pipeline.fraction_of(clips, 1.0) == clips
  assert input_pipeline.fraction_of(clips, 0.5) == clips[:2]
  assert input_pipeline.fraction_of(clips, 0) == clips[:1]
  with pytest.raises(errors.InputError, match='per_dataset_fraction must be from 0 to 1; got 1.5'):
    input_pipeline.fraction_of(clips, 1.5)


@pytest.mark.parametrize(
  'frames, order, message',
  [
    ({'image_size': 0}, {}, 'image_size must be a whole number from 1 to 4096; got 0'),
    ({'num_parallel_calls': -1}, {}, 'num_parallel_calls must be'),
    ({}, {'batch_size': 0}, 'batch_size must be a whole number from 1'),
    ({}, {'seed': -1}, 'seed must be a whole number from 0'),
    ({'context': frame_sampling.Context(0)}, {}, 'num_steps must be'),
  ],
)
def test_batches_that_cannot_be_made_are_told(frames, order, message):
  input_pipeline.check(FRAMES, ORDER)
  with pytest.raises(errors.InputError, match=message):
    input_pipeline.check(FRAMES._replace(**frames), ORDER._replace(**order))


def test_no_data_set_and_no_frames_a_batch_are_told(clips):
  for data_sets in ([], [clips, []]):
    with pytest.raises(errors.InputError, match='datasets must name at least one data set'):
      input_pipeline.train_input_fn(data_sets, FRAMES, ORDER)
  with pytest.raises(errors.InputError, match='frames_per_batch must be'):
    input_pipeline.every_frame_input_fn(clips, FRAMES, 0)
  with pytest.raises(errors.InputError, match='sample_all_stride must be'):
    input_pipeline.every_frame_input_fn(clips, FRAMES, 5, 0)
