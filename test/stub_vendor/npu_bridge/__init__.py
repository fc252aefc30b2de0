"""STUB, not Huawei's package: stands in for `npu_bridge` in tests, made from documented facts."""

import atexit
import sys

from npu_bridge import stub_native

__stub__ = True
__version__ = '2026.stub'

stub_native.install()


def _close_plugin():
  # Absent when nothing used it, or when a test took the stub out of sys.modules again.
  plugin = sys.modules.get('npu_bridge.estimator.npu.npu_plugin')
  if plugin is not None:
    plugin.npu_close()


atexit.register(_close_plugin)
