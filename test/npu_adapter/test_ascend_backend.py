"""The ascend backend against a stub of the vendor package; TF 1.15 only, like the vendor."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import npu_adapter as npu
from npu_adapter import option, options

if not tf.__version__.startswith('1.15'):
  pytest.skip('npu_bridge exists for TensorFlow 1.15', allow_module_level=True)

HERE = pathlib.Path(__file__).resolve()
FACTS = HERE.parents[1] / 'vendor_facts'
MAP = json.loads((FACTS / 'parameter_map.json').read_text())
POINTS = np.random.RandomState(0).uniform(-1, 1, [400, 2]).astype(np.float32)


def input_fn(repeats=1):
  labels = (POINTS[:, 0] > 0).astype(np.int32)
  data = tf.data.Dataset.from_tensor_slices(({'x': POINTS}, labels))
  return data.repeat(repeats).batch(50, drop_remainder=True)


def model_fn(features, labels, mode, params, config):
  weights = tf.get_variable('weights', [2, 2], initializer=tf.zeros_initializer())
  logits = tf.matmul(features['x'], weights)
  classes = tf.argmax(logits, axis=1)
  if mode == npu.ModeKeys.PREDICT:
    outputs = {'serving_default': npu.PredictOutput({'class': classes})}
    return npu.NPUEstimatorSpec(mode, {'class': classes}, export_outputs=outputs)
  loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
  optimizer = npu.wrap_optimizer(
    tf.train.GradientDescentOptimizer(0.5), params.get('loss_scale', 'none')
  )
  train_op = optimizer.minimize(loss, tf.train.get_global_step())
  metrics = {'accuracy': tf.metrics.accuracy(labels, classes)}
  assert isinstance(config, npu.NPURunConfig)
  spec = params.get('spec', npu.NPUEstimatorSpec)
  return spec(mode, None, loss, train_op, metrics)


def session_proto(estimator):
  """The ConfigProto the vendor's estimator makes its sessions with."""
  return estimator.native._session_config


def entries(proto):
  """{key: (field, value)} of the one NpuOptimizer; texts decoded."""
  found = proto.graph_options.rewrite_options.custom_optimizers
  (optimizer,) = [o for o in found if o.name == 'NpuOptimizer']
  read = {}
  for key, value in optimizer.parameter_map.items():
    field = value.WhichOneof('value')
    content = getattr(value, field)
    read[key] = (field, content.decode() if field == 's' else content)
  return read


@pytest.fixture
def in_files(tmp_path, monkeypatch):
  """A working directory where every file and folder the facts name exists."""
  monkeypatch.chdir(tmp_path)
  for fact in MAP:
    value, row = fact['example_value'], ROWS.get(fact['key'])
    if row is not None and row.kind is option.FILE:
      (tmp_path / value).write_text('{}')
    if row is not None and row.kind is option.FOLDER:
      (tmp_path / value).mkdir(exist_ok=True)


ROWS = {row.map_key: row for row in options.all_rows() if row.map_key}
HOLDER = {
  'ProfilingConfig': 'profiling_config', 'DumpConfig': 'dump_config',
  'DynamicInputConfig': 'dynamic_input_config', 'MemoryConfig': 'memory_config',
  'ExperimentalConfig': 'experimental_config',
}  # fmt: skip
# Rules the facts do not know: what our checks want beside an example.
BESIDE = {'variable_placement': {'mix_compile_mode': True}}


def given_for(fact):
  """The NPURunConfig arguments that set the option of one fact."""
  given = {fact['argument']: fact['example_value'], **fact.get('with', {})}
  owner = fact['owner']
  if owner == 'NPURunConfig':
    return {**given, **BESIDE.get(fact['argument'], {})}
  made = getattr(npu, owner)(**given)
  if owner == 'GraphMemoryOptimizeConfig':
    made, owner = npu.ExperimentalConfig(graph_memory_optimize_config=made), 'ExperimentalConfig'
  return {HOLDER[owner]: made}


def expected(fact):
  return fact['field'], fact['expected']


ESTIMATOR_FACTS = [fact for fact in MAP if fact['owner'] not in ('session', 'estimator')]
SESSION_FACTS = [fact for fact in MAP if fact['owner'] == 'session']


def test_the_facts_cover_every_option_that_reaches_the_map():
  known = {fact['key'] for fact in MAP}
  assert {row.map_key for row in options.all_rows() if row.map_key} <= known
  fields = {fact['key']: fact['field'] for fact in MAP}
  for row in options.all_rows():
    if row.map_key:
      assert fields[row.map_key] == row.kind.field, row.name


@pytest.mark.parametrize('fact', ESTIMATOR_FACTS, ids=lambda fact: fact['key'])
def test_an_option_reaches_the_estimators_map_as_the_facts_say(vendor, in_files, tmp_path, fact):
  config = npu.NPURunConfig(**given_for(fact))
  made = npu.NPUEstimator(model_fn, str(tmp_path / 'model'), config, params={})
  assert entries(session_proto(made))[fact['key']] == expected(fact)


@pytest.mark.parametrize('fact', ESTIMATOR_FACTS, ids=lambda fact: fact['key'])
def test_an_option_reaches_the_sessions_map_as_the_facts_say(vendor, in_files, tmp_path, fact):
  proto = npu.session_config(npu.NPURunConfig(**given_for(fact)))
  assert entries(proto)[fact['key']] == expected(fact)


@pytest.mark.parametrize('fact', SESSION_FACTS, ids=lambda fact: fact['key'])
def test_a_session_only_key_reaches_both_maps(vendor, in_files, tmp_path, fact):
  proto = npu.session_config(**{fact['key']: fact['example_value']})
  assert entries(proto)[fact['key']] == expected(fact)
  config = npu.NPURunConfig(session_config=proto)
  made = npu.NPUEstimator(model_fn, str(tmp_path / 'model'), config, params={})
  assert entries(session_proto(made))[fact['key']] == expected(fact)


def test_a_config_proto_used_twice_has_each_entry_once(vendor, tmp_path):
  proto = tf.ConfigProto(intra_op_parallelism_threads=1)
  before = proto.SerializeToString()
  config = npu.NPURunConfig(session_config=proto, precision_mode='allow_mix_precision')
  for name in ('a', 'b'):
    made = npu.NPUEstimator(model_fn, str(tmp_path / name), config, params={})
    found = entries(session_proto(made))
    assert found['precision_mode'] == ('s', 'allow_mix_precision')
    assert session_proto(made).intra_op_parallelism_threads == 1
  assert proto.SerializeToString() == before
  twice = npu.session_config(npu.session_config(proto, precision_mode='force_fp16'))
  assert entries(twice)['precision_mode'] == ('s', 'force_fp16')


def test_what_was_left_out_is_left_to_the_vendor(vendor, tmp_path):
  assert entries(npu.session_config()) == {'use_off_line': ('b', True)}
  made = npu.NPUEstimator(model_fn, str(tmp_path), params={})
  assert 'precision_mode' not in entries(session_proto(made))


def test_compress_weight_conf_works_although_the_vendors_estimator_contradicts_it(vendor, tmp_path):
  from npu_bridge import stub_native

  (tmp_path / 'weights.conf').write_text('')
  config = npu.NPURunConfig(compress_weight_conf=str(tmp_path / 'weights.conf'))
  made = npu.NPUEstimator(model_fn, str(tmp_path / 'model'), config, params={})
  assert 'enable_compress_weight' not in entries(session_proto(made))
  stub_native.validate(session_proto(made))


def spec_of_tf_estimator(*arguments):
  return tf.estimator.EstimatorSpec(*arguments)


@pytest.mark.parametrize(
  'spec', [npu.NPUEstimatorSpec, npu.EstimatorSpec, spec_of_tf_estimator], ids=lambda s: s.__name__
)
def test_it_trains_evaluates_predicts_and_exports_with_every_kind_of_spec(vendor, tmp_path, spec):
  made = npu.NPUEstimator(model_fn, str(tmp_path / 'model'), params={'spec': spec})
  assert made.train(lambda: input_fn(20)) is made
  result = made.evaluate(input_fn)
  assert result['accuracy'] > 0.95
  assert result['global_step'] == 160
  assert [row['class'] for row in made.predict(input_fn)][:1] == [int(POINTS[0, 0] > 0)]
  serving = npu.build_raw_serving_input_receiver_fn({'x': np.zeros([1, 2], np.float32)})
  exported = made.export_saved_model(str(tmp_path / 'exported'), serving)
  with tf.Session(graph=tf.Graph()) as session:
    meta = tf.saved_model.loader.load(session, ['serve'], exported.decode())
  assert 'class' in meta.signature_def['serving_default'].outputs
  older = made.export_savedmodel(str(tmp_path / 'older'), serving)
  assert tf.saved_model.contains_saved_model(older.decode())


def test_host_call_goes_to_the_vendors_own_channel(vendor, tmp_path):
  seen = []

  def with_host_call(features, labels, mode, params, config):
    spec = model_fn(features, labels, mode, params, config)

    def host_call(loss):
      return tf.py_func(lambda value: seen.append(float(value)) or np.int32(0), [loss], tf.int32)

    return npu.NPUEstimatorSpec(
      mode, loss=spec.loss, train_op=spec.train_op, host_call=(host_call, [spec.loss])
    )

  npu.NPUEstimator(with_host_call, str(tmp_path), params={}).train(input_fn)
  assert len(seen) == 8
  assert seen[0] == pytest.approx(np.log(2))


def test_the_loss_scale_is_the_vendors_and_follows_its_trace(vendor):
  from npu_bridge import stub_control

  stub_control.inject_overflow(4, 5)
  with tf.Graph().as_default():
    step = tf.train.get_or_create_global_step()
    weight = tf.get_variable('weight', [], initializer=tf.zeros_initializer())
    manager = npu.ExponentialUpdateLossScaleManager(1024, 3, 2, 2, 0.5)
    optimizer = npu.wrap_optimizer(tf.train.GradientDescentOptimizer(1.0), manager)
    assert type(optimizer).__module__.startswith('npu_bridge')
    train_op = optimizer.minimize(weight * 1.0, step)
    with tf.Session() as session:
      session.run(tf.global_variables_initializer())
      scales, steps = [], []
      for _ in range(8):
        session.run(train_op)
        scales.append(session.run(manager.get_loss_scale()))
        steps.append(session.run(step))
  assert scales == [1024, 1024, 2048, 2048, 1024, 1024, 1024, 2048]
  assert steps == [1, 2, 3, 3, 3, 4, 5, 6]


@pytest.mark.parametrize(
  'ranks, scale, tailing, wanted',
  [
    ('1', 'none', False, 'GradientDescentOptimizer'),
    ('2', 'none', False, 'NPUDistributedOptimizer'),
    ('1', '128', False, 'NPULossScaleOptimizer'),
    ('2', '128', False, 'NPULossScaleOptimizer'),
    ('1', '128', True, 'NPUOptimizer'),
    ('2', 'none', True, 'NPUOptimizer'),
  ],
)
def test_an_optimizer_gets_the_vendors_wrapper(vendor, monkeypatch, ranks, scale, tailing, wanted):
  monkeypatch.setenv('RANK_SIZE', ranks)
  with tf.Graph().as_default():
    made = npu.wrap_optimizer(tf.train.GradientDescentOptimizer(0.1), scale, tailing)
  assert type(made).__name__ == wanted


def test_a_job_id_is_not_the_users_worry(vendor, tmp_path, monkeypatch):
  monkeypatch.delenv('JOB_ID', raising=False)
  npu.NPUEstimator(model_fn, str(tmp_path), params={}).train(input_fn, steps=1)


def test_an_option_the_installed_version_lacks_is_named_with_the_version_that_has_it(
  vendor, tmp_path, monkeypatch
):
  from npu_bridge.estimator.npu import npu_config

  class Older(npu_config.NPURunConfig):
    def __init__(self, model_dir=None, session_config=None, hcom_parallel=False):
      super().__init__(
        model_dir=model_dir, session_config=session_config, hcom_parallel=hcom_parallel
      )

  import npu_bridge.npu_init

  monkeypatch.setattr(npu_bridge.npu_init, 'NPURunConfig', Older)
  config = npu.NPURunConfig(precision_mode_v2='fp16')
  with pytest.raises(npu.BackendError, match="precision_mode_v2='fp16' needs npu_bridge of r1.13"):
    npu.NPUEstimator(model_fn, str(tmp_path), config, params={})
  config = npu.NPURunConfig(jit_compile='auto', hcom_parallel=True)
  made = npu.NPUEstimator(model_fn, str(tmp_path), config, params={})
  assert entries(session_proto(made))['hcom_parallel'] == ('b', True)


def test_what_the_vendor_refuses_is_told_as_a_backend_error_with_its_cause(vendor, tmp_path):
  with pytest.raises(npu.BackendError, match='npu_bridge refused') as raised:
    npu.NPUEstimator(model_fn, str(tmp_path), params={}, warm_start_from=3)
  assert raised.value.__cause__ is not None


def test_a_model_fn_without_params_is_refused_as_in_tf_estimator(vendor, tmp_path):
  def without(features, labels, mode):
    raise AssertionError('never called')

  with pytest.raises(ValueError, match='does not include params argument'):
    npu.NPUEstimator(without, str(tmp_path), params={'x': 1})


def test_keras_code_goes_through_the_vendors_helpers(vendor):
  with tf.Graph().as_default():
    session = npu.set_keras_session(precision_mode='allow_mix_precision')
    assert tf.keras.backend.get_session() is session
    found = entries(session._config)
    assert found['precision_mode'] == ('s', 'allow_mix_precision')
    assert isinstance(npu.keras_callbacks([]), list)
    assert npu.keras_optimizer(tf.keras.optimizers.SGD(0.1)) is not None


def test_a_warm_start_takes_the_weights(vendor, tmp_path):
  npu.NPUEstimator(model_fn, str(tmp_path / 'a'), params={}).train(lambda: input_fn(5))
  settings = npu.WarmStartSettings(str(tmp_path / 'a'), vars_to_warm_start='weights')
  second = npu.NPUEstimator(model_fn, str(tmp_path / 'b'), params={}, warm_start_from=settings)
  second.train(input_fn, steps=1)
  assert second.get_variable_value('global_step') == 1
  assert np.abs(second.get_variable_value('weights')).max() > 0.5


def test_the_flags_of_a_training_command_reach_the_session(vendor, tmp_path):
  from npu_adapter import flags

  before = flags.FLAGS.flag_values_dict()
  flags.FLAGS(['train.py', '--precision_mode=allow_mix_precision', '--data_dump_flag',
               '--data_dump_step=0|5', '--profiling', '--iterations_per_loop=5'])  # fmt: skip
  try:
    config = flags.run_config(model_dir=str(tmp_path / 'model'))
  finally:
    for name, value in before.items():
      flags.FLAGS[name].value = value
  found = entries(session_proto(npu.NPUEstimator(model_fn, config=config, params={})))
  assert found['precision_mode'] == ('s', 'allow_mix_precision')
  assert found['iterations_per_loop'] == ('i', 5)
  assert found['enable_dump'] == ('b', True)
  assert found['dump_step'] == ('s', '0|5')
  assert found['dump_path'] == ('s', str(tmp_path / 'model' / 'data_dump'))
  assert found['profiling_mode'] == ('b', True)
  assert json.loads(found['profiling_options'][1])['output'] == str(
    tmp_path / 'model' / 'profiling'
  )


def test_exact_resume_is_refused_because_the_device_rolls_its_own_dice(vendor, tmp_path):
  with pytest.raises(npu.BackendError, match="exact_resume='replay' needs the host backend"):
    npu.NPUEstimator(model_fn, str(tmp_path), exact_resume='replay')


def test_dropout_is_the_vendors_operation(vendor):
  with tf.Graph().as_default() as graph:
    # Without a global step, which only the host's own needs.
    npu.dropout(tf.ones([3]), 0.25, name='thinned')
    assert any(operation.type == 'RandomUniform' for operation in graph.get_operations())
    assert any(operation.name.startswith('thinned') for operation in graph.get_operations())
