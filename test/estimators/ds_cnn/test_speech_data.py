"""Which clips of a folder are for what: published rules, on real folders."""

import collections
import math
import os
import tarfile

import pytest

from estimators.ds_cnn.dataset import archive, speech_data, speech_split
from estimators.ds_cnn.dataset.speech_data import Shares

WANTED = ('yes', 'no')
SPEAKERS = 60


def name_of(speaker, take=0):
  return f'{speaker * 7919:08x}_nohash_{take}.wav'


def make(folder, words=('yes', 'no', 'bed', 'cat', 'dog'), speakers=SPEAKERS):
  for word in words:
    (folder / word).mkdir(parents=True)
    for speaker in range(speakers):
      (folder / word / name_of(speaker, len(word))).write_bytes(b'')
  return folder


@pytest.fixture
def data(tmp_path):
  return make(tmp_path / 'some speech')


def index_of(folder, wanted=WANTED, **shares):
  return speech_data.make_index(str(folder), wanted, Shares(**shares))


def by_label(clips, label):
  return [clip.path for clip in clips if clip.label == label]


def test_labels_are_silence_unknown_and_the_words_in_their_order():
  assert ' '.join(speech_data.labels_of(speech_data.WANTED_WORDS)) == (
    '_silence_ _unknown_ yes no up down left right on off stop go'
  )
  assert speech_data.labels_of(('b', 'a')) == ('_silence_', '_unknown_', 'b', 'a')


def test_every_clip_of_a_wanted_word_is_in_the_split_of_its_speaker(data):
  index = index_of(data, validation=20, testing=15)
  assert index.labels == ('_silence_', '_unknown_', 'yes', 'no')
  assert index.folder == str(data)
  assert tuple(index.clips) == speech_split.SPLITS
  for word, label in (('yes', 2), ('no', 3)):
    for split, clips in index.clips.items():
      expected = [
        os.path.join(word, name)
        for name in os.listdir(str(data / word))
        if speech_split.which_split(name, 20, 15) == split
      ]
      assert expected
      assert sorted(by_label(clips, label)) == sorted(expected)


@pytest.mark.parametrize(
  ('silence', 'unknown'), [(10, 10), (0, 0), (33, 7.5), (100, 100), (0.1, 50)]
)
def test_silence_and_unknown_words_are_added_in_their_shares(data, silence, unknown):
  index = index_of(data, silence=silence, unknown=unknown)
  for split, clips in index.clips.items():
    wanted = sum(clip.label >= 2 for clip in clips)
    assert by_label(clips, 0) == [None] * math.ceil(wanted * silence / 100)
    others = by_label(clips, 1)
    assert len(others) == math.ceil(wanted * unknown / 100)
    assert len(set(others)) == len(others)
    for path in others:
      word, name = os.path.split(path)
      assert word in ('bed', 'cat', 'dog')
      assert speech_split.which_split(name) == split


def test_there_are_no_more_unknown_clips_than_other_words(tmp_path):
  index = index_of(make(tmp_path / 'data', ('yes', 'no')), unknown=100)
  assert not any(by_label(clips, 1) for clips in index.clips.values())


def test_unknown_clips_are_taken_from_all_other_words(data):
  words = collections.Counter(
    path.split('/')[0] for path in by_label(index_of(data).clips['training'], 1)
  )
  assert set(words) == {'bed', 'cat', 'dog'}


def test_the_labels_of_a_split_are_shuffled(data):
  labels = [clip.label for clip in index_of(data).clips['training']]
  changes = sum(a != b for a, b in zip(labels, labels[1:]))
  assert changes > len(labels) / 4


def test_the_index_is_the_same_on_every_call_and_in_whatever_order_a_disk_lists(data, monkeypatch):
  expected = index_of(data)
  assert index_of(data) == expected
  listdir = os.listdir
  monkeypatch.setattr(os, 'listdir', lambda folder: sorted(listdir(folder), reverse=True))
  assert index_of(data) == expected


def test_the_index_is_the_same_on_every_python(tmp_path):
  data = tmp_path / 'data'
  for word in ('yes', 'no', 'bed'):
    (data / word).mkdir(parents=True)
    for speaker in 'abcdef':
      (data / word / f'{speaker}_nohash_0.wav').write_bytes(b'')
  index = index_of(data, validation=0, testing=0, silence=20, unknown=20)
  found = [f'{(clip.path or "-")[:-13]}{clip.label}' for clip in index.clips['training']]
  assert ' '.join(found) == (
    'no/c3 yes/a2 no/f3 0 bed/e1 yes/d2 yes/e2 no/a3 bed/c1 bed/b1 no/b3 0 0 yes/b2 yes/f2 yes/c2 '
    'no/d3 no/e3'
  )


def test_the_names_of_word_folders_may_be_in_capitals(data):
  expected = index_of(data)
  os.rename(str(data / 'yes'), str(data / 'YES'))
  os.rename(str(data / 'bed'), str(data / 'Bed'))
  found = index_of(data)
  paths = by_label(found.clips['testing'], 2)
  assert all(path.startswith('YES/') and (data / path).is_file() for path in paths)
  assert len(paths) == len(by_label(expected.clips['testing'], 2))


def test_flac_and_ogg_are_sound_files_and_others_are_not(tmp_path):
  data = make(tmp_path / 'data', WANTED)
  for name in ('x.flac', 'x.OGG', 'x.WAV', 'x.txt', 'x.mp3', '._y.wav'):
    (data / 'yes' / name).write_bytes(b'')
  (data / '.yes').mkdir()
  (data / '.yes' / 'z.wav').write_bytes(b'')
  (data / 'validation_list.txt').write_bytes(b'')
  paths = {clip.path for clips in index_of(data).clips.values() for clip in clips if clip.path}
  assert {path for path in paths if '_nohash_' not in path} == {
    'yes/x.flac',
    'yes/x.OGG',
    'yes/x.WAV',
  }


def test_the_background_folder_is_no_word(data):
  assert index_of(data).noises == []
  noise = data / '_background_noise_'
  noise.mkdir()
  (noise / 'README.md').write_bytes(b'')
  with pytest.raises(speech_data.DataError, match=r"_background_noise_' must hold sound files"):
    index_of(data)
  for name in ('tap.wav', 'bike.wav'):
    (noise / name).write_bytes(b'')
  index = index_of(data, unknown=100)
  assert index.noises == ['_background_noise_/bike.wav', '_background_noise_/tap.wav']
  paths = {clip.path for clips in index.clips.values() for clip in clips if clip.path}
  assert not any('background' in path for path in paths)


# What is wrong with a folder.


def test_missing_wanted_words_are_named_with_what_there_is(data):
  with pytest.raises(
    speech_data.DataError, match=r'none for up, Yes\. There are: bed, cat, dog, no, yes\.'
  ):
    index_of(data, ('no', 'up', 'Yes'))


def test_a_wanted_word_without_a_training_clip_is_named(data):
  name = next(
    name for name in map(name_of, range(99)) if speech_split.which_split(name) != 'training'
  )
  (data / 'up').mkdir()
  (data / 'up' / name).write_bytes(b'')
  with pytest.raises(speech_data.DataError, match='no training clip is left for up in'):
    index_of(data, ('yes', 'up'))


def test_a_folder_without_sound_files_is_told(tmp_path):
  (tmp_path / 'yes').mkdir()
  (tmp_path / 'yes' / 'a.txt').write_bytes(b'')
  (tmp_path / 'a.wav').write_bytes(b'')
  with pytest.raises(
    speech_data.DataError, match=r'must hold a folder of sound files for each word'
  ):
    index_of(tmp_path)


@pytest.mark.parametrize(
  ('shares', 'words'),
  [
    ({'validation': -1}, r'validation_percentage must be from 0 to 100; got -1'),
    ({'testing': 101}, r'testing_percentage must be from 0 to 100; got 101'),
    ({'silence': float('nan')}, r'silence_percentage must be from 0 to 100; got nan'),
    ({'unknown': 100.5}, r'unknown_percentage must be from 0 to 100; got 100.5'),
    ({'validation': 60, 'testing': 40}, r'must leave something to train on; got 60 and 40'),
  ],
)
def test_percentages_that_make_no_sense_are_told(data, shares, words):
  with pytest.raises(speech_data.DataError, match=words):
    index_of(data, **shares)


def test_without_validation_and_test_everything_is_for_training(data):
  clips = index_of(data, validation=0, testing=0, silence=0, unknown=0).clips
  assert (len(clips['training']), clips['validation'], clips['testing']) == (2 * SPEAKERS, [], [])


# What --data_path may name.


def packed(data, path):
  with tarfile.open(str(path), 'w:gz') as tar:
    tar.add(str(data), '.')
  return path


def quiet(line):
  pass


def test_a_folder_of_words_is_taken_as_it_is(data):
  packed(data, data / 'backup.tar.gz')
  assert speech_data.find_folder(str(data), quiet) == str(data)
  assert not (data / 'backup').exists()


def test_a_folder_of_other_words_is_taken_as_it_is(tmp_path):
  data = make(tmp_path / 'data', ('Hund', 'Katze'), 2)
  packed(data, data / 'backup.tar.gz')
  assert speech_data.find_folder(str(data), quiet) == str(data)


def test_an_archive_is_unpacked_beside_itself(data, tmp_path):
  path = packed(data, tmp_path / 'a speech.tar.gz')
  lines = []
  found = speech_data.find_folder(str(path), lines.append)
  assert found == str(tmp_path / 'a speech')
  assert index_of(found).clips == index_of(data).clips
  assert speech_data.find_folder(str(path), lines.append) == found
  assert len(lines) == 1


def test_an_archive_is_found_by_a_path_without_a_folder(data, tmp_path, monkeypatch):
  packed(data, tmp_path / 'x.tgz')
  monkeypatch.chdir(tmp_path)
  assert os.path.samefile(speech_data.find_folder('x.tgz', quiet), str(tmp_path / 'x'))


def test_a_folder_with_one_archive_is_its_content_also_when_it_was_unpacked_before(data, tmp_path):
  place = tmp_path / 'place'
  place.mkdir()
  packed(data, place / 'speech_commands_v0.02.tar.gz')
  for _ in range(2):
    found = speech_data.find_folder(str(place), quiet)
    assert found == str(place / 'speech_commands_v0.02')
  assert index_of(found).clips == index_of(data).clips


def test_a_folder_with_several_archives_is_told(data, tmp_path):
  place = tmp_path / 'place'
  place.mkdir()
  for name in ('a.tar', 'b.tgz'):
    packed(data, place / name)
  with pytest.raises(speech_data.DataError, match=r'must name one archive; .* holds 2\.'):
    speech_data.find_folder(str(place), quiet)


def test_nothing_there_is_told_with_what_to_do(tmp_path):
  (tmp_path / 'speech.zip').write_bytes(b'')
  for path in ('', str(tmp_path / 'missing'), str(tmp_path / 'speech.zip')):
    with pytest.raises(
      speech_data.DataError, match=r'must be a speech_commands folder or its \.tar'
    ):
      speech_data.find_folder(path, quiet)


def test_a_damaged_archive_is_told(tmp_path):
  (tmp_path / 'speech.tar.gz').write_bytes(b'not gzip')
  with pytest.raises(archive.ArchiveError, match='cannot be unpacked'):
    speech_data.find_folder(str(tmp_path), quiet)


def test_a_folder_this_user_may_not_read_is_told(as_nobody, tmp_path):
  tmp_path.chmod(0o311)
  program = """
try:
  speech_data.find_folder('.')
except speech_data.DataError as error:
  print(error)
"""
  printed = as_nobody('from estimators.ds_cnn.dataset import speech_data', program, tmp_path)
  tmp_path.chmod(0o711)
  assert printed == "'.' must be readable; got: Permission denied.\n"
