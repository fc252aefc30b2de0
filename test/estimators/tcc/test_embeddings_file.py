"""The file of embeddings: both layouts there and back, the published one, damaged files."""

import os
import pickle
import struct

import numpy as np
import pytest

from estimators.tcc.evaluation import embeddings_file
from estimators.tcc.evaluation.clips import Clip
from npu_adapter import errors

ENDINGS = ['.npy', '.npz']


def clip(number, frames, size=3, labels=None):
  chance = np.random.RandomState(number)
  labels = np.arange(frames) // 3 if labels is None else labels
  return Clip(f'víd {number}', chance.randn(frames, size).astype(np.float32), labels)


def pictures(number, frames, height=6, width=5):
  shape = [frames, height, width, 3]
  return np.random.RandomState(number).randint(0, 256, shape).astype(np.uint8)


@pytest.fixture
def extracted():
  """Two clips of every other frame of their videos."""
  clips = [clip(0, 4), clip(1, 7, labels=np.array([-1, 0, 0, 1, 1, 2, -1]))]
  return embeddings_file.Extracted(
    clips, [np.arange(4) * 2, np.arange(7) * 2], [8, 13], [-1, 5], [pictures(0, 4), pictures(1, 7)]
  )


def assert_same(one, other):
  assert [clip.name for clip in one.clips] == [clip.name for clip in other.clips]
  for left, right in zip(one.clips, other.clips):
    assert left.embeddings.dtype == np.float32
    np.testing.assert_array_equal(left.embeddings, right.embeddings)
    np.testing.assert_array_equal(left.labels, right.labels)
  for left, right in zip(one.steps, other.steps):
    np.testing.assert_array_equal(left, right)
  assert one.lengths == other.lengths and one.video_labels == other.video_labels
  assert (one.frames is None) == (other.frames is None)
  for left, right in zip(one.frames or [], other.frames or []):
    assert left.dtype == np.uint8
    np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize('ending', ENDINGS)
@pytest.mark.parametrize('keeps_frames', [True, False])
def test_what_is_written_is_read_back(tmp_path, extracted, ending, keeps_frames):
  path = str(tmp_path / f'my embeddings{ending}')
  extracted = extracted if keeps_frames else extracted._replace(frames=None)
  embeddings_file.save(path, extracted)
  assert_same(embeddings_file.load(path), extracted)
  assert os.listdir(str(tmp_path)) == [f'my embeddings{ending}']


@pytest.mark.parametrize('ending', ENDINGS)
def test_a_file_is_read_by_its_content_whatever_its_name(tmp_path, extracted, ending):
  path = str(tmp_path / f'a{ending}')
  embeddings_file.save(path, extracted)
  os.rename(path, str(tmp_path / 'b.data'))
  assert_same(embeddings_file.load(str(tmp_path / 'b.data')), extracted)


def test_clips_of_whole_videos_need_no_more_than_their_frames(tmp_path):
  clips = [clip(0, 4), clip(1, 2)]
  found = embeddings_file.of_clips(clips)
  assert found.lengths == [4, 2] and found.video_labels == [-1, -1] and found.frames is None
  assert [steps.tolist() for steps in found.steps] == [[0, 1, 2, 3], [0, 1]]


def test_an_npy_is_the_published_dict(tmp_path, extracted):
  path = str(tmp_path / 'embeddings.npy')
  embeddings_file.save(path, extracted)
  found = np.load(path, allow_pickle=True).item()
  assert set(found) == {'embs', 'names', 'steps', 'seq_lens', 'seq_labels', 'labels', 'frames'}
  assert found['names'] == ['víd 0'.encode(), 'víd 1'.encode()]
  assert [embeddings.shape for embeddings in found['embs']] == [(4, 3), (7, 3)]
  assert found['labels'][1].tolist() == [-1, 0, 0, 1, 1, 2, -1]
  assert found['seq_lens'] == [8, 13] and found['steps'][1].tolist() == [0, 2, 4, 6, 8, 10, 12]


def test_an_npz_needs_no_pickle(tmp_path, extracted):
  path = str(tmp_path / 'embeddings.npz')
  embeddings_file.save(path, extracted)
  with np.load(path, allow_pickle=False) as file:
    assert {name: file[name].dtype.kind for name in file.files} == {
      'embs': 'f', 'names': 'U', 'steps': 'i', 'seq_lens': 'i', 'seq_labels': 'i', 'labels': 'i',
      'frames': 'u', 'embs_lens': 'i',
    }  # fmt: skip


@pytest.mark.parametrize('ending', ENDINGS)
def test_labels_that_no_frame_has_are_left_out_and_read_as_none(tmp_path, ending):
  path = str(tmp_path / f'a{ending}')
  bare = embeddings_file.of_clips([clip(0, 4, labels=np.full(4, -1))])
  embeddings_file.save(path, bare)
  with open(path, 'rb') as file:
    content = file.read()
  assert b'seq_labels' in content and b'labels' not in content.replace(b'seq_labels', b'')
  assert_same(embeddings_file.load(path), bare)


def original(path, protocol=None, **changed):
  """A file as the original writes it: no embs_lens, names in arrays, frames as the net saw them."""
  values = {
    'embs': [np.ones([2, 3], np.float32), np.zeros([3, 3], np.float32)],
    'names': [b'a', np.array([b'b'], dtype=object)],
    'steps': [np.arange(2, dtype=np.int32), np.arange(3, dtype=np.int32)],
    'seq_lens': [np.int64(2), np.array([3])],
    'seq_labels': [np.int64(-1), np.array([7])],
    'labels': [np.array([0, 1]), np.array([[0, 1, 1]])],
    **changed,
  }
  values = {name: value for name, value in values.items() if value is not None}
  with open(str(path), 'wb') as file:
    if protocol is None:
      np.save(file, np.array(values, dtype=object), allow_pickle=True)
    else:
      np.lib.format.write_array_header_1_0(
        file, {'descr': '|O', 'fortran_order': False, 'shape': ()}
      )
      pickle.dump(np.array(values, dtype=object), file, protocol)
  return str(path)


@pytest.mark.parametrize('protocol', [None, 2, 3, 4])
def test_a_file_of_the_original_is_read(tmp_path, protocol):
  found = embeddings_file.load(original(tmp_path / 'a.npy', protocol))
  assert [clip.name for clip in found.clips] == ['a', 'b']
  assert found.clips[1].labels.tolist() == [0, 1, 1]
  assert found.video_labels == [-1, 7] and found.lengths == [2, 3]


class _Python2(pickle._Pickler):
  """Writes bytes as the strings of Python 2, which have no encoding."""

  dispatch = dict(pickle._Pickler.dispatch)

  def save_string(self, content):
    self.write(pickle.BINSTRING + struct.pack('<i', len(content)) + content)
    self.memoize(content)

  dispatch[bytes] = save_string


def test_a_file_of_python_2_is_read(tmp_path):
  path = original(tmp_path / 'a.npy')
  values = np.load(path, allow_pickle=True)
  with open(path, 'wb') as file:
    np.lib.format.write_array_header_1_0(file, {'descr': '|O', 'fortran_order': False, 'shape': ()})
    _Python2(file, 2).dump(values)
  found = embeddings_file.load(path)
  assert [clip.name for clip in found.clips] == ['a', 'b']
  np.testing.assert_array_equal(found.clips[0].embeddings, np.ones([2, 3]))


@pytest.mark.parametrize('core', ['numpy.core', 'numpy._core'])
def test_files_of_numpy_1_and_2_are_read_by_both(tmp_path, core):
  path = original(tmp_path / 'a.npy', protocol=2)
  with open(path, 'rb') as file:
    content = file.read()
  content = content.replace(b'numpy._core.', b'numpy.core.')
  assert b'numpy.core.multiarray' in content
  with open(path, 'wb') as file:
    file.write(content.replace(b'numpy.core.', core.encode() + b'.'))
  assert [clip.name for clip in embeddings_file.load(path).clips] == ['a', 'b']


@pytest.mark.parametrize('left_out', ['labels', 'steps', 'seq_lens', 'seq_labels'])
def test_what_a_file_leaves_out_is_unknown_or_follows(tmp_path, left_out):
  found = embeddings_file.load(original(tmp_path / 'a.npy', **{left_out: None}))
  assert found.clips[1].labels.tolist() == ([-1] * 3 if left_out == 'labels' else [0, 1, 1])
  assert found.video_labels == ([-1, -1] if left_out == 'seq_labels' else [-1, 7])
  assert found.steps[1].tolist() == [0, 1, 2] and found.lengths == [2, 3]


def test_frames_of_the_original_become_bytes_without_their_context(tmp_path):
  bytes_ = [pictures(0, 2), pictures(1, 3)]
  as_floats = [found.astype(np.float32) / 127.5 - 1 for found in bytes_]
  # Before each frame the one that the net saw with it.
  frames = [np.repeat(found, 2, axis=0) for found in as_floats]
  for found in frames:
    found[::2] = 0
  loaded = embeddings_file.load(original(tmp_path / 'a.npy', frames=frames))
  for found, expected in zip(loaded.frames, bytes_):
    np.testing.assert_array_equal(found, expected)


class _Program:
  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return os.mkdir, (self.path,)


@pytest.mark.parametrize('protocol', [None, 2])
def test_a_program_in_a_pickle_is_refused_and_does_not_run(tmp_path, protocol):
  trap = str(tmp_path / 'trap')
  path = original(tmp_path / 'a.npy', protocol, more=_Program(trap))
  with pytest.raises(errors.InputError, match=r'it holds \w+\.mkdir, where only arrays'):
    embeddings_file.load(path)
  assert not os.path.exists(trap)
  np.load(path, allow_pickle=True)
  assert os.path.exists(trap)


def assert_refused(path, message):
  with pytest.raises(errors.InputError, match=message) as caught:
    embeddings_file.load(str(path))
  assert repr(str(path)) in str(caught.value)


def test_a_missing_file_is_told_from_a_wrong_one(tmp_path):
  assert_refused(tmp_path / 'a.npy', r'there must be a file of embeddings; got .* writes one\.')
  assert_refused(tmp_path, 'Is a directory')


@pytest.mark.parametrize('ending', ENDINGS)
@pytest.mark.parametrize('keeps_frames', [True, False])
def test_a_file_cut_anywhere_is_refused(tmp_path, extracted, ending, keeps_frames):
  path = tmp_path / f'a{ending}'
  extracted = extracted if keeps_frames else extracted._replace(frames=None)
  embeddings_file.save(str(path), extracted)
  whole = path.read_bytes()
  for length in sorted({0, 3, 5, 8, 60, *range(100, len(whole), 97), len(whole) - 1}):
    path.write_bytes(whole[:length])
    assert_refused(path, 'Extract it again')


@pytest.mark.parametrize('content', [b'', b'GIF89a', b'PK\x03\x04 no zip', b'\x93NUMPY\x01\x00'])
def test_a_file_of_something_else_is_refused(tmp_path, content):
  path = tmp_path / 'a.npy'
  path.write_bytes(content)
  assert_refused(path, 'Extract it again')


@pytest.mark.parametrize(
  ('ending', 'sound', 'damaged'),
  [
    ('.npy', b"{'descr'", b"{'descr("),
    ('.npy', b'multiarray', b'multiarrax'),
    ('.npy', b'\x93NUMPY\x01', b'\x93NUMPY\x09'),
    ('.npz', b"{'descr'", b"{'descr("),
    ('.npz', b'PK\x01\x02', b'PK\x01\x03'),
  ],
)
def test_a_damaged_file_is_refused(tmp_path, extracted, ending, sound, damaged):
  path = tmp_path / f'a{ending}'
  embeddings_file.save(str(path), extracted)
  content = path.read_bytes()
  assert sound in content
  path.write_bytes(content.replace(sound, damaged))
  assert_refused(path, 'Extract it again')


def test_arrays_that_are_no_embeddings_are_refused(tmp_path):
  np.save(str(tmp_path / 'a.npy'), np.zeros([3, 4]))
  assert_refused(tmp_path / 'a.npy', r'it holds an array \[3, 4\] of float64')
  np.save(str(tmp_path / 'b.npy'), np.array([1, 'a'], dtype=object), allow_pickle=True)
  assert_refused(tmp_path / 'b.npy', 'it holds ndarray, where a dict must be')
  np.savez(str(tmp_path / 'c.npz'), x=np.zeros(3))
  assert_refused(tmp_path / 'c.npz', 'it has no embs_lens')


@pytest.mark.parametrize(
  ('changed', 'message'),
  [
    ({'embs': None}, 'it has no embs'),
    ({'names': None}, 'it has no names'),
    ({'names': [b'a']}, 'lists of 2 and of 1 clips'),
    ({'labels': [np.arange(2)]}, 'lists of 2 and of 1 clips'),
    ({'labels': [np.arange(2), np.arange(2)]}, "'b' .* a label for each of its 3 frames"),
    ({'steps': [np.arange(2), np.arange(2)]}, "'b' must have as many steps as .* got 2 and 3"),
    ({'embs': [], 'names': [], 'labels': [], 'steps': [], 'seq_lens': [], 'seq_labels': []},
     'at least 1 clip; got 0'),
    ({'embs': [np.ones([2, 3]), np.ones([3, 4])]}, "as long as 'a', 3; got 4"),
    ({'embs': 5}, 'not iterable'),
    ({'embs': [np.ones([2, 3]), np.array(['x'])]}, 'could not convert'),
    ({'seq_lens': [np.arange(2), 3]}, 'it has 2 values where one is for a whole video'),
    ({'frames': [pictures(0, 2), pictures(1, 4)]}, r'frames \[4, 6, 5, 3\] for 3 embeddings'),
    ({'frames': [pictures(0, 2), pictures(1, 3)[..., 0]]}, r'frames \[3, 6, 5\] for 3'),
    ({'frames': [pictures(0, 2), pictures(1, 3).astype(float)]}, 'floats from -1 to 1; .* float64'),
  ],
)  # fmt: skip
def test_a_dict_that_does_not_fit_together_is_refused(tmp_path, changed, message):
  assert_refused(original(tmp_path / 'a.npy', **changed), message)


def test_an_npz_that_does_not_fit_together_is_refused(tmp_path, extracted):
  path = str(tmp_path / 'a.npz')
  embeddings_file.save(path, extracted)
  with np.load(path) as file:
    values = dict(file)
  values['labels'] = values['labels'][:-1]
  np.savez(path, **values)
  assert_refused(path, 'labels has 10 entries for 11 frames')


@pytest.mark.parametrize('name', ['embeddings', 'embeddings.pkl', 'a.npy.gz'])
def test_another_ending_is_refused_before_anything_is_written(tmp_path, extracted, name):
  with pytest.raises(errors.InputError, match=r'must end with \.npy or \.npz; got'):
    embeddings_file.save(str(tmp_path / name), extracted)
  assert os.listdir(str(tmp_path)) == []


def test_frames_of_two_sizes_are_kept_as_npy_alone(tmp_path, extracted):
  extracted.frames[1] = pictures(1, 7, height=8)
  embeddings_file.save(str(tmp_path / 'a.npy'), extracted)
  assert_same(embeddings_file.load(str(tmp_path / 'a.npy')), extracted)
  with pytest.raises(errors.InputError, match=r'one size .*\[6, 5, 3\], \[8, 5, 3\]\. Write \.npy'):
    embeddings_file.save(str(tmp_path / 'a.npz'), extracted)


def test_what_does_not_fit_together_is_not_written(tmp_path, extracted):
  path = str(tmp_path / 'a.npz')
  with pytest.raises(errors.InputError, match="'víd 1' must have as many frames .* got 6 and 7"):
    embeddings_file.save(
      path, extracted._replace(frames=[extracted.frames[0], extracted.frames[1][:6]])
    )
  assert os.listdir(str(tmp_path)) == []
