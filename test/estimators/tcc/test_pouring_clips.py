"""Generated clips: what they show and are labelled with, how they differ, where they are kept."""

import os
import pathlib
import threading

import numpy as np
import pytest

from estimators.tcc.dataset import (
  clip_records,
  pouring_clips,
  pouring_looks,
  pouring_motion,
  pouring_scene,
  record_index,
)
from npu_adapter import errors

SMALL = pouring_clips.Request(seed=3, image_size=32, train=3, val=1, test=2)


def quiet(line):
  del line


def motions(count):
  return [pouring_motion.draw(np.random.RandomState(seed)) for seed in range(count)]


def test_a_clip_goes_through_five_phases_in_order():
  for motion in motions(50):
    assert 50 <= len(motion.phases) <= 120
    assert set(np.diff(motion.phases)) == {0, 1}
    counts = np.bincount(motion.phases)
    assert len(counts) == 5
    assert counts.min() >= 5


def test_a_phase_goes_on_from_frame_to_frame_from_0_to_1():
  for motion in motions(50):
    for phase in range(5):
      progress = motion.progress[motion.phases == phase]
      assert (np.diff(progress) > 0).all()
      assert 0 < progress[0] < 0.35
      assert 0.65 < progress[-1] < 1


def test_what_is_done_of_a_phase_never_goes_back():
  motion = motions(1)[0]
  for phase in range(5):
    done = motion.done(phase)
    assert (done[motion.phases < phase] == 0).all()
    assert (done[motion.phases > phase] == 1).all()
    assert (np.diff(done) >= 0).all()


def test_clips_differ_in_length_and_pace():
  found = motions(40)
  assert len({len(motion.phases) for motion in found}) > 20
  pour = [np.bincount(motion.phases)[pouring_motion.POUR] / len(motion.phases) for motion in found]
  assert max(pour) > 2 * min(pour)
  middle = [m.progress[m.phases == 2][np.count_nonzero(m.phases == 2) // 2] for m in found]
  assert max(middle) > 0.6
  assert min(middle) < 0.4


def posed(seed):
  random = np.random.RandomState(seed)
  motion, looks = pouring_motion.draw(random), pouring_looks.draw(random)
  return motion, looks, pouring_scene.Pose(motion, looks)


def test_the_glass_is_empty_before_it_is_poured_into_and_full_after():
  for seed in range(20):
    motion, looks, pose = posed(seed)
    assert (pose.level[motion.phases < pouring_motion.POUR] == 0).all()
    np.testing.assert_allclose(pose.level[motion.phases > pouring_motion.POUR], looks.full)
    assert (np.diff(pose.level[motion.phases == pouring_motion.POUR]) > 0).all()


def test_the_bottle_stands_until_it_is_carried_and_again_after():
  for seed in range(20):
    motion, looks, pose = posed(seed)
    stands = np.isin(motion.phases, [pouring_motion.REACH, pouring_motion.LET_GO])
    np.testing.assert_allclose(pose.bottle[stands, 0], looks.bottle[0])
    assert (pose.angle[stands] == 0).all()
    pours = motion.phases == pouring_motion.POUR
    assert (pose.angle[pours] >= looks.pouring_angle).all()
    np.testing.assert_allclose(pose.mouth[pours, 0], looks.glass[0], atol=1e-6)
    assert (pose.mouth[pours, 1] < looks.table_y - looks.glass[2]).all()


def test_the_hand_comes_and_goes():
  for seed in range(20):
    motion, looks, pose = posed(seed)
    away = np.linalg.norm(pose.hand - pose.bottle, axis=1)
    assert (np.diff(away[motion.phases == pouring_motion.REACH]) < 0).all()
    assert (np.diff(away[motion.phases == pouring_motion.LET_GO]) > 0).all()
    holds = np.isin(motion.phases, [1, 2, 3])
    np.testing.assert_allclose(away[holds], away[holds][0])


def test_the_glass_shows_its_liquid_once_it_is_full():
  """In the drawn picture, not in the pose only."""
  for seed in range(10):
    random = np.random.RandomState(seed)
    motion, looks = pouring_motion.draw(random), pouring_looks.draw(random)
    looks = looks._replace(
      is_mirrored=False, zoom=1.0, turn=0.0, shift=np.zeros(2), shake=0.0, light=np.zeros(2),
      flicker=0.0, noise=0.0,
    )  # fmt: skip
    frames = pouring_scene.draw(motion, looks, 64, random).astype(float) / 255
    x, y = looks.glass[0], looks.table_y - looks.glass[2] * 0.3
    spot = frames[:, int(y * 64), int(x * 64)]
    liquid = np.clip(looks.colours['liquid'], 0, 1)
    after = motion.phases > pouring_motion.POUR
    before = motion.phases < pouring_motion.POUR
    np.testing.assert_allclose(spot[after], np.broadcast_to(liquid, spot[after].shape), atol=0.02)
    assert np.linalg.norm(spot[before] - liquid, axis=1).min() > 0.1


def test_mirrored_and_not_are_as_frequent_and_looks_differ():
  found = [pouring_looks.draw(np.random.RandomState(seed)) for seed in range(100)]
  assert 30 < sum(looks.is_mirrored for looks in found) < 70
  assert len({tuple(looks.colours['wall']) for looks in found}) == 100


def test_what_tells_the_state_can_be_told_from_what_is_around_it():
  def distance(one, other):
    return np.linalg.norm(one - other)

  for seed in range(200):
    looks = pouring_looks.draw(np.random.RandomState(seed))
    colours = looks.colours
    liquid, wall = colours['liquid'], colours['wall']
    around = [wall, colours['table'], colours['bottle']]
    around += [thing['colour'] for thing in looks.clutter + looks.passers]
    assert min(distance(liquid, other) for other in around) >= 0.45
    assert min(distance(colours['bottle'], other) for other in (wall, colours['hand'])) >= 0.45
    assert distance(colours['hand'], wall) >= 0.25
    assert distance(colours['sleeve'], wall) >= 0.45


def test_fingers_are_around_the_bottle_while_it_is_held():
  """They tell the frames in which the hand has come from those in which it comes."""
  random = np.random.RandomState(1)
  motion, looks = pouring_motion.draw(random), pouring_looks.draw(random)
  looks = looks._replace(
    is_mirrored=False, zoom=1.0, turn=0.0, shift=np.zeros(2), shake=0.0, light=np.zeros(2),
    flicker=0.0, noise=0.0,
  )  # fmt: skip
  frames = pouring_scene.draw(motion, looks, 64, random).astype(float) / 255
  pose = pouring_scene.Pose(motion, looks)
  spots = (pose.bottle * 64).astype(int)
  seen = np.stack([frame[y, x] for frame, (x, y) in zip(frames, spots)])
  is_hand = np.linalg.norm(seen - np.clip(looks.colours['hand'], 0, 1), axis=1) < 0.1
  np.testing.assert_array_equal(is_hand, np.isin(motion.phases, [1, 2, 3]))


def test_a_mirrored_clip_is_drawn_from_the_other_side():
  random = np.random.RandomState(0)
  motion, looks = pouring_motion.draw(random), pouring_looks.draw(random)
  still = looks._replace(
    turn=0.0, shift=np.zeros(2), shake=0.0, light=np.zeros(2), noise=0.0, is_mirrored=False
  )
  state = random.get_state()
  plain = pouring_scene.draw(motion, still, 32, random).astype(int)
  random.set_state(state)
  mirrored = pouring_scene.draw(motion, still._replace(is_mirrored=True), 32, random).astype(int)
  # The grain of the wall is the same on both sides.
  assert np.abs(plain - mirrored[:, :, ::-1]).mean() < 12
  assert np.abs(plain - mirrored).mean() > 20


def test_a_clip_is_a_function_of_seed_split_and_number():
  first = pouring_clips.clip(SMALL, 'train', 1)
  assert pouring_clips.clip(SMALL, 'train', 1) == first
  assert pouring_clips.clip(SMALL._replace(train=70), 'train', 1) == first
  others = [
    pouring_clips.clip(SMALL, 'train', 2),
    pouring_clips.clip(SMALL, 'val', 1),
    pouring_clips.clip(SMALL._replace(seed=4), 'train', 1),
  ]
  assert all(other.frames != first.frames for other in others)
  assert clip_records.decode_frame(first.frames[0]).shape == (32, 32, 3)
  assert len(first.frames) == len(first.frame_labels)
  assert first.frame_label_names == pouring_motion.PHASES


def test_the_default_is_as_large_as_the_published_data_set():
  assert pouring_clips.Request().counts == {'train': 70, 'val': 14, 'test': 32}


def test_splits_are_written_as_published_and_read_back(tmp_path, monkeypatch):
  monkeypatch.setattr(pouring_clips, '_CLIPS_PER_FILE', 2)
  pouring_clips.write(str(tmp_path), SMALL, quiet)
  assert sorted(os.listdir(str(tmp_path))) == [
    'pouring_test-0-of-1.tfrecord',
    'pouring_train-0-of-2.tfrecord',
    'pouring_train-1-of-2.tfrecord',
    'pouring_val-0-of-1.tfrecord',
  ]
  for split, count in SMALL.counts.items():
    found = record_index.open_split(str(tmp_path), 'pouring', split)
    assert [record.name for record in found] == [f'{split}_{number:03d}' for number in range(count)]
    assert record_index.read_clip(found[-1]) == pouring_clips.clip(SMALL, split, count - 1)


def test_clips_are_made_once(tmp_path):
  lines = []
  folder = pouring_clips.generated(str(tmp_path), SMALL, lines.append)
  files = {path: path.stat().st_mtime_ns for path in pathlib.Path(folder).iterdir()}
  assert len(files) == 3
  assert pouring_clips.generated(str(tmp_path), SMALL, lines.append) == folder
  assert {path: path.stat().st_mtime_ns for path in pathlib.Path(folder).iterdir()} == files
  assert len(lines) == 1
  assert pouring_clips.generated(str(tmp_path), SMALL._replace(seed=9), quiet) != folder


def test_what_is_not_finished_is_not_there(tmp_path, monkeypatch):
  def broken(*_):
    raise KeyboardInterrupt

  with monkeypatch.context() as patched:
    patched.setattr(clip_records, 'write', broken)
    with pytest.raises(KeyboardInterrupt):
      pouring_clips.generated(str(tmp_path), SMALL, quiet)
  assert not [path for path in (tmp_path / 'tcc').iterdir() if path.is_dir()]
  folder = pouring_clips.generated(str(tmp_path), SMALL, quiet)
  assert len(os.listdir(folder)) == 3


def test_of_two_who_ask_at_a_time_one_makes_the_clips(tmp_path):
  lines, folders = [], []

  def ask():
    folders.append(pouring_clips.generated(str(tmp_path), SMALL, lines.append))

  both = [threading.Thread(target=ask) for _ in range(2)]
  for thread in both:
    thread.start()
  for thread in both:
    thread.join()
  assert len(lines) == 1
  assert len(folders) == 2
  assert len(set(folders)) == 1


def test_the_cache_is_where_the_user_says(tmp_path, monkeypatch):
  for name in ('TF1_ASCEND_CACHE', 'XDG_CACHE_HOME'):
    monkeypatch.delenv(name, raising=False)
  monkeypatch.setenv('HOME', '/home-of-nobody')
  assert pouring_clips.cache_folder(None) == '/home-of-nobody/.cache/tf1-ascend/tcc'
  monkeypatch.setenv('TF1_ASCEND_CACHE', '/elsewhere')
  assert pouring_clips.cache_folder(None) == '/elsewhere/tcc'
  assert pouring_clips.cache_folder('/here') == '/here/tcc'


def test_a_cache_that_cannot_be_written_is_told(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(errors.InputError, match='cache_path must be a folder this user can write'):
    pouring_clips.generated(str(tmp_path / 'file'), SMALL, quiet)


@pytest.mark.parametrize(
  'wrong, message',
  [
    ({'seed': -1}, 'seed must be a whole number from 0 to 2147483647; got -1'),
    ({'image_size': 8}, 'image_size must be a whole number from 16 to 1024; got 8'),
    ({'val': 0}, 'val must be a whole number from 1'),
    ({'train': 2.5}, 'train must be'),
  ],
)
def test_clips_that_cannot_be_made_are_told(tmp_path, wrong, message):
  with pytest.raises(errors.InputError, match=message):
    pouring_clips.generated(str(tmp_path), SMALL._replace(**wrong), quiet)
