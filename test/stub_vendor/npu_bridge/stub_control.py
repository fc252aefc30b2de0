"""STUB only: the test controls and the process-wide state of the stand-in vendor package."""


class _State:
  """What the vendor keeps per process, in one place so that a test can reset it."""

  def __init__(self):
    self.native_checks = True
    self.job_info = None
    self.rank_info = None
    self.resource_options = None
    self.plugin_closed = False
    self.saturation_mode = 0
    self.overflow_reads = frozenset()
    self.float_status_reads = 0


state = _State()
_replaced = []


def reset():
  """Forgets job info, rank data, injected overflow and modes; patches of TensorFlow stay."""
  state.__init__()


def inject_overflow(*steps):
  """Makes the float status non-zero at these reads, counted from 1 (one read a training step)."""
  state.overflow_reads = frozenset(steps)
  state.float_status_reads = 0


def read_float_status():
  """1 when overflow was injected for this read, else 0; called by the graph once a step."""
  state.float_status_reads += 1
  return int(state.float_status_reads in state.overflow_reads)


def native_checks(enabled):
  """Switches the option validation at session construction on or off."""
  state.native_checks = enabled


def replace_method(cls, name, method):
  """Patches a method of TensorFlow and remembers the original for `restore_tensorflow`."""
  _replaced.append((cls, name, cls.__dict__[name]))
  setattr(cls, name, method)


def restore_tensorflow():
  """Undoes every replacement the stub made in TensorFlow (the real package cannot)."""
  while _replaced:
    cls, name, original = _replaced.pop()
    setattr(cls, name, original)
