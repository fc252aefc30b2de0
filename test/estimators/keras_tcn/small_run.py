"""Flags of a training of a few steps, with batch norm and dropout."""


def flags(folder):
  """Returns the flags; nothing needs making below `folder`."""
  del folder
  return [
    '--sequence_length=20',
    '--dilations=1,2,4',
    '--nb_filters=6',
    '--kernel_size=3',
    '--batch_size=8',
    '--steps=4',
    '--eval_step_interval=2',
    '--log_step_interval=1',
    '--validation_data_n=20',
    '--test_data_n=30',
  ]
