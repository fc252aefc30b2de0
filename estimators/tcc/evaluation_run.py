"""Evaluations of a trained model: of one checkpoint, or of each that a training writes."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import tensorflow.compat.v1 as tf

from estimators.tcc import report, scoring, trained_model, training_run
from npu_adapter import json_values, whole_file

FILE_NAME = 'evaluation.json'
# How often it is looked for a new checkpoint.
_WAIT_S = 2.0


def run(scorer: scoring.Scorer, checkpoint: str, is_drawn: bool) -> dict[str, Any]:
  """Evaluates a checkpoint; returns what evaluation.json holds."""
  step = int(tf.train.load_variable(checkpoint, tf.GraphKeys.GLOBAL_STEP))
  scorer.show(f'evaluating step {step} on {scorer.data.source}')
  found = training_run.evaluate(scorer, checkpoint)
  values = {
    'step': step,
    'checkpoint': os.path.basename(checkpoint),
    'data': scorer.data.source,
    'clips': {split: len(clips) for split, clips in found.clips.items()},
    'losses': found.losses,
    'tasks': found.tasks,
    'tasks_of_raw_pixels': found.of_pixels,
  }
  path = os.path.join(scorer.estimator.model_dir, FILE_NAME)
  text = json.dumps(json_values.plain(values), indent=2, allow_nan=False)
  whole_file.write_text(path, f'{text}\n')
  if is_drawn:
    report.draw(scorer, found.clips['val'])
  report.show(scorer, found)
  scorer.show(f'{path} has the numbers')
  return values


def follow(scorer: scoring.Scorer, is_drawn: bool) -> None:
  """Evaluates what a training writes, until its last iteration."""
  seen, step = None, 0
  while step < scorer.tree['TRAIN']['MAX_ITERS']:
    checkpoint = trained_model.last_checkpoint(scorer)
    if checkpoint == seen:
      time.sleep(_WAIT_S)
      continue
    seen = checkpoint
    step = run(scorer, checkpoint, is_drawn)['step']


def at_most(scorer: scoring.Scorer, clips: int) -> scoring.Scorer:
  """The same with so many clips of each split at most; 0 is for all."""
  if not clips:
    return scorer
  sets = {
    split: [records[:clips] for records in of_split]
    for split, of_split in scorer.data.sets.items()
  }  # fmt: skip
  return scorer._replace(data=scorer.data._replace(sets=sets))
