"""How good a checkpoint is: the loss on clips of both splits, and the tasks on its embeddings."""

from __future__ import annotations

from typing import Any, Callable, Mapping, NamedTuple, Sequence

import npu_adapter
from estimators.tcc import data_source, embedding, input_pipeline, settings
from estimators.tcc.dataset import record_index
from estimators.tcc.evaluation import pixel_baseline, tasks
from estimators.tcc.evaluation.clips import Clip

# Of what the embeddings are, in reports.
NETWORK, UNTRAINED, PIXELS = 'network', 'untrained network', 'raw pixels'
_PIXEL_SIDE = 16
_WITHOUT_LABELS = ('kendalls_tau',)


class Scorer(NamedTuple):
  """Evaluates checkpoints of one estimator."""

  estimator: npu_adapter.NPUEstimator
  tree: Mapping[str, Any]
  data: data_source.Data
  num_parallel_calls: int | None = None
  show: Callable[[str], Any] = print

  def task_names(self) -> list[str]:
    """The tasks on embeddings that were asked for and that the labels allow."""
    names = [name for name in self.tree['EVAL']['TASKS'] if name != settings.ALGORITHM_LOSS]
    if self.data.phases is None:
      left = [name for name in names if name not in _WITHOUT_LABELS]
      if left:
        self.show(f'the clips have no frame labels: left out are {", ".join(left)}')
      names = [name for name in names if name in _WITHOUT_LABELS]
    return names

  def losses(self, checkpoint: str | None = None) -> dict[str, float]:
    """{'train_loss': ..., 'val_loss': ...} of the algorithm, on so many batches of each split."""
    values, frames = self.tree['EVAL'], settings.frames_of(self.tree, 'EVAL')
    found = {}
    for split in data_source.SPLITS:
      input_fn = input_pipeline.evaluation_input_fn(
        self.data.sets[split], frames, values['BATCH_SIZE'], values['VAL_ITERS']
      )
      metrics = self.estimator.evaluate(input_fn, checkpoint_path=checkpoint, name=split)
      found[f'{split}_loss'] = float(metrics['algorithm_loss'])
    return found

  def clips(self, checkpoint: str | None = None) -> dict[str, list[Clip]]:
    """The embeddings of every frame of each split."""
    return {
      split: self.embed(
        self.data.records(split), embedding.Pieces(self.tree['EVAL']['FRAMES_PER_BATCH']),
        checkpoint,
      )
      for split in data_source.SPLITS
    }  # fmt: skip

  def embed(
    self,
    records: Sequence[record_index.Record],
    pieces: embedding.Pieces,
    checkpoint: str | None = None,
  ) -> list[Clip]:
    """The embeddings of every frame of some clips."""
    frames = settings.frames_of(self.tree, 'EVAL', self.num_parallel_calls)
    lengths = [-(-record.frames // pieces.stride) for record in records]
    at_once = settings.frames_per_batch(self.tree, lengths, pieces.frames_per_batch)
    pieces = pieces._replace(frames_per_batch=at_once)
    return embedding.embed(self.estimator, records, frames, pieces, checkpoint)

  def tasks(self, clips: Mapping[str, list[Clip]]) -> dict[str, dict[str, float]]:
    """{task: {metric: value}} of embeddings."""
    options = settings.evaluation_of(self.tree, self.data.phases)
    return tasks.evaluate(self.task_names(), clips['train'], clips['val'], options)

  def of_pixels(self, clips: Mapping[str, list[Clip]]) -> dict[str, dict[str, float]]:
    """The same of the pixels of these clips, in the place of their embeddings."""
    return self.tasks({
      split: pixel_baseline.pixel_clips(
        clips[split], [embedding.pictures(record) for record in self.data.records(split)],
        _PIXEL_SIDE,
      )
      for split in data_source.SPLITS
    })  # fmt: skip


def headline(found: Mapping[str, Mapping[str, float]]) -> str:
  """What each task is known by, in a line."""
  return ', '.join(
    f'{_WORDS[name]} {found[name][metric]:.4f}'
    for name, metric in tasks.METRICS.items()
    if name in found
  )


_WORDS = {
  'classification': 'phase accuracy',
  'few_shot_classification': 'few-shot accuracy',
  'event_completion': 'event completion R2',
  'kendalls_tau': "Kendall's tau",
}
