"""STUB of the vendor's Keras conversion: the model_fn of tf.keras under an NPUEstimator."""

import tensorflow.compat.v1 as tf

from npu_bridge.estimator.npu.npu_estimator import NPUEstimator


def model_to_npu_estimator(
  keras_model=None,
  keras_model_path=None,
  custom_objects=None,
  model_dir=None,
  checkpoint_format='saver',
  config=None,
  job_start_file='',
):
  """NPUEstimator that trains a compiled Keras model."""
  stock = tf.keras.estimator.model_to_estimator(
    keras_model=keras_model,
    keras_model_path=keras_model_path,
    custom_objects=custom_objects,
    model_dir=model_dir or config.model_dir,
    checkpoint_format=checkpoint_format,
  )
  return NPUEstimator(
    model_fn=stock._model_fn,
    model_dir=stock.model_dir,
    config=config,
    job_start_file=job_start_file,
    warm_start_from=stock._warm_start_settings,
  )
