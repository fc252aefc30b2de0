"""The stub of the vendor package, for the tests of the ascend backend."""

import pathlib
import sys

import pytest

from npu_adapter import backends

HERE = pathlib.Path(__file__).resolve()


@pytest.fixture
def vendor(monkeypatch):
  """The stub as if CANN were installed; TensorFlow and the chooser are put back afterwards."""
  monkeypatch.syspath_prepend(str(HERE.parents[1] / 'stub_vendor'))
  monkeypatch.setattr(backends, '_made', {})
  yield
  from npu_bridge import stub_control

  stub_control.restore_tensorflow()
  stub_control.reset()
  for name in [name for name in sys.modules if name.split('.')[0] in ('npu_bridge', 'hccl')]:
    del sys.modules[name]
