"""Named sets of flags: how the original trained, how the paper did, and a small run.

The original, whose preset is `seed`, is the Keras-TCN of Huawei's ModelZoo. A flag that is given
wins over its preset. No TensorFlow.
"""

_SEED = {
  'task': 'adding',
  'sequence_length': None,  # as long as the task has it
  'nb_filters': (24,),
  'kernel_size': 8,
  'nb_stacks': 1,
  'dilations': tuple(2**level for level in range(9)),
  'use_skip_connections': False,
  'norm': 'batch',
  'initializer': 'he_normal',
  'dropout_rate': 0.1,
  'batch_size': 512,
  'epochs': 50.0,
  'train_data_n': 200000,
  'validation_data_n': 2000,
  'learning_rate': 0.005,
  'schedule': 'constant',
  'clip_norm': 1.0,
  'eval_step_interval': 100,
  'log_step_interval': 20,
}
_PAPER = {
  **_SEED,
  'norm': 'weight',
  'dropout_rate': 0.0,
  'dilations': tuple(2**level for level in range(8)),
  'batch_size': 64,
  'epochs': 6.4,  # 20,000 steps
  'learning_rate': 0.002,
  'schedule': 'cosine',
  'eval_step_interval': 1000,
  'log_step_interval': 100,
}
_CI = {
  **_PAPER,
  'sequence_length': 100,
  'dilations': (1, 2, 4, 8, 16),
  'kernel_size': 6,
  'epochs': 1.28,  # 4,000 steps
  'learning_rate': 0.004,
  'eval_step_interval': 1000,
  'log_step_interval': 500,
}
PRESETS = {'seed': _SEED, 'paper': _PAPER, 'ci': _CI}
