"""result.json: what a training was and what came out, for machines and for people."""

from __future__ import annotations

import json
import os
import platform
import statistics
from typing import Any, Mapping, Sequence

import tensorflow.compat.v1 as tf

import npu_adapter
from npu_adapter import json_values, whole_file

FILE_NAME = 'result.json'
_SLOTS = ('Adam', 'Adam_1')


def environment_of(estimator: npu_adapter.NPUEstimator) -> dict[str, Any]:
  """What a training ran on, and the options of the device that were named for it."""
  given = estimator.config.given
  return {
    'backend': estimator.backend_name,
    'precision_mode': given.get('precision_mode') or given.get('precision_mode_v2'),
    'options': json_values.plain(given),
    'tensorflow': tf.__version__,
    'python': platform.python_version(),
    'npu_adapter': npu_adapter.__version__,
  }


def speed_of(events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
  """Of a training log: of training alone, without validation, saving and building the graph."""
  seconds = max((event['seconds'] for event in events if 'seconds' in event), default=None)
  rates = [event['samples_per_s'] for event in events if 'samples_per_s' in event]
  return {
    'training_seconds': seconds,
    'samples_per_s': statistics.median(rates) if rates else None,
  }


def trainable_parameters(checkpoint: str, scopes: Sequence[str]) -> int:
  """How many numbers training has set: without moving averages and the optimizer's slots."""
  below = tuple(f'{scope}/' for scope in scopes)
  return sum(
    int(tf.TensorShape(shape).num_elements())
    for name, shape in tf.train.list_variables(checkpoint)
    if name.startswith(below) and '/moving_' not in name and name.rpartition('/')[2] not in _SLOTS
  )


def write(folder: str, values: Mapping[str, Any]) -> str:
  """Writes result.json into a model folder and returns its path; null is what was not finite."""
  path = os.path.join(folder, FILE_NAME)
  text = json.dumps(json_values.plain(values), indent=2, allow_nan=False)
  whole_file.write_text(path, f'{text}\n')
  return path
