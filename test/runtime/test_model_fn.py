"""EstimatorSpec: what it demands in which mode, how it is changed, what counts as one."""

import collections

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.runtime.export import PredictOutput, RegressionOutput
from npu_adapter.runtime.model_fn import (
  EstimatorSpec,
  ModeKeys,
  as_estimator_spec,
  call_logit_fn,
  check_arguments,
)

pytestmark = pytest.mark.usefixtures('graph')

TRAIN, EVAL, PREDICT = ModeKeys.TRAIN, ModeKeys.EVAL, ModeKeys.PREDICT
DEFAULT = 'serving_default'


def test_the_modes_have_tf_estimators_values():
  assert (TRAIN, EVAL, PREDICT) == ('train', 'eval', 'infer')


def test_the_fields_are_tf_estimators_in_its_order():
  assert EstimatorSpec._fields == (
    'mode', 'predictions', 'loss', 'train_op', 'eval_metric_ops', 'export_outputs',
    'training_chief_hooks', 'training_hooks', 'scaffold', 'evaluation_hooks', 'prediction_hooks',
  )  # fmt: skip


def test_what_is_left_out_has_a_usable_default():
  spec = EstimatorSpec(EVAL, loss=tf.constant(1.0))
  assert spec.predictions == {}
  assert spec.eval_metric_ops == {}
  assert spec.training_hooks == spec.evaluation_hooks == spec.prediction_hooks == ()
  assert isinstance(spec.scaffold, tf.train.Scaffold)
  assert spec.export_outputs is None


@pytest.mark.parametrize(
  'mode, missing',
  [(TRAIN, 'loss'), (TRAIN, 'train_op'), (EVAL, 'loss'), (PREDICT, 'predictions')],
)
def test_each_mode_demands_its_fields(mode, missing):
  fields = {'loss': tf.constant(1.0), 'train_op': tf.no_op(), 'predictions': tf.constant([1.0])}
  del fields[missing]
  with pytest.raises(ValueError, match=f'Missing {missing}'):
    EstimatorSpec(mode, **fields)


def test_a_loss_of_one_element_becomes_a_scalar():
  assert EstimatorSpec(EVAL, loss=tf.constant([1.0])).loss.shape.as_list() == []
  assert EstimatorSpec(EVAL, loss=tf.constant([[1.0]])).loss.shape.as_list() == []


def test_a_loss_of_more_elements_or_of_no_tensor_is_refused():
  with pytest.raises(ValueError, match='Loss must be scalar'):
    EstimatorSpec(EVAL, loss=tf.constant([1.0, 2.0]))
  with pytest.raises(TypeError, match='loss must be Tensor'):
    EstimatorSpec(EVAL, loss=1.0)


def test_a_train_op_may_be_an_operation_a_tensor_or_what_assigning_to_a_variable_returns():
  variable = tf.get_variable('v', [], use_resource=True)
  step = tf.train.get_or_create_global_step()
  for train_op in (tf.no_op(), tf.assign_add(step, 1), tf.assign_add(variable, 1.0)):
    spec = EstimatorSpec(TRAIN, loss=tf.constant(1.0), train_op=train_op)
    assert isinstance(spec.train_op, (tf.Operation, tf.Tensor))
  with pytest.raises(TypeError, match='train_op must be Operation or Tensor'):
    EstimatorSpec(TRAIN, loss=tf.constant(1.0), train_op='minimize')


@pytest.mark.parametrize('predictions', [1.0, {'y': 1.0}, [1.0]])
def test_predictions_must_be_tensors(predictions):
  with pytest.raises(TypeError, match=r'predictions(\[y\])? must be Tensor'):
    EstimatorSpec(PREDICT, predictions=predictions)


def test_sparse_predictions_are_refused():
  with pytest.raises(TypeError, match='predictions must be Tensor'):
    EstimatorSpec(PREDICT, predictions=tf.SparseTensor([[0]], [1], [1]))


FROM_ELSEWHERE = {
  'loss': lambda: {'loss': tf.constant(1.0)},
  'train_op': lambda: {'loss': None, 'train_op': tf.no_op()},
  'prediction values': lambda: {'predictions': {'y': tf.constant([1.0])}},
  'eval_metric_ops': lambda: {'eval_metric_ops': {'m': (tf.constant(1.0), tf.no_op())}},
}


@pytest.mark.parametrize('what', FROM_ELSEWHERE)
def test_tensors_of_another_graph_are_refused(what):
  with tf.Graph().as_default():
    fields = FROM_ELSEWHERE[what]()
  with pytest.raises(ValueError, match=f'{what} with ".*" must be from the default graph'):
    EstimatorSpec(PREDICT, **{'predictions': tf.constant([1.0]), **fields})


def test_metrics_must_be_a_dict_of_pairs():
  loss = tf.constant(1.0)
  with pytest.raises(TypeError, match='eval_metric_ops must be a dict'):
    EstimatorSpec(EVAL, loss=loss, eval_metric_ops=[1])
  for metric in (loss, (loss,), [loss, loss], (1.0, loss)):
    with pytest.raises(TypeError, match=r'must be \(metric_value, update_op\) tuples'):
      EstimatorSpec(EVAL, loss=loss, eval_metric_ops={'m': metric})


def test_a_keras_metric_becomes_a_pair_with_local_variables():
  metric = tf.keras.metrics.Mean()
  metric.update_state([1.0, 3.0])
  given = {'mean': metric}
  spec = EstimatorSpec(EVAL, loss=tf.constant(1.0), eval_metric_ops=given)
  value, update = spec.eval_metric_ops['mean']
  assert given == {'mean': metric}
  names = {variable.name for variable in metric.variables}
  assert names <= {variable.name for variable in tf.get_collection('local_variables')}
  assert names <= {variable.name for variable in tf.get_collection('metric_variables')}
  with tf.Session() as session:
    session.run(tf.local_variables_initializer())
    session.run(update)
    assert session.run(value) == 2.0


def test_a_keras_metric_that_is_never_updated_is_refused():
  with pytest.raises(ValueError, match=r'Please call update_state\(...\) on the "average" metric'):
    metrics = {'m': tf.keras.metrics.Mean(name='average')}
    EstimatorSpec(EVAL, loss=tf.constant(1.0), eval_metric_ops=metrics)


@pytest.mark.parametrize(
  'field', ['training_hooks', 'training_chief_hooks', 'evaluation_hooks', 'prediction_hooks']
)
def test_hooks_are_session_hooks(field):
  hook = tf.train.StopAtStepHook(1)
  spec = EstimatorSpec(EVAL, loss=tf.constant(1.0), **{field: iter([hook])})
  assert getattr(spec, field) == (hook,)
  with pytest.raises(TypeError, match='All hooks must be SessionRunHook instances, given: 3'):
    EstimatorSpec(EVAL, loss=tf.constant(1.0), **{field: [3]})


def test_a_scaffold_is_a_scaffold():
  with pytest.raises(TypeError, match=r'scaffold must be tf.train.Scaffold. Given: 3'):
    EstimatorSpec(EVAL, loss=tf.constant(1.0), scaffold=3)


def test_predictions_alone_are_served_by_default():
  spec = EstimatorSpec(PREDICT, predictions={'y': tf.constant([1.0])})
  assert set(spec.export_outputs) == {DEFAULT}
  assert set(spec.export_outputs[DEFAULT].outputs) == {'y'}


def test_a_single_export_output_is_the_default_one_as_well():
  tensor = tf.constant([1.0])
  given = {'head': RegressionOutput(tensor)}
  spec = EstimatorSpec(PREDICT, predictions=tensor, export_outputs=given)
  assert spec.export_outputs == {'head': given['head'], DEFAULT: given['head']}
  assert set(given) == {'head'}


def test_of_several_export_outputs_one_must_be_the_default():
  output = PredictOutput(tf.constant([1.0]))
  with pytest.raises(ValueError, match='Multiple export_outputs were provided, but none of them'):
    EstimatorSpec(PREDICT, tf.constant([1.0]), export_outputs={'a': output, 'b': output})
  spec = EstimatorSpec(PREDICT, tf.constant([1.0]), export_outputs={'a': output, DEFAULT: output})
  assert set(spec.export_outputs) == {'a', DEFAULT}


def test_export_outputs_must_be_a_dict_of_export_outputs():
  with pytest.raises(TypeError, match='export_outputs must be dict'):
    EstimatorSpec(PREDICT, tf.constant([1.0]), export_outputs=[1])
  with pytest.raises(TypeError, match='must be ExportOutput objects'):
    EstimatorSpec(PREDICT, tf.constant([1.0]), export_outputs={'a': tf.constant(1.0)})


def test_replace_changes_one_field_and_checks_it():
  spec = EstimatorSpec(TRAIN, loss=tf.constant(1.0), train_op=tf.no_op(name='first'))
  changed = spec._replace(train_op=tf.no_op(name='second'))
  assert (spec.train_op.name, changed.train_op.name) == ('first', 'second')
  assert changed.loss is spec.loss
  assert changed.scaffold is spec.scaffold
  with pytest.raises(ValueError, match='Missing train_op'):
    spec._replace(train_op=None)
  with pytest.raises(ValueError, match='mode of EstimatorSpec cannot be changed'):
    spec._replace(mode=EVAL)
  with pytest.raises(ValueError, match=r"EstimatorSpec has no field \['trainop'\]"):
    spec._replace(trainop=None)


class SpecWithCall(EstimatorSpec):
  added_fields = ('host_call',)

  def __new__(cls, *args, host_call=None, **kwargs):
    spec = super().__new__(cls, *args, **kwargs)
    spec.host_call = host_call
    return spec


def test_replace_keeps_a_subclass_and_what_it_adds():
  spec = SpecWithCall(EVAL, loss=tf.constant(1.0), host_call=print)
  changed = spec._replace(evaluation_hooks=[tf.train.StopAtStepHook(1)])
  assert isinstance(changed, SpecWithCall)
  assert changed.host_call is print
  assert len(changed.evaluation_hooks) == 1
  assert spec._replace(host_call=len).host_call is len


def test_what_has_the_fields_counts_as_a_spec():
  foreign = collections.namedtuple('ForeignSpec', EstimatorSpec._fields)
  loss = tf.constant([1.0])
  spec = as_estimator_spec(foreign(EVAL, None, loss, *[None] * 8))
  assert isinstance(spec, EstimatorSpec)
  assert spec.loss.shape.as_list() == []


@pytest.mark.skipif(not hasattr(tf, 'estimator'), reason='no tf.estimator in this TensorFlow')
def test_tf_estimators_spec_counts_with_its_own_export_outputs():
  tensor = tf.constant([1.0])
  output = tf.estimator.export.PredictOutput({'y': tensor})
  given = tf.estimator.EstimatorSpec(PREDICT, predictions=tensor, export_outputs={'head': output})
  spec = as_estimator_spec(given)
  assert isinstance(spec, EstimatorSpec)
  assert spec.export_outputs == {'head': output, DEFAULT: output}
  own = EstimatorSpec(PREDICT, tensor, export_outputs={'head': output})
  assert own.export_outputs == spec.export_outputs


@pytest.mark.parametrize('result', [None, 3, {'loss': 1}, (1, 2), np.zeros(3)])
def test_anything_else_is_no_spec(result):
  with pytest.raises(ValueError, match='model_fn should return an EstimatorSpec'):
    as_estimator_spec(result)


def test_a_subclass_is_handed_on_as_it_is():
  spec = SpecWithCall(EVAL, loss=tf.constant(1.0), host_call=print)
  assert as_estimator_spec(spec) is spec


@pytest.mark.parametrize(
  'function, params, words',
  [
    (lambda x: x, None, 'must include features argument'),
    (lambda features: 0, {}, r'does not include params argument, but params \(\{\}\) is passed'),
    (lambda features, x: 0, None, r"has following not expected args: \['x'\]"),
  ],
)
def test_a_model_fn_that_cannot_be_called_is_refused(function, params, words):
  with pytest.raises(ValueError, match=words):
    check_arguments(function, params)


def test_params_that_are_asked_for_and_not_given_are_a_warning(log):
  check_arguments(lambda features, params: 0, None)
  assert any('includes params argument, but params are not passed' in line for line in log)


def test_a_logit_fn_gets_what_it_takes_by_name():
  def logit_fn(features, mode, params):
    return features['x'] if (mode, params) == (EVAL, {'k': 1}) else None

  x = tf.constant([1.0])
  assert call_logit_fn(logit_fn, {'x': x}, EVAL, {'k': 1}, 'config') is x
  heads = call_logit_fn(lambda features: {'head': features['x']}, {'x': x}, EVAL, {}, 'config')
  assert heads == {'head': x}


@pytest.mark.parametrize('convert', [lambda x: None, lambda x: [x], lambda x: {1: x}])
def test_what_a_logit_fn_returns_must_be_a_tensor_or_tensors_by_name(convert):
  with pytest.raises(ValueError, match='logit_fn should return a Tensor or a dictionary mapping'):
    call_logit_fn(lambda features: convert(features), tf.constant([1.0]), EVAL, None, None)
