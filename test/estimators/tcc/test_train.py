"""A training as users start it: what it prints and leaves, stopped and resumed, evaluated again."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from estimators.tcc import config_tree, data_source, feature_cache, presets, training_run
from npu_adapter import errors
from npu_adapter.runtime import tf1

tf1.enable()
MODEL = pathlib.Path(__file__).resolve().parents[3] / 'estimators' / 'tcc'
_spec = importlib.util.spec_from_file_location(
  'tcc_small_run', str(pathlib.Path(__file__).with_name('small_run.py'))
)
small_run = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(small_run)


@pytest.fixture(autouse=True)
def on_host(monkeypatch):
  monkeypatch.setenv('NPU_ADAPTER_BACKEND', 'host')


@pytest.fixture(scope='module')
def clips(tmp_path_factory):
  return small_run.make_clips(tmp_path_factory.mktemp('some clips'))


def command(name, *flags, cwd, check=True):
  done = subprocess.run(
    [sys.executable, str(MODEL / name), *map(str, flags)], cwd=str(cwd),
    capture_output=True, text=True,
  )  # fmt: skip
  if check:
    assert done.returncode == 0, done.stderr[-2000:]
  return done


def small_tree(clips, **values):
  tree = presets.tree_of('small')
  for name, value in {
    'PATH_TO_TFRECORDS': data_source.path_in(str(clips)), 'IMAGE_SIZE': 32,
    'TRAIN.BATCH_SIZE': 2, 'TRAIN.NUM_FRAMES': 5, 'TRAIN.MAX_ITERS': 6, 'EVAL.NUM_FRAMES': 5,
    'EVAL.VAL_ITERS': 1, 'EVAL.TASKS': ['algo_loss', 'kendalls_tau'],
    'MODEL.CONV_EMBEDDER_MODEL.CONV_LAYERS': [[8, 3, True]],
    'MODEL.CONV_EMBEDDER_MODEL.FC_LAYERS': [[8, True]],
    'MODEL.CONV_EMBEDDER_MODEL.EMBEDDING_SIZE': 8, 'CHECKPOINT.SAVE_INTERVAL': 3,
    'LOGGING.REPORT_INTERVAL': 1, **values,
  }.items():  # fmt: skip
    config_tree.put(tree, name, value)
  return tree


def train(tree, folder, plan=None, hooks=()):
  import npu_adapter

  config = npu_adapter.NPURunConfig(
    model_dir=str(folder), tf_random_seed=1, keep_checkpoint_max=20,
    save_checkpoints_steps=tree['CHECKPOINT']['SAVE_INTERVAL'],
  )  # fmt: skip
  lines = []
  data = data_source.open_data(tree, None, lines.append)
  found = training_run.run(
    tree, data, config, (plan or training_run.Plan())._replace(is_drawn=False), lines.append
  )
  return found, lines


def weights(folder, step):
  reader = tf.train.load_checkpoint(os.path.join(str(folder), f'model.ckpt-{step}'))
  return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """A folder that the command has trained with all tasks."""
  folder = tmp_path_factory.mktemp('a run')
  flags = [flag for flag in small_run.flags(folder) if 'EVAL.TASKS' not in flag]
  done = command(
    'train.py', *flags, f'--output_path={folder / "output"}', '--set=EVAL.FEW_SHOT_NUM_EPISODES=2',
    cwd=folder,
  )  # fmt: skip
  return folder, done.stdout


def test_the_command_prints_the_tasks_beside_pixels_and_an_untrained_network(trained):
  folder, printed = trained
  found = json.loads((folder / 'output' / 'result.json').read_text())
  tau = found['tasks']['kendalls_tau']['val_kendalls_tau']
  pixels = found['tasks_of_raw_pixels']['kendalls_tau']['val_kendalls_tau']
  untrained = found['tasks_of_untrained_network']['kendalls_tau']['val_kendalls_tau']
  row = next(line for line in printed.splitlines() if line.startswith('kendalls_tau'))
  assert row.split()[1:] == [f'{value:.4f}' for value in (tau, pixels, untrained)]
  assert set(found['tasks']) == {
    'classification', 'few_shot_classification', 'event_completion', 'kendalls_tau',
  }  # fmt: skip
  assert set(found['losses']) == {'train_loss', 'val_loss'}
  for name in ('learning_curve.png', 'alignment.gif', 'distances.png', 'config.yml'):
    assert (folder / 'output' / name).stat().st_size > 100, name


def test_evaluate_gives_what_the_training_ended_with(trained, tmp_path):
  folder, _ = trained
  command('evaluate.py', f'--logdir={folder / "output"}', '--novisualize', cwd=tmp_path)
  trained_values = json.loads((folder / 'output' / 'result.json').read_text())
  found = json.loads((folder / 'output' / 'evaluation.json').read_text())
  assert found['step'] == 4
  for name in ('losses', 'tasks', 'tasks_of_raw_pixels'):
    assert json.dumps(found[name], sort_keys=True) == json.dumps(
      trained_values[name], sort_keys=True
    )
  # The last iteration is there: following the training ends at once.
  done = command(
    'evaluate.py', f'--output_path={folder / "output"}', '--continuous_eval', '--max_embs=2',
    '--novisualize', cwd=tmp_path,
  )  # fmt: skip
  assert 'evaluating step 4' in done.stdout


def test_embeddings_are_extracted_and_shown(trained, tmp_path):
  folder, _ = trained
  from estimators.tcc.evaluation import embeddings_file

  path = tmp_path / 'some embeddings.npy'
  command(
    'extract_embeddings.py', f'--logdir={folder / "output"}', '--split=test', '--keep_data',
    '--sample_all_stride=3', f'--save_path={path}', cwd=tmp_path,
  )  # fmt: skip
  found = embeddings_file.load(str(path))
  assert [clip.name for clip in found.clips] == ['test_000', 'test_001']
  for clip, frames in zip(found.clips, found.frames):
    assert clip.embeddings.shape == (len(frames), 8)
    assert frames.shape[1:] == (32, 32, 3)
  command(
    'visualize_alignment.py', f'--embs_path={path}', f'--video_path={tmp_path / "shown.gif"}',
    cwd=tmp_path,
  )  # fmt: skip
  assert (tmp_path / 'shown.gif').stat().st_size > 100


def test_a_training_that_was_stopped_ends_with_the_same_bits(clips, tmp_path):
  whole, _ = train(small_tree(clips), tmp_path / 'whole')
  # As a kill after the checkpoint of iteration 3.
  train(small_tree(clips, **{'TRAIN.MAX_ITERS': 3, 'OPTIMIZER.LR.DECAY_TYPE': 'fixed'}),
        tmp_path / 'fixed')  # fmt: skip
  fixed = small_tree(clips, **{'OPTIMIZER.LR.DECAY_TYPE': 'fixed'})
  resumed, lines = train(fixed, tmp_path / 'fixed')
  assert any('going on from step 3' in line for line in lines)
  through, _ = train(fixed, tmp_path / 'through')
  expected, found = weights(tmp_path / 'through', 6), weights(tmp_path / 'fixed', 6)
  assert expected.keys() == found.keys()
  for name, value in expected.items():
    np.testing.assert_array_equal(found[name], value, err_msg=name)
  assert resumed['tasks'] == through['tasks'] and resumed['losses'] == through['losses']
  # What the untrained network scores stays known.
  assert resumed['tasks_of_untrained_network'] == through['tasks_of_untrained_network']
  assert whole['tasks_of_untrained_network'] == through['tasks_of_untrained_network']


def test_a_folder_of_another_configuration_is_refused_or_gone_on_with_when_forced(clips, tmp_path):
  train(small_tree(clips), tmp_path)
  other = small_tree(clips, **{'ALIGNMENT.LOSS_TYPE': 'classification', 'TRAIN.MAX_ITERS': 7})
  message = "LOSS_TYPE was 'regression_mse_var' and is 'classification'.*--force_train"
  with pytest.raises(errors.InputError, match=message):
    train(other, tmp_path)
  _, lines = train(other, tmp_path, training_run.Plan(is_forced=True))
  assert (
    "going on although ALIGNMENT.LOSS_TYPE was 'regression_mse_var' and is 'classification'"
    in (lines)
  )


@pytest.mark.parametrize('name', ['sal', 'tcn', 'classification', 'alignment_sal_tcn'])
def test_every_algorithm_trains_and_evaluates(clips, tmp_path, name):
  tree = small_tree(clips, TRAINING_ALGO=name, **{'TRAIN.MAX_ITERS': 2})
  found, _ = train(tree, tmp_path)
  assert np.isfinite(list(found['losses'].values())).all()
  assert any(key.startswith('embedder/') for key in weights(tmp_path, 2))


def test_a_base_network_that_is_frozen_stays_as_it_is(clips, tmp_path):
  tree = small_tree(clips, **{'MODEL.TRAIN_BASE': 'frozen'})
  train(tree, tmp_path)
  before, after = weights(tmp_path, 0), weights(tmp_path, 6)
  moved = {name for name, value in before.items() if (value != after[name]).any()}
  assert not [name for name in moved if name.startswith('base/')]
  assert 'embedder/conv1/kernel' in moved


def test_with_batch_norm_alone_the_kernels_of_the_base_network_stay(clips, tmp_path):
  train(small_tree(clips, **{'MODEL.TRAIN_BASE': 'only_bn'}), tmp_path)
  before, after = weights(tmp_path, 0), weights(tmp_path, 6)
  moved = {name for name, value in before.items() if (value != after[name]).any()}
  assert not [name for name in moved if name.startswith('base/') and name.endswith('/kernel')]
  assert [name for name in moved if name.startswith('base/') and name.endswith('/gamma')]
  assert [name for name in moved if name.startswith('base/') and name.endswith('/moving_mean')]


def test_flags_win_over_a_file_and_a_file_over_the_preset(clips, tmp_path):
  path = tmp_path / 'mine.yml'
  path.write_text('TRAIN: {BATCH_SIZE: 3, NUM_FRAMES: 6}\n')
  done = command(
    'train.py', *small_run.flags(tmp_path), f'--config_path={path}', '--batch_size=2',
    f'--output_path={tmp_path / "output"}', cwd=tmp_path,
  )  # fmt: skip
  del done
  from estimators.tcc import config_file

  stored = config_file.stored(str(tmp_path / 'output'))
  # small_run's own flag has the frames.
  assert (stored['TRAIN']['BATCH_SIZE'], stored['TRAIN']['NUM_FRAMES']) == (2, 5)
  assert stored['MODEL']['BASE_MODEL']['NETWORK'] == 'small'


@pytest.mark.parametrize(
  'flags, message',
  [
    (['--set=TRAIN.BATCH'], "--set must be NAME=VALUE; got 'TRAIN.BATCH'"),
    (['--set=TRAIN.BATCH=2'], "Did you mean 'TRAIN.BATCH_SIZE'"),
    (['--training_algo=align'], "TRAINING_ALGO must be one of"),
    (['--data_path=/nowhere/at all'], "there is no folder '/nowhere/at all'"),
    (['--datasets=cooking'], 'DATASETS must be [pouring] for generated clips'),
  ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_anything_is_made(tmp_path, flags, message):
  done = command(
    'train.py', f'--output_path={tmp_path / "output"}', *flags, cwd=tmp_path, check=False
  )
  assert done.returncode == 2
  assert message in done.stderr
  assert 'Traceback' not in done.stderr
  assert not (tmp_path / 'output').exists()


def test_a_folder_that_is_none_of_train_is_refused_by_the_tools(tmp_path):
  for name in ('evaluate.py', 'extract_embeddings.py'):
    done = command(name, f'--logdir={tmp_path}', cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert 'output_path must be a folder of train.py' in done.stderr


def test_cached_features_train_to_the_same_weights(clips, tmp_path):
  off = {
    f'AUGMENTATION.{name}': False
    for name in ('RANDOM_FLIP', 'RANDOM_CROP', 'BRIGHTNESS', 'CONTRAST', 'HUE', 'SATURATION')
  }
  train(small_tree(clips, **{'TRAIN.MAX_ITERS': 2}), tmp_path / 'first')
  tree = small_tree(clips, **{'MODEL.TRAIN_BASE': 'frozen', **off})
  plan = training_run.Plan(start_checkpoint=str(tmp_path / 'first'))
  plain, _ = train(tree, tmp_path / 'plain', plan)
  cached_plan = plan._replace(has_cached_features=True, cache_path=str(tmp_path / 'cache'))
  cached, lines = train(tree, tmp_path / 'cached', cached_plan)
  assert any('computing the features' in line for line in lines)
  expected, found = weights(tmp_path / 'plain', 6), weights(tmp_path / 'cached', 6)
  assert expected.keys() == found.keys()
  for name, value in expected.items():
    np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
  assert cached['losses'] == pytest.approx(plain['losses'], rel=1e-3)
  # The file is there: it is used again.
  _, lines = train(tree, tmp_path / 'again', cached_plan)
  assert not any('computing the features' in line for line in lines)
  again = weights(tmp_path / 'again', 6)
  for name, value in found.items():
    np.testing.assert_array_equal(again[name], value, err_msg=name)


@pytest.mark.parametrize(
  'values, message',
  [
    ({}, 'cache_features must go with TRAIN_BASE frozen'),
    ({'MODEL.TRAIN_BASE': 'frozen'}, 'cache_features must go without AUGMENTATION; got RANDOM_'),
  ],
)  # fmt: skip
def test_features_that_would_change_are_not_cached(clips, values, message):
  with pytest.raises(errors.InputError, match=message):
    feature_cache.check(small_tree(clips, **values))


def test_what_was_no_number_is_shown_as_none(clips):
  from estimators.tcc import report, scoring

  lines = []
  scorer = scoring.Scorer(None, small_tree(clips), None, show=lines.append)
  tau = {'kendalls_tau': {'val_kendalls_tau': float('nan')}}
  found = report.Found(None, {}, tau, {'kendalls_tau': {'val_kendalls_tau': 0.25}}, {})
  report.show(scorer, found, {'kendalls_tau': {'val_kendalls_tau': None}})
  assert lines[1].split() == ['kendalls_tau', 'none', '0.2500', 'none']


def test_a_gru_embeds_a_clip_in_one_piece(clips, tmp_path):
  tree = small_tree(
    clips, **{'MODEL.EMBEDDER_TYPE': 'convgru', 'DATA.NUM_STEPS': 1, 'TRAIN.MAX_ITERS': 1,
              'MODEL.CONVGRU_EMBEDDER_MODEL.CONV_LAYERS': [[4, 3, True]],
              'MODEL.CONVGRU_EMBEDDER_MODEL.GRU_LAYERS': [6]},
  )  # fmt: skip
  train(tree, tmp_path)
  from estimators.tcc import embedding, trained_model

  scorer = trained_model.open_folder(str(tmp_path), show=lambda line: None)
  records = scorer.data.records('val')
  some, others = (scorer.embed(records, embedding.Pieces(size)) for size in (3, 1000))
  for clip, other in zip(some, others):
    np.testing.assert_allclose(clip.embeddings, other.embeddings, rtol=1e-4, atol=1e-5)
