"""Flags of a training of a few steps, on the recordings that come with seglearn."""


def flags(folder):
  """The flags of a run of four steps of a small network; what is cached is cached in `folder`."""
  return [
    f'--cache_path={folder / "cache"}',
    '--n_hidden=8',
    '--n_stacked_layers=2',
    '--n_layers_in_highway=2',
    '--steps=4',
    '--batch_size=20',
    '--eval_step_interval=2',
    '--log_step_interval=1',
  ]
