"""The split of speech_commands by the hash of the file name."""

import hashlib

import pytest

from estimators.ds_cnn.dataset import speech_split

# Speakers of the published testing_list.txt and validation_list.txt.
PUBLISHED = {
  'testing': ('bb05582b', '97f4c236', '2aa787cf', '5c8af87a', 'e1469561', 'd0faf7e4'),
  'validation': ('8b775397', '2643992f', 'dbb40d24', '16db1582', '471a0925', 'e54a0f16'),
}


def percentile(speaker):
  return int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % 2**27 * 100 / (2**27 - 1)


def speakers():
  return [f'{number:08x}' for number in range(2000)]


@pytest.mark.parametrize('split', sorted(PUBLISHED))
def test_published_speakers_are_in_their_published_split(split):
  assert {speech_split.which_split(f'go/{who}_nohash_1.wav') for who in PUBLISHED[split]} == {split}


def test_the_split_is_that_of_the_published_rule():
  for speaker in speakers():
    expected = 'validation' if percentile(speaker) < 10 else 'testing'
    expected = 'training' if percentile(speaker) >= 20 else expected
    assert speech_split.which_split(f'{speaker}_nohash_0.wav') == expected


def test_all_takes_of_a_speaker_in_any_folder_are_in_one_split():
  for speaker in speakers()[:100]:
    names = [f'{speaker}_nohash_0.wav', f'yes/{speaker}_nohash_12.wav', f'/a b/no/{speaker}']
    assert len({speech_split.which_split(name) for name in names}) == 1


def test_a_name_without_the_mark_counts_whole():
  name = 'silence.wav'
  assert speech_split.which_split(name, percentile(name) + 0.001, 0) == 'validation'
  assert speech_split.which_split(name, percentile(name) - 0.001, 0) == 'training'


def test_the_percentages_are_kept_about():
  found = [speech_split.which_split(speaker, 25, 15) for speaker in speakers()]
  assert 450 < found.count('validation') < 550
  assert 250 < found.count('testing') < 350


def test_a_clip_of_the_validation_split_stays_there_when_the_test_split_grows():
  for speaker in speakers():
    if speech_split.which_split(speaker) == 'validation':
      assert speech_split.which_split(speaker, 10, 50) == 'validation'


@pytest.mark.parametrize('validation, testing', [(0, 0), (100, 0), (0, 100), (60, 40)])
def test_a_split_of_no_per_cent_is_empty(validation, testing):
  found = {speech_split.which_split(speaker, validation, testing) for speaker in speakers()}
  shares = {'validation': validation, 'testing': testing, 'training': 100 - validation - testing}
  assert found == {split for split, share in shares.items() if share}


@pytest.mark.parametrize('validation, testing', [(-1, 10), (10, -1), (60, 41)])
def test_impossible_percentages_are_named(validation, testing):
  with pytest.raises(ValueError, match=f'got {validation} for validation and {testing} for test'):
    speech_split.which_split('a_nohash_0.wav', validation, testing)
