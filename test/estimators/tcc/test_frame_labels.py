"""Labels of frames from what annotators marked in a video."""

import json

import pytest

from estimators.tcc.dataset import frame_labels
from npu_adapter import errors

Segment = frame_labels.Segment
SECOND = 1000000


def marks(*annotators):
  """Of each annotator the segments in seconds, numbered from 0."""
  return {
    f'person {number}': {
      str(label): [start * SECOND, end * SECOND] for label, (start, end) in enumerate(found)
    }
    for number, found in enumerate(annotators)
  }


def test_annotators_are_averaged_and_gaps_closed_in_the_middle():
  found = frame_labels.merged(marks([(0, 2), (4, 6), (6, 9)], [(2, 4), (4, 8), (9, 11)]))
  assert found == [Segment(0, 1, 3.5), Segment(1, 3.5, 7.25), Segment(2, 7.25, 10)]


def test_segments_that_overlap_part_in_the_middle():
  assert frame_labels.merged(marks([(0, 4), (2, 6)])) == [Segment(0, 0, 3), Segment(1, 3, 6)]


def test_segments_come_in_the_order_of_time_whatever_their_numbers():
  found = frame_labels.merged(marks([(5, 6), (1, 2), (3, 4)]))
  assert [segment.label for segment in found] == [1, 2, 0]


def test_a_segment_within_another_does_not_turn_time_back():
  found = frame_labels.merged(marks([(0, 10), (1, 2), (8, 9)]))
  assert [segment.start_s for segment in found] == [0, 5.5, 5.5]
  assert frame_labels.labels_at([5, 6], found) == [0, 2]


def test_frames_get_the_label_of_their_time_and_outside_that_of_the_nearest():
  segments = [Segment(2, 1.0, 3.0), Segment(0, 3.0, 5.0)]
  assert frame_labels.labels_at([0, 1, 2.99, 3.0, 4.99, 5, 9], segments) == [2, 2, 2, 0, 0, 0, 0]


@pytest.fixture
def label_file(tmp_path):
  def written(content):
    path = tmp_path / 'labels.json'
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return frame_labels.LabelFile(str(path))

  return written


def test_a_label_file_has_the_segments_of_each_video(label_file):
  file = label_file({'a': marks([(0, 1), (1, 2)]), 'b': marks([(0, 3)])})
  assert file.segments('a', expected=2) == [Segment(0, 0, 1), Segment(1, 1, 2)]
  assert file.segments('b') == [Segment(0, 0, 3)]


@pytest.mark.parametrize(
  'content, message',
  [
    ('no JSON', r'label_file must be a JSON file; .*labels\.json'),
    ([1], 'label_file must hold a JSON object'),
  ],
)
def test_what_is_no_label_file_is_told(label_file, content, message):
  with pytest.raises(errors.InputError, match=message):
    label_file(content)


def test_a_missing_label_file_is_told(tmp_path):
  with pytest.raises(errors.InputError, match='label_file must be a JSON file'):
    frame_labels.LabelFile(str(tmp_path / 'missing.json'))


@pytest.mark.parametrize(
  'found, message',
  [
    (marks([(0, 1)]), 'there must be 2 segments; there are 1'),
    (marks([(0, 1), (1, 2)], [(0, 1)]), r"same segments; 'person 1' has \[0\], another \[0, 1\]"),
    (marks([(2, 1), (2, 3)]), 'each with an end behind its start'),
    ({}, 'an entry for each annotator'),
    ({'x': {}}, 'at least one segment'),
    ({'x': {'0': [1]}}, "'x' must have marked segments as"),
    ({'x': {'first': [1, 2]}}, "'x' must have marked segments as"),
    ({'x': [[1, 2]]}, "'x' must have marked segments as"),
    ({'x': {'-1': [1, 2]}}, 'numbered from 0'),
  ],
)
def test_marks_that_do_not_fit_are_told_with_file_and_video(label_file, found, message):
  file = label_file({'a video': found})
  with pytest.raises(errors.InputError, match=message) as told:
    file.segments('a video', expected=2)
  assert file.path in str(told.value)
  assert "video 'a video'" in str(told.value)


def test_a_video_without_an_entry_is_told_with_the_nearest(label_file):
  with pytest.raises(errors.InputError, match="'creek_1' has none. Did you mean 'creek1'"):
    label_file({'creek1': marks([(0, 1)])}).segments('creek_1')
