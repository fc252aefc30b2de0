"""detect_words.py: words of a long sound with their times, and how they are counted."""

import json

import numpy as np
import pytest
import soundfile

from estimators.ds_cnn import detect_words, label_wav
from estimators.ds_cnn.deployment import sliding_window, trained_network, wav_bytes, word_detector

RATE = 16000
SAID = [('yes', 2.0), ('go', 4.5), ('left', 7.25), ('stop', 10.1), ('yes', 12.0), ('down', 15.0)]
# Until the average of a word's scores is high: what the tests ask of the times, not what is best.
TOLERANCE_S = 0.4


@pytest.fixture(scope='session')
def long_sound(tone_word):
  """20 s of hiss in which new speakers say the words of SAID."""
  samples = 0.01 * np.random.RandomState(5).standard_normal(20 * RATE)
  for speaker, (word, seconds) in enumerate(SAID, start=1000):
    start = int((seconds - 0.5) * RATE)
    samples[start : start + RATE] += tone_word(word, speaker)
  return samples


@pytest.fixture
def run(trained, long_sound, tmp_path, capsys):
  """Runs the command in this process on a sound: status, stdout, stderr, JSON."""

  def run_command(*words, samples=long_sound, rate=RATE, checkpoint=trained.folder):
    wav, path = tmp_path / 'a sound.wav', tmp_path / 'found.json'
    soundfile.write(str(wav), samples, rate, 'PCM_16')
    words = ['--checkpoint', checkpoint, '--wav', wav, '--json', path, *words]
    status = detect_words.main([str(word) for word in words])
    said = capsys.readouterr()
    return status, said.out, said.err, json.loads(path.read_text()) if path.exists() else None

  return run_command


@pytest.fixture
def truth(tmp_path):
  """Writes a file of truth: lines -> path."""

  def write(*lines):
    path = tmp_path / 'truth.csv'
    path.write_text(''.join(line + '\n' for line in lines))
    return path

  return write


def found_words(report):
  return [(found['word'], found['seconds']) for found in report['detections']]


def assert_found(report, expected):
  found = found_words(report)
  assert [word for word, _ in found] == [word for word, _ in expected], found
  for (_, seconds), (_, said) in zip(found, expected):
    assert abs(seconds - said) <= TOLERANCE_S, found


def test_the_words_of_a_long_sound_are_found_at_their_times(run, truth):
  path = truth(*(f'{word}, {seconds}' for word, seconds in SAID), '', '_unknown_,18')
  status, out, err, report = run('--truth', path, '--threshold', '0.6')
  assert status == 0, err
  assert_found(report, SAID)
  assert report['counts'] == {'matched': 6, 'wrong': 0, 'false': 0, 'missed': 0}
  assert report['seconds'] == 20
  assert '6 words in 20.0 s of' in out
  assert out.splitlines()[-1] == '6 matched, 0 wrong, 0 false, 0 missed'
  first = report['detections'][0]
  assert out.splitlines()[0] == (
    f'{first["seconds"]:9.3f} s  yes (score = {first["score"]:.5f})  matched'
  )


def test_stereo_of_another_rate_gives_the_same_words(run, long_sound):
  import soxr

  other = soxr.resample(long_sound, RATE, 44100)
  status, _, err, report = run(
    '--threshold', '0.6', samples=np.stack([other, other], axis=1), rate=44100
  )
  assert status == 0, err
  assert_found(report, SAID)


def test_ignored_words_are_not_reported(run):
  status, _, err, report = run('--threshold', '0.6', '--ignore', '_silence_,_unknown_,yes')
  assert status == 0, err
  assert_found(report, [said for said in SAID if said[0] != 'yes'])


def test_fewer_words_are_found_above_a_higher_threshold(run):
  counts = [len(run('--threshold', threshold)[3]['detections']) for threshold in (0.6, 1)]
  assert counts == [6, 0]


@pytest.mark.parametrize(
  ('stride_ms', 'average_ms', 'count'), [(100, 500, 5), (50, 300, 6), (100, 0, 1)]
)
def test_a_score_is_the_mean_of_the_windows_around_its_time(
  stride_ms, average_ms, count, run, trained, long_sound
):
  words = ('--threshold', '0.6', '--stride_ms', stride_ms, '--average_ms', average_ms)
  status, _, err, report = run(*words)
  assert status == 0, err
  found = trained_network.find(str(trained.folder))
  scores = sliding_window.probabilities(found, long_sound, stride_ms * RATE // 1000)
  detection = report['detections'][0]
  # The first window has its middle at 0.5 s.
  first = (detection['seconds'] - 0.5) * 1000 / stride_ms - (count - 1) / 2
  assert abs(first - round(first)) < 1e-6
  around = scores[round(first) :][:count, found.settings.labels.index(detection['word'])]
  assert abs(around.mean() - detection['score']) < 1e-3


def test_suppression_holds_back_what_follows_within_it(run):
  status, _, err, report = run('--threshold', '0.6', '--suppression_ms', '4000')
  assert status == 0, err
  assert_found(report, [SAID[0], SAID[2], SAID[4]])


def test_truth_that_was_not_said_is_missed_and_words_without_truth_are_false(run, truth):
  path = truth('no,2', 'go,4.5', 'right,18.5')
  status, out, err, report = run('--threshold', '0.6', '--truth', path)
  assert status == 0, err
  assert [found['verdict'] for found in report['detections']] == ['wrong', 'matched'] + 4 * [
    'false'
  ]
  assert report['missed'] == [{'word': 'right', 'seconds': 18.5}]
  assert '   18.500 s  right  missed\n' in out


@pytest.mark.parametrize('stride_ms', [100, 35])
def test_a_window_gets_the_scores_of_the_clip_it_covers(
  stride_ms, trained, frozen, long_sound, tmp_path, capsys
):
  found = trained_network.find(str(trained.folder))
  stride = found.settings.shape.in_samples(stride_ms)
  scores = sliding_window.probabilities(found, long_sound, stride)
  assert scores.shape == (1 + 19 * RATE // stride, 12)
  for place in (0, 20, 61, 300 if stride_ms == 35 else 150, len(scores) - 1):
    path = tmp_path / f'{place}.wav'
    path.write_bytes(wav_bytes.made_of(long_sound[place * stride :][:RATE], RATE))
    words = ['--graph', str(frozen.pb), '--wav', str(path), '--json', str(tmp_path / 'clip.json')]
    assert label_wav.main(words) == 0
    expected = json.loads((tmp_path / 'clip.json').read_text())['scores']
    by_label = [expected[label] for label in found.settings.labels]
    # The clip was rounded to 16 bits, and its features are TensorFlow's.
    np.testing.assert_allclose(scores[place], by_label, atol=2e-3)
  capsys.readouterr()


def test_a_sound_shorter_than_a_clip_is_one_window(run, tone_word):
  """Whatever is taken for being said there, the time is the middle of the sound."""
  words = ('--ignore', '', '--threshold', '0.01')
  for samples in (tone_word('on', 1000)[4000:12000], np.zeros(10)):
    status, _, err, report = run(*words, samples=samples)
    assert status == 0, err
    ((_, seconds),) = found_words(report)
    assert seconds == len(samples) / 2 / RATE


@pytest.mark.parametrize(
  ('words', 'said'),
  [
    (
      ['--ignore', 'yess'],
      "ignore must be labels of the network: _silence_, .* Did you mean 'yes'?",
    ),
    (['--ignore', '_silence_,_unknown_,yes,no,up,down,left,right,on,off,stop,go'], 'leave a label'),
    (['--stride_ms', '0.01'], 'stride_ms must be at least one sample of 0.0625 ms; got 0.01.'),
    (['--truth', '/no/such.csv'], 'truth must be a text file'),
    (['--wav', '/no/such.wav'], "wav must be a sound file; '/no/such.wav' cannot be read"),
    (['--checkpoint', '/no/such'], 'a checkpoint must be'),
  ],
)
def test_a_wrong_value_exits_2_and_says_what_must_hold(words, said, run):
  status, out, err, report = run(*words)
  assert (status, out, report) == (2, '', None)
  first, _, second = said.partition('.*')
  assert first in err
  assert second in err
  assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
  ('line', 'said'),
  [
    ('yes', 'must be `word,seconds`, as yes,12.5; line 2 of'),
    ('yes,soon', 'line 2 of'),
    ('yes,-1', 'line 2 of'),
    ('yes,nan', 'line 2 of'),
    ('yse,2', 'the words of truth (here line 2) must be labels'),
  ],
)
def test_a_wrong_line_of_truth_is_named(line, said, run, truth):
  status, _, err, _ = run('--truth', truth('no,1', line))
  assert status == 2
  assert said in err


def test_the_command_runs_from_another_folder_with_spaces_in_paths(
  run_tool, trained, long_sound, tmp_path
):
  (tmp_path / 'my model').symlink_to(trained.folder)
  soundfile.write(str(tmp_path / 'my sound.flac'), long_sound[: 8 * RATE], RATE)
  words = ('--checkpoint', 'my model', '--wav', 'my sound.flac', '--threshold', '0.6')
  done = run_tool('detect_words.py', *words)
  assert done.returncode == 0, done.stderr
  assert [line.split()[2] for line in done.stdout.splitlines()[:-1]] == ['yes', 'go', 'left']


# The rules by themselves: scores of three labels, windows 0.1 s apart.


LABELS = ('_silence_', 'yes', 'no')
RULES = word_detector.Rules(
  first_s=0,
  stride_s=0.1,
  averaged_windows=1,
  threshold=0.5,
  suppression_s=1.0,
  ignored=('_silence_',),
)


def detected(yes, no=None, **rules):
  """What is found in the scores of two words, as (word, seconds)."""
  no = np.zeros(len(yes)) if no is None else np.array(no)
  scores = np.stack([1 - np.array(yes) - no, yes, no], axis=1)
  found = word_detector.detect(scores, LABELS, RULES._replace(**rules))
  return [(one.word, round(one.seconds, 6)) for one in found]


def test_a_word_is_reported_when_its_score_reaches_the_threshold():
  assert detected([0, 0.4, 0.5, 0.9, 0.2]) == [('yes', 0.2)]
  assert detected([0, 0.4, 0.49, 0.2]) == []


def test_a_word_that_lasts_is_reported_once():
  assert detected([1] * 40) == [('yes', 0)]


def test_a_word_that_comes_again_after_the_suppression_is_reported_again():
  again = [1] + [0] * 11 + [1] + [0] * 5
  assert detected(again) == [('yes', 0), ('yes', 1.2)]
  assert detected(again, suppression_s=1.2) == [('yes', 0), ('yes', 1.2)]
  assert detected(again, suppression_s=1.3) == [('yes', 0)]


def test_another_word_is_held_back_and_reported_if_it_is_still_there_afterwards():
  assert detected([1, 0, 0, 0] + [0] * 9, [0, 0, 0] + [1] * 10) == [('yes', 0), ('no', 1)]
  assert detected([1, 0, 0, 0] + [0] * 9, [0, 0, 0, 1] + [0] * 9) == [('yes', 0)]
  assert detected([1, 0, 0], [0, 0, 1], suppression_s=0.2) == [('yes', 0), ('no', 0.2)]


def test_the_time_of_a_word_is_the_middle_of_the_averaged_windows():
  scores = [0] * 4 + [1] * 5 + [0] * 4
  # Windows 4 to 8 are the first 5 of score 1: their middle is that of window 6.
  assert detected(scores, averaged_windows=5, threshold=1.0) == [('yes', 0.6)]
  # Three of five: windows 2 to 6.
  assert detected(scores, averaged_windows=5) == [('yes', 0.4)]
  assert detected([1, 1], averaged_windows=5) == [('yes', 0.05)]
  assert detected([1, 1], averaged_windows=5, first_s=0.5) == [('yes', 0.55)]


def compared(found, truth):
  detections = [word_detector.Detection(word, seconds, 1.0) for word, seconds in found]
  result = word_detector.compare(detections, truth, 0.5)
  return result.verdicts, result.missed


def test_a_detection_matches_the_nearest_word_of_its_kind_and_each_word_once():
  truth = [('yes', 1.0), ('yes', 1.6)]
  assert compared([('yes', 1.4)], truth) == (['matched'], [('yes', 1.0)])
  assert compared([('yes', 1.0), ('yes', 1.1), ('yes', 1.2)], truth) == (
    ['matched', 'matched', 'false'],
    [],
  )


def test_a_right_word_counts_before_a_wrong_one_nearer_to_it():
  assert compared([('no', 1.0), ('yes', 1.4)], [('yes', 1.0)]) == (['false', 'matched'], [])


def test_a_word_taken_for_another_is_wrong_and_not_missed_as_well():
  assert compared([('no', 1.3)], [('yes', 1.0)]) == (['wrong'], [])
  assert compared([('no', 1.6)], [('yes', 1.0)]) == (['false'], [('yes', 1.0)])
