"""STUB of the vendor's NPUEstimator: a tf.estimator.Estimator that trains on the CPU."""

import os
import random
import string
import sys

import tensorflow.compat.v1 as tf
from tensorflow.python.util import function_utils, tf_inspect

from npu_bridge import stub_parameter_map
from npu_bridge.estimator.npu import npu_common, npu_hook, util
from npu_bridge.estimator.npu.npu_config import NPURunConfig
from npu_bridge.estimator.npu.npu_saver import NPUSaver

_MODEL_DIR_CHARACTERS = 10


class NPUEstimatorSpec(tf.estimator.EstimatorSpec):
  """EstimatorSpec with host_call: (function, tensors) that the host runs in every step."""

  def __new__(
    cls,
    mode,
    predictions=None,
    loss=None,
    train_op=None,
    eval_metric_ops=None,
    export_outputs=None,
    training_chief_hooks=None,
    training_hooks=None,
    scaffold=None,
    evaluation_hooks=None,
    prediction_hooks=None,
    host_call=None,
  ):
    if host_call is not None:
      _check_host_call(host_call)
    stock = tf.estimator.EstimatorSpec(
      mode=mode,
      predictions=predictions,
      loss=loss,
      train_op=train_op,
      eval_metric_ops=eval_metric_ops,
      export_outputs=export_outputs,
      training_chief_hooks=training_chief_hooks,
      training_hooks=training_hooks,
      scaffold=scaffold,
      evaluation_hooks=evaluation_hooks,
      prediction_hooks=prediction_hooks,
    )
    spec = tuple.__new__(cls, stock)
    spec.host_call = host_call
    return spec


def _check_host_call(host_call):
  if not isinstance(host_call, (tuple, list)) or len(host_call) != 2:
    raise ValueError(f'host_call must be a tuple (function, tensors), got {host_call!r}')
  function, tensors = host_call
  if not callable(function):
    raise TypeError(f'host_call[0] must be callable, got {function!r}')
  if isinstance(tensors, (tuple, list)):
    spec = tf_inspect.getfullargspec(function)
    arguments = function_utils.fn_args(function)
    if spec.varargs is None and len(arguments) != len(tensors):
      raise RuntimeError(
        f'host_call function takes {len(arguments)} tensors {arguments}, got {len(tensors)}'
      )


class NPUEstimator(tf.estimator.Estimator):
  """Estimator with the vendor's arguments, checks, session config and hooks."""

  def __init__(
    self,
    model_fn=None,
    model_dir=None,
    config=None,
    params=None,
    job_start_file='',
    warm_start_from=None,
  ):
    if not isinstance(config, NPURunConfig):
      raise ValueError(f'`config` must be provided with type `NPUConfigs`, got {config!r}')
    if model_fn is None:
      raise ValueError('model_fn must be provided to NPUEstimator')
    job_info = npu_common.load_job_info(job_start_file)
    if config.session_config is None:
      config = config.replace(session_config=tf.ConfigProto(allow_soft_placement=True))
    stub_parameter_map.add_npu_optimizer(config, config.session_config)
    super().__init__(
      model_fn=_with_npu_hooks(model_fn),
      model_dir=_model_dir(model_dir, config),
      config=config,
      params=params,
      warm_start_from=(
        warm_start_from or job_info.local_checkpoint_dir or os.environ.get('RESTORE_FROM') or None
      ),
    )


def _model_dir(model_dir, config):
  if model_dir and config.model_dir and model_dir != config.model_dir:
    raise ValueError(
      f'model_dir is set both in NPUEstimator and NPURunConfig with different values: '
      f'{model_dir!r} and {config.model_dir!r}'
    )
  if model_dir or config.model_dir:
    return model_dir or config.model_dir
  characters = random.choices(string.ascii_lowercase + string.digits, k=_MODEL_DIR_CHARACTERS)
  created = os.path.join(os.getcwd(), 'model_dir_' + ''.join(characters))
  os.mkdir(created)
  return created


def _with_npu_hooks(model_fn):
  accepted = function_utils.fn_args(model_fn)

  def npu_model_fn(features, labels, mode, params, config):
    arguments = {'labels': labels, 'mode': mode, 'params': params, 'config': config}
    if labels is not None and 'labels' not in accepted:
      raise ValueError('model_fn does not take labels, but input_fn returns labels')
    given = {name: value for name, value in arguments.items() if name in accepted}
    spec = model_fn(features, **given)
    if mode == tf.estimator.ModeKeys.PREDICT:
      return spec
    if not isinstance(spec, tf.estimator.EstimatorSpec):
      raise RuntimeError(f'model_fn must return an EstimatorSpec, got {type(spec).__name__}')
    if mode == tf.estimator.ModeKeys.EVAL:
      return spec._replace(evaluation_hooks=[*spec.evaluation_hooks, *_outfeed_hooks(spec)])
    return _train_spec(spec, config)

  return npu_model_fn


def _train_spec(spec, config):
  hooks = [*spec.training_hooks]
  if util.get_ranksize() > 1 and not config._horovod_mode:
    hooks.append(npu_hook.NPUBroadcastGlobalVariablesHook(0, int(os.environ.get('RANK_ID') or 0)))
  if config.save_checkpoints_steps or config.save_checkpoints_secs:
    hooks.append(_checkpoint_hook(spec.scaffold, config))
  hooks += _outfeed_hooks(spec)
  train_op = spec.train_op
  if config._iterations_per_loop > 1:
    hooks.append(npu_hook.SetIterationsVarHook(config._iterations_per_loop))
    train_op = tf.group(train_op, name='IterationOp')
  return spec._replace(training_hooks=hooks, train_op=train_op)


def _checkpoint_hook(scaffold, config):
  saver = None
  if not (scaffold.saver or tf.get_collection(tf.GraphKeys.SAVERS)):
    saver = NPUSaver(
      sharded=True,
      max_to_keep=config.keep_checkpoint_max,
      keep_checkpoint_every_n_hours=config.keep_checkpoint_every_n_hours,
      defer_build=True,
      save_relative_paths=True,
    )
    # The scaffold finds the saver here and builds it once the graph is complete.
    tf.add_to_collection(tf.GraphKeys.SAVERS, saver)
  return npu_hook.NPUCheckpointSaverHook(
    config.model_dir,
    save_secs=config.save_checkpoints_secs,
    save_steps=config.save_checkpoints_steps,
    saver=saver,
    scaffold=None if saver else scaffold,
  )


def _outfeed_hooks(spec):
  if not isinstance(spec, NPUEstimatorSpec):
    return []
  hooks = []
  if spec.host_call is not None:
    hooks.append(npu_hook.NPUInfeedOutfeedSessionHook(_host_call_ops(*spec.host_call), spec.mode))
  return [*hooks, npu_hook.NPULogOutfeedSessionHook(sys.stderr)]


def _host_call_ops(function, tensors):
  result = function(**tensors) if isinstance(tensors, dict) else function(*tensors)
  return [op for op in tf.nest.flatten(result) if op is not None]
