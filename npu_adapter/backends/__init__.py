"""Chooses the backend; nothing outside this folder names a device."""

from __future__ import annotations

import importlib
import importlib.util
import os

from npu_adapter import errors, log
from npu_adapter.backends import base

ENVIRONMENT_VARIABLE = 'NPU_ADAPTER_BACKEND'
_CLASSES = {
  'ascend': ('npu_adapter.backends.ascend', 'AscendBackend'),
  'host': ('npu_adapter.backends.host.backend', 'HostBackend'),
}
# Set by CANN's set_env.sh: a machine that has them is meant for an NPU.
_CANN_VARIABLES = ('ASCEND_HOME_PATH', 'ASCEND_TOOLKIT_HOME', 'ASCEND_OPP_PATH')
_made: dict[str, base.Backend] = {}


def choose() -> base.Backend:
  """Returns the backend NPU_ADAPTER_BACKEND names; `auto` is Ascend where npu_bridge is installed.

  A vendor package that is installed but does not import is an error, not a reason to run elsewhere.
  """
  asked = os.environ.get(ENVIRONMENT_VARIABLE) or 'auto'
  known = ('auto', *_CLASSES)
  if asked not in known:
    raise errors.OptionError(
      f'{ENVIRONMENT_VARIABLE} must be one of {", ".join(known)}; got {asked!r}.'
      f'{errors.nearest(asked, known)}'
    )
  name = asked if asked != 'auto' else _detected()
  if name not in _made:
    module, class_name = _CLASSES[name]
    _made[name] = getattr(importlib.import_module(module), class_name)()
    log.once(f'backend {name} ({"chosen" if asked == "auto" else "asked for"}): '
             f'{_made[name].description()}')  # fmt: skip
  return _made[name]


def _detected() -> str:
  if importlib.util.find_spec('npu_bridge') is not None:
    return 'ascend'
  found = [name for name in _CANN_VARIABLES if os.environ.get(name)]
  if found:
    log.once(
      f"{found[0]} is set but Python finds no npu_bridge: install CANN's TensorFlow plugin for "
      'this Python, or set PYTHONPATH as its set_env.sh does, to train on the NPU.'
    )
  return 'host'
