"""What the ascend backend hands to the vendor's classes, argument by argument; TF 1.15 only."""

import functools
import json
import logging
import os
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import npu_adapter as npu
from npu_adapter import log

if not tf.__version__.startswith('1.15'):
  pytest.skip('npu_bridge exists for TensorFlow 1.15', allow_module_level=True)

POINTS = np.random.RandomState(0).uniform(-1, 1, [40, 2]).astype(np.float32)


def input_fn():
  data = tf.data.Dataset.from_tensor_slices(({'x': POINTS}, POINTS[:, :1]))
  return data.batch(10, drop_remainder=True)


def outputs_of(features):
  weights = tf.get_variable('weights', [2, 1], initializer=tf.zeros_initializer())
  bias = tf.get_variable('bias', [1], initializer=tf.zeros_initializer())
  return tf.matmul(features['x'], weights) + bias


def model_fn(features, labels, mode):
  outputs = outputs_of(features)
  if mode == npu.ModeKeys.PREDICT:
    return npu.EstimatorSpec(mode, {'y': outputs})
  loss = tf.losses.mean_squared_error(labels, outputs)
  optimizer = tf.train.GradientDescentOptimizer(0.5)
  train_op = optimizer.minimize(loss, tf.train.get_global_step())
  return npu.EstimatorSpec(mode, loss=loss, train_op=train_op)


class Counting(tf.train.SessionRunHook):
  """Counts the session.run calls of the mode it is in."""

  calls = 0

  def after_run(self, run_context, run_values):
    self.calls += 1


@pytest.fixture
def lines(monkeypatch, caplog):
  """A function for the adapter's lines so far, as in a process that has said nothing before."""
  monkeypatch.setattr(log, '_said', set())
  monkeypatch.setattr(logging.getLogger('npu_adapter'), 'propagate', True)
  with caplog.at_level('INFO', logger='npu_adapter'):
    yield lambda: caplog.messages


@pytest.mark.parametrize('ranks', [1, 2])
@pytest.mark.parametrize('scale', [None, 128])
def test_a_tailing_optimizer_is_told_ranks_and_scale(vendor, monkeypatch, ranks, scale):
  monkeypatch.setenv('RANK_SIZE', str(ranks))
  with tf.Graph().as_default():
    manager = scale and npu.FixedLossScaleManager(scale)
    inner = tf.train.GradientDescentOptimizer(0.1)
    made = npu.wrap_optimizer(inner, manager, is_tailing_optimization=True)
  assert made._opt is inner
  assert made._is_distributed == (ranks > 1)
  assert made._is_loss_scale == (scale is not None)
  assert made._loss_scale_manager is (manager.native if manager else None)
  assert made._is_tailing is True


@pytest.mark.parametrize('ranks, wrapped', [(1, 'AdamOptimizer'), (2, 'NPUDistributedOptimizer')])
def test_a_scaled_optimizer_exchanges_gradients_and_verdicts_between_ranks(
  vendor, monkeypatch, ranks, wrapped
):
  monkeypatch.setenv('RANK_SIZE', str(ranks))
  with tf.Graph().as_default():
    manager = npu.FixedLossScaleManager(128)
    made = npu.wrap_optimizer(tf.train.AdamOptimizer(0.1), manager)
  assert type(made._opt).__name__ == wrapped
  assert made._is_distributed == (ranks > 1)
  assert made._loss_scale_manager is manager.native


def test_one_rank_and_no_scale_leave_the_optimizer_as_it_is(vendor):
  optimizer = tf.train.AdamOptimizer(0.1)
  assert npu.wrap_optimizer(optimizer) is optimizer


@pytest.mark.parametrize('check', [True, False])
def test_a_fixed_scale_keeps_its_overflow_check(vendor, check):
  with tf.Graph().as_default():
    assert npu.FixedLossScaleManager(8, check).native.get_enable_overflow_check() is check


def test_an_exponential_scale_keeps_its_arguments_and_the_vendors_defaults(vendor):
  with tf.Graph().as_default():
    default = npu.ExponentialUpdateLossScaleManager(1024, 1000).native
    given = npu.ExponentialUpdateLossScaleManager(1024, 3, 4, 5, 0.6).native
  found = [
    (m._incr_every_n_steps, m._decr_every_n_nan_or_inf, m._incr_ratio, m._decr_ratio)
    for m in (default, given)
  ]
  assert found == [(1000, 2, 2, 0.8), (3, 4, 5, 0.6)]


def test_a_session_config_switches_off_what_would_change_the_graph(vendor):
  given = tf.ConfigProto(intra_op_parallelism_threads=3)
  proto = npu.session_config(given)
  rewrite = proto.graph_options.rewrite_options
  assert rewrite.remapping == rewrite.OFF
  assert rewrite.memory_optimization == rewrite.NO_MEM_OPT
  assert proto.graph_options.optimizer_options.global_jit_level == tf.OptimizerOptions.OFF
  assert proto.allow_soft_placement
  assert proto.intra_op_parallelism_threads == 3


def test_a_session_config_carries_the_session_only_keys_of_its_config(vendor):
  def timeout_of(proto):
    (found,) = proto.graph_options.rewrite_options.custom_optimizers
    return found.parameter_map['graph_exec_timeout'].i

  config = npu.NPURunConfig(session_config=npu.session_config(graph_exec_timeout=5))
  assert timeout_of(npu.session_config(config)) == 5
  assert timeout_of(npu.session_config(config, precision_mode='force_fp16')) == 5
  assert timeout_of(npu.session_config(config, graph_exec_timeout=7)) == 7


def test_keras_helpers_are_the_vendors_and_keep_the_users_list(vendor):
  own = tf.keras.callbacks.Callback()
  given = [own]
  found = npu.keras_callbacks(given)
  assert given == [own]
  assert own in found
  assert [type(c).__name__ for c in found if c is not own] == [
    'NPUBroadcastGlobalVariablesCallback'
  ]
  with tf.Graph().as_default():
    made = npu.keras_optimizer(tf.keras.optimizers.SGD(0.1))
  assert type(made).__module__.startswith('npu_bridge')


def test_what_the_vendor_needs_of_the_environment_is_set_and_said(vendor, tmp_path, lines):
  npu.NPUEstimator(model_fn, str(tmp_path))
  assert (os.environ['JOB_ID'], os.environ['RANK_SIZE']) == ('10087', '1')
  assert 'JOB_ID was not set; npu_bridge needs it, so it is 10087 now.' in lines()
  assert any(line.startswith('backend ascend (') and ', rank size 1' in line for line in lines())


def test_what_the_launcher_set_stays(vendor, tmp_path, monkeypatch, lines):
  monkeypatch.setenv('JOB_ID', '7')
  monkeypatch.setenv('RANK_SIZE', '1')
  npu.NPUEstimator(model_fn, str(tmp_path))
  assert (os.environ['JOB_ID'], os.environ['RANK_SIZE']) == ('7', '1')
  assert not [line for line in lines() if 'was not set' in line]


def test_a_launch_by_worker_size_gets_no_rank_size(vendor, tmp_path, monkeypatch):
  monkeypatch.setenv('CM_WORKER_SIZE', '1')
  monkeypatch.setenv('JOB_ID', '7')
  npu.NPUEstimator(model_fn, str(tmp_path))
  assert 'RANK_SIZE' not in os.environ


JOB = (
  '{"device_info": [{"Index": "0"}], "rank_table_file": "", "rank_size": "1", '
  '"local_checkpoint_dir": ""}'
)


def test_a_job_file_is_the_vendors_to_read(vendor, tmp_path):
  from npu_bridge import stub_control

  (tmp_path / 'job.json').write_text(JOB)
  npu.NPUEstimator(model_fn, str(tmp_path / 'a'), job_start_file=str(tmp_path / 'job.json'))
  assert 'JOB_ID' not in os.environ
  assert stub_control.state.job_info.device_index == '0'
  assert stub_control.state.job_info.rank_table_file == ''


def test_a_job_file_that_is_not_there_is_as_none(vendor, tmp_path):
  npu.NPUEstimator(model_fn, str(tmp_path / 'a'), job_start_file=str(tmp_path / 'missing'))
  assert os.environ['JOB_ID'] == '10087'


@pytest.mark.parametrize('error', [AttributeError, TypeError, ValueError, RuntimeError])
def test_whatever_the_vendors_config_raises_is_a_backend_error(
  vendor, tmp_path, monkeypatch, error
):
  import npu_bridge.npu_init

  class Broken(npu_bridge.npu_init.NPURunConfig):
    def __init__(self, model_dir=None, session_config=None):
      raise error('out of order')

  monkeypatch.setattr(npu_bridge.npu_init, 'NPURunConfig', Broken)
  with pytest.raises(npu.BackendError, match='refused NPURunConfig: out of order') as raised:
    npu.NPUEstimator(model_fn, str(tmp_path))
  assert isinstance(raised.value.__cause__, error)


def test_an_argument_an_older_config_object_lacks_is_an_error_only_where_it_was_changed(
  vendor, tmp_path, monkeypatch
):
  from npu_bridge.estimator.npu import npu_config

  class Older(npu_config.DumpConfig):
    def __init__(self, enable_dump=False, dump_path=None, dump_step=None, dump_mode='output'):
      super().__init__(enable_dump, dump_path, dump_step, dump_mode)

  monkeypatch.setattr(npu_config, 'DumpConfig', Older)
  for dump_data in ('tensor', 'stats'):
    dump = npu.DumpConfig(enable_dump=True, dump_path=str(tmp_path), dump_data=dump_data)
    config = npu.NPURunConfig(dump_config=dump)
    if dump_data == 'tensor':
      npu.NPUEstimator(model_fn, str(tmp_path / 'model'), config)
    else:
      with pytest.raises(npu.BackendError, match="DumpConfig.dump_data='stats' needs .* r1.10"):
        npu.NPUEstimator(model_fn, str(tmp_path / 'model'), config)


def test_a_missing_package_is_the_cause_of_the_error_about_it(monkeypatch):
  from npu_adapter.backends import ascend

  with pytest.raises(npu.BackendError, match='needs npu_bridge') as raised:
    ascend.AscendBackend()
  assert isinstance(raised.value.__cause__, ImportError)


def test_every_kind_of_hook_and_a_scaffold_reach_the_vendors_run(vendor, tmp_path):
  names = ('training_chief_hooks', 'training_hooks', 'evaluation_hooks', 'prediction_hooks')
  hooks = {name: Counting() for name in names}
  started = []

  def with_hooks(features, labels, mode):
    spec = model_fn(features, labels, mode)
    scaffold = tf.train.Scaffold(init_fn=lambda scaffold, session: started.append(mode))
    return spec._replace(scaffold=scaffold, **{name: [hook] for name, hook in hooks.items()})

  made = npu.NPUEstimator(with_hooks, str(tmp_path))
  made.train(input_fn)
  counts = {name: hook.calls for name, hook in hooks.items()}
  assert counts == {'training_chief_hooks': 4, 'training_hooks': 4, 'evaluation_hooks': 0,
                    'prediction_hooks': 0}  # fmt: skip
  assert started == ['train']
  made.evaluate(input_fn)
  assert hooks['evaluation_hooks'].calls == 4
  assert len(list(made.predict(input_fn))) == 40
  assert hooks['prediction_hooks'].calls == 4


@pytest.mark.parametrize(
  'make, method, names',
  [
    (lambda y: npu.PredictOutput({'out': y}), 'predict', {'out'}),
    (lambda y: npu.RegressionOutput(y), 'regress', {'outputs'}),
    (lambda y: npu.ClassificationOutput(scores=y), 'classify', {'scores'}),
    (
      lambda y: npu.ClassificationOutput(scores=y, classes=tf.as_string(y)),
      'classify', {'scores', 'classes'},
    ),
  ],
  ids=['predict', 'regression', 'scores', 'scores and classes'],
)  # fmt: skip
def test_every_kind_of_export_output_makes_its_signature(vendor, tmp_path, make, method, names):
  def with_output(features, labels, mode):
    spec = model_fn(features, labels, mode)
    if mode != npu.ModeKeys.PREDICT:
      return spec
    return spec._replace(export_outputs={'serving_default': make(spec.predictions['y'])})

  made = npu.NPUEstimator(with_output, str(tmp_path / 'model'))
  made.train(input_fn)

  def serving():
    examples = tf.placeholder(tf.string, [None], name='examples')
    parsed = tf.parse_example(examples, {'x': tf.FixedLenFeature([2], tf.float32)})
    return npu.ServingInputReceiver(parsed, {'examples': examples})

  folder = made.export_saved_model(str(tmp_path / 'exported'), serving)
  with tf.Session(graph=tf.Graph()) as session:
    meta = tf.saved_model.loader.load(session, ['serve'], folder.decode())
  signature = meta.signature_def['serving_default']
  assert signature.method_name == f'tensorflow/serving/{method}'
  assert set(signature.outputs) == names


def test_a_model_fn_that_returns_no_spec_is_told_what_to_return(vendor, tmp_path):
  made = npu.NPUEstimator(lambda features, labels, mode: {'loss': 1}, str(tmp_path))
  with pytest.raises(ValueError, match='should return an EstimatorSpec. Got dict'):
    made.train(input_fn)


def test_a_model_fn_without_features_is_refused_when_the_estimator_is_made(vendor, tmp_path):
  with pytest.raises(ValueError, match='must include features argument'):
    npu.NPUEstimator(lambda x, labels, mode: None, str(tmp_path))


def test_params_may_be_any_mapping_and_stay_the_users(vendor, tmp_path):
  seen = []

  def with_params(features, labels, mode, params):
    seen.append(dict(params))
    return model_fn(features, labels, mode)

  given = types.MappingProxyType({'rate': 3})
  npu.NPUEstimator(with_params, str(tmp_path), params=given).train(input_fn, steps=1)
  assert seen == [{'rate': 3}]


def trained(tmp_path):
  npu.NPUEstimator(model_fn, str(tmp_path / 'first')).train(input_fn)
  return str(tmp_path / 'first')


def test_a_warm_start_by_path_takes_everything_and_by_settings_what_they_name(vendor, tmp_path):
  folder = trained(tmp_path)
  first = tf.train.load_checkpoint(folder)
  settings = npu.WarmStartSettings(folder, 'weights')
  for name, warm, same in (('all', folder, True), ('weights', settings, False)):
    made = npu.NPUEstimator(model_fn, str(tmp_path / name), warm_start_from=warm)
    bias = []

    class Before(tf.train.SessionRunHook):
      def after_create_session(self, session, coord):
        bias.append(session.run(('bias:0', 'weights:0')))  # noqa: B023 - runs in this turn

    made.train(input_fn, hooks=[Before()], steps=1)
    assert (bias[0][0] == first.get_tensor('bias')).all() == same
    assert (bias[0][1] == first.get_tensor('weights')).all()


def test_what_the_adapter_itself_refuses_stays_its_own_error(vendor, tmp_path):
  with pytest.raises(npu.OptionError, match='RANK_SIZE must be a number of at least 1'):
    os.environ['RANK_SIZE'] = '0'
    npu.wrap_optimizer(tf.train.AdamOptimizer())


def test_a_cluster_the_vendor_cannot_train_in_is_refused_with_its_words(
  vendor, tmp_path, monkeypatch
):
  task = {'type': 'chief', 'index': 0}
  monkeypatch.setenv('TF_CONFIG', json.dumps({'cluster': {'chief': ['h:1']}, 'task': task}))
  with pytest.raises(npu.BackendError, match='npu_bridge refused NPURunConfig.*cluster'):
    npu.NPUEstimator(model_fn, str(tmp_path))


def test_parameters_bound_with_partial_reach_the_model_as_on_a_host(vendor, tmp_path):
  seen = []

  def with_rate(features, labels, mode, params):
    seen.append(params['rate'])
    return model_fn(features, labels, mode)

  bound = functools.partial(with_rate, params={'rate': 3})
  npu.NPUEstimator(bound, str(tmp_path)).train(input_fn, steps=1)
  assert seen == [3]
