"""The TF1 Estimator contract without tf.estimator: needs TensorFlow, knows no device, no flag."""
