"""Kinds of export output: what they take and the signature they give."""

import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.runtime.export import (
  ClassificationOutput,
  EvalOutput,
  ExportOutput,
  PredictOutput,
  RegressionOutput,
  TrainOutput,
)

pytestmark = pytest.mark.usefixtures('graph')


def examples():
  return {'examples': tf.placeholder(tf.string, [None])}


def test_classification_serves_scores_and_classes():
  scores, classes = tf.constant([[0.5]]), tf.constant([['yes']])
  output = ClassificationOutput(scores, classes)
  assert (output.scores, output.classes) == (scores, classes)
  signature = output.as_signature_def(examples())
  assert signature.method_name == 'tensorflow/serving/classify'
  assert set(signature.outputs) == {'scores', 'classes'}


@pytest.mark.parametrize(
  'arguments, words',
  [
    ({}, 'At least one of scores and classes must be set'),
    ({'scores': 'a'}, 'scores must be a float32 Tensor'),
    ({'classes': 'a'}, 'classes must be a string Tensor'),
  ],
)
def test_classification_refuses_what_is_no_score_or_class(arguments, words):
  with pytest.raises(ValueError, match=words):
    ClassificationOutput(**arguments)
  with pytest.raises(ValueError, match='must be a'):
    ClassificationOutput(scores=tf.constant([1]))
  with pytest.raises(ValueError, match='must be a'):
    ClassificationOutput(classes=tf.constant([1]))


def test_regression_serves_a_float():
  signature = RegressionOutput(tf.constant([1.0])).as_signature_def(examples())
  assert signature.method_name == 'tensorflow/serving/regress'
  with pytest.raises(ValueError, match='value must be a float32 Tensor'):
    RegressionOutput(tf.constant([1]))


@pytest.mark.parametrize('kind', ['Classification', 'Regression'])
def test_only_a_single_string_can_be_classified_or_regressed(kind):
  scores = tf.constant([[0.5]])
  output = ClassificationOutput(scores) if kind == 'Classification' else RegressionOutput(scores)
  for receiver in ({'x': tf.constant([1.0])}, {**examples(), 'more': tf.constant(['a'])}):
    with pytest.raises(ValueError, match=f'{kind} input must be a single string Tensor'):
      output.as_signature_def(receiver)


def test_predict_serves_any_tensors_by_name():
  outputs = PredictOutput({'a': tf.constant([1]), ('head', 'b'): tf.constant([2])}).outputs
  assert set(outputs) == {'a', 'head/b'}
  output = PredictOutput(tf.constant([1.0]))
  assert set(output.outputs) == {'output'}
  signature = output.as_signature_def({'x': tf.constant([1.0])})
  assert signature.method_name == 'tensorflow/serving/predict'
  assert set(signature.inputs) == {'x'}


def test_predict_refuses_other_keys_and_values():
  with pytest.raises(ValueError, match='Prediction output key must be a string; got 1'):
    PredictOutput({1: tf.constant([1])})
  with pytest.raises(ValueError, match='Prediction output value must be a Tensor; got 1'):
    PredictOutput({'a': 1})


@pytest.mark.parametrize(
  'kind, method',
  [(TrainOutput, 'tensorflow/supervised/training'), (EvalOutput, 'tensorflow/supervised/eval')],
)
def test_a_supervised_output_names_loss_predictions_and_metrics(kind, method):
  value = tf.constant(1.0)
  output = kind(value, {'y': value}, {'mean': (value, tf.no_op())})
  assert set(output.loss) == {'loss'}
  assert set(output.predictions) == {'predictions/y'}
  assert set(output.metrics) == {'metrics/mean/value', 'metrics/mean/update_op'}
  signature = output.as_signature_def({'x': value})
  assert signature.method_name == method
  assert set(signature.outputs) == {*output.loss, *output.predictions, *output.metrics}
  with pytest.raises(ValueError, match='inputs cannot be None or empty'):
    output.as_signature_def({})


def test_a_metric_that_is_updated_by_an_operation_is_updated_through_its_signature():
  counter = tf.get_variable('counter', [], initializer=tf.zeros_initializer())
  update = tf.group(tf.assign_add(counter, 1.0))
  metrics = EvalOutput(metrics={'count': (tf.identity(counter), update)}).metrics
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    session.run(metrics['metrics/count/update_op'])
    assert session.run(counter) == 1.0


def test_a_supervised_output_takes_single_tensors_and_prefixed_names():
  value = tf.constant(1.0)
  output = EvalOutput({'loss_a': value}, value, (value, value))
  assert set(output.loss) == {'loss_a'}
  assert set(output.predictions) == {'predictions'}
  assert set(output.metrics) == {'metrics/value', 'metrics/update_op'}
  assert (EvalOutput().loss, EvalOutput().predictions, EvalOutput().metrics) == (None,) * 3


def test_a_supervised_output_refuses_what_is_no_metric():
  value = tf.constant(1.0)
  with pytest.raises(ValueError, match='metrics/m output value must be a Tensor; got 1'):
    TrainOutput(metrics={'m': (1, value)})
  with pytest.raises(ValueError, match='metrics/m update_op must be a Tensor or Operation; got 1'):
    TrainOutput(metrics={'m': (value, 1)})
  with pytest.raises(ValueError, match='loss output value must be a Tensor; got 3'):
    TrainOutput(loss=3)


def test_an_output_without_a_signature_cannot_be_made():
  with pytest.raises(TypeError, match='abstract'):
    ExportOutput()
