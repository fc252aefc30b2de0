"""Flags of a training of a few iterations, on a few generated clips that are made in a folder."""


def make_clips(folder):
  """Writes clips of 32 pixels into a folder, once; returns it."""
  from estimators.tcc.dataset import pouring_clips

  target = folder / 'pouring_tfrecords'
  if not target.is_dir():
    target.mkdir(parents=True)
    request = pouring_clips.Request(seed=1, image_size=32, train=4, val=3, test=2)
    pouring_clips.write(str(target), request, show=lambda line: None)
  return folder


def flags(folder):
  """The flags of a run of four iterations of a small network."""
  return [
    f'--data_path={make_clips(folder / "clips")}',
    '--batch_size=2',
    '--num_frames=5',
    '--image_size=32',
    '--max_iters=4',
    '--log_step_interval=1',
    '--save_step_interval=2',
    '--set=EVAL.TASKS=[algo_loss, kendalls_tau]',
    '--set=EVAL.VAL_ITERS=1',
    '--set=EVAL.NUM_FRAMES=5',
    '--set=MODEL.CONV_EMBEDDER_MODEL.CONV_LAYERS=[[8, 3, true]]',
    '--set=MODEL.CONV_EMBEDDER_MODEL.FC_LAYERS=[[8, true]]',
    '--set=MODEL.CONV_EMBEDDER_MODEL.EMBEDDING_SIZE=8',
  ]
