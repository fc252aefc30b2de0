"""STUB of the vendor's util module: rank size, argument checks, the four loop variables."""

import os

import tensorflow.compat.v1 as tf

from npu_bridge.estimator.npu import npu_scope
from npu_bridge.stub_placeholders import placeholder

NPU_RUNCONFIG = 'npu_runconfig'
_LOOP_NAMES = ('iterations_per_loop', 'loop_cond', 'zero', 'one')
_globals = {}


def check_not_none(value, name):
  """ValueError for None."""
  if value is None:
    raise ValueError(f'{name} must not be None')


def check_nonnegative_integer(value, name):
  """TypeError for no integer, ValueError below 0; True counts as 1, as in the vendor's."""
  check_not_none(value, name)
  if not isinstance(value, int):
    raise TypeError(f'{name} must be int, got {value!r}')
  if value < 0:
    raise ValueError(f'{name} must be non-negative, got {value}')


def check_positive_integer(value, name):
  """TypeError for no integer, ValueError at 0 and below; True counts as 1."""
  check_not_none(value, name)
  if not isinstance(value, int):
    raise TypeError(f'{name} must be int, got {value!r}')
  if value <= 0:
    raise ValueError(f'{name} must be positive, got {value}')


def check_bool_type(value, name):
  """TypeError for anything but a bool."""
  if not isinstance(value, bool):
    raise TypeError(f'{name} must be bool, got {value!r}')


def get_ranksize():
  """Rank size of the environment; CM_WORKER_SIZE and RANK_SIZE exclude each other."""
  worker_size = os.environ.get('CM_WORKER_SIZE')
  rank_size = os.environ.get('RANK_SIZE')
  if worker_size and rank_size:
    raise ValueError('CM_WORKER_SIZE and RANK_SIZE must not both be set: unset one of them')
  text = worker_size or rank_size or '1'
  if not text.isdigit():
    print(f'rank size must be digits, got {text!r}: 1 is used')
    return 1
  return int(text)


def global_dict_init():
  """Empties the process-wide dictionary."""
  _globals.clear()


def global_dict_set_value(key, value):
  """Sets an entry of the process-wide dictionary."""
  _globals[key] = value


def global_dict_get_value(key, default=None):
  """Entry of the process-wide dictionary."""
  return _globals.get(key, default)


def create_or_get_var(name):
  """One of the int64 local resource variables under npu_runconfig."""
  with tf.variable_scope(NPU_RUNCONFIG, reuse=tf.AUTO_REUSE):
    return tf.get_variable(
      name,
      shape=[],
      dtype=tf.int64,
      initializer=tf.zeros_initializer(),
      trainable=False,
      collections=[tf.GraphKeys.LOCAL_VARIABLES],
      use_resource=True,
    )


def create_loop_vars():
  """The four variables the device loop reads: iterations_per_loop, loop_cond, zero, one."""
  return [create_or_get_var(name) for name in _LOOP_NAMES]


def load_loop_vars(loop_vars, session, iterations_per_loop):
  """Gives the four variables their values: N-1, 0, 0, 1."""
  for variable, value in zip(loop_vars, (iterations_per_loop - 1, 0, 0, 1)):
    variable.load(value, session=session)


class IterationPerLoop:
  """Loop set-up in two halves, for graphs that are frozen before the session exists."""

  def __init__(self):
    self._loop_vars = None

  def create_iteration_per_loop_var(self, train_op):
    """Creates the variables and returns the op to run, named IterationOp."""
    if not isinstance(train_op, tf.Operation):
      raise ValueError(f'train_op must be an Operation, got {type(train_op).__name__}')
    self._loop_vars = create_loop_vars()
    return tf.group(train_op, name='IterationOp')

  def load_iteration_per_loop_var(self, sess, iterations_per_loop=1):
    """Initialises and loads the variables; the stub still does one step per run."""
    check_positive_integer(iterations_per_loop, 'iterations_per_loop')
    load_loop_vars(self._loop_vars, sess, iterations_per_loop)


def set_iteration_per_loop(sess, train_op, iterations_per_loop=1):
  """The op that runs the loop on the device; train_op itself for one iteration."""
  if not isinstance(train_op, tf.Operation):
    raise ValueError(f'train_op must be an Operation, got {type(train_op).__name__}')
  check_positive_integer(iterations_per_loop, 'iterations_per_loop')
  if iterations_per_loop == 1:
    return train_op
  loop = IterationPerLoop()
  iteration_op = loop.create_iteration_per_loop_var(train_op)
  loop.load_iteration_per_loop_var(sess, iterations_per_loop)
  return iteration_op


def variable_initializer_in_host(var_list):
  """Initialiser of the variables that stays on the host."""
  with npu_scope.without_npu_compile_scope():
    return tf.variables_initializer(var_list)


def npu_compile(sess, *fetches):
  """Compiles ahead of the first run on a device; nothing to do without one."""


set_graph_exec_config = placeholder('util.set_graph_exec_config')
keep_tensors_dtypes = placeholder('util.keep_tensors_dtypes')
set_op_tensor_max_range = placeholder('util.set_op_tensor_max_range')
set_op_tensor_max_size = placeholder('util.set_op_tensor_max_size')
set_op_input_tensor_multi_dims = placeholder('util.set_op_input_tensor_multi_dims')
