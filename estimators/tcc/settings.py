"""From the configuration to what the parts of the model take, checked.

No device words, no flags, no files.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from estimators.tcc import config_tree, input_pipeline, schedule
from estimators.tcc.algorithms import algorithm_options
from estimators.tcc.dataset import augmentation, frame_sampling
from estimators.tcc.evaluation import options as evaluation_options
from estimators.tcc.evaluation import tasks
from estimators.tcc.networks import base_networks, embedders, layers
from npu_adapter import errors

ALGORITHM_LOSS = 'algo_loss'
_EMBEDDERS = ('conv', 'convgru')
_OPTIMIZERS = ('AdamOptimizer', 'MomentumOptimizer')
_COUNTS = (
  'TRAIN.MAX_ITERS', 'TRAIN.BATCH_SIZE', 'TRAIN.NUM_FRAMES', 'EVAL.BATCH_SIZE', 'EVAL.NUM_FRAMES',
  'EVAL.VAL_ITERS', 'EVAL.FRAMES_PER_BATCH', 'LOGGING.REPORT_INTERVAL', 'CHECKPOINT.SAVE_INTERVAL',
)  # fmt: skip


def check(tree: Mapping[str, Any]) -> None:
  """Raises InputError for a configuration that cannot be trained."""
  for name in _COUNTS:
    if config_tree.get(tree, name) < 1:
      raise errors.InputError(f'{name} must be 1 or above; got {config_tree.get(tree, name)}.')
  model = tree['MODEL']
  for name, known in (
    ('MODEL.BASE_MODEL.NETWORK', tuple(base_networks.TABLE)),
    ('MODEL.BASE_MODEL.LAYER', ('conv4_block3_out',)),
    ('MODEL.TRAIN_BASE', layers.TRAIN_BASE),
    ('MODEL.EMBEDDER_TYPE', _EMBEDDERS),
    ('OPTIMIZER.TYPE', _OPTIMIZERS),
  ):
    _one_of(name, config_tree.get(tree, name), known)
  for task in tree['EVAL']['TASKS']:
    _one_of('EVAL.TASKS', task, (ALGORITHM_LOSS, *tasks.TASKS))
  if not 0 <= model['L2_REG_WEIGHT'] < 1:
    raise errors.InputError(
      f'MODEL.L2_REG_WEIGHT must be from 0 to below 1; got {model["L2_REG_WEIGHT"]}.'
    )
  frames = frames_of(tree)
  input_pipeline.check(frames, order_of(tree, 0))
  embedders.check(embedder_of(tree), frames.context.num_steps)
  augmentation.check(augmentation_of(tree))
  schedule.check(schedule_of(tree))
  evaluation_options.check(evaluation_of(tree, None))
  name = tree['TRAINING_ALGO']
  options = algorithm_options_of(tree, phases=2)
  for section in ('TRAIN', 'EVAL'):
    algorithm_options.check(name, options, tree[section]['BATCH_SIZE'], tree[section]['NUM_FRAMES'])


def params(tree: Mapping[str, Any], phases: int, seed: int, loss_scale: Any) -> dict[str, Any]:
  """What model_fn takes; phases: how many the labels of the data tell apart."""
  return {
    'base': tree['MODEL']['BASE_MODEL']['NETWORK'],
    'base_options': _base_options(tree),
    'train_base': tree['MODEL']['TRAIN_BASE'],
    'embedder': embedder_of(tree),
    'image_size': tree['IMAGE_SIZE'],
    'context': tree['DATA']['NUM_STEPS'],
    'algorithm': tree['TRAINING_ALGO'],
    'algorithm_options': algorithm_options_of(tree, phases),
    'l2_weight': tree['MODEL']['L2_REG_WEIGHT'],
    'optimizer': tree['OPTIMIZER']['TYPE'],
    'schedule': schedule_of(tree),
    'seed': seed,
    'loss_scale': loss_scale,
  }


def _base_options(tree: Mapping[str, Any]) -> dict[str, Any]:
  if tree['MODEL']['BASE_MODEL']['NETWORK'] != 'VGGM':
    return {}
  return {
    'use_batch_norm': tree['MODEL']['VGGM']['USE_BN'],
    'l2_weight': tree['MODEL']['L2_REG_WEIGHT'],
  }


def embedder_of(tree: Mapping[str, Any]) -> Any:
  """The embedder's options."""
  model = tree['MODEL']
  common = {'l2_weight': model['L2_REG_WEIGHT']}
  conv, gru = model['CONV_EMBEDDER_MODEL'], model['CONVGRU_EMBEDDER_MODEL']
  common['l2_normalize'] = conv['L2_NORMALIZE']
  if model['EMBEDDER_TYPE'] == 'convgru':
    return embedders.ConvGruEmbedder(
      conv_layers=_tuples(gru['CONV_LAYERS']),
      gru_layers=tuple(gru['GRU_LAYERS']),
      dropout=gru['DROPOUT_RATE'],
      use_batch_norm=gru['USE_BN'],
      **common,
    )
  return embedders.ConvEmbedder(
    conv_layers=_tuples(conv['CONV_LAYERS']),
    fc_layers=_tuples(conv['FC_LAYERS']),
    capacity=conv['CAPACITY_SCALAR'],
    size=conv['EMBEDDING_SIZE'],
    flatten=conv['FLATTEN_METHOD'],
    base_dropout=conv['BASE_DROPOUT_RATE'],
    base_dropout_spatial=conv['BASE_DROPOUT_SPATIAL'],
    fc_dropout=conv['FC_DROPOUT_RATE'],
    use_batch_norm=conv['USE_BN'],
    **common,
  )


def frames_of(
  tree: Mapping[str, Any], section: str = 'TRAIN', num_parallel_calls: int | None = None
) -> input_pipeline.Frames:
  """What a clip is made into, in training or in evaluation."""
  data = tree['DATA']
  needs_positives = algorithm_options.named(tree['TRAINING_ALGO']).needs_positives
  sampling = frame_sampling.Sampling(
    strategy=data['SAMPLING_STRATEGY'],
    num_frames=tree[section]['NUM_FRAMES'],
    random_offset=data['RANDOM_OFFSET'],
    stride=data['STRIDE'],
    positive_window=tree['TCN']['POSITIVE_WINDOW'] if needs_positives else 0,
  )
  return input_pipeline.Frames(
    image_size=tree['IMAGE_SIZE'],
    sampling=sampling,
    context=frame_sampling.Context(data['NUM_STEPS'], data['FRAME_STRIDE']),
    is_cropped=tree['AUGMENTATION']['RANDOM_CROP'],
    num_parallel_calls=num_parallel_calls,
  )


def frames_per_batch(tree: Mapping[str, Any], lengths: Sequence[int], asked: int) -> int:
  """How many frames of a clip are embedded at a time; lengths: of the clips.

  A GRU goes along the frames: what it knows of those before must not be cut off.
  """
  return max(lengths) if tree['MODEL']['EMBEDDER_TYPE'] == 'convgru' else asked


def order_of(tree: Mapping[str, Any], seed: int) -> input_pipeline.Order:
  """Which clips a step gets."""
  return input_pipeline.Order(tree['TRAIN']['BATCH_SIZE'], seed)


def augmentation_of(tree: Mapping[str, Any]) -> augmentation.Augmentation:
  """What the pictures of a training clip go through."""
  return augmentation.Augmentation(**_lowered(tree['AUGMENTATION']))


def schedule_of(tree: Mapping[str, Any]) -> schedule.Schedule:
  """The learning rate over the iterations."""
  values = _lowered(tree['OPTIMIZER']['LR'])
  values['manual_lr_step_boundaries'] = tuple(values['manual_lr_step_boundaries'])
  return schedule.Schedule(max_iters=tree['TRAIN']['MAX_ITERS'], **values)


def evaluation_of(
  tree: Mapping[str, Any], phases: int | None
) -> evaluation_options.EvaluationOptions:
  """How embeddings are judged."""
  values = tree['EVAL']
  return evaluation_options.EvaluationOptions(
    classification_fractions=tuple(values['CLASSIFICATION_FRACTIONS']),
    kendalls_tau_stride=values['KENDALLS_TAU_STRIDE'],
    kendalls_tau_distance=values['KENDALLS_TAU_DISTANCE'],
    few_shot_num_labeled=tuple(values['FEW_SHOT_NUM_LABELED']),
    few_shot_episodes=values['FEW_SHOT_NUM_EPISODES'],
    phases=phases,
  )


def algorithm_options_of(tree: Mapping[str, Any], phases: int) -> Any:
  """The options of the training algorithm."""
  algorithm_options.named(tree['TRAINING_ALGO'])
  alignment = algorithm_options.Alignment(**_lowered(tree['ALIGNMENT']))
  sal = algorithm_options.ShuffleAndLearn(
    **{**_lowered(tree['SAL']), 'fc_layers': _tuples(tree['SAL']['FC_LAYERS'])}
  )
  tcn = algorithm_options.TimeContrastive(reg_lambda=tree['TCN']['REG_LAMBDA'])
  return {
    'alignment': alignment,
    'sal': sal,
    'tcn': tcn,
    'classification': algorithm_options.Classification(
      num_classes=phases, **_lowered(tree['CLASSIFICATION'])
    ),
    'alignment_sal_tcn': algorithm_options.AlignmentSalTcn(
      alignment=alignment, sal=sal, tcn=tcn, **_lowered(tree['ALIGNMENT_SAL_TCN'])
    ),
  }[tree['TRAINING_ALGO']]


def _lowered(section: Mapping[str, Any]) -> dict[str, Any]:
  return {name.lower(): value for name, value in section.items()}


def _tuples(rows: Any) -> tuple[Any, ...]:
  return tuple(tuple(row) for row in rows)


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
  if value not in known:
    raise errors.InputError(
      f'{name} must be one of {", ".join(known)}; got {value!r}.{errors.nearest(value, known)}'
    )
