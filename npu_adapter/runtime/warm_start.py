"""Starts a model from the weights of another one."""

from __future__ import annotations

import collections
import os
from typing import Any

import tensorflow.compat.v1 as tf

VocabInfo = tf.train.VocabInfo

_Fields = collections.namedtuple(
  '_Fields',
  'ckpt_to_initialize_from vars_to_warm_start var_name_to_vocab_info var_name_to_prev_var_name',
)


class WarmStartSettings(_Fields):
  """Where weights come from, and which.

  ckpt_to_initialize_from: a checkpoint, or a folder whose latest one is taken.
  vars_to_warm_start: a regular expression over trainable variables; or a list of them over all
    variables; or a list of variables; or None for those of var_name_to_vocab_info only.
  var_name_to_vocab_info: {variable: VocabInfo} for those whose rows follow another vocabulary.
  var_name_to_prev_var_name: {variable: its name in the checkpoint}, where it differs.
  """

  def __new__(
    cls,
    ckpt_to_initialize_from: Any,
    vars_to_warm_start: Any = '.*',
    var_name_to_vocab_info: Any = None,
    var_name_to_prev_var_name: Any = None,
  ) -> Any:
    if not ckpt_to_initialize_from:
      raise ValueError('`ckpt_to_initialize_from` MUST be set in WarmStartSettings')
    return super().__new__(
      cls,
      os.fsdecode(ckpt_to_initialize_from),
      vars_to_warm_start,
      var_name_to_vocab_info or {},
      var_name_to_prev_var_name or {},
    )


def settings_from(warm_start_from: Any) -> WarmStartSettings | None:
  """Returns settings for a path (checkpoint, its folder, SavedModel folder), or those given."""
  if warm_start_from is None or isinstance(warm_start_from, WarmStartSettings):
    return warm_start_from
  if all(hasattr(warm_start_from, name) for name in WarmStartSettings._fields):
    # tf.estimator's own class.
    return WarmStartSettings(*warm_start_from)
  if not isinstance(warm_start_from, (str, bytes, os.PathLike)):
    raise ValueError(
      'warm_start_from must be a string or a WarmStartSettings, instead got '
      f'{type(warm_start_from)}'
    )
  path = os.fsdecode(warm_start_from)
  variables = os.path.join(path, 'variables', 'variables')
  if tf.io.gfile.exists(variables + '.index'):
    tf.logging.info('Warm-starting from a SavedModel')
    path = variables
  return WarmStartSettings(path)


def apply(settings: WarmStartSettings | None) -> None:
  """Makes the variables of the default graph start from the settings' checkpoint."""
  if settings is None:
    return
  tf.logging.info('Warm-starting with WarmStartSettings: %s', (settings,))
  tf.train.warm_start(*settings)


def checkpoint_of(settings: WarmStartSettings | None) -> str | None:
  """The checkpoint the settings name, for exporting a model that was never trained itself."""
  if settings is None:
    return None
  path = settings.ckpt_to_initialize_from
  return tf.train.latest_checkpoint(path) if tf.io.gfile.isdir(path) else path
