"""Which members of Estimator a subclass may bring; what would be ignored is refused."""

from __future__ import annotations

from typing import Any

# As in tf.estimator.
_REPLACEABLE = ('model_fn', 'latest_checkpoint')
# What tf.estimator's own methods call on themselves, and nobody calls here.
_NEVER_CALLED = (
  '_actual_eval', '_actual_train_model_distributed', '_add_meta_graph_for_mode', '_call_input_fn',
  '_call_model_fn', '_call_model_fn_eval', '_call_model_fn_eval_distributed',
  '_convert_eval_steps_to_hooks', '_convert_train_steps_to_hooks', '_create_and_assert_global_step',
  '_create_global_step', '_evaluate_build_graph', '_evaluate_run', '_export_all_saved_models',
  '_extract_batch_length', '_extract_keys', '_get_features_and_labels_from_input_fn',
  '_get_features_from_input_fn', '_get_iterator_from_input_fn', '_maybe_warm_start', '_train_model',
  '_train_model_default', '_train_model_distributed', '_train_with_estimator_spec',
  '_train_with_estimator_spec_distributed', '_validate_features_in_predict_input',
)  # fmt: skip


def check(kind: type, base: type) -> None:
  """Raises ValueError if the class `kind` changes what `base` does.

  A subclass adds members; what a model does differently belongs into its model_fn.
  """
  members = vars(kind) if kind is not base else {}
  overridden = [name for name in members if _is_overridden(name, members[name], base)]
  if overridden:
    raise ValueError(
      f'Subclasses of Estimator cannot override members of Estimator. {kind} does override '
      f'{overridden}'
    )
  ignored = [name for name in members if name in _NEVER_CALLED]
  if ignored:
    raise ValueError(
      f'members of {kind} must be called by something; got {ignored}, which tf.estimator calls and '
      'this Estimator does not. Do in the model_fn, the input_fn or a hook what they are for.'
    )


def _is_overridden(name: str, member: Any, base: type) -> bool:
  if name.startswith('__') or name in _REPLACEABLE:
    return False
  return getattr(base, name, None) not in (None, member)
