"""Event completion: what a frame is to tell, R^2 of known answers, clips that lack a phase."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from estimators.tcc.evaluation import event_completion
from estimators.tcc.evaluation.clips import Clip
from estimators.tcc.evaluation.options import EvaluationOptions
from npu_adapter import errors

OPTIONS = EvaluationOptions()
LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 2])


def in_line(number, frames=40, phases=3):
  """A clip with embeddings in which progress lies on a line; its phases end at the same shares."""
  direction = np.array([2.0, -1.0, 0.5, 3.0])
  progress = np.arange(frames) / frames
  labels = np.minimum(np.arange(frames) * phases // frames, phases - 1)
  return Clip(f'{number}', (progress[:, None] * direction + 7).astype(np.float32), labels)


def random_clip(number, frames=30, size=5, phases=4):
  chance = np.random.RandomState(number)
  labels = np.sort(np.concatenate([np.arange(phases), chance.randint(0, phases, frames - phases)]))
  ramp = np.linspace(0, 1, frames)[:, None] * np.arange(size)
  return Clip(f'{number}', (ramp + chance.randn(frames, size)).astype(np.float32), labels)


def test_completion_is_the_distance_to_the_last_frame_of_a_phase_as_a_share_of_the_clip():
  found = event_completion.completion(LABELS, 1)
  assert found.tolist() == [-0.4, -0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3, 0.4, 0.5]
  assert event_completion.completion(LABELS, 0)[2] == 0
  assert event_completion.completion(LABELS, 3) is None


def test_of_a_phase_that_comes_twice_the_last_frame_counts():
  assert event_completion.completion(np.array([0, 1, 0, 1]), 0).tolist() == [-0.5, -0.25, 0, 0.25]


def test_progress_on_a_line_has_r2_of_1():
  clips = [in_line(number) for number in range(3)]
  found = event_completion.evaluate(clips[:2], clips[2:], OPTIONS)
  assert found['val_r2'] == pytest.approx(1, abs=1e-9)
  assert found['train_r2'] == pytest.approx(1, abs=1e-9)
  assert set(found) == {
    'train_r2', 'val_r2', 'train_r2_end_0', 'val_r2_end_0', 'train_r2_end_1', 'val_r2_end_1',
    'train_ends_missing', 'val_ends_missing',
  }  # fmt: skip


def test_embeddings_that_tell_nothing_have_r2_of_0():
  flat = [in_line(number)._replace(embeddings=np.ones([40, 4], np.float32)) for number in range(3)]
  found = event_completion.evaluate(flat, flat, OPTIONS)
  assert found['val_r2'] == pytest.approx(0, abs=1e-9)


def test_it_is_the_regression_of_scikit_learn_and_r2_in_plain_loops():
  clips = [random_clip(number) for number in range(9)]
  training, validation = clips[:6], clips[6:]
  found = event_completion.evaluate(training, validation, OPTIONS)
  scores = []
  for end in range(3):
    x = [frame for clip in training for frame in clip.embeddings]
    y = _far_from(training, end)
    model = LinearRegression().fit(np.array(x, np.float64), y)
    truth = _far_from(validation, end)
    guesses = model.predict(np.concatenate([clip.embeddings for clip in validation]).astype(float))
    mean = sum(truth) / len(truth)
    error = sum((value - guess) ** 2 for value, guess in zip(truth, guesses))
    scores.append(1 - error / sum((value - mean) ** 2 for value in truth))
    assert found[f'val_r2_end_{end}'] == pytest.approx(scores[-1])
    assert found[f'train_r2_end_{end}'] == pytest.approx(model.score(np.array(x, np.float64), y))
  assert found['val_r2'] == pytest.approx(sum(scores) / 3)
  assert 0.05 < found['val_r2'] < 0.95


def _far_from(clips, end):
  values = []
  for clip in clips:
    last = max(place for place, label in enumerate(clip.labels) if label == end)
    values += [(place - last) / len(clip.labels) for place in range(len(clip.labels))]
  return values


def test_more_features_than_frames_are_no_error():
  clip = random_clip(0, frames=12, size=40)
  found = event_completion.evaluate([clip], [random_clip(1, size=40)], OPTIONS)
  assert found['train_r2'] == pytest.approx(1)
  assert found['val_r2'] < 1


def test_a_clip_without_a_phase_is_left_out_for_its_end_alone_and_counted():
  clips = [random_clip(number) for number in range(6)]
  without = clips[0]._replace(labels=np.where(clips[0].labels == 1, 2, clips[0].labels))
  found = event_completion.evaluate([without, *clips[1:4]], clips[4:], OPTIONS)
  fewer = event_completion.evaluate(clips[1:4], clips[4:], OPTIONS)
  whole = event_completion.evaluate(clips[:4], clips[4:], OPTIONS)
  for end, same, other in ((1, fewer, whole), (0, whole, fewer)):
    name = f'val_r2_end_{end}'
    assert found[name] == pytest.approx(same[name], abs=1e-9)
    assert abs(found[name] - other[name]) > 1e-4
  assert (found['train_ends_missing'], found['val_ends_missing']) == (1, 0)
  assert (whole['train_ends_missing'], whole['val_ends_missing']) == (0, 0)


def test_an_end_that_one_split_lacks_has_no_part_in_the_mean():
  clips = [random_clip(number) for number in range(5)]
  lacking = [clip._replace(labels=np.where(clip.labels == 1, 2, clip.labels)) for clip in clips[3:]]
  found = event_completion.evaluate(clips[:3], lacking, OPTIONS)
  assert 'val_r2_end_1' not in found and 'train_r2_end_1' not in found
  assert found['val_r2'] == pytest.approx((found['val_r2_end_0'] + found['val_r2_end_2']) / 2)
  assert found['val_ends_missing'] == 2


def test_the_phases_are_those_of_the_options_where_they_say():
  clips = [random_clip(number) for number in range(3)]
  found = event_completion.evaluate(clips[:2], clips[2:], OPTIONS._replace(phases=6))
  # The fourth phase is the last that the clips have, but it is not the last there is.
  assert 'val_r2_end_3' in found
  assert found['train_ends_missing'] == 2 * 1 and found['val_ends_missing'] == 1


def test_frames_without_a_label_are_part_of_the_clip():
  """They have no phase, but a place in time."""
  assert event_completion.completion(np.array([-1, 0, 1, -1]), 0).tolist() == [-0.25, 0, 0.25, 0.5]


@pytest.mark.parametrize(
  'labels', [np.zeros(30, int), np.full(30, 3)], ids=['one phase', 'the last phase alone']
)
def test_clips_without_an_end_are_refused(labels):
  clips = [random_clip(number)._replace(labels=labels) for number in range(2)]
  with pytest.raises(
    errors.InputError, match=r'must have a phase before the last .*; got \d phase'
  ):
    event_completion.evaluate(clips, clips, OPTIONS)


def test_a_single_frame_for_validation_has_no_r2():
  training = [random_clip(0)]
  one = Clip('one', training[0].embeddings[:1], np.zeros(1, int))
  with pytest.raises(errors.InputError, match='must have a phase before the last'):
    event_completion.evaluate(training, [one], OPTIONS)
