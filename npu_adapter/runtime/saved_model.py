"""Writes a model as a SavedModel into a new time-stamped folder."""

from __future__ import annotations

import os
import time
from typing import Any, Callable, Iterator, Mapping, NamedTuple

import tensorflow.compat.v1 as tf

from npu_adapter.runtime import export_outputs
from npu_adapter.runtime.model import Model, new_graph
from npu_adapter.runtime.model_fn import ModeKeys

# In this order: the first one exported writes the variables, and training has the most of them.
_TAGS = {ModeKeys.TRAIN: 'train', ModeKeys.EVAL: 'eval', ModeKeys.PREDICT: 'serve'}
_SUPERVISED = {
  ModeKeys.TRAIN: (export_outputs.TRAIN_SIGNATURE, export_outputs.TrainOutput),
  ModeKeys.EVAL: (export_outputs.EVAL_SIGNATURE, export_outputs.EvalOutput),
}
# Where TensorFlow's loader for further training looks for the op.
_TRAIN_OP_COLLECTION = 'saved_model_train_op'
_ATTEMPTS = 10

_SERVING_DEFAULT = tf.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY
_METHOD_WORDS = {
  'tensorflow/serving/classify': 'Classify',
  'tensorflow/serving/regress': 'Regress',
  'tensorflow/serving/predict': 'Predict',
  export_outputs.TrainOutput.method_name: 'Train',
  export_outputs.EvalOutput.method_name: 'Eval',
}


class Layout(NamedTuple):
  """How a SavedModel is written."""

  assets_extra: Mapping[str, str] | None = None
  as_text: bool = False
  strip_default_attrs: bool = True


def write(
  model: Model,
  export_dir_base: Any,
  receiver_fns: Mapping[str, Callable[[], Any]],
  checkpoint_path: str,
  layout: Layout,
) -> bytes:
  """Writes one graph for each mode of `receiver_fns`; returns the folder, `base/<seconds>`.

  The folder appears under its name when it is complete; until then it is called temp-<seconds>.
  """
  modes = [mode for mode in _TAGS if receiver_fns.get(mode)]
  if not modes:
    raise ValueError(f'No valid modes for exporting found. Got {list(receiver_fns)}.')
  folder = _new_folder(os.fsdecode(export_dir_base))
  temporary = os.path.join(os.path.dirname(folder), f'temp-{os.path.basename(folder)}')
  try:
    builder = tf.saved_model.Builder(temporary)
    export = _Export(model, builder, checkpoint_path, layout.strip_default_attrs)
    for mode in modes:
      export.add(mode, receiver_fns[mode])
    builder.save(layout.as_text)
    _copy_assets(temporary, layout.assets_extra or {})
  except BaseException:
    if tf.io.gfile.exists(temporary):
      tf.io.gfile.rmtree(temporary)
    raise
  tf.io.gfile.rename(temporary, folder)
  return os.fsencode(folder)


def _new_folder(base: str) -> str:
  """A name servers take for a version: the time in seconds, once a second."""
  for attempt in range(1, _ATTEMPTS + 1):
    folder = os.path.join(base, str(int(time.time())))
    if not tf.io.gfile.exists(folder):
      return folder
    time.sleep(1)
    tf.logging.warning(
      'Directory %s already exists; retrying (attempt %d/%d)', folder, attempt, _ATTEMPTS
    )
  raise RuntimeError(
    f'Failed to obtain a unique export directory name after {_ATTEMPTS} attempts in {base}. '
    'Do other processes export into the same folder?'
  )


def _copy_assets(folder: str, assets: Mapping[str, str]) -> None:
  for name, source in assets.items():
    destination = os.path.join(folder, 'assets.extra', os.fsdecode(name))
    tf.io.gfile.makedirs(os.path.dirname(destination))
    tf.io.gfile.copy(os.fsdecode(source), destination)


class _Export:
  """One SavedModel being written; the first graph added writes the variables for all."""

  def __init__(self, model: Model, builder: Any, checkpoint_path: str, strip_default_attrs: bool):
    self._model = model
    self._builder = builder
    self._checkpoint_path = checkpoint_path
    self._strip_default_attrs = strip_default_attrs
    self._has_variables = False

  def add(self, mode: str, receiver_fn: Callable[[], Any]) -> None:
    """Adds the graph of `mode`, fed through what `receiver_fn` makes in it."""
    with new_graph(self._model.config):
      receiver = receiver_fn()
      spec = self._model.spec(receiver.features, getattr(receiver, 'labels', None), mode)
      signatures = _signatures(receiver, _outputs(spec, mode), mode)
      local_init_op = spec.scaffold.local_init_op
      if local_init_op is None:
        local_init_op = tf.train.Scaffold.default_local_init_op()
      saver = _saver(spec.scaffold)
      if spec.train_op is not None:
        tf.add_to_collection(_TRAIN_OP_COLLECTION, spec.train_op)
      with tf.Session(config=self._model.config.session_config) as session:
        self._restore(saver, session, mode)
        self._write(
          session,
          tags=[_TAGS[mode]],
          signature_def_map=signatures,
          assets_collection=tf.get_collection(tf.GraphKeys.ASSET_FILEPATHS),
          main_op=local_init_op,
          saver=saver,
          strip_default_attrs=self._strip_default_attrs,
        )

  def _restore(self, saver: Any, session: Any, mode: str) -> None:
    try:
      saver.restore(session, self._checkpoint_path)
    except tf.errors.NotFoundError as error:
      raise ValueError(
        'Could not load all requested variables from checkpoint. Please make sure your model_fn '
        'does not expect variables that were not saved in the checkpoint.\n\n'
        f'Encountered error with mode `{mode}` while restoring checkpoint from: '
        f'`{self._checkpoint_path}`. Full Traceback:\n\n{error}'
      ) from error

  def _write(self, session: Any, **arguments: Any) -> None:
    if self._has_variables:
      self._builder.add_meta_graph(**arguments)
    else:
      self._builder.add_meta_graph_and_variables(session, **arguments)
    self._has_variables = True


def _saver(scaffold: Any) -> Any:
  # A tf.train.Checkpoint is no saver; a saver finds in its files what has the variables' names.
  return scaffold.saver if hasattr(scaffold.saver, 'saver_def') else tf.train.Saver(sharded=True)


def _outputs(spec: Any, mode: str) -> dict[str, Any]:
  if mode == ModeKeys.PREDICT:
    return spec.export_outputs
  name, kind = _SUPERVISED[mode]
  return {name: kind(spec.loss, spec.predictions, spec.eval_metric_ops)}


def _signatures(receiver: Any, outputs: Mapping[str, Any], mode: str) -> dict[str, Any]:
  """Returns the signatures of all outputs, also from alternative inputs; logs what was left out."""
  sources = {'': receiver.receiver_tensors}
  for name, tensors in (getattr(receiver, 'receiver_tensors_alternatives', None) or {}).items():
    sources[f'{name or None}:'] = tensors
  signatures, excluded = {}, {}
  for prefix, tensors in sources.items():
    for name, output in outputs.items():
      try:
        signature = output.as_signature_def(tensors)
        _check_servable(tensors, signature)
        signatures[f'{prefix}{name or None}'] = signature
      except ValueError as error:
        excluded[f'{prefix}{name or None}'] = str(error)
  _log_signatures(signatures, excluded)
  if mode != ModeKeys.PREDICT:
    return signatures
  is_valid = tf.saved_model.is_valid_signature
  return {name: signature for name, signature in signatures.items() if is_valid(signature)}


def _check_servable(receiver_tensors: Mapping[str, Any], signature: Any) -> None:
  """Raises ValueError where an output needs a placeholder that the signature does not feed.

  TensorFlow 1.15 wrote such a signature, and every request to it failed.
  """
  fed = {tensor.name for tensor in tf.nest.flatten(dict(receiver_tensors), expand_composites=True)}
  graph = tf.get_default_graph()
  pending = [graph.get_tensor_by_name(name) for name in _tensor_names(signature.outputs)]
  seen: set[str] = set()
  while pending:
    tensor = pending.pop()
    if tensor.name in fed or tensor.name in seen:
      continue
    seen.add(tensor.name)
    if tensor.op.type == 'Placeholder':
      raise ValueError(
        f"The signature's input tensors {sorted(fed)} are insufficient to compute its output keys "
        f'{sorted(signature.outputs)} because of the dependency on `{tensor.op.name}`.'
      )
    pending.extend(tensor.op.inputs)


def _tensor_names(infos: Mapping[str, Any]) -> Iterator[str]:
  """The graph's names for what a signature puts out; of a sparse tensor all three parts."""
  for info in infos.values():
    sparse = info.coo_sparse
    names = (
      info.name,
      sparse.values_tensor_name,
      sparse.indices_tensor_name,
      sparse.dense_shape_tensor_name,
    )
    yield from filter(None, names)


def _log_signatures(signatures: Mapping[str, Any], excluded: Mapping[str, str]) -> None:
  for method, word in _METHOD_WORDS.items():
    names = [name for name, signature in signatures.items() if signature.method_name == method]
    tf.logging.info('Signatures INCLUDED in export for %s: %s', word, names or None)
  if excluded:
    tf.logging.info(
      'Signatures EXCLUDED from export because they cannot be be served via TensorFlow Serving '
      'APIs:'
    )
  for name, reason in excluded.items():
    tf.logging.info("'%s' : %s", name, reason)
  if not signatures:
    tf.logging.warning('Export includes no signatures!')
  elif _SERVING_DEFAULT not in signatures:
    tf.logging.warning('Export includes no default signature!')
