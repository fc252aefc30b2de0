"""Small clips for tests: plain colours, so that a picture tells which frame of which clip it is."""

import numpy as np

from estimators.tcc.dataset import clip_records, record_index


def grey(clip, frame):
  """What the pictures of a clip are like; of the clips 0 to 6 no two are."""
  return 30 + clip * 30 + frame


def picture(clip, frame):
  """A flat picture; JPEG keeps its grey to within 1."""
  return np.full((16, 16, 3), grey(clip, frame), np.uint8)


def clip(number, frames, has_labels=True):
  """Clip `number`; the label of a frame is its number over 10."""
  return clip_records.Clip(
    f'clip {number}',
    [clip_records.encode_frame(picture(number, frame)) for frame in range(frames)],
    [frame // 10 for frame in range(frames)] if has_labels else None,
  )


def records(folder, clips, dataset='pouring', split='train'):
  """Writes clips as one file and returns their records."""
  clip_records.write(str(folder / f'{dataset}_{split}-0-of-1.tfrecord'), clips)
  return record_index.open_split(str(folder), dataset, split)
