"""What a training leaves for people and programs: result.json, pictures, the last lines."""

from __future__ import annotations

import math
import os
from typing import Any, Mapping, NamedTuple

from estimators.tcc import embedding, model, scoring
from estimators.tcc.evaluation import (
  alignment_picture,
  distance_plot,
  frame_matches,
  tasks,
)
from estimators.tcc.evaluation.clips import Clip
from npu_adapter import best_checkpoint, figures, run_report

# Of the picture: clips of validation that are shown in step with the first one.
_SHOWN = 4
_INTERVAL_MS = 50


class Found(NamedTuple):
  """What an evaluation measured."""

  checkpoint: str | None
  losses: Mapping[str, float]
  tasks: Mapping[str, Mapping[str, float]]
  of_pixels: Mapping[str, Mapping[str, float]]
  clips: Mapping[str, list[Clip]]


def write(
  scorer: scoring.Scorer,
  found: Found,
  untrained: Mapping[str, Any] | None,
  events: list[dict[str, Any]],
  is_drawn: bool = True,
) -> dict[str, Any]:
  """Writes everything into the model folder, says the end result, returns result.json's values."""
  folder, tree = scorer.estimator.model_dir, scorer.tree
  checkpoint = best_checkpoint.last(folder)
  values = {
    'model': 'tcc',
    'algorithm': tree['TRAINING_ALGO'],
    'base_network': tree['MODEL']['BASE_MODEL']['NETWORK'],
    'train_base': tree['MODEL']['TRAIN_BASE'],
    'numbers_of_the_network': run_report.trainable_parameters(checkpoint, model.SCOPES),
    'data': {
      'source': scorer.data.source,
      'clips': {split: len(scorer.data.records(split)) for split in scorer.data.sets},
      'phases': scorer.data.phases,
    },
    'batch_size': tree['TRAIN']['BATCH_SIZE'],
    'steps': tree['TRAIN']['MAX_ITERS'],
    'losses': found.losses,
    'tasks': found.tasks,
    'tasks_of_untrained_network': untrained,
    'tasks_of_raw_pixels': found.of_pixels,
    **run_report.speed_of(events),
    **run_report.environment_of(scorer.estimator),
  }
  if 'classification' in found.tasks:
    values['accuracy'] = {'test': found.tasks['classification']['val_accuracy']}
  figures.learning_curve(events, os.path.join(folder, 'learning_curve.png'), title='tcc')
  pictures = ['learning_curve.png']
  if is_drawn:
    pictures += draw(scorer, found.clips['val'])
  path = run_report.write(folder, values)
  scorer.show(f'{path} has the numbers, and beside it {", ".join(pictures)} are')
  show(scorer, found, untrained)
  return values


def draw(scorer: scoring.Scorer, clips: list[Clip]) -> list[str]:
  """Clips of validation in step with the first of them, and how far their frames are apart."""
  folder, chosen = scorer.estimator.model_dir, clips[:_SHOWN]
  if len(chosen) < 2:
    return []
  matches = [
    frame_matches.match(chosen[0].embeddings, clip.embeddings, use_dtw=False) for clip in chosen[1:]
  ]
  distance_plot.draw(
    matches[0], os.path.join(folder, 'distances.png'), chosen[0].name, chosen[1].name
  )
  orders = [range(len(chosen[0].labels)), *(match.frames for match in matches)]
  records = scorer.data.records('val')
  shown = [
    alignment_picture.Shown(number, embedding.pictures(records[number]), order)
    for number, order in enumerate(orders)
  ]
  alignment_picture.write_grid(os.path.join(folder, 'alignment.gif'), shown, _INTERVAL_MS)
  return ['alignment.gif', 'distances.png']


def show(scorer: scoring.Scorer, found: Found, untrained: Mapping[str, Any] | None = None) -> None:
  """A table of the tasks: of the network, untrained and of raw pixels."""
  rows = {scoring.NETWORK: found.tasks, scoring.PIXELS: found.of_pixels}
  if untrained:
    rows[scoring.UNTRAINED] = untrained
  names = [name for name in tasks.METRICS if name in found.tasks]
  width = max(map(len, names), default=0)
  scorer.show(' ' * width + ''.join(each.rjust(20) for each in rows))
  for name in names:
    cells = [_cell(row[name][tasks.METRICS[name]]).rjust(20) for row in rows.values()]
    scorer.show(name.ljust(width) + ''.join(cells))
  for name, loss in found.losses.items():
    scorer.show(f'{name.replace("_", " ")} {loss:.4f}')
  scorer.show(f'Final {scoring.headline(found.tasks)} on clips never trained on')


def _cell(value: float | None) -> str:
  """Of a log null is what was not a number: tau where all embeddings are the same."""
  return 'none' if value is None or math.isnan(value) else f'{value:.4f}'
