"""Records of clips: the published format both ways, files of a split, and what damage is told."""

import importlib.util
import io
import pathlib
import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from estimators.tcc.dataset import clip_records, record_index
from npu_adapter import errors

_spec = importlib.util.spec_from_file_location(
  'small_clips', str(pathlib.Path(__file__).with_name('small_clips.py'))
)
small_clips = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(small_clips)


def example_of(record):
  return tf.train.SequenceExample.FromString(record)


def published(frames=(b'a', b'b'), labels=(0, 1), **context):
  """A SequenceExample put together by hand, as other tools write it."""
  example = tf.train.SequenceExample()
  values = {'name': b'video', 'len': len(frames), 'label': 3, **context}
  for name, value in values.items():
    feature = example.context.feature[name]
    if isinstance(value, bytes):
      feature.bytes_list.value.append(value)
    elif value is not None:
      feature.int64_list.value.append(value)
  for frame in frames:
    example.feature_lists.feature_list['video'].feature.add().bytes_list.value.append(frame)
  for label in labels:
    feature = example.feature_lists.feature_list['frame_labels'].feature.add()
    feature.int64_list.value.append(label)
  return example.SerializeToString()


def test_a_record_is_the_published_sequence_example():
  clip = clip_records.Clip('a näme', [b'x', b'y'], [4, 0], 7, 'pour', ('up', 'down'))
  example = example_of(clip_records.encode(clip))
  context = example.context.feature
  assert context['name'].bytes_list.value[:] == ['a näme'.encode()]
  assert context['len'].int64_list.value[:] == [2]
  assert context['label'].int64_list.value[:] == [7]
  assert context['label_string'].bytes_list.value[:] == [b'pour']
  assert context['framelabels_string'].bytes_list.value[:] == [b'up,down']
  lists = example.feature_lists.feature_list
  assert sorted(lists) == ['frame_labels', 'video']
  assert [list(f.bytes_list.value) for f in lists['video'].feature] == [[b'x'], [b'y']]
  assert [list(f.int64_list.value) for f in lists['frame_labels'].feature] == [[4], [0]]


def test_what_is_not_known_is_not_written():
  example = example_of(clip_records.encode(clip_records.Clip('a', [b'x'])))
  assert sorted(example.context.feature) == ['label', 'len', 'name']
  assert example.context.feature['label'].int64_list.value[:] == [-1]
  assert sorted(example.feature_lists.feature_list) == ['video']


def test_a_clip_comes_back_as_it_was():
  clip = clip_records.Clip('a näme', [b'x', b'y'], [4, 0], 7, 'pour', ('up', 'down'))
  assert clip_records.decode(clip_records.encode(clip)) == clip
  plain = clip_records.Clip('a', [b'x'])
  assert clip_records.decode(clip_records.encode(plain)) == plain


def test_what_other_tools_write_is_read():
  clip = clip_records.decode(published(framelabels_string=b'up,down'))
  assert clip == clip_records.Clip('video', [b'a', b'b'], [0, 1], 3, '', ('up', 'down'))
  assert clip_records.decode(published(labels=())).frame_labels is None
  assert clip_records.decode(published(label=None)).label == -1


def test_a_frame_is_kept_as_jpeg_of_quality_95():
  import PIL.Image

  pixels = np.random.RandomState(0).randint(0, 256, (20, 24, 3)).astype(np.uint8)
  jpeg = clip_records.encode_frame(pixels)
  expected = io.BytesIO()
  PIL.Image.fromarray(pixels).save(expected, 'JPEG', quality=95)
  picture = PIL.Image.open(io.BytesIO(jpeg))
  assert picture.mode == 'RGB'
  assert picture.quantization == PIL.Image.open(expected).quantization
  assert clip_records.decode_frame(jpeg).shape == (20, 24, 3)


def test_red_stays_red():
  pixels = np.zeros((16, 16, 3), np.uint8)
  pixels[..., 0] = 200
  found = clip_records.decode_frame(clip_records.encode_frame(pixels))
  np.testing.assert_allclose(found, pixels, atol=3)


@pytest.mark.parametrize(
  'clip, message',
  [
    (clip_records.Clip('a', []), "must have frames; 'a' has none"),
    (clip_records.Clip('a', [b'x'], [1, 2]), "label for each frame; 'a' has 2 labels for 1 frames"),
  ],
)
def test_what_is_no_clip_is_not_written(tmp_path, clip, message):
  with pytest.raises(errors.InputError, match=message):
    clip_records.write(str(tmp_path / 'x'), [clip_records.Clip('good', [b'x']), clip])
  assert not (tmp_path / 'x').exists()


@pytest.mark.parametrize(
  'record, message',
  [
    (b'\xff\xff no protobuf', 'is no SequenceExample'),
    (published(frames=(), labels=()), 'holds no frames'),
    (published(len=5), 'holds 2 frames, and len 5'),
    (published(len=None), 'holds 2 frames, and no len'),
    (published(labels=(1, 2, 3)), 'holds 2 frames, and 3 frame_labels'),
  ],
  # Its bytes come in another order in each process.
  ids=['no protobuf', 'no frames', 'another len', 'no len', 'more labels'],
)
def test_a_record_that_is_no_clip_is_told_with_file_and_number(tmp_path, record, message):
  path = str(tmp_path / 'pouring_val')
  with tf.io.TFRecordWriter(path) as writer:
    writer.write(published())
    writer.write(record)
  with pytest.raises(errors.InputError) as told:
    record_index.open_split(str(tmp_path), 'pouring', 'val')
  assert message in str(told.value)
  assert f'{path!r} must hold' in str(told.value)
  assert 'record 1:' in str(told.value)
  assert 'Copy the file once more' in str(told.value)


def test_every_record_is_found_and_read_without_those_before_it(tmp_path):
  clips = [small_clips.clip(number, 3 + number, number != 1) for number in range(4)]
  found = small_clips.records(tmp_path, clips)
  assert [record.name for record in found] == [f'clip {number}' for number in range(4)]
  assert [record.frames for record in found] == [3, 4, 5, 6]
  assert [record.has_labels for record in found] == [True, False, True, True]
  for number in (3, 0, 2, 1):
    assert record_index.read_clip(found[number]) == clips[number]
    assert record_index.read(found[number]) == clip_records.encode(clips[number])


@pytest.mark.parametrize('cut', [1, 5, 40])
def test_a_file_that_is_cut_off_is_told_at_the_start(tmp_path, cut):
  found = small_clips.records(tmp_path, [small_clips.clip(0, 3), small_clips.clip(1, 3)])
  path = found[0].path
  with open(path, 'rb') as file:
    content = file.read()
  with open(path, 'wb') as file:
    file.write(content[:-cut])
  with pytest.raises(errors.InputError, match='record 1: it is cut off or damaged'):
    record_index.records_of([path])


@pytest.mark.parametrize('place', [2, 60])
def test_a_changed_byte_is_told(tmp_path, place):
  """One in the length of the record, one in the middle of a picture."""
  found = small_clips.records(tmp_path, [small_clips.clip(0, 3)])
  with open(found[0].path, 'r+b') as file:
    file.seek(place)
    changed = bytes([file.read(1)[0] ^ 1])
    file.seek(place)
    file.write(changed)
  with pytest.raises(errors.InputError, match='record 0: it is cut off or damaged'):
    record_index.records_of([found[0].path])


def test_a_file_that_shrinks_while_it_is_used_is_told(tmp_path):
  (found,) = small_clips.records(tmp_path, [small_clips.clip(0, 3)])
  with open(found.path, 'r+b') as file:
    file.truncate(100)
  with pytest.raises(errors.InputError, match='must not change while it is read'):
    record_index.read(found)


@pytest.mark.parametrize('ending', ['', '.tfrecord', '.tfrecords'])
def test_the_files_of_a_split_are_found_by_either_ending(tmp_path, ending):
  for name in ('pouring_train-1-of-2', 'pouring_train-0-of-2', 'pouring_val-0-of-1'):
    (tmp_path / (name + ending)).write_bytes(b'')
  (tmp_path / 'pouring_train-0-of-2.tfrecord.partial').write_bytes(b'')
  found = record_index.files_of(str(tmp_path), 'pouring', 'train')
  assert found == [str(tmp_path / f'pouring_train-{shard}-of-2{ending}') for shard in (0, 1)]


def test_the_name_of_the_data_set_goes_into_the_path(tmp_path):
  folder = tmp_path / '100% [a] squats_tfrecords'
  folder.mkdir()
  (folder / 'squats_val').write_bytes(b'')
  path = str(tmp_path / '100% [a] %s_tfrecords')
  assert record_index.files_of(path, 'squats', 'val') == [str(folder / 'squats_val')]


def test_a_folder_for_each_class_may_name_its_files_as_it_likes(tmp_path):
  (tmp_path / 'squats').mkdir()
  (tmp_path / 'squats' / 'some_val_file').write_bytes(b'')
  found = record_index.files_of(str(tmp_path / '%s'), 'squats', 'val', is_per_class=True)
  assert [path.rpartition('/')[2] for path in found] == ['some_val_file']
  with pytest.raises(errors.InputError, match='must hold files squats_val'):
    record_index.files_of(str(tmp_path / '%s'), 'squats', 'val')


@pytest.mark.parametrize(
  'names',
  [
    ['a_val-0-of-3', 'a_val-2-of-3'],
    ['a_val-0-of-1', 'a_val-1-of-2'],
    ['a_val-0-of-2', 'a_val-1-of-2', 'a_val-0-of-1'],
  ],
)
def test_files_that_are_missing_or_too_many_are_told(tmp_path, names):
  for name in names:
    (tmp_path / name).write_bytes(b'')
  with pytest.raises(errors.InputError, match='must be all that were written of it'):
    record_index.files_of(str(tmp_path), 'a', 'val')


def test_a_folder_that_is_missing_or_holds_others_is_told(tmp_path):
  (tmp_path / 'pouring_train').write_bytes(b'')
  with pytest.raises(errors.InputError, match=r'no folder .*videos_to_tfrecords\.py'):
    record_index.files_of(str(tmp_path / 'missing'), 'pouring', 'train')
  with pytest.raises(errors.InputError, match=r'files pouring_val\*; .* but pouring_train'):
    record_index.files_of(str(tmp_path), 'pouring', 'val')
  with pytest.raises(errors.InputError, match=re.escape(repr(str(tmp_path)))):
    record_index.files_of(str(tmp_path), 'squats', 'train')
