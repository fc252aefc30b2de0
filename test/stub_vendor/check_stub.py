"""Checks of the vendor stub, run by hand on TF 1.15: `python test/stub_vendor/check_stub.py`."""

import functools
import inspect
import json
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
FACTS = os.path.join(os.path.dirname(HERE), 'vendor_facts')
sys.path.insert(0, HERE)
os.environ.update(JOB_ID='check', TF_CPP_MIN_LOG_LEVEL='3')

import numpy as np  # noqa: E402
import tensorflow.compat.v1 as tf  # noqa: E402
from npu_bridge import stub_control, stub_native, stub_parameter_map  # noqa: E402
from npu_bridge.estimator.npu import npu_config, util  # noqa: E402
from npu_bridge.npu_init import (  # noqa: E402
  ExponentialUpdateLossScaleManager,
  KerasDistributeOptimizer,
  NPUDistributedOptimizer,
  NPUEstimator,
  NPUEstimatorSpec,
  NPULossScaleOptimizer,
  NPUOptimizer,
  NPUOutputTensorHook,
  NPURunConfig,
  get_npu_rank_size,
  hccl_ops,
  init_resource,
  keras_to_npu,
  npu_ops,
  npu_scope,
  npu_strategy,
  shutdown_resource,
)
from tensorflow.contrib.mixed_precision.python import loss_scale_manager as contrib  # noqa: E402
from tensorflow.python.ops import summary_ops_v2  # noqa: E402

TRACE = [1024, 1024, 2048, 2048, 1024, 1024, 1024, 2048]
STEPS_TRACE = [1, 2, 3, 3, 3, 4, 5, 6]
REQUIRED = inspect.Parameter.empty


def facts(name):
  with open(os.path.join(FACTS, name)) as facts_file:
    return json.load(facts_file)


def raises(kind, pattern, call, *args, **kwargs):
  try:
    call(*args, **kwargs)
  except kind as error:
    assert pattern in str(error), f'{pattern!r} not in {error}'
    return
  raise AssertionError(f'{kind.__name__} with {pattern!r} was not raised')


def input_fn():
  features = np.random.RandomState(0).rand(64, 3).astype(np.float32)
  data = tf.data.Dataset.from_tensor_slices((features, features.sum(1, keepdims=True)))
  return data.repeat().batch(8, drop_remainder=True)


def model_fn(features, labels, mode, params):
  predictions = tf.layers.dense(features, 1)
  if mode == tf.estimator.ModeKeys.PREDICT:
    return tf.estimator.EstimatorSpec(mode, predictions=predictions)
  loss = tf.losses.mean_squared_error(labels, predictions)
  optimizer = NPUDistributedOptimizer(tf.train.AdamOptimizer(0.05))
  train_op = optimizer.minimize(loss, global_step=tf.train.get_or_create_global_step())
  folder = os.path.join(params['folder'], mode)
  host_call = (functools.partial(write_loss, folder), [tf.train.get_global_step(), loss])
  return NPUEstimatorSpec(mode, loss=loss, train_op=train_op, host_call=host_call)


def write_loss(folder, step, loss):
  with summary_ops_v2.create_file_writer(folder).as_default():
    with summary_ops_v2.always_record_summaries():
      return summary_ops_v2.scalar('host_loss', loss, step=step)


def summaries(folder, tag):
  files = [os.path.join(folder, name) for name in os.listdir(folder) if 'tfevents' in name]
  events = (event for name in files for event in tf.train.summary_iterator(name))
  return [v for event in events for v in event.summary.value if v.tag == tag]


def check_estimator_trains_evaluates_predicts():
  folder = tempfile.mkdtemp()
  host_folder = os.path.join(folder, 'host')
  config = NPURunConfig(model_dir=folder, save_checkpoints_steps=10, iterations_per_loop=5)
  estimator = NPUEstimator(model_fn, config=config, params={'folder': host_folder})
  estimator.train(input_fn, steps=20)
  saved = sorted(name for name in os.listdir(folder) if name.endswith('.index'))
  assert saved == [f'model.ckpt-{step}.index' for step in (0, 10, 20)], saved
  assert len(summaries(os.path.join(host_folder, 'train'), 'host_loss')) == 20
  evaluation = estimator.evaluate(input_fn, steps=3)
  assert evaluation['global_step'] == 20 and evaluation['loss'] < 2
  assert len(summaries(os.path.join(host_folder, 'eval'), 'host_loss')) == 3
  assert next(estimator.predict(input_fn)).shape == (1,)
  mapped = config_map(estimator.config.session_config)
  assert len(mapped) == 36, sorted(mapped)


def check_estimator_under_a_strategy_and_with_rank_size_two():
  strategy = npu_strategy.NPUStrategy()
  config = NPURunConfig(model_dir=tempfile.mkdtemp(), train_distribute=strategy)
  NPUEstimator(plain_model_fn, config=config).train(input_fn, steps=2)
  os.environ['RANK_SIZE'] = '2'
  try:
    config = NPURunConfig(model_dir=tempfile.mkdtemp())
    estimator = NPUEstimator(plain_model_fn, config=config)
    estimator.train(input_fn, steps=2, hooks=[CollectivesAreInTheGraph()])
  finally:
    del os.environ['RANK_SIZE']


class CollectivesAreInTheGraph(tf.train.SessionRunHook):
  def after_create_session(self, session, coord):
    names = [op.name for op in session.graph.get_operations()]
    for wanted in ('HcomBroadcast', 'HcomAllReduce'):
      assert any(wanted in name for name in names), wanted


def plain_model_fn(features, labels, mode):
  loss = tf.losses.mean_squared_error(labels, tf.layers.dense(features, 1))
  optimizer = NPUDistributedOptimizer(tf.train.GradientDescentOptimizer(0.1))
  train_op = optimizer.minimize(loss, global_step=tf.train.get_or_create_global_step())
  return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


def config_map(session_config):
  (optimizer,) = session_config.graph_options.rewrite_options.custom_optimizers
  assert optimizer.name == 'NpuOptimizer'
  return optimizer.parameter_map


def check_config_proto_is_edited_in_place_and_a_refused_one_stops_training():
  proto = tf.ConfigProto()
  for _ in range(2):
    config = NPURunConfig(model_dir=tempfile.mkdtemp(), session_config=proto)
    NPUEstimator(plain_model_fn, config=config)
  config = NPURunConfig(model_dir=tempfile.mkdtemp(), compress_weight_conf='weights.cfg')
  aborting = NPUEstimator(plain_model_fn, config=config)
  raises(stub_native.NativeAbort, 'compress', aborting.train, input_fn, steps=1)
  names = [o.name for o in proto.graph_options.rewrite_options.custom_optimizers]
  assert names == ['NpuOptimizer'] * 2, names


def check_estimator_refuses_what_the_vendor_refuses():
  folder = tempfile.mkdtemp()
  raises(ValueError, 'NPUConfigs', NPUEstimator, plain_model_fn, config=tf.estimator.RunConfig())
  config = NPURunConfig(model_dir=folder)
  raises(ValueError, 'different', NPUEstimator, plain_model_fn, folder + 'x', config)
  raises(TypeError, 'must be int', NPURunConfig, iterations_per_loop='1')
  raises(ValueError, 'must be positive', NPURunConfig, iterations_per_loop=0)
  raises(TypeError, 'Expected str', NPURunConfig, jit_compile=True)
  NPURunConfig(precision_mode='bogus', jit_compile='bogus', iterations_per_loop=True)
  for host_call, kind in ((5, ValueError), ((1, []), TypeError), ((len, [1, 2]), RuntimeError)):
    raises(kind, 'host_call', NPUEstimatorSpec, 'infer', predictions={}, host_call=host_call)
  stub_control.reset()
  job_id = os.environ.pop('JOB_ID')
  raises(ValueError, 'Load job info failed', NPUEstimator, plain_model_fn, config=config)
  os.environ['JOB_ID'] = job_id


def run_loss_scale(make_optimizer):
  stub_control.inject_overflow(4, 5)
  with tf.Graph().as_default(), tf.Session() as session:
    weight = tf.Variable(1.0)
    step = tf.train.get_or_create_global_step()
    manager = ExponentialUpdateLossScaleManager(1024, 3, 2, 2, 0.5)
    optimizer = make_optimizer(tf.train.GradientDescentOptimizer(0.1), manager)
    train_op = optimizer.minimize(weight * weight, global_step=step)
    names = {v.op.name for v in tf.global_variables()}
    assert {'loss_scale', 'good_steps', 'bad_steps'} <= names, names
    session.run(tf.global_variables_initializer())
    rows = []
    for _ in TRACE:
      session.run(train_op)
      rows.append(session.run([manager.get_loss_scale(), step, weight]))
  scales, steps, weights = zip(*rows)
  assert list(scales) == TRACE and list(steps) == STEPS_TRACE, (scales, steps)
  assert weights[2] == weights[3] == weights[4] != weights[5], weights


def check_loss_scale_trace_in_all_three_forms():
  run_loss_scale(NPULossScaleOptimizer)
  loss_scaled = functools.partial(NPUOptimizer, is_loss_scale=True)
  run_loss_scale(loss_scaled)
  os.environ['RANK_SIZE'] = '2'
  try:
    run_loss_scale(
      functools.partial(loss_scaled, is_distributed=True, is_tailing_optimization=True)
    )
  finally:
    del os.environ['RANK_SIZE']


def check_loss_scale_manager_moves_like_the_contrib_one():
  finite = tf.placeholder(tf.bool, [])
  arguments = (1024.0, 3, 2, 2, 0.5)
  managers = [
    kind(*arguments)
    for kind in (ExponentialUpdateLossScaleManager, contrib.ExponentialUpdateLossScaleManager)
  ]
  updates = [manager.update_loss_scale(finite) for manager in managers]
  flags = np.random.RandomState(1).rand(80) < 0.7
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for flag in flags:
      session.run(updates, {finite: flag})
      ours, theirs = session.run([manager.get_loss_scale() for manager in managers])
      assert ours == theirs, (ours, theirs)


def check_arguments_match_the_facts():
  signature = inspect.signature(NPURunConfig.__init__).parameters
  expected = [(row['name'], row['default']) for row in facts('run_config_arguments.json')]
  assert [(n, p.default) for n, p in signature.items() if n != 'self'] == expected
  for class_name, rows in facts('config_objects.json').items():
    signature = inspect.signature(getattr(npu_config, class_name).__init__).parameters
    got = [(n, p.default) for n, p in signature.items() if n != 'self']
    assert got == [(r['name'], r.get('default', REQUIRED)) for r in rows], class_name


def example_config(row):
  value = row['example_value']
  if row.get('example_is_bytes'):
    value = value.encode()
  arguments = dict(row.get('with', {}), **{row['argument']: value})
  if row['owner'] == 'NPURunConfig':
    return NPURunConfig(**arguments)
  held = getattr(npu_config, row['owner'])(**arguments)
  if row['owner'] == 'GraphMemoryOptimizeConfig':
    held = npu_config.ExperimentalConfig(graph_memory_optimize_config=held)
  holder = {
    'ProfilingConfig': 'profiling_config',
    'DumpConfig': 'dump_config',
    'DynamicInputConfig': 'dynamic_input_config',
    'MemoryConfig': 'memory_config',
  }.get(row['owner'], 'experimental_config')
  return NPURunConfig(**{holder: held})


def check_parameter_map_matches_the_facts():
  written = set()
  for row in facts('parameter_map.json'):
    if row['owner'] == 'session':
      continue
    proto = tf.ConfigProto()
    config = NPURunConfig() if row['owner'] == 'estimator' else example_config(row)
    stub_parameter_map.add_npu_optimizer(config, proto)
    mapped = config_map(proto)
    written.update(mapped)
    value = getattr(mapped[row['key']], row['field'])
    value = value.decode() if row['field'] == 's' else value
    assert (value, type(value)) == (row['expected'], type(row['expected'])), row
    refused = {failure for failure, _ in stub_native.problems(proto)}
    assert refused == set(row.get('refused', '')), (row, stub_native.problems(proto))
  known = {row['key'] for row in facts('parameter_map.json')} | {'use_off_line'}
  assert written <= known, written - known


def check_native_validation_at_session_construction():
  def session_with(key, field, value, more=()):
    proto = tf.ConfigProto()
    optimizer = proto.graph_options.rewrite_options.custom_optimizers.add(name='NpuOptimizer')
    for one_key, one_field, one_value in ((key, field, value), *more):
      setattr(optimizer.parameter_map[one_key], one_field, one_value)
    tf.Session(config=proto).close()

  error_a, error_f = stub_native.NativeRunError, stub_native.NativeAbort
  session_with('precision_mode_v2', 's', b'mixed_hif8')
  raises(error_a, 'precision_mode', session_with, 'precision_mode', 's', b'fp16')
  raises(tf.errors.InvalidArgumentError, 'aoe_mode', session_with, 'aoe_mode', 's', b'mdat')
  raises(error_a, 'jit_compile', session_with, 'jit_compile', 'b', True)
  raises(error_a, 'dump_path', session_with, 'enable_dump', 'b', True)
  raises(error_a, 'dump_step', session_with, 'dump_step', 's', b'9-3')
  raises(error_f, 'iterations_per_loop', session_with, 'iterations_per_loop', 's', b'5')
  raises(error_f, 'input_shape', session_with, 'input_shape', 's', b'a:1,-1')
  raises(error_f, 'op_select_implmode', session_with, 'optypelist_for_implmode', 's', b'Add')
  both = [('precision_mode', 's', b'force_fp16')]
  raises(error_a, 'both', session_with, 'precision_mode_v2', 's', b'fp16', both)
  loop = [('iterations_per_loop', 'i', 2)]
  lazy = ('dynamic_graph_execute_mode', 's', b'lazy_recompile')
  raises(error_a, 'lazy', session_with, *lazy, loop)


def check_sessions_are_patched():
  proto = tf.ConfigProto(log_device_placement=True)
  tf.Session('', None, proto).close()
  tf.InteractiveSession(config=proto).close()
  assert len(config_map(proto)) == 0 and proto.allow_soft_placement
  assert not proto.log_device_placement
  assert 'memory_optimization: MANUAL' in str(proto)
  raises(NameError, 'rank_size', get_npu_rank_size)
  session, shutdown = init_resource()
  assert get_npu_rank_size() == 1
  shutdown_resource(session, shutdown)
  session.close()


def check_scopes_loop_and_dropout():
  with tf.Graph().as_default(), tf.Session() as session:
    with npu_scope.keep_dtype_scope(), npu_scope.without_npu_compile_scope():
      kept = tf.constant(1.0).op
    assert kept.get_attr('_keep_dtype') == 1 and kept.get_attr('_without_npu_compile')
    train_op = tf.Variable(0.0).assign_add(1.0).op
    assert util.set_iteration_per_loop(session, train_op, 1) is train_op
    assert util.set_iteration_per_loop(session, train_op, 5).name == 'IterationOp'
    assert session.run([v.value() for v in tf.local_variables()]) == [4, 0, 0, 1]
    ones = tf.ones([1000])
    assert npu_ops.dropout(ones, 1.0) is ones
    assert set(session.run(npu_ops.dropout(ones, 0.5))) == {0, 2}
    raises(NotImplementedError, 'LARS', npu_ops.LARS, None, None, 0)
  with tf.Graph().as_default():
    hook = NPUOutputTensorHook({'one': tf.ones([])})
    session = tf.train.MonitoredSession(hooks=[hook])
    raises(ZeroDivisionError, '', session.run, 'ones:0')
  with tf.Graph().as_default():
    raises(TypeError, 'float64', hccl_ops.allreduce, tf.ones([], tf.float64), 'sum')
    raises(ValueError, 'mean', hccl_ops.allreduce, tf.ones([]), 'mean')


def check_keras():
  tf.keras.backend.clear_session()
  zeros = tf.keras.layers.Dense(1, input_shape=(3,), kernel_initializer='zeros')
  model = tf.keras.Sequential([zeros])
  model.compile(KerasDistributeOptimizer(tf.keras.optimizers.Adam(0.1)), 'mse')
  features = np.ones((32, 3), np.float32)
  history = model.fit(features, features[:, :1], epochs=5, verbose=0).history['loss']
  assert history[-1] < history[0], history
  tf.keras.backend.clear_session()
  model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(3,))])
  model.compile(tf.keras.optimizers.Adam(0.1), 'mse')
  config = NPURunConfig(model_dir=tempfile.mkdtemp())
  keras_to_npu.model_to_npu_estimator(model, config=config).train(input_fn, steps=2)


def main():
  tf.logging.set_verbosity(tf.logging.ERROR)
  os.chdir(tempfile.mkdtemp())
  checks = [check for name, check in sorted(globals().items()) if name.startswith('check_')]
  for check in checks:
    stub_control.reset()
    tf.reset_default_graph()
    check()
    print('ok', check.__name__)


if __name__ == '__main__':
  main()
