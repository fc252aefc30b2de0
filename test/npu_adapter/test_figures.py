"""Figures: real PNG files, tables that line up, and no screen, pyplot or TensorFlow in between."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from matplotlib import image

from npu_adapter import figures

REPOSITORY = pathlib.Path(__file__).parents[2]
LABELS = ['_silence_', '_unknown_', 'yes', 'no']
MATRIX = [[12, 0, 0, 0], [1, 1234, 5, 6], [0, 7, 99, 0], [0, 0, 0, 0]]


def train(step, loss):
  return {'event': 'train', 'step': step, 'loss': loss}


def evaluate(step, split='validation', **metrics):
  return {'event': 'evaluate', 'step': step, 'split': split, **metrics}


EVENTS = [
  {'event': 'start', 'step': 0, 'batch_size': 4},
  evaluate(0, accuracy=0.1),
  evaluate(0, 'test', accuracy=0.08),
  train(100, 2.0),
  train(200, 1.5),
  evaluate(200, accuracy=0.5),
  {'event': 'end', 'step': 200, 'seconds': 1.0},
]


def pixels(path):
  """The picture, float [height, width, 4]; matplotlib checks the file as it reads it."""
  assert path.read_bytes()[:8] == b'\x89PNG\r\n\x1a\n'
  found = image.imread(str(path))
  assert 200 < found.shape[0] < 2000 and 200 < found.shape[1] < 2000
  return found


def run_python(code, **environment):
  variables = {name: value for name, value in os.environ.items() if name != 'DISPLAY'}
  done = subprocess.run(
    [sys.executable, '-c', code], cwd=str(REPOSITORY), env={**variables, **environment},
    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
  )  # fmt: skip
  return done.stdout.decode()


def curve(folder, events, **kwargs):
  path = folder / 'learning curve.png'
  figures.learning_curve(events, str(path), **kwargs)
  assert os.listdir(str(folder)) == ['learning curve.png']
  return pixels(path)


def differs(one, other):
  return one.shape != other.shape or not np.array_equal(one, other)


def test_a_learning_curve_shows_losses_evaluations_and_title(tmp_path):
  whole = curve(tmp_path, EVENTS)
  assert not differs(whole, curve(tmp_path, list(EVENTS)))
  for place in (1, 2, 3, 4, 5):
    assert differs(whole, curve(tmp_path, EVENTS[:place] + EVENTS[place + 1 :])), EVENTS[place]
  assert differs(whole, curve(tmp_path, EVENTS, title='ds_cnn'))


@pytest.mark.parametrize('events', [[], EVENTS[3:5], EVENTS[1:2], EVENTS[3:4]])
def test_a_learning_curve_works_with_few_events_or_none(tmp_path, events):
  curve(tmp_path, events)


def test_values_that_were_not_finite_are_gaps(tmp_path):
  gap, zero = (
    [train(1, 2.0), train(2, missing), train(3, 1.0), evaluate(1, accuracy=missing)]
    for missing in (None, 0.0)
  )
  assert differs(curve(tmp_path, gap), curve(tmp_path, [gap[0], *gap[2:]]))
  assert differs(curve(tmp_path, gap), curve(tmp_path, zero))


def test_a_single_evaluation_is_a_point_that_can_be_seen(tmp_path):
  found = curve(tmp_path, [evaluate(100, accuracy=0.5)])
  height, width = found.shape[:2]
  below_the_middle = found[height // 2 :, : int(0.6 * width)]
  assert np.any(below_the_middle[..., 2] - below_the_middle[..., 0] > 0.5)


def test_another_metric_is_drawn_where_it_was_measured(tmp_path):
  events = [*EVENTS, evaluate(100, mean=0.3), evaluate(200, mean=0.9)]
  assert differs(curve(tmp_path, events, metric='mean'), curve(tmp_path, events))


def test_a_small_loss_and_one_half_as_large_differ_on_a_log_scale_alone(tmp_path):
  def losses(last):
    return [train(100, 1.0), train(200, last), evaluate(100, mse=1.0), evaluate(200, mse=last)]

  for scale in (False, True):
    found, other = (
      curve(tmp_path, losses(last), metric='mse', log_scale=scale) for last in (1e-7, 5e-8)
    )
    assert differs(found, other) == scale


def test_a_confusion_picture_shows_every_count(tmp_path):
  path = tmp_path / 'confusion matrix.png'
  figures.confusion_picture(MATRIX, LABELS, str(path), 'test accuracy')
  whole = pixels(path)
  figures.confusion_picture([[11, *MATRIX[0][1:]], *MATRIX[1:]], LABELS, str(path), 'test accuracy')
  assert differs(whole, pixels(path))
  assert os.listdir(str(tmp_path)) == ['confusion matrix.png']


@pytest.mark.parametrize(
  'labels', [['one'], ['a label that goes on and on' * 3, 'b'], ['a$\\frac$', '_', '50%', '{x}']]
)
def test_a_confusion_picture_takes_any_labels_and_arrays(tmp_path, labels):
  path = tmp_path / 'a.png'
  figures.confusion_picture(np.eye(len(labels), dtype=np.int32), labels, str(path), 'a $ and $_$')
  pixels(path)


def test_a_picture_that_cannot_be_written_leaves_the_one_before(tmp_path):
  path = tmp_path / 'a.png'
  path.write_bytes(b'the one before')
  code = (
    'import resource\n'
    'from npu_adapter import figures\n'
    'figures.require()\n'
    'resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n'
    f'figures.learning_curve([], {str(path)!r})\n'
  )
  assert 'File too large' in run_python(code)
  assert path.read_bytes() == b'the one before'


def test_a_confusion_table_lines_up():
  lines = figures.confusion_text(MATRIX, LABELS).split('\n')
  assert lines == [
    '          _sil _unk  yes   no',
    '_silence_   12    0    0    0',
    '_unknown_    1 1234    5    6',
    'yes          0    7   99    0',
    'no           0    0    0    0',
  ]


@pytest.mark.parametrize('count', [0, 7, 123456])
def test_a_confusion_table_lines_up_whatever_the_counts(count):
  head, *rows = figures.confusion_text(np.full([3, 3], count), ['a', 'bee', 'seven']).split('\n')
  assert {len(row) for row in rows} == {len(head)}
  places = [place for place in range(1, len(head)) if head[place - 1 : place + 1] in ('a ', 'e ')]
  for row in rows:
    assert row.split()[1:] == [str(count)] * 3
    for place in [*places, len(head)]:
      assert row[place - 1].isdigit() and not row[place : place + 1].isdigit()


def test_without_matplotlib_the_error_says_what_to_install():
  code = (
    'import sys\n'
    'sys.modules["matplotlib"] = None\n'
    'from npu_adapter import errors, figures\n'
    'try: figures.require()\n'
    'except errors.AdapterError as error: print(error)\n'
  )
  text = run_python(code)
  assert text.startswith('drawing the learning curve needs matplotlib; ')
  assert text.endswith("Install it: pip install '.[models]'\n")


def test_with_matplotlib_nothing_is_required():
  figures.require()


def test_pictures_need_no_screen_and_leave_pyplot_and_tensorflow_alone(tmp_path):
  path = str(tmp_path / 'a.png')
  code = (
    'import sys\n'
    'from npu_adapter import figures\n'
    'figures.require()\n'
    f'figures.learning_curve([], {path!r})\n'
    f'figures.confusion_picture([[1]], ["a"], {path!r})\n'
    'print(sorted({"matplotlib.pyplot", "tensorflow", "tkinter"} & set(sys.modules)))\n'
  )
  assert run_python(code, MPLBACKEND='TkAgg').splitlines()[-1] == '[]'
  pixels(tmp_path / 'a.png')
