"""Flags of a training of a few steps, on the digits that come with scikit-learn."""


def flags(folder):
  """The flags of a run of four steps, an epoch each, with two samples of the weights."""
  del folder
  return [
    '--task=digits',
    '--batch_size=898',
    '--epochs=4',
    '--start_epoch=3',
    '--eval_step_interval=2',
    '--log_step_interval=1',
  ]
