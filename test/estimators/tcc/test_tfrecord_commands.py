"""The commands that make TFRecords of videos, pictures and generated clips, and draw them."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from estimators.tcc import images_to_tfrecords, make_clips, videos_to_tfrecords, visualize_tfrecords
from estimators.tcc.dataset import clip_records, record_index

# imageio_ffmpeg leaves pipes to the garbage collector.
pytestmark = pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')

COMMANDS = (videos_to_tfrecords, images_to_tfrecords, visualize_tfrecords, make_clips)
FRAMES, FPS = 12, 10


def shown(number, height=48, width=64):
  """A frame that tells its number by its grey, and by a white corner where up and left are."""
  picture = np.full((height, width, 3), 20 + 15 * number, np.uint8)
  picture[: height // 4, : width // 4] = 255
  return picture


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
  """Two mp4 of 1.2 seconds."""
  import imageio_ffmpeg

  folder = tmp_path_factory.mktemp('some videos')
  for name in ('a', 'b'):
    writer = imageio_ffmpeg.write_frames(str(folder / f'{name}.mp4'), (64, 48), fps=FPS)
    writer.send(None)
    for number in range(FRAMES):
      writer.send(np.ascontiguousarray(shown(number)))
    writer.close()
  return folder


@pytest.fixture
def labels(tmp_path):
  """Segments that part at 0.35 and 0.85 s: between the frames 3 and 4, and 8 and 9."""
  segments = {'0': [0, 300000], '1': [400000, 800000], '2': [900000, 1200000]}
  path = tmp_path / 'labels.json'
  path.write_text(json.dumps({name: {'somebody': segments} for name in ('a', 'b')}))
  return path


def written(folder):
  """The clips of all files of a folder, by the names of the files."""
  return {
    path.name: [record_index.read_clip(record) for record in record_index.records_of([str(path)])]
    for path in sorted(folder.iterdir())
  }


def convert(videos, out, *flags):
  words = ['--input_dir', str(videos), '--name=pouring_train', '--output_dir', str(out), *flags]
  return videos_to_tfrecords.main(words)


def grey(jpeg):
  return int(np.median(clip_records.decode_frame(jpeg)))


def test_videos_become_records_a_file_each_with_labels(videos, labels, tmp_path):
  out = tmp_path / 'the records'
  flags = [f'--label_file={labels}', '--frame_labels=up,over,down', '--action_label=4']
  assert convert(videos, out, *flags, '--expected_segments', '3') == 0
  found = written(out)
  assert list(found) == ['pouring_train-0-of-2.tfrecord', 'pouring_train-1-of-2.tfrecord']
  for name, (clip,) in zip('ab', found.values()):
    assert clip.name == name
    assert clip.label == 4
    assert clip.frame_label_names == ('up', 'over', 'down')
    assert clip.frame_labels == [0] * 4 + [1] * 5 + [2] * 3
    greys = [grey(frame) for frame in clip.frames]
    np.testing.assert_allclose(greys, [20 + 15 * n for n in range(FRAMES)], atol=6)
    assert clip_records.decode_frame(clip.frames[0]).shape == (224, 224, 3)
  assert len(record_index.open_split(str(out), 'pouring', 'train')) == 2


def test_several_videos_go_into_a_file(videos, tmp_path):
  assert convert(videos, tmp_path / 'x', '--files_per_shard=2') == 0
  ((name, clips),) = written(tmp_path / 'x').items()
  assert name == 'pouring_train-0-of-1.tfrecord'
  assert [clip.name for clip in clips] == ['a', 'b']
  assert clips[0].frame_labels is None
  assert clips[0].label == -1


@pytest.mark.parametrize(
  'flags, shape, corner',
  [
    (['--width=32', '--height=16'], (16, 32), (0, 0)),
    (['--noresize'], (48, 64), (0, 0)),
    (['--resize=False', '--rotate'], (64, 48), (0, -1)),
    (['--width=32', '--height=16', '--rotate', 'True'], (32, 16), (0, -1)),
  ],
)
def test_frames_are_resized_and_turned_clockwise(videos, tmp_path, flags, shape, corner):
  assert convert(videos, tmp_path / 'x', '--file_pattern=a*', *flags) == 0
  ((clip,),) = written(tmp_path / 'x').values()
  frame = clip_records.decode_frame(clip.frames[0])
  assert frame.shape[:2] == shape
  bright = {place: frame[place].mean() > 180 for place in ((0, 0), (0, -1), (-1, 0), (-1, -1))}
  assert [place for place, is_bright in bright.items() if is_bright] == [corner]


def test_fewer_frames_a_second_keep_every_nth_with_its_label(videos, labels, tmp_path):
  assert convert(videos, tmp_path / 'x', '--fps=4', f'--label_file={labels}') == 0
  clip = written(tmp_path / 'x')['pouring_train-0-of-2.tfrecord'][0]
  np.testing.assert_allclose(
    [grey(frame) for frame in clip.frames], [20 + 15 * n for n in range(0, FRAMES, 2)], atol=6
  )
  assert clip.frame_labels == [0, 0, 1, 1, 1, 2]


def test_folders_of_pictures_become_records(labels, tmp_path):
  import PIL.Image

  for name in ('a', 'b'):
    (tmp_path / 'frames' / name).mkdir(parents=True)
    for number in range(FRAMES):
      picture = PIL.Image.fromarray(shown(number))
      picture.save(str(tmp_path / 'frames' / name / f'{number:04d}.png'))
  (tmp_path / 'list.txt').write_text('b\na/\n\n')
  words = [
    '--dir', str(tmp_path / 'frames'), '--vid_list', str(tmp_path / 'list.txt'),
    '--name=x_val', '--output_dir', str(tmp_path / 'out'), '--extension=png', '--fps=10',
    f'--label_file={labels}', '--vids_per_shard=2',
  ]  # fmt: skip
  assert images_to_tfrecords.main(words) == 0
  ((name, clips),) = written(tmp_path / 'out').items()
  assert name == 'x_val-0-of-1.tfrecord'
  assert [clip.name for clip in clips] == ['b', 'a']
  for clip in clips:
    assert [grey(frame) for frame in clip.frames] == [20 + 15 * n for n in range(FRAMES)]
    assert clip.frame_labels == [0] * 4 + [1] * 5 + [2] * 3


def told(capsys, command, words):
  assert command.main(words) == 2
  return capsys.readouterr().err


def test_what_is_no_video_is_told_and_leaves_no_file(videos, tmp_path, capsys):
  """Not even those of the videos before it."""
  (tmp_path / 'a.mp4').write_bytes((videos / 'a.mp4').read_bytes())
  (tmp_path / 'b.mp4').write_bytes(b'this is no video')
  words = ['--input_dir', str(tmp_path), '--name=x', '--output_dir', str(tmp_path / 'out')]
  message = told(capsys, videos_to_tfrecords, words)
  assert f'every video must be readable; {str(tmp_path / "b.mp4")!r} is not' in message
  assert 'Traceback' not in message
  assert not list((tmp_path / 'out').iterdir())


def test_a_folder_without_videos_is_told(tmp_path, capsys):
  words = ['--input_dir', str(tmp_path), '--name=x', '--output_dir', str(tmp_path / 'out')]
  assert 'input_dir must hold videos *.mp4' in told(capsys, videos_to_tfrecords, words)


def test_more_frames_a_second_than_there_are_is_told(videos, tmp_path, capsys):
  words = ['--input_dir', str(videos), '--name=x', '--output_dir', str(tmp_path), '--fps=20']
  message = told(capsys, videos_to_tfrecords, words)
  assert 'fps must be at most that of each video; got 20' in message


def test_records_are_not_written_beside_those_of_another_time(videos, tmp_path, capsys):
  assert convert(videos, tmp_path, '--file_pattern=a*') == 0
  words = ['--input_dir', str(videos), '--name=pouring_train', '--output_dir', str(tmp_path)]
  message = told(capsys, videos_to_tfrecords, words)
  assert 'must hold no files pouring_train-*-of-* yet' in message
  assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
  'flags, message',
  [
    (['--expected_segments=5'], "video 'a': there must be 5 segments; there are 3"),
    (['--frame_labels=up,over'], "must name every segment; 'a' has a segment 2"),
  ],
)
def test_labels_that_do_not_fit_are_told_before_a_video_is_read(
  videos, labels, tmp_path, capsys, flags, message
):
  words = ['--input_dir', str(videos), '--name=x', '--output_dir', str(tmp_path / 'out'), *flags]
  assert message in told(capsys, videos_to_tfrecords, [*words, f'--label_file={labels}'])
  assert not (tmp_path / 'out').exists()


def test_pictures_that_are_missing_or_of_several_sizes_are_told(tmp_path, capsys):
  import PIL.Image

  (tmp_path / 'a').mkdir()
  (tmp_path / 'list.txt').write_text('a\n')
  words = [
    '--dir', str(tmp_path), '--vid_list', str(tmp_path / 'list.txt'), '--name=x',
    '--output_dir', str(tmp_path / 'out'),
  ]  # fmt: skip
  assert 'with pictures *.jpg; got' in told(capsys, images_to_tfrecords, words)
  for number, height in enumerate((20, 30)):
    picture = PIL.Image.fromarray(shown(0, height))
    picture.save(str(tmp_path / 'a' / f'{number}.jpg'))
  assert 'must be of one size' in told(capsys, images_to_tfrecords, [*words, '--noresize'])
  assert images_to_tfrecords.main(words) == 0


def test_a_list_that_names_nothing_is_told(tmp_path, capsys):
  (tmp_path / 'empty.txt').write_text('\n')
  for name in ('empty.txt', 'missing.txt'):
    words = [
      '--dir', str(tmp_path), '--vid_list', str(tmp_path / name), '--name=x',
      '--output_dir', str(tmp_path / 'out'),
    ]  # fmt: skip
    assert 'vid_list must' in told(capsys, images_to_tfrecords, words)


def test_generated_clips_go_into_a_new_folder_only(tmp_path, capsys):
  words = ['--train=2', '--val=1', '--test=1', '--image_size=24', '--out', str(tmp_path / 'x')]
  assert make_clips.main(words) == 0
  assert [len(found) for found in written(tmp_path / 'x').values()] == [1, 2, 1]
  assert 'out must be a new or an empty folder' in told(capsys, make_clips, words)


def test_records_are_drawn(videos, labels, tmp_path):
  import PIL.Image

  convert(videos, tmp_path / 'x', f'--label_file={labels}', '--width=32', '--height=32')
  sizes = []
  for count in (1, 2):
    out = tmp_path / f'{count} clips.png'
    words = [
      '--path_to_tfrecord', str(tmp_path / 'x' / 'pouring_train*'), '--output', str(out),
      f'--num_vids={count}', '--num_skip_frames=5',
    ]  # fmt: skip
    assert visualize_tfrecords.main(words) == 0
    picture = PIL.Image.open(str(out))
    sizes.append(picture.size)
    # Frames of 20, 95 and 170 are drawn on white.
    seen = set(np.asarray(picture.convert('L')).ravel().tolist())
    assert all(seen & set(range(level - 6, level + 7)) for level in (20, 95, 170))
  assert sizes[0][0] == sizes[1][0]
  assert sizes[1][1] == 2 * sizes[0][1]


def test_files_that_are_not_there_are_told(tmp_path, capsys):
  words = ['--path_to_tfrecord', str(tmp_path / 'x*'), '--output', str(tmp_path / 'x.png')]
  assert 'path_to_tfrecord must match files' in told(capsys, visualize_tfrecords, words)


@pytest.mark.parametrize('command', COMMANDS)
def test_help_needs_no_tensorflow_and_a_wrong_flag_is_told_with_the_nearest(
  command, tmp_path, capsys
):
  done = subprocess.run(
    [sys.executable, '-X', 'importtime', command.__file__, '--help'],
    capture_output=True, text=True, cwd=str(tmp_path),
  )  # fmt: skip
  assert done.returncode == 0
  assert 'usage' in done.stdout
  imported = {line.rpartition('|')[2].strip() for line in done.stderr.splitlines()}
  assert not imported & {'tensorflow', 'matplotlib', 'imageio_ffmpeg'}
  with pytest.raises(SystemExit) as ended:
    command.main(['--hel'])
  assert ended.value.code == 2
  assert 'there is no flag --hel. Did you mean' in capsys.readouterr().err
  assert pathlib.Path(command.__file__).stat().st_mode & 0o111
