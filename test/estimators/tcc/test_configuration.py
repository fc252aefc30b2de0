"""The configuration: names and kinds that are refused, its file, and what the parts get of it."""

import pytest
import tensorflow.compat.v1 as tf

from estimators.tcc import config_file, config_tree, presets, schedule, settings
from estimators.tcc.algorithms import algorithm_options
from estimators.tcc.dataset import augmentation, frame_sampling
from estimators.tcc.evaluation import options as evaluation_options
from estimators.tcc.networks import embedders
from npu_adapter import errors
from npu_adapter.runtime import tf1

tf1.enable()


def changed(**values):
  """The published tree with values by their names, `__` for a dot."""
  tree = config_tree.published()
  for name, value in values.items():
    config_tree.put(tree, name.replace('__', '.'), value)
  return tree


def test_the_published_tree_gives_every_part_its_published_defaults():
  tree = config_tree.published()
  settings.check(tree)
  assert settings.embedder_of(tree) == embedders.ConvEmbedder()
  gru = changed(MODEL__EMBEDDER_TYPE='convgru', DATA__NUM_STEPS=1)
  assert settings.embedder_of(gru) == embedders.ConvGruEmbedder()
  assert settings.frames_of(tree).sampling == frame_sampling.Sampling()
  assert settings.frames_of(tree).context == frame_sampling.Context()
  assert settings.frames_of(tree).image_size == 224
  assert settings.augmentation_of(tree) == augmentation.Augmentation()
  assert settings.schedule_of(tree) == schedule.Schedule()
  assert settings.evaluation_of(tree, None) == evaluation_options.EvaluationOptions()
  assert settings.order_of(tree, 3) == (2, 3)
  for name, known in algorithm_options.ALGORITHMS.items():
    found = settings.algorithm_options_of(changed(TRAINING_ALGO=name), phases=5)
    assert found == known.options


def test_positives_are_sampled_for_the_algorithms_that_need_them():
  assert settings.frames_of(changed(TRAINING_ALGO='tcn')).sampling.chosen == 40
  assert settings.frames_of(changed(TRAINING_ALGO='alignment')).sampling.chosen == 20


@pytest.mark.parametrize('preset', sorted(presets.PRESETS))
def test_a_preset_can_be_trained(preset):
  settings.check(presets.tree_of(preset))


def test_a_preset_leaves_the_published_tree_as_it_is():
  presets.tree_of('small')['TRAIN']['BATCH_SIZE'] = 77
  assert config_tree.published()['TRAIN']['BATCH_SIZE'] == 2
  assert presets.tree_of('published') == config_tree.published()


@pytest.mark.parametrize(
  'name, value, message',
  [
    ('TRAIN.BATCHSIZE', 2, "got 'TRAIN.BATCHSIZE'.*Did you mean 'TRAIN.BATCH_SIZE'"),
    ('TRAIN', 2, "must be one of the publication; got 'TRAIN'"),
    ('TRAIN.BATCH_SIZE', 2.5, 'TRAIN.BATCH_SIZE must be a whole number; got 2.5'),
    ('TRAIN.BATCH_SIZE', True, 'TRAIN.BATCH_SIZE must be a whole number; got True'),
    ('ALIGNMENT.FRACTION', 'all', "ALIGNMENT.FRACTION must be a number; got 'all'"),
    ('ALIGNMENT.STOCHASTIC_MATCHING', 1, 'STOCHASTIC_MATCHING must be true or false; got 1'),
    ('DATASETS', 'pouring', r"DATASETS must be a list, in \[ \]; got 'pouring'"),
    ('PATH_TO_TFRECORDS', 3, 'PATH_TO_TFRECORDS must be text; got 3'),
    ('TRAINING_ALGO', None, 'TRAINING_ALGO must be text; got None'),
  ],
)
def test_a_name_or_a_kind_that_the_tree_has_not_is_refused(name, value, message):
  with pytest.raises(errors.InputError, match=message):
    config_tree.put(config_tree.published(), name, value)


@pytest.mark.parametrize(
  'values, message',
  [
    ({'TRAIN__BATCH_SIZE': 0}, 'TRAIN.BATCH_SIZE must be 1 or above; got 0'),
    ({'TRAIN__BATCH_SIZE': 1}, 'BATCH_SIZE must be at least 2'),
    ({'MODEL__BASE_MODEL__NETWORK': 'resnet'}, "NETWORK must be one of .*; got 'resnet'"),
    ({'MODEL__BASE_MODEL__LAYER': 'conv5'}, "LAYER must be one of conv4_block3_out; got 'conv5'"),
    ({'MODEL__TRAIN_BASE': 'all'}, "TRAIN_BASE must be one of train_all, .*; got 'all'"),
    ({'MODEL__EMBEDDER_TYPE': 'gru'}, "EMBEDDER_TYPE must be one of conv, convgru; got 'gru'"),
    ({'MODEL__EMBEDDER_TYPE': 'convgru'}, 'NUM_STEPS'),
    ({'MODEL__L2_REG_WEIGHT': -1.0}, 'L2_REG_WEIGHT must be from 0 to below 1; got -1.0'),
    ({'OPTIMIZER__TYPE': 'Adam'}, "OPTIMIZER.TYPE must be one of AdamOptimizer, .*got 'Adam'"),
    ({'OPTIMIZER__LR__DECAY_TYPE': 'exp'}, "DECAY_TYPE must be one of .*got 'exp'"),
    ({'OPTIMIZER__LR__INITIAL_LR': 0.0}, 'INITIAL_LR must be above 0; got 0'),
    ({'OPTIMIZER__LR__NUM_WARMUP_STEPS': -1}, 'NUM_WARMUP_STEPS must be 0 or above'),
    ({'OPTIMIZER__LR__MANUAL_LR_STEP_BOUNDARIES': [5, 5]}, 'iterations in rising order'),
    ({'TRAINING_ALGO': 'allign'}, "TRAINING_ALGO must be one of .*got 'allign'"),
    ({'EVAL__TASKS': ['taus']}, "EVAL.TASKS must be one of .*got 'taus'"),
    ({'DATA__SAMPLING_STRATEGY': 'all'}, 'sampling_strategy must be one of'),
    ({'EVAL__CLASSIFICATION_FRACTIONS': [0.0]}, 'classification_fractions must be shares'),
  ],
)  # fmt: skip
def test_a_configuration_that_cannot_be_trained_is_refused(values, message):
  with pytest.raises(errors.InputError, match=message):
    settings.check(changed(**values))


def test_what_is_written_is_read_back(tmp_path):
  tree = changed(TRAIN__BATCH_SIZE=3, PATH_TO_TFRECORDS='/a b/%s', OPTIMIZER__LR__INITIAL_LR=1e-05)
  config_file.write(tree, str(tmp_path))
  assert config_file.stored(str(tmp_path)) == tree
  assert config_file.stored(str(tmp_path / 'nothing')) is None


def test_a_file_gives_the_values_it_has_and_says_what_has_no_effect(tmp_path):
  path = tmp_path / 'my config.yml'
  path.write_text(
    'TRAIN:\n  BATCH_SIZE: 8\nLOGDIR: /tmp/logs\nDATA: {SHUFFLE_QUEUE_SIZE: 4, NUM_STEPS: 1}\n'
  )
  tree = config_tree.published()
  ignored = config_tree.merge(tree, config_file.read(str(path)))
  assert ignored == ['LOGDIR', 'DATA.SHUFFLE_QUEUE_SIZE']
  assert dict(config_tree.leaves(tree)) == {
    **dict(config_tree.leaves(config_tree.published())), 'TRAIN.BATCH_SIZE': 8, 'DATA.NUM_STEPS': 1
  }  # fmt: skip


@pytest.mark.parametrize(
  'text, message',
  [
    ('TRAIN: {', 'must be YAML'),
    ('just words', 'must hold names with values'),
    ('', 'must hold names with values'),
    ('!!python/object/apply:os.system [echo]', 'must be YAML'),
  ],
)
def test_a_file_that_is_no_configuration_is_named(tmp_path, text, message):
  path = tmp_path / 'bad.yml'
  path.write_text(text)
  with pytest.raises(errors.InputError, match=f'bad.yml.*{message}'):
    config_file.read(str(path))


def test_a_file_that_is_not_there_is_an_error(tmp_path):
  with pytest.raises(errors.InputError, match='must be a file that can be read'):
    config_file.read(str(tmp_path / 'none.yml'))


@pytest.mark.parametrize(
  'text, value',
  [('2', 2), ('1e-4', 1e-4), ('true', True), ('[1, 2]', [1, 2]), ('l2', 'l2'), ('null', None)],
)
def test_a_value_on_the_command_line_is_written_as_in_yaml(text, value):
  found = config_file.value_of(text)
  assert found == value and type(found) is type(value)


def test_differences_are_told_by_name():
  before, now = config_tree.published(), changed(SAL__NUM_SAMPLES=4)
  assert config_tree.differences(before, now) == ['SAL.NUM_SAMPLES was 8 and is 4']
  assert config_tree.differences(before, before) == []


def rates(made, steps):
  with tf.Graph().as_default(), tf.Session() as session:
    step = tf.train.get_or_create_global_step()
    rate = schedule.rate(made)
    return [session.run(rate, {step: each}) for each in steps]


@pytest.mark.parametrize(
  'made, steps, expected',
  [
    (schedule.Schedule(), (0, 10**6), (1e-4, 1e-4)),
    (
      schedule.Schedule(0.1, 'exp_decay', exp_decay_steps=10),
      (0, 9, 10, 25), (0.1, 0.1, 0.097, 0.1 * 0.97**2),
    ),
    (
      schedule.Schedule(0.1, 'manual', manual_lr_step_boundaries=(5, 10)),
      (5, 6, 10, 11), (0.1, 0.01, 0.01, 0.001),
    ),
    (schedule.Schedule(0.1, 'poly', max_iters=10), (0, 5, 10, 12), (0.1, 0.05, 0, 0)),
    (schedule.Schedule(0.1, num_warmup_steps=4), (0, 1, 4, 9), (0, 0.025, 0.1, 0.1)),
  ],
)  # fmt: skip
def test_the_rate_follows_its_schedule(made, steps, expected):
  assert rates(made, steps) == pytest.approx(expected, rel=1e-5, abs=1e-9)
