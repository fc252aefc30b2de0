"""STUB of the vendor's plugin functions: they remember what they were told."""

import tensorflow.compat.v1 as tf

from npu_bridge import stub_control
from npu_bridge.estimator.npu import util
from npu_bridge.stub_placeholders import placeholder

_INF_NAN_MODE = 1


def npu_resource_init(
  graph_run_mode=1,
  op_debug_level=0,
  enable_profiling=False,
  profiling_options=None,
  precision_mode=None,
  enable_scope_fusion_passes=None,
  enable_exception_dump=2,
  aoe_mode=None,
  work_path=None,
  op_compiler_cache_mode=None,
  op_compiler_cache_dir=None,
  debug_dir=None,
  hcom_multi_mode=False,
  distribute_config=None,
  aoe_config_file=None,
  precision_mode_v2=None,
):
  """Remembers the options the device would be opened with."""
  options = dict(locals())
  util.check_bool_type(enable_profiling, 'enable_profiling')
  if enable_profiling and profiling_options is None:
    raise ValueError('profiling_options must be set when use profiling')
  stub_control.state.resource_options = options
  tf.logging.info('npu_bridge stub: resource init %s', options)


def npu_resource_shutdown():
  """Forgets the options."""
  stub_control.state.resource_options = None


def npu_close():
  """Marks the plugin closed."""
  stub_control.state.plugin_closed = True


def set_device_sat_mode(mode):
  """0 saturates, 1 keeps INF and NAN."""
  util.check_nonnegative_integer(mode, 'mode')
  stub_control.state.saturation_mode = mode


def is_inf_nan_enabled():
  """Whether the device keeps INF and NAN."""
  return stub_control.state.saturation_mode == _INF_NAN_MODE


rdma_remote_init = placeholder('npu_plugin.rdma_remote_init')
get_rdma_cache = placeholder('npu_plugin.get_rdma_cache')
