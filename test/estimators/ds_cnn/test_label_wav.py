"""label_wav.py: the same labels from a pb, a SavedModel and a checkpoint, for any sound file."""

import json
import re
import shutil

import numpy as np
import pytest
import soundfile
import soxr
import tensorflow.compat.v1 as tf

from estimators.ds_cnn import label_wav
from estimators.ds_cnn import settings as run_settings
from estimators.ds_cnn.dataset import speech_split
from estimators.ds_cnn.deployment import wav_bytes

RATE = 16000


@pytest.fixture
def run(frozen, tmp_path, capsys):
  """Runs the command in this process: status, stdout, stderr, its JSON lines."""

  def run_command(*words, source=('--graph', frozen.pb)):
    path = tmp_path / 'found.jsonl'
    words = [*source, *words, '--json', path]
    status = label_wav.main([str(word) for word in words])
    said = capsys.readouterr()
    lines = path.read_text().splitlines() if path.exists() else []
    return status, said.out, said.err, [json.loads(line) for line in lines]

  return run_command


@pytest.fixture
def clip(tone_word, tmp_path):
  """Writes a new speaker's word in some form; the function (name, word, ...) -> path."""

  def write(name, word, rate=RATE, channels=1, subtype='PCM_16'):
    samples = soxr.resample(tone_word(word, 1001), RATE, rate)
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(path), np.stack([samples] * channels, axis=1), rate, subtype)
    return path

  return write


def test_all_three_sources_give_the_same_labels(run, frozen, trained, tone_data):
  test_clips = sorted(
    path for path in tone_data.glob('*/*.wav') if speech_split.which_split(path.name) == 'testing'
  )
  assert len(test_clips) == 24
  sources = {
    '--graph': frozen.pb,
    '--saved_model': frozen.saved_model,
    '--checkpoint': trained.folder,
  }
  found = {}
  for source in sources.items():
    status, out, err, found[source[0]] = run('--wav', *test_clips, source=source)
    assert status == 0, err
    assert out.splitlines()[0] == str(test_clips[0])
  first = found['--graph']
  right = [result['file'].split('/')[-2] == next(iter(result['scores'])) for result in first]
  assert sum(right) >= 19, first  # 4 of the 24 are of words that have no label of their own
  for others in found.values():
    for one, other in zip(first, others):
      assert list(one['scores'])[:3] == list(other['scores'])[:3]
      np.testing.assert_allclose(
        [one['scores'][label] for label in one['scores']],
        [other['scores'][label] for label in one['scores']],
        atol=1e-5,
      )


def test_a_file_gets_as_many_labels_as_asked_for_the_best_first(run, clip):
  path = clip('a clip.wav', 'stop')
  status, out, _, found = run('--wav', path, '--how_many_labels', 2)
  assert status == 0
  lines = out.splitlines()
  assert lines[0] == str(path)
  assert re.match(r'  stop \(score = 0\.\d{5}\)$', lines[1])
  assert len(lines) == 3
  scores = list(found[0]['scores'].values())
  assert len(scores) == 12
  assert scores == sorted(scores, reverse=True)
  assert abs(sum(scores) - 1) < 1e-4


@pytest.mark.parametrize(
  ('name', 'options'),
  [
    ('a.wav', {'rate': 8000}),
    ('a.wav', {'rate': 44100, 'channels': 2}),
    ('a.wav', {'subtype': 'FLOAT'}),
    ('a.wav', {'subtype': 'PCM_24'}),
    ('a.wav', {'subtype': 'ULAW'}),
    ('a.flac', {'rate': 22050}),
  ],
)
@pytest.mark.parametrize('word', ['yes', 'left'])
def test_other_rates_formats_and_channels_are_converted(run, clip, name, options, word):
  status, out, err, _ = run('--wav', clip(name, word, **options))
  assert status == 0, err
  assert out.splitlines()[1].split()[0] == word


def test_a_compressed_file_gets_the_scores_of_the_samples_it_holds(run, clip):
  # Its label may be another: the codec takes the hiss away that the network is used to.
  ogg = clip('a.ogg', 'left', subtype='VORBIS')
  samples, rate = soundfile.read(str(ogg))
  in_16_bits = np.round(samples * 32768).astype(np.int16)
  soundfile.write(str(ogg.parent / 'its.wav'), in_16_bits, rate)
  status, _, err, (compressed, plain) = run('--wav', ogg, ogg.parent / 'its.wav')
  assert status == 0, err
  assert compressed['scores'] == plain['scores']


def test_the_same_samples_in_another_form_get_the_same_scores(run, clip):
  plain = clip('plain.wav', 'go')
  samples, rate = soundfile.read(str(plain), dtype='int16')
  soundfile.write(str(plain.parent / 'wide.wav'), samples, rate, 'PCM_24')
  soundfile.write(str(plain.parent / 'x.flac'), samples, rate)
  soundfile.write(str(plain.parent / 'extensible.wav'), samples, rate, 'PCM_16', format='WAVEX')
  content = plain.read_bytes()
  (plain.parent / 'chunk.wav').write_bytes(
    b'RIFF' + (len(content) + 2).to_bytes(4, 'little') + content[8:] + b'LIST\2\0\0\0ab'
  )
  others = [plain.parent / name for name in ('wide.wav', 'x.flac', 'extensible.wav', 'chunk.wav')]
  status, _, err, found = run('--wav', plain, *others)
  assert status == 0, err
  assert [result['scores'] for result in found] == [found[0]['scores']] * 5


def test_a_plain_wav_file_reaches_the_graph_as_it_is(clip, tmp_path):
  plain = clip('plain.wav', 'go')
  assert wav_bytes.read(str(plain), RATE) == plain.read_bytes()
  soundfile.write(str(tmp_path / 'all.wav'), np.arange(-32768, 32768, dtype=np.int16), RATE)
  assert wav_bytes.read(str(tmp_path / 'all.wav'), RATE) == (tmp_path / 'all.wav').read_bytes()


def test_samples_are_rounded_and_kept_in_the_range_of_16_bits():
  content = wav_bytes.made_of(np.array([0.6, -0.6, 32768, -32769]) / 32768, RATE)
  assert np.frombuffer(content[44:], '<i2').tolist() == [1, -1, 32767, -32768]


def test_a_short_clip_is_filled_up_and_of_a_long_one_the_beginning_is_heard(
  run, tone_word, tmp_path
):
  word = tone_word('right', 1002)
  soundfile.write(str(tmp_path / 'short.wav'), word[4000:12000], RATE)
  soundfile.write(str(tmp_path / 'long.wav'), np.concatenate([word, tone_word('up', 1002)]), RATE)
  soundfile.write(str(tmp_path / 'exact.wav'), word, RATE)
  names = ('short.wav', 'long.wav', 'exact.wav')
  status, _, err, found = run('--wav', *(tmp_path / name for name in names))
  assert status == 0, err
  assert found[1]['scores'] == found[2]['scores']
  assert next(iter(found[2]['scores'])) == 'right'


def test_a_folder_stands_for_all_sound_files_in_it_at_any_depth(run, clip, tmp_path):
  for name in ('in/a folder/b.wav', 'in/a.FLAC', 'in/z/y/x.ogg'):
    subtype = {'ogg': 'VORBIS'}.get(name[-3:], 'PCM_16')
    clip(name, 'off', subtype=subtype)
  (tmp_path / 'in' / 'notes.txt').write_text('no sound')
  single = clip('single.wav', 'yes')
  status, out, err, found = run('--wav', tmp_path / 'in', single)
  assert status == 0, err
  names = [result['file'][len(str(tmp_path)) + 1 :] for result in found]
  assert names == ['in/a folder/b.wav', 'in/a.FLAC', 'in/z/y/x.ogg', 'single.wav']
  assert [line for line in out.splitlines() if line[0] == '/'] == [r['file'] for r in found]


def test_broken_files_are_named_and_the_others_are_done(run, clip, tmp_path):
  good = [clip('bad/a.wav', 'yes'), clip('bad/z.wav', 'no')]
  (tmp_path / 'bad' / 'cut.wav').write_bytes(good[0].read_bytes()[:9000])
  (tmp_path / 'bad' / 'empty.wav').write_bytes(b'')
  (tmp_path / 'bad' / 'text.wav').write_text('this is no sound' * 10)
  status, out, err, found = run('--wav', tmp_path / 'bad', tmp_path / 'missing.wav')
  assert status == 1
  for name, reason in (
    ('bad/cut.wav', 'is cut short'),
    ('bad/empty.wav', 'is empty'),
    ('bad/text.wav', 'cannot be read'),
    ('missing.wav', 'cannot be read: No such file'),
  ):
    assert f'label_wav.py: {tmp_path / name} {reason}' in err
  assert 'Traceback' not in err
  assert [line for line in out.splitlines() if line[0] == '/'] == [str(path) for path in good]
  assert ['error' in result for result in found] == [False, True, True, True, False, True]


def test_a_folder_without_sound_exits_2(run, tmp_path):
  (tmp_path / 'none').mkdir()
  status, _, err, _ = run('--wav', tmp_path / 'none')
  assert status == 2
  assert re.search(
    "wav must be sound files, or folders with .wav, .flac, .ogg in them; .*none'", err
  )


def test_a_graph_without_the_nodes_is_refused_with_those_it_has(run, clip, frozen, tmp_path):
  wav = clip('a.wav', 'yes')
  with tf.Graph().as_default() as graph:
    tf.identity(tf.placeholder(tf.float32, [1, 490], 'fingerprint'), 'result')
  path = tmp_path / 'other.pb'
  path.write_bytes(graph.as_graph_def().SerializeToString())
  source = ('--graph', path)
  status, _, err, _ = run('--wav', wav, source=source)
  assert status == 2
  assert "input_name must be a tensor of the graph; it has no 'wav_data:0'." in err
  assert 'Its inputs: fingerprint:0; its outputs: result:0.' in err
  status, _, err, _ = run('--wav', wav, '--output_name', 'label_softmax:0')
  assert status == 2
  assert "it has no 'label_softmax:0'. Did you mean 'labels_softmax:0'?" in err
  names = ('--input_name', 'fingerprint:0', '--output_name', 'result')
  status, _, err, _ = run('--wav', wav, *names, source=source)
  assert status == 2
  assert "'fingerprint:0' takes float32" in err


def test_what_is_no_graph_exits_2(run, clip, tmp_path):
  wav = clip('a.wav', 'yes')
  (tmp_path / 'no.pb').write_bytes(b'no graph')
  for source, said in (
    (('--graph', tmp_path / 'no.pb'), 'graph must be a frozen graph; '),
    (('--graph', tmp_path / 'missing.pb'), 'No such file'),
    (('--saved_model', tmp_path), 'saved_model must be the folder of a SavedModel'),
    (('--checkpoint', tmp_path), 'a checkpoint must be'),
  ):
    status, _, err, _ = run('--wav', wav, source=source)
    assert status == 2, source
    assert said in err
    assert len(err.splitlines()) == 1


def test_labels_may_be_given_and_must_be_as_many_as_the_scores(run, clip, frozen, tmp_path):
  wav = clip('a.wav', 'yes')
  shutil.copy(str(frozen.pb), str(tmp_path / 'alone.pb'))
  alone = ('--graph', tmp_path / 'alone.pb')
  status, _, err, _ = run('--wav', wav, source=alone)
  assert status == 2
  assert 'alone.labels.txt' in err
  assert 'Name one with --labels.' in err
  names = tmp_path / 'names.txt'
  names.write_text('\n'.join(f'label{number}' for number in range(12)))
  status, out, err, _ = run('--wav', wav, '--labels', names, source=alone)
  assert status == 0, err
  assert 'label2 (score' in out.splitlines()[1]
  names.write_text('one\ntwo\n')
  status, _, err, _ = run('--wav', wav, '--labels', names, source=alone)
  assert status == 2
  assert 'labels must be as many as the graph has scores, 12; got 2: one, two.' in err


def test_sounds_are_converted_to_the_rate_the_graph_was_made_for(trained, tmp_path):
  from estimators.ds_cnn.deployment import labelling_graph, wav_graph

  settings = run_settings.read(str(trained.folder / 'best' / 'x'))
  shape = settings.shape._replace(sample_rate=8000)
  with tf.Graph().as_default() as graph:
    wav_graph.build(settings._replace(shape=shape))
  assert labelling_graph._sample_rate(graph) == 8000
  assert labelling_graph._sample_rate(tf.Graph()) == RATE


def test_the_command_runs_from_another_folder_with_spaces_in_paths(
  run_tool, frozen, clip, tmp_path
):
  clip('my clips/a.wav', 'down')
  (tmp_path / 'my model').symlink_to(frozen.saved_model)
  done = run_tool('label_wav.py', '--saved_model', 'my model', '--wav', 'my clips')
  assert done.returncode == 0, done.stderr
  assert done.stdout.startswith('my clips/a.wav\n  down (score = 0.')
