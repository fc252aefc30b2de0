#!/usr/bin/env python3
"""Shows how well clips are aligned: their frames in step with those of a reference clip.

Reads what extract_embeddings.py has written; for pictures of frames with --keep_data. What is shown
with a frame of the reference is the nearest frame of each other clip, or with --use_dtw the one
that time warping matches with it, which never steps back. --distance_plot_path draws the distances
themselves, with the match in red; it needs no frames.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from absl import flags as absl_flags  # noqa: E402

from npu_adapter import command_line, errors  # noqa: E402

FLAGS = absl_flags.FLAGS

_TEXT, _WORDS = absl_flags.DEFINE_string, absl_flags.DEFINE_list
_COUNT, _SWITCH = absl_flags.DEFINE_integer, absl_flags.DEFINE_bool

_TEXT('embs_path', None, 'file of extract_embeddings.py; must be given')
_TEXT('video_path', None, 'picture to write: .gif moves, .png shows some moments')
_TEXT('distance_plot_path', None, '.png to write: distances of the reference and the first other')
_SWITCH('use_dtw', False, 'match by dynamic time warping, not by the nearest frame')
_COUNT('reference_video', 0, 'number of the clip that the others follow', lower_bound=0)
_WORDS('candidate_video', None, 'numbers of the others, with commas between (default: all)')
_SWITCH('grid_mode', True, 'all clips at once; without it the reference and the others in turn')
_COUNT('switch_video', 10, 'frames of the reference that a turn lasts', lower_bound=1)
_SWITCH('normalize_embeddings', False, 'compare embeddings of length 1')
_COUNT('interval', 50, 'ms from one frame to the next', lower_bound=10)


def main(argv):
  """Reads the flags and writes what was asked for."""
  del argv
  _check_paths()
  from estimators.tcc.evaluation import embeddings_file

  extracted = embeddings_file.load(FLAGS.embs_path)
  numbers = _numbers(len(extracted.clips))
  if FLAGS.video_path and extracted.frames is None:
    raise errors.InputError(
      f'{FLAGS.embs_path!r} must hold frames for a picture of them; got embeddings alone. Extract '
      'them with --keep_data, or ask for --distance_plot_path.'
    )
  matches = _matches(extracted.clips, numbers)
  if FLAGS.video_path:
    _draw_frames(extracted.frames, numbers, matches)
    print(f'wrote {FLAGS.video_path}')
  if FLAGS.distance_plot_path:
    _draw_distances(extracted.clips, numbers, matches[0])
    print(f'wrote {FLAGS.distance_plot_path}')


def _check_paths():
  """Before the work: what is to be read and written."""
  from estimators.tcc.evaluation import alignment_picture

  if not FLAGS.embs_path:
    raise errors.InputError('embs_path must be given; got none. --embs_path=embeddings.npy')
  outputs = [path for path in (FLAGS.video_path, FLAGS.distance_plot_path) if path]
  if not outputs:
    raise errors.InputError(
      'video_path or distance_plot_path must be given; got neither. --video_path=alignment.gif'
    )
  if FLAGS.video_path:
    alignment_picture.check_path(FLAGS.video_path)
  if FLAGS.distance_plot_path and not FLAGS.distance_plot_path.lower().endswith('.png'):
    raise errors.InputError(
      f'distance_plot_path must end with .png; got {FLAGS.distance_plot_path!r}.'
    )
  for path in outputs:
    if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
      raise errors.InputError(
        f'a picture must be written into a folder that is there; got {path!r}.'
      )


def _numbers(count):
  """Numbers of the reference and of the other clips, all of them in a file of `count` clips."""
  reference, words = FLAGS.reference_video, FLAGS.candidate_video
  others = [number for number in range(count) if number != reference]
  if words:
    others = [int(word) if word.strip().isdigit() else -1 for word in words]
  if count < 2 or not all(0 <= number < count for number in [reference, *others]):
    raise errors.InputError(
      'reference_video and candidate_video must be numbers of clips, and of two at least; got '
      f'{reference} and {",".join(words or ["all"])}; {FLAGS.embs_path!r} has {count} clip(s), '
      'numbered from 0.'
    )
  return [reference, *others]


def _matches(clips, numbers):
  """Of the reference and each other clip."""
  from estimators.tcc.evaluation import frame_distances, frame_matches

  embeddings = [clips[number].embeddings for number in numbers]
  if FLAGS.normalize_embeddings:
    embeddings = [frame_distances.normalized(found) for found in embeddings]
  return [frame_matches.match(embeddings[0], other, FLAGS.use_dtw) for other in embeddings[1:]]


def _draw_frames(frames, numbers, matches):
  import numpy as np

  from estimators.tcc.evaluation import alignment_picture

  orders = [np.arange(len(frames[numbers[0]])), *(match.frames for match in matches)]
  shown = [
    alignment_picture.Shown(number, frames[number], order) for number, order in zip(numbers, orders)
  ]
  if FLAGS.grid_mode:
    alignment_picture.write_grid(FLAGS.video_path, shown, FLAGS.interval)
  else:
    alignment_picture.write_turns(
      FLAGS.video_path, shown[0], shown[1:], FLAGS.switch_video, FLAGS.interval
    )


def _draw_distances(clips, numbers, matches):
  from estimators.tcc.evaluation import distance_plot

  reference, candidate = (f'{number}: {clips[number].name}' for number in numbers[:2])
  how = 'time warping' if FLAGS.use_dtw else 'nearest frame'
  distance_plot.draw(matches, FLAGS.distance_plot_path, reference, candidate, how)


if __name__ == '__main__':
  command_line.run(main)
