"""A labelled video clip as the published SequenceExample, and TFRecord files of such."""

from __future__ import annotations

import io
from typing import Any, Iterable, NamedTuple, Sequence

import numpy as np
import tensorflow.compat.v1 as tf

from npu_adapter import errors, whole_file

NO_LABEL = -1
_JPEG_QUALITY = 95


class BadRecord(Exception):
  """Bytes that are no clip; the message goes on after the record's name: `it holds no frames`."""


class Clip(NamedTuple):
  """A video, frame by frame."""

  name: str
  frames: Sequence[bytes]  # JPEG, RGB
  frame_labels: Sequence[int] | None = None  # of each frame
  label: int = NO_LABEL  # of the whole clip
  label_text: str = ''
  frame_label_names: Sequence[str] = ()  # what the labels stand for


def encode_frame(pixels: np.ndarray) -> bytes:
  """Returns uint8 [height, width, 3] as JPEG."""
  import PIL.Image

  file = io.BytesIO()
  PIL.Image.fromarray(pixels).save(file, 'JPEG', quality=_JPEG_QUALITY)
  return file.getvalue()


def decode_frame(jpeg: bytes) -> np.ndarray:
  """Returns uint8 [height, width, 3]."""
  import PIL.Image

  return np.asarray(PIL.Image.open(io.BytesIO(jpeg)).convert('RGB'))


def encode(clip: Clip) -> bytes:
  """Returns the record of a clip."""
  if not clip.frames:
    raise errors.InputError(f'a clip must have frames; {clip.name!r} has none.')
  lists = {'video': [_bytes(frame) for frame in clip.frames]}
  if clip.frame_labels is not None:
    if len(clip.frame_labels) != len(clip.frames):
      raise errors.InputError(
        f'a clip must have a label for each frame; {clip.name!r} has {len(clip.frame_labels)} '
        f'labels for {len(clip.frames)} frames.'
      )
    lists['frame_labels'] = [_integer(label) for label in clip.frame_labels]
  context = {
    'name': _bytes(clip.name.encode()),
    'len': _integer(len(clip.frames)),
    'label': _integer(clip.label),
  }
  if clip.label_text:
    context['label_string'] = _bytes(clip.label_text.encode())
  if clip.frame_label_names:
    context['framelabels_string'] = _bytes(','.join(clip.frame_label_names).encode())
  example = tf.train.SequenceExample(
    context=tf.train.Features(feature=context),
    feature_lists=tf.train.FeatureLists(
      feature_list={name: tf.train.FeatureList(feature=values) for name, values in lists.items()}
    ),
  )
  # Else entries stand in any order, and one clip has many forms.
  return example.SerializeToString(deterministic=True)


def decode(record: bytes) -> Clip:
  """Returns the clip of a record; raises BadRecord where it is none."""
  try:
    example = tf.train.SequenceExample.FromString(record)
  except Exception as error:
    # protobuf's own DecodeError stands elsewhere in every version.
    raise BadRecord(f'it is no SequenceExample ({error})') from None
  lists = example.feature_lists.feature_list
  frames = [_only(value.bytes_list, 'frame') for value in lists['video'].feature]
  labels = [_only(value.int64_list, 'frame label') for value in lists['frame_labels'].feature]
  context = example.context.feature
  clip = Clip(
    name=b''.join(context['name'].bytes_list.value).decode('utf-8', 'replace'),
    frames=frames,
    frame_labels=labels or None,
    label=(list(context['label'].int64_list.value) or [NO_LABEL])[0],
    label_text=b''.join(context['label_string'].bytes_list.value).decode('utf-8', 'replace'),
    frame_label_names=_names(context['framelabels_string']),
  )
  _check_counts(clip, list(context['len'].int64_list.value))
  return clip


def _check_counts(clip: Clip, lengths: list[int]) -> None:
  frames = len(clip.frames)
  if not frames:
    raise BadRecord('it holds no frames')
  if lengths != [frames]:
    said = f'len {lengths[0]}' if lengths else 'no len'
    raise BadRecord(f'it holds {frames} frames, and {said}')
  if clip.frame_labels is not None and len(clip.frame_labels) != frames:
    raise BadRecord(f'it holds {frames} frames, and {len(clip.frame_labels)} frame_labels')


def write(path: str, clips: Iterable[Clip]) -> None:
  """Writes clips as a TFRecord file: in full, or not at all."""
  with whole_file.replacing(path) as partial, tf.io.TFRecordWriter(partial) as writer:
    for clip in clips:
      writer.write(encode(clip))


def _bytes(value: bytes) -> Any:
  return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _integer(value: int) -> Any:
  return tf.train.Feature(int64_list=tf.train.Int64List(value=[int(value)]))


def _only(values: Any, what: str) -> Any:
  if len(values.value) != 1:
    raise BadRecord(f'it holds a {what} with {len(values.value)} values')
  return values.value[0]


def _names(feature: Any) -> tuple[str, ...]:
  text = b''.join(feature.bytes_list.value).decode('utf-8', 'replace')
  return tuple(text.split(',')) if text else ()
