"""Phase classification and few-shot: known answers, the choice of clips, errors of bad input."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.svm import SVC

from estimators.tcc.evaluation import few_shot, phase_classification, phase_classifier, tasks
from estimators.tcc.evaluation.clips import Clip
from npu_adapter import errors

OPTIONS = tasks.EvaluationOptions(few_shot_num_labeled=(1, 3), few_shot_episodes=6)
PHASES = 4


def separable(number, frames=24, spread=0.05, phases=PHASES):
  """A clip whose phases lie at corners far from each other."""
  chance = np.random.RandomState(number)
  labels = np.arange(frames) * phases // frames
  embeddings = np.eye(phases)[labels] + spread * chance.randn(frames, phases)
  return Clip(f'clip {number}', embeddings.astype(np.float32), labels)


def meaningless(number, frames=60):
  chance = np.random.RandomState(number)
  labels = chance.randint(0, PHASES, frames)
  return Clip(f'clip {number}', chance.randn(frames, 8).astype(np.float32), labels)


TRAINING = [separable(number) for number in range(10)]
VALIDATION = [separable(number) for number in range(10, 14)]


@pytest.mark.parametrize('classifier', phase_classifier.KINDS)
def test_phases_that_lie_apart_are_all_found(classifier):
  found = tasks.evaluate(
    ['classification', 'few_shot_classification'], TRAINING, VALIDATION,
    OPTIONS._replace(classifier=classifier),
  )  # fmt: skip
  for name in ('train_accuracy_0.1', 'val_accuracy_0.1', 'train_accuracy_1', 'val_accuracy_1'):
    assert found['classification'][name] == 1
  assert found['few_shot_classification']['val_accuracy_1'] == 1
  assert found['few_shot_classification']['val_interval_1'] == 0


@pytest.mark.parametrize('classifier', phase_classifier.KINDS)
def test_phases_that_are_not_in_the_embeddings_are_guessed(classifier):
  clips = [meaningless(number) for number in range(20)]
  found = phase_classification.evaluate(
    clips[:10], clips[10:], OPTIONS._replace(classifier=classifier)
  )
  assert abs(found['val_accuracy'] - 1 / PHASES) < 0.08


def test_classes_that_no_line_parts_need_the_svm():
  """A ring around a disc."""
  chance = np.random.RandomState(0)
  angles, inner = chance.uniform(0, 7, 400), np.arange(400) % 2
  radius = np.where(inner, 0.3, 1.0)
  points = np.stack([radius * np.cos(angles), radius * np.sin(angles)], 1).astype(np.float32)
  clips = [Clip('ring', points, inner)]
  scores = {
    kind: phase_classification.evaluate(clips, clips, OPTIONS._replace(classifier=kind))
    for kind in phase_classifier.KINDS
  }
  assert scores['svm']['val_accuracy'] == 1
  assert scores['logistic']['val_accuracy'] < 0.8


def test_the_metric_is_that_of_the_last_fraction():
  clips = [meaningless(number) for number in range(12)]
  options = OPTIONS._replace(classification_fractions=(1.0, 0.25))
  found = phase_classification.evaluate(clips[:8], clips[8:], options)
  assert found['val_accuracy'] == found['val_accuracy_0.25'] != found['val_accuracy_1']


def test_a_fraction_sees_the_labels_of_its_clips_alone():
  """Two of four clips are labelled wrong; half of the clips are the right ones."""
  wrong = [clip._replace(labels=PHASES - 1 - clip.labels) for clip in TRAINING[:2]]
  training = [TRAINING[2], wrong[0], TRAINING[3], wrong[1]]
  assert phase_classification.labelled_share(training, 0.5) == training[::2]
  options = OPTIONS._replace(classification_fractions=(0.5, 1.0))
  found = phase_classification.evaluate(training, VALIDATION, options)
  assert found['val_accuracy_0.5'] == 1
  assert found['val_accuracy_1'] < 1


@pytest.mark.parametrize(
  ('clips', 'fraction', 'chosen'),
  [(70, 0.1, [0, 10, 20, 30, 40, 50, 60]), (3, 0.1, [0]), (5, 1.0, [0, 1, 2, 3, 4]), (1, 0.5, [0])],
)
def test_a_share_of_the_clips_is_spread_over_them(clips, fraction, chosen):
  assert phase_classification.labelled_share(list(range(clips)), fraction) == chosen


def test_frames_without_a_label_count_in_neither_split():
  def with_noise(clip):
    noise = 100 * np.ones([30, PHASES], np.float32)
    labels = np.concatenate([clip.labels, np.full(30, -1)])
    return Clip(clip.name, np.concatenate([clip.embeddings, noise]), labels)

  plain = [meaningless(number) for number in range(4)]
  plain = [clip._replace(embeddings=clip.embeddings[:, :PHASES]) for clip in plain]
  noisy = [with_noise(clip) for clip in plain]
  for task in ('classification', 'few_shot_classification'):
    run = tasks.TASKS[task]
    assert run(noisy[:3], noisy[3:], OPTIONS) == run(plain[:3], plain[3:], OPTIONS)


def test_the_svm_is_the_one_of_scikit_learn_on_centred_embeddings():
  clips = [meaningless(number) for number in range(4)]
  x, y = (np.concatenate([clip[field] for clip in clips[:3]]) for field in (1, 2))
  x = x.astype(np.float64)
  sum_of_variances = sum(np.var(x[:, feature]) for feature in range(x.shape[1]))
  svm = SVC(gamma=1 / sum_of_variances).fit(x - x.mean(0), y)
  expected = np.mean(svm.predict(clips[3].embeddings - x.mean(0)) == clips[3].labels)
  found = phase_classification.evaluate(clips[:3], clips[3:], OPTIONS)
  assert found['val_accuracy'] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize('classifier', phase_classifier.KINDS)
def test_where_the_embeddings_lie_and_how_large_they_are_changes_nothing(classifier):
  clips = [meaningless(number) for number in range(4)]
  offsets = 1e5 * np.arange(8)
  moved = [clip._replace(embeddings=clip.embeddings * 50 + offsets) for clip in clips]
  options = OPTIONS._replace(classifier=classifier)
  found, other = (phase_classification.evaluate(c[:3], c[3:], options) for c in (clips, moved))
  assert found['val_accuracy'] == pytest.approx(other['val_accuracy'], abs=0.02)


@pytest.mark.parametrize('classifier', phase_classifier.KINDS)
def test_labels_of_one_phase_teach_to_answer_it(classifier):
  one = TRAINING[0]._replace(labels=np.full(24, 2))
  options = OPTIONS._replace(classifier=classifier)
  found = phase_classification.evaluate([one], VALIDATION, options)
  assert found['val_accuracy'] == 0.25


def test_embeddings_that_have_collapsed_to_a_point_are_no_error():
  flat = [clip._replace(embeddings=np.ones_like(clip.embeddings)) for clip in TRAINING]
  assert phase_classification.evaluate(flat, flat, OPTIONS)['val_accuracy'] == 0.25


def test_few_shot_is_the_mean_over_the_episodes_with_students_interval():
  clips = [meaningless(number) for number in range(9)]
  options = OPTIONS._replace(few_shot_num_labeled=(2, 3))
  found = few_shot.evaluate(clips[:6], clips[6:], options)
  scores = []
  for episode in range(options.few_shot_episodes):
    chosen = [clips[number] for number in few_shot.drawn(6, 2, episode, options.few_shot_seed)]
    x, y = (np.concatenate([clip[field] for clip in chosen]) for field in (1, 2))
    classifier = phase_classifier.fitted('svm', x, y)
    right = [
      classifier.accuracy(frame[None], np.array([label]))
      for clip in clips[6:] for frame, label in zip(clip.embeddings, clip.labels)
    ]  # fmt: skip
    scores.append(sum(right) / len(right))
  mean = sum(scores) / 6
  deviation = math.sqrt(sum((score - mean) ** 2 for score in scores) / 5)
  # 2.5706: of Student's t with 5 degrees of freedom, two-sided 95 %, from a printed table.
  assert found['val_accuracy_2'] == pytest.approx(mean)
  assert found['val_interval_2'] == pytest.approx(2.5706 * deviation / math.sqrt(6), rel=1e-4)
  assert found['val_interval_2'] > 0
  assert found['val_accuracy'] == found['val_accuracy_3']


def test_an_interval_of_95_percent_holds_the_truth_19_times_in_20():
  chance, held = np.random.RandomState(0), 0
  for _ in range(1000):
    mean, reach = few_shot.mean_and_interval(chance.normal(0.5, 0.1, 5))
    held += abs(mean - 0.5) <= reach
  assert stats.binom.cdf(held, 1000, 0.95) > 1e-4
  assert stats.binom.sf(held, 1000, 0.95) > 1e-4


def test_every_episode_draws_other_clips_and_a_seed_the_same_again():
  draws = [tuple(few_shot.drawn(70, 3, episode, 42)) for episode in range(50)]
  assert len(set(draws)) == 50
  assert all(len(set(chosen)) == 3 and max(chosen) < 70 for chosen in draws)
  assert len({number for chosen in draws for number in chosen}) > 50
  assert draws == [tuple(few_shot.drawn(70, 3, episode, 42)) for episode in range(50)]
  assert draws != [tuple(few_shot.drawn(70, 3, episode, 43)) for episode in range(50)]


def test_more_labelled_clips_than_there_are_with_labels_are_left_out():
  bare = TRAINING[3]._replace(labels=np.full(24, -1))
  found = few_shot.evaluate([*TRAINING[:2], bare], VALIDATION, OPTIONS)
  assert 'val_accuracy_1' in found and 'val_accuracy_3' not in found
  with pytest.raises(errors.InputError, match=r'number up to the 2 labelled .* clips; got 3, 4\.'):
    options = OPTIONS._replace(few_shot_num_labeled=(3, 4))
    few_shot.evaluate([*TRAINING[:2], bare], VALIDATION, options)


def test_every_task_has_its_metric_and_the_published_defaults():
  found = tasks.evaluate(list(tasks.TASKS), TRAINING, VALIDATION, OPTIONS)
  assert {name: metric for name in found for metric in found[name] if metric == tasks.METRICS[name]}
  for name in tasks.TASKS:
    assert isinstance(found[name][tasks.METRICS[name]], float)
  defaults = tasks.check(tasks.EvaluationOptions())
  assert defaults.classification_fractions == (0.1, 0.5, 1.0)
  assert defaults.few_shot_num_labeled == (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
  assert defaults[-3:-1] == (50, 42)
  assert (defaults.kendalls_tau_stride, defaults.kendalls_tau_distance) == (5, 'sqeuclidean')


@pytest.mark.parametrize(
  ('changed', 'message'),
  [
    ({'classifier': 'swm'}, r"classifier must be one of svm, logistic; got 'swm'.*'svm'"),
    ({'classification_fractions': ()}, r'classification_fractions must be shares .*; got \[\]'),
    ({'classification_fractions': (0.0,)}, r'must be shares above 0 and up to 1.*got \[0.0\]'),
    ({'classification_fractions': (0.5, 1.5)}, r'must be shares above 0 and up to 1'),
    ({'classification_fractions': (float('nan'),)}, r'must be shares above 0 and up to 1'),
    ({'kendalls_tau_stride': 0}, r'kendalls_tau_stride must be .* number of at least 1; got 0'),
    ({'kendalls_tau_stride': 2.5}, r'kendalls_tau_stride must be a whole number'),
    ({'kendalls_tau_distance': 'l2'}, r"kendalls_tau_distance must be one of sqeuclidean.*'l2'"),
    ({'few_shot_num_labeled': ()}, r'few_shot_num_labeled must be at least one number'),
    ({'few_shot_num_labeled': (3, 0)}, r'few_shot_num_labeled must be .* at least 1; got 0'),
    ({'few_shot_episodes': 1}, r'few_shot_episodes must be a whole number of at least 2; got 1'),
    ({'few_shot_seed': -1}, r'few_shot_seed must be .* at least 0 and at most 4294967295; got -1'),
    ({'phases': 1}, r'phases must be a whole number of at least 2; got 1'),
    ({'kendalls_tau_stride': True}, r'kendalls_tau_stride must be .* number .*; got True'),
  ],
)  # fmt: skip
def test_options_that_cannot_be_measured_are_refused(changed, message):
  with pytest.raises(errors.InputError, match=message):
    tasks.evaluate(['kendalls_tau'], TRAINING, VALIDATION, OPTIONS._replace(**changed))


def broken(**changed):
  return [TRAINING[0], TRAINING[1]._replace(**changed)]


ZEROS = np.zeros([24, PHASES], np.float32)


@pytest.mark.parametrize('task', tasks.TASKS)
@pytest.mark.parametrize(
  ('clips', 'message'),
  [
    ([], r'the (training|validation) split must have at least [12] clips?; got 0\.'),
    (broken(embeddings=ZEROS[:0], labels=np.zeros(0, int)), r"'clip 1' of .* at least one frame"),
    (broken(embeddings=ZEROS[:, 0]), r"clip 'clip 1' .* \[frames, size\] .*; got \[24\]"),
    (broken(embeddings=ZEROS[:, :2]), r"as long as 'clip 0', 4; got 2"),
    (broken(labels=np.zeros(23, int)), r'a label for each of its 24 frames; got \[23\]'),
    (broken(labels=np.zeros(24)), r'whole numbers as labels.*; got float64 from 0'),
    (broken(labels=np.full(24, -2)), r'-1 where a frame has none; got int64 from -2'),
    (broken(embeddings=ZEROS + np.float32('nan')), r'finite embeddings; got NaN'),
    (broken(embeddings=ZEROS - np.float32('inf')), r'finite embeddings; got NaN or infinity'),
  ],
)
def test_clips_that_cannot_be_evaluated_are_named(task, clips, message):
  for splits in ((clips, VALIDATION), (TRAINING, clips)):
    with pytest.raises(errors.InputError, match=message):
      tasks.TASKS[task](*splits, OPTIONS)


@pytest.mark.parametrize('task', tasks.TASKS)
def test_splits_of_two_networks_are_refused(task):
  others = [separable(number, phases=5) for number in range(3)]
  with pytest.raises(errors.InputError, match='one size; got 4 for training and 5 for validation'):
    tasks.TASKS[task](TRAINING, others, OPTIONS)


@pytest.mark.parametrize('task', [name for name in tasks.TASKS if name != 'kendalls_tau'])
@pytest.mark.parametrize('split', ['training', 'validation'])
def test_tasks_about_phases_need_labels(task, split):
  bare = [clip._replace(labels=np.full(24, -1)) for clip in TRAINING]
  splits = (bare, VALIDATION) if split == 'training' else (TRAINING, bare)
  with pytest.raises(errors.InputError, match=f'the {split} split must have labelled frames; got'):
    tasks.TASKS[task](*splits, OPTIONS)


def test_an_unknown_task_is_refused_with_the_nearest_name():
  with pytest.raises(errors.InputError, match=r"got 'kendall_tau'\. Did you mean 'kendalls_tau'"):
    tasks.evaluate(['kendall_tau'], TRAINING, VALIDATION, OPTIONS)


def test_scikit_learn_is_here():
  tasks.require()
