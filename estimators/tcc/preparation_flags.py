"""The flags that videos_to_tfrecords and images_to_tfrecords have in common. No TensorFlow."""

from __future__ import annotations

from typing import Any

from estimators.tcc.dataset import frame_labels, video_frames
from npu_adapter import errors, tool_command

_TRUTHS = {'true': True, 't': True, '1': True, 'false': False, 'f': False, '0': False}


def add_to(parser: Any) -> None:
  """Adds what says how frames are kept, and what is known of them."""
  add = parser.add_argument
  add('--name', required=True, help='what the files begin with: <data set>_<split>, as pouring_val')
  add('--output_dir', required=True, metavar='DIR', help='folder to write the files to')
  add(
    '--label_file', metavar='JSON', help='segments: video -> annotator -> number -> [start, end] µs'
  )
  add(
    '--frame_labels', type=_words, default=(), metavar='NAME,NAME,...',
    help='what the segments show, in the order of their numbers',
  )  # fmt: skip
  add(
    '--action_label', type=tool_command.number(int, -1), default=-1, metavar='N',
    help='label of all videos (default: -1, none)',
  )  # fmt: skip
  add(
    '--expected_segments', type=tool_command.number(int, -1), default=-1, metavar='N',
    help='segments of each video (default: -1, any number)',
  )  # fmt: skip
  _add_switch(add, 'rotate', False, 'turn the frames clockwise by 90 degrees')
  _add_switch(add, 'resize', True, 'bring the frames to --width and --height')
  for side in ('width', 'height'):
    add(
      f'--{side}', type=tool_command.number(int, 1, 65500), default=224, metavar='PX',
      help=f'{side} of a frame before it is turned (default: 224)',
    )  # fmt: skip


def _add_switch(add: Any, name: str, default: bool, text: str) -> None:
  """--name, --name=false and --noname, as the published tools take them."""
  add(
    f'--{name}', type=_truth, nargs='?', const=True, default=default, metavar='true|false',
    help=f'{text} (default: {default})',
  )  # fmt: skip
  add(f'--no{name}', dest=name, action='store_false', help=f'the same as --{name}=false')


def _truth(text: str) -> bool:
  return _TRUTHS[tool_command.one_of(*_TRUTHS)(text.lower())]


def _words(text: str) -> tuple[str, ...]:
  return tuple(word.strip() for word in text.split(',') if word.strip())


def form(asked: Any) -> video_frames.Form:
  """What the flags say of the frames."""
  if not asked.resize:
    return video_frames.Form(None, None, asked.rotate)
  return video_frames.Form(asked.width, asked.height, asked.rotate)


def write(asked: Any, sources: Any, per_file: int) -> None:
  """Writes the records of the sources as the flags say."""
  from estimators.tcc.dataset import preparation

  if '/' in asked.name:
    raise errors.InputError(
      f'name must be no path; got {asked.name!r}. --output_dir is the folder.'
    )
  labels = preparation.Labels(
    frame_labels.LabelFile(asked.label_file) if asked.label_file else None,
    asked.expected_segments,
    asked.frame_labels,
    asked.action_label,
  )
  made = [preparation.Source(*source) for source in sources]
  for path in preparation.write(asked.output_dir, asked.name, made, per_file, labels):
    print(f'wrote {path}')
