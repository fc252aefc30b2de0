"""One run of the training step together with what its hooks ask for."""

from __future__ import annotations

from typing import Any, Iterable, Sequence

import tensorflow.compat.v1 as tf

# Hooks ask for the same few sets of tensors over and over.
_KEPT_CALLABLES = 16


class HookedRun:
  """Calls before_run of `hooks` and fetches what they want beside `fetches`, in one run.

  Requests that feed nothing and set no options go through a callable, which is kept.
  """

  def __init__(self, session: Any, fetches: Any, original: Any, hooks: Sequence[Any]):
    self._session = session
    self._fetches = fetches
    self._original = tf.train.SessionRunArgs(original)
    self._hooks = hooks
    self._options = tf.RunOptions()
    # Key of what is fetched -> (callable, what is fetched). The latter keeps those objects alive
    # whose identities are the key.
    self._callables: dict[Any, tuple[Any, Any]] = {}

  def context(self) -> Any:
    """What a hook gets to see of a run."""
    return tf.train.SessionRunContext(original_args=self._original, session=self._session)

  def __call__(self, fetching: Iterable[Any]) -> tuple[Any, dict[Any, Any]]:
    """Returns (context, values): of `fetches` under None, SessionRunValues of each hook.

    Of the hooks in `fetching` those are what their `fetches` gave.
    """
    context = self.context()
    requests = {}
    for hook in self._hooks:
      requests[hook] = hook.before_run(context) or tf.train.SessionRunArgs(None)
    wanted = {hook: request.fetches for hook, request in requests.items()}
    wanted = {hook: fetches for hook, fetches in wanted.items() if fetches is not None}
    wanted.update({hook: hook.fetches for hook in fetching})
    is_plain = not any(request.feed_dict or request.options for request in requests.values())
    run = self._through_callable if is_plain else self._with_options
    values, options, metadata = run(wanted, list(requests.values()))
    for hook in requests:
      values[hook] = tf.train.SessionRunValues(values.get(hook), options, metadata)
    return context, values

  def _through_callable(self, wanted: dict[Any, Any], requests: list[Any]) -> Any:
    fetches = [self._fetches, *wanted.values()]
    key = _key(fetches)
    if key not in self._callables:
      if len(self._callables) >= _KEPT_CALLABLES:
        self._callables.clear()
      self._callables[key] = self._session.make_callable(fetches), fetches
    values = self._callables[key][0]()
    return dict(zip([None, *wanted], values)), self._options, tf.RunMetadata()

  def _with_options(self, wanted: dict[Any, Any], requests: list[Any]) -> Any:
    feeds: dict[Any, Any] = {}
    options = tf.RunOptions()
    trace_level = 0
    for request in requests:
      feeds = _both(feeds, request.feed_dict or {})
      if request.options:
        options.MergeFrom(request.options)
        trace_level = max(trace_level, request.options.trace_level)
    options.trace_level = trace_level
    metadata = tf.RunMetadata()
    values = self._session.run([self._fetches, *wanted.values()], feeds or None, options, metadata)
    return dict(zip([None, *wanted], values)), options, metadata


def _both(feeds: dict[Any, Any], more: dict[Any, Any]) -> dict[Any, Any]:
  names = {_name(tensor) for tensor in feeds}
  twice = sorted(name for name in map(_name, more) if name in names)
  if twice:
    raise RuntimeError(f'Same tensor is fed by two hooks. Got {twice} twice.')
  return {**feeds, **more}


def _name(tensor: Any) -> str:
  return getattr(tensor, 'name', str(tensor))


def _key(fetches: Any) -> Any:
  """Equal for the same tensors in the same nest, however often the nest is made anew."""
  if isinstance(fetches, dict):
    return tuple((name, _key(value)) for name, value in fetches.items())
  if isinstance(fetches, (list, tuple)):
    return (type(fetches), *map(_key, fetches))
  return fetches if isinstance(fetches, str) else id(fetches)
