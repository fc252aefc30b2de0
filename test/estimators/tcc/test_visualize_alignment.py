"""visualize_alignment.py: pictures that show the matched frames, flags, errors; no TensorFlow."""

import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageSequence

from estimators.tcc.evaluation import alignment_picture, embeddings_file
from estimators.tcc.evaluation.clips import Clip

SCRIPT = pathlib.Path(__file__).parents[3] / 'estimators' / 'tcc' / 'visualize_alignment.py'
FRAMES = (12, 20, 9)
SIDE = 24
BLUES = (0, 128, 255)


def gray_of(progress):
  """How bright a frame is: what can be read off a picture again."""
  return np.rint(20 + 200 * np.asarray(progress)).astype(int)


def extracted(keeps_frames=True):
  """Clips of one movement at several speeds; brightness is progress, blueness tells the clip."""
  clips, frames = [], []
  for number, count in enumerate(FRAMES):
    progress = np.linspace(0, 1, count)
    embeddings = np.stack([progress, 1 - progress], axis=1).astype(np.float32)
    clips.append(Clip(f'clip $\\frac$ {number}', embeddings, np.zeros(count, int)))
    pictures = np.empty([count, SIDE, SIDE, 3], np.uint8)
    pictures[..., :2] = gray_of(progress)[:, None, None, None]
    pictures[..., 2] = BLUES[number]
    frames.append(pictures)
  return embeddings_file.of_clips(clips, frames if keeps_frames else None)


@pytest.fixture
def embeddings(tmp_path):
  path = str(tmp_path / 'my embeddings.npy')
  embeddings_file.save(path, extracted())
  return path


def run(*flags, status=0, cwd='/'):
  clean = {
    name: value for name, value in os.environ.items() if name not in ('PYTHONPATH', 'DISPLAY')
  }
  done = subprocess.run(
    [sys.executable, '-X', 'importtime', str(SCRIPT), *flags],
    capture_output=True, cwd=str(cwd), env=clean, check=False,
  )  # fmt: skip
  lines = done.stderr.decode().splitlines()
  imported = {line.rpartition('|')[2].strip() for line in lines if line.startswith('import time:')}
  errors = [line for line in lines if not line.startswith('import time:')]
  assert done.returncode == status, errors
  assert not {'tensorflow', 'matplotlib.pyplot', 'tkinter'} & imported
  return '\n'.join([done.stdout.decode(), *errors])


def moments_of(path):
  """The pictures of a GIF as RGB arrays, and how long each is shown in ms."""
  with Image.open(path) as file:
    return [
      (np.asarray(frame.convert('RGB')).astype(int), frame.info['duration'])
      for frame in ImageSequence.Iterator(file)
    ]


def tile(picture, row, column, side=SIDE):
  """The colour in the middle of a tile, and which clip and progress it is of."""
  gap, caption = alignment_picture._GAP_PX, alignment_picture._CAPTION_PX
  y = gap + row * (side + caption + gap) + caption + side // 2
  x = gap + column * (side + gap) + side // 2
  red, green, blue = picture[y, x]
  number = min(range(3), key=lambda k: abs(blue - BLUES[k]))
  return number, ((red + green) / 2 - 20) / 200


def test_a_grid_shows_every_clip_in_step_with_the_reference(tmp_path, embeddings):
  path = str(tmp_path / 'alignment.gif')
  assert f'wrote {path}' in run(f'--embs_path={embeddings}', f'--video_path={path}')
  moments = moments_of(path)
  assert [duration for _, duration in moments] == [50] * FRAMES[0]
  for place, (picture, _) in enumerate(moments):
    progress = place / (FRAMES[0] - 1)
    for number, (row, column) in enumerate([(0, 0), (0, 1), (1, 0)]):
      shown, found = tile(picture, row, column)
      assert shown == number
      # The nearest frame is at most half a frame away.
      assert abs(found - progress) <= 0.5 / (FRAMES[number] - 1) + 0.03


@pytest.mark.parametrize('keeps', ['.npy', '.npz'])
def test_a_sheet_shows_moments_from_the_first_to_the_last(tmp_path, keeps):
  source, path = str(tmp_path / f'a{keeps}'), str(tmp_path / 'alignment.png')
  embeddings_file.save(source, extracted())
  run(f'--embs_path={source}', f'--video_path={path}', '--reference_video=1')
  with Image.open(path) as file:
    picture = np.asarray(file.convert('RGB')).astype(int)
  for row, number in enumerate((1, 0, 2)):
    found = [tile(picture, row, column) for column in range(8)]
    assert [shown for shown, _ in found] == [number] * 8
    progress = [value for _, value in found]
    assert progress[0] == pytest.approx(0, abs=0.01) and progress[-1] == pytest.approx(1, abs=0.01)
    assert (np.diff(progress) > 0).all()


def test_without_the_grid_the_others_take_turns(tmp_path, embeddings):
  path = str(tmp_path / 'turns.gif')
  run(
    f'--embs_path={embeddings}', f'--video_path={path}', '--grid_mode', 'False',
    '--switch_video=3', '--interval=120',
  )  # fmt: skip
  moments = moments_of(path)
  assert [duration for _, duration in moments] == [120] * FRAMES[0]
  assert [tile(picture, 0, 0)[0] for picture, _ in moments] == [0] * 12
  assert [tile(picture, 0, 1)[0] for picture, _ in moments] == [1, 1, 1, 2, 2, 2] * 2
  for place, (picture, _) in enumerate(moments):
    assert abs(tile(picture, 0, 1)[1] - place / 11) < 0.1


def test_a_candidate_that_is_asked_for_is_the_only_one(tmp_path, embeddings):
  path = str(tmp_path / 'one.gif')
  run(f'--embs_path={embeddings}', f'--video_path={path}', '--nogrid_mode', '--candidate_video=2')
  assert {tile(picture, 0, 1)[0] for picture, _ in moments_of(path)} == {2}
  run(f'--embs_path={embeddings}', f'--video_path={path}', '--candidate_video=2')
  picture = moments_of(path)[0][0]
  assert picture.shape[0] < 2 * SIDE and tile(picture, 0, 1)[0] == 2


@pytest.fixture
def back_and_forth(tmp_path):
  """A clip that stops and looks back: its nearest frames step back, warped ones cannot."""
  found = extracted()
  progress = np.array([0.0, 0.4, 0.2, 0.6, 0.5, 0.7, 0.65, 0.9, 1.0])
  wild = np.stack([progress, 1 - progress], axis=1).astype(np.float32)
  found.clips[2] = found.clips[2]._replace(embeddings=wild)
  path = str(tmp_path / 'wild.npz')
  embeddings_file.save(path, found)
  return path


@pytest.mark.parametrize('use_dtw', [False, True])
def test_warped_the_frames_never_step_back(tmp_path, back_and_forth, use_dtw):
  path = str(tmp_path / 'a.gif')
  run(
    f'--embs_path={back_and_forth}', f'--video_path={path}', '--nogrid_mode', '--candidate_video=2',
    f'--use_dtw={use_dtw}',
  )  # fmt: skip
  shown = [tile(picture, 0, 1)[1] for picture, _ in moments_of(path)]
  assert (min(np.diff(shown)) >= -0.02) == use_dtw


def test_normalised_embeddings_are_compared_by_direction(tmp_path):
  """Of the other clip, later frames have longer embeddings: by length the last one is nearest."""
  found = extracted()
  angle = np.linspace(0, 1.5, 12)
  found.clips[0] = found.clips[0]._replace(
    embeddings=10 * np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
  )
  angle = np.linspace(0, 1.5, 20)
  length = np.linspace(1, 9, 20)
  found.clips[1] = found.clips[1]._replace(
    embeddings=(length * [np.cos(angle), np.sin(angle)]).T.astype(np.float32)
  )
  source, path = str(tmp_path / 'a.npy'), str(tmp_path / 'a.gif')
  embeddings_file.save(source, found)
  flags = [f'--embs_path={source}', f'--video_path={path}', '--nogrid_mode', '--candidate_video=1']
  for normalized in (True, False):
    run(*flags, f'--normalize_embeddings={normalized}')
    error = [
      abs(tile(picture, 0, 1)[1] - k / 11) for k, (picture, _) in enumerate(moments_of(path))
    ]
    assert (max(error) < 0.1) == normalized


def test_distances_are_drawn_without_frames_and_with_the_match(tmp_path, back_and_forth):
  source = str(tmp_path / 'bare.npy')
  embeddings_file.save(source, embeddings_file.load(back_and_forth)._replace(frames=None))
  found = {}
  for use_dtw in (False, True):
    path = str(tmp_path / f'{use_dtw}.png')
    run(
      f'--embs_path={source}', f'--distance_plot_path={path}', '--candidate_video=2',
      f'--use_dtw={use_dtw}',
    )  # fmt: skip
    with Image.open(path) as file:
      found[use_dtw] = np.asarray(file.convert('RGB')).astype(int)
    red = (found[use_dtw] == [255, 0, 0]).all(axis=-1)
    assert 100 < red.sum() < 5000
  assert not np.array_equal(found[False], found[True])
  assert sorted(os.listdir(str(tmp_path))) == ['False.png', 'True.png', 'bare.npy', 'wild.npz']


def test_clips_larger_than_a_tile_and_many_of_them_fit_a_screen(tmp_path):
  frames = np.zeros([2, 300, 400, 3], np.uint8)
  shown = [alignment_picture.Shown(number, frames, np.arange(2)) for number in range(144)]
  for name in ('a.gif', 'a.png'):
    path = str(tmp_path / name)
    alignment_picture.write_grid(path, shown if name == 'a.gif' else shown[:5], 50)
    with Image.open(path) as file:
      assert file.size[0] <= 1300 and file.size[1] <= 1300


def test_help_needs_neither_tensorflow_nor_a_file(tmp_path):
  text = run('--help', cwd=tmp_path)
  for name in (
    'video_path', 'embs_path', 'use_dtw', 'reference_video', 'switch_video', 'candidate_video',
    'normalize_embeddings', 'grid_mode', 'interval', 'distance_plot_path',
  ):  # fmt: skip
    assert f'{name}\n' in text
  assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    ([], 'embs_path must be given; got none'),
    (['--embs_path={}'], 'video_path or distance_plot_path must be given; got neither'),
    (['--embs_path=no.npy', '--video_path=a.gif'], r"must be a file of embeddings; got 'no.npy'"),
    (['--embs_path={}', '--video_path=a.mp4'], r"must end with .gif or .png; got 'a.mp4'"),
    (['--embs_path={}', '--video_path=no folder/a.gif'], "a folder that is there; got 'no folder/"),
    (['--embs_path={}', '--distance_plot_path=a.gif'], 'distance_plot_path must end with .png'),
    (['--embs_path={}', '--video_path=a.gif', '--reference_video=3'],
     'must be numbers of clips, and of two at least; got 3 and all; .* has 3 clip'),
    (['--embs_path={}', '--video_path=a.gif', '--candidate_video=1,7'], 'got 0 and 1,7;'),
    (['--embs_path={}', '--video_path=a.gif', '--candidate_video=x'], 'got 0 and x;'),
    (['--embs_path={}', '--video_path=a.gif', '--interval=5'], '--interval=5'),
    (['--embs_path={}', '--video_path=a.gif', '--switch_video=0'], '--switch_video=0'),
    (['--embs_path={}', '--use_dwt'], "no flag --use_dwt. Did you mean 'use_dtw'"),
  ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused(tmp_path, embeddings, flags, message):
  text = run(*(flag.format(embeddings) for flag in flags), status=2, cwd=tmp_path)
  assert 'Traceback' not in text
  assert re.search(message, text), text
  assert os.listdir(str(tmp_path)) == ['my embeddings.npy']


def test_a_file_without_frames_or_with_one_clip_is_refused(tmp_path):
  source = str(tmp_path / 'a.npy')
  embeddings_file.save(source, extracted(keeps_frames=False))
  text = run(f'--embs_path={source}', '--video_path=a.gif', status=2, cwd=tmp_path)
  assert 'must hold frames for a picture of them' in text and '--keep_data' in text
  embeddings_file.save(source, embeddings_file.of_clips(extracted().clips[:1]))
  text = run(f'--embs_path={source}', '--distance_plot_path=a.png', status=2, cwd=tmp_path)
  assert 'has 1 clip(s)' in text
