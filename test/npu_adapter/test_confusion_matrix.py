"""npu_adapter.confusion_matrix, counted over batches."""

import tensorflow.compat.v1 as tf

import npu_adapter


def test_it_counts_labels_by_row_and_guesses_by_column_and_leaves_out_weight_0():
  with tf.Graph().as_default(), tf.Session() as session:
    fed = tf.placeholder(tf.int32, [3, None])
    weights = tf.cast(fed[2], tf.float32)
    value, update = npu_adapter.confusion_matrix(fed[0], fed[1], weights, 3)
    session.run(tf.local_variables_initializer())
    assert session.run(value).tolist() == [[0, 0, 0]] * 3
    session.run(update, {fed: [[0, 0, 0, 2, 1], [1, 1, 0, 2, 1], [1, 1, 1, 1, 0]]})
    session.run(update, {fed: [[2, 0], [0, 1], [1, 1]]})
    assert session.run(value).tolist() == [[1, 3, 0], [0, 0, 0], [1, 0, 1]]
