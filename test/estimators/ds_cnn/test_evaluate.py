"""evaluate.py: the numbers of train.py for any checkpoint, and what it refuses."""

import json
import shutil

import pytest

from estimators.ds_cnn import evaluate

SPLIT_OF_RESULT = {'test': 'testing', 'validation': 'validation', 'training': 'training'}


@pytest.fixture
def run(trained, tone_data, tmp_path, capsys):
  """Runs the command in this process on `tone_data`: its status, what it said, its JSON."""

  def run_command(*words, checkpoint=trained.folder):
    path = tmp_path / 'found.json'
    data = ['--data_path', str(tone_data), '--cache_path', str(trained.cache), '--json', str(path)]
    status = evaluate.main(['--checkpoint', str(checkpoint), *data, *words])
    said = capsys.readouterr()
    return status, said.out + said.err, json.loads(path.read_text()) if path.exists() else None

  return run_command


def events(trained):
  """The evaluations of the training log: {(split, step of the weights): event}."""
  lines = (trained.folder / 'training_log.jsonl').read_text().splitlines()
  found = [event for event in map(json.loads, lines) if event['event'] == 'evaluate']
  return {(event['split'], event.get('of_step', event['step'])): event for event in found}


def test_a_model_folder_scores_what_train_reported_of_its_best(run, trained):
  status, said, found = run()
  assert status == 0, said
  result = json.loads((trained.folder / 'result.json').read_text())
  assert found['checkpoint'] == str(trained.folder / result['best_checkpoint'])
  assert list(found['splits']) == ['training', 'validation', 'test']
  for name, split in found['splits'].items():
    assert split['clips'] == result['data']['clips'][SPLIT_OF_RESULT[name]]
    assert f'{name} accuracy = {100 * split["accuracy"]:.2f}% (N={split["clips"]})\n' in said
  for name in ('validation', 'test'):
    logged = events(trained)[name, found['step']]
    assert found['splits'][name]['accuracy'] == result['accuracy'][name] == logged['accuracy']
    assert found['splits'][name]['cross_entropy'] == logged['cross_entropy']
  assert found['splits']['test']['confusion_matrix'] == result['confusion_matrix']['counts']
  assert found['labels'] == result['confusion_matrix']['labels']
  assert '_sil _unk  yes' in said


def test_without_a_data_path_the_clips_of_the_training_are_taken(trained, tone_data, capsys):
  cache = ['--cache_path', str(trained.cache)]
  assert evaluate.main(['--checkpoint', str(trained.folder), '--split', 'test', *cache]) == 0
  said = capsys.readouterr().out
  assert f'clips of {tone_data}\n' in said
  result = json.loads((trained.folder / 'result.json').read_text())
  assert f'test accuracy = {100 * result["accuracy"]["test"]:.2f}%' in said


def test_an_earlier_checkpoint_scores_what_the_log_says_of_its_step(run, trained):
  status, said, found = run('--split', 'validation', checkpoint=trained.folder / 'model.ckpt-150')
  assert status == 0, said
  logged = events(trained)['validation', 150]
  assert found['step'] == 150
  assert list(found['splits']) == ['validation']
  assert found['splits']['validation']['accuracy'] == logged['accuracy']
  assert found['splits']['validation']['cross_entropy'] == logged['cross_entropy']


def test_a_read_only_folder_is_evaluated_and_left_as_it_is(trained, tone_data, run_tool, tmp_path):
  folder = tmp_path / 'read only'
  shutil.copytree(str(trained.folder), str(folder))
  for path in (*folder.rglob('*'), folder):
    path.chmod(path.stat().st_mode & ~0o222)
  before = {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob('*'))}
  words = ['--checkpoint=read only', f'--data_path={tone_data}', f'--cache_path={trained.cache}']
  done = run_tool('evaluate.py', *words, '--backend=host', '--confusion_png=a picture.png')
  assert done.returncode == 0, done.stderr
  assert 'test accuracy = ' in done.stdout
  assert {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob('*'))} == before
  for split in ('training', 'validation', 'test'):
    assert (tmp_path / f'a picture_{split}.png').read_bytes().startswith(b'\x89PNG')


def copied(trained, folder, **changes):
  """The best checkpoint in a folder of its own, with other settings."""
  shutil.copytree(str(trained.folder / 'best'), str(folder))
  settings = json.loads((trained.folder / 'settings.json').read_text())
  (folder / 'settings.json').write_text(json.dumps({**settings, **changes}))
  return folder


def test_a_checkpoint_that_is_not_there_exits_2(run, tmp_path):
  status, said, found = run(checkpoint=tmp_path / 'nothing')
  assert (status, found) == (2, None)
  assert 'a checkpoint must be the path before .index' in said


def test_a_checkpoint_without_settings_exits_2(run, trained, tmp_path):
  (copied(trained, tmp_path / 'alone') / 'settings.json').unlink()
  status, said, _ = run(checkpoint=tmp_path / 'alone')
  assert status == 2
  assert 'settings.json, which train.py writes beside its checkpoints, must be in' in said


def test_a_checkpoint_of_another_network_exits_2(run, trained, tmp_path):
  sizes = [2, 24, 10, 4, 2, 2, 30, 3, 3, 1, 1]
  status, said, _ = run(checkpoint=copied(trained, tmp_path / 'other', sizes=sizes))
  assert status == 2
  assert 'a checkpoint must hold all of the ds_cnn that settings.json beside it describes' in said
  assert 'must be [1, 1, 24, 30] and is [1, 1, 24, 24]' in said


def test_a_checkpoint_of_a_smaller_network_exits_2(run, trained, tmp_path):
  sizes = [4, 24, 10, 4, 2, 2, *3 * [24, 3, 3, 1, 1]]
  status, said, _ = run(checkpoint=copied(trained, tmp_path / 'deeper', sizes=sizes))
  assert status == 2
  assert 'does not: it has no ds_cnn/depthwise_3/' in said


def test_a_checkpoint_that_is_cut_short_exits_2(run, trained, tmp_path):
  folder = copied(trained, tmp_path / 'cut')
  (data,) = folder.glob('*.data-*')
  data.write_bytes(data.read_bytes()[:1000])
  status, said, _ = run(checkpoint=folder)
  assert status == 2
  assert 'a checkpoint must hold' in said


@pytest.mark.parametrize('content', [b'', b'no index' * 50])
def test_a_checkpoint_with_a_damaged_index_exits_2(run, trained, tmp_path, content):
  folder = copied(trained, tmp_path / 'damaged')
  (index,) = folder.glob('*.index')
  index.write_bytes(content)
  status, said, _ = run(checkpoint=folder)
  assert status == 2
  assert 'a checkpoint must hold' in said


def test_a_split_without_clips_exits_2(run, trained, tmp_path):
  shares = {'validation': 10, 'testing': 0, 'silence': 10, 'unknown': 10}
  status, said, found = run(
    '--split=test', checkpoint=copied(trained, tmp_path / 'x', shares=shares)
  )
  assert (status, found) == (2, None)
  assert 'split must be one with clips' in said


def test_a_wrong_backend_is_refused_and_a_named_one_is_taken(run, capsys):
  with pytest.raises(SystemExit):
    run('--backend', 'hots')
  assert "Did you mean 'host'?" in capsys.readouterr().err
  status, said, _ = run('--backend', 'ascend')
  assert status == 1
  assert 'npu_bridge' in said
