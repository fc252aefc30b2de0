"""exact_resume='replay': the batches drawn are counted, and drawn again after a restart."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.runtime.input_state import InputState, InputStateError, ReplayedInput

count = tf.data.Dataset.range


def generated():
  def numbers():
    random = np.random.RandomState(3)
    while True:
      yield random.rand()

  data = tf.data.Dataset.from_generator(numbers, tf.float64, [])
  return data.shuffle(10, seed=2).map(lambda x: tf.py_func(abs, [x], tf.float64)).batch(3)


class Training:
  """A graph whose step draws one batch, in a session; goes on from a checkpoint if given one."""

  def __init__(self, data, prefix=None, step=0):
    with tf.Graph().as_default() as graph:
      self.step = tf.train.get_or_create_global_step()
      iterator = tf.data.make_initializable_iterator(data())
      self.batch = iterator.get_next()
      with tf.control_dependencies([self.batch]):
        train_op = tf.assign_add(self.step, 1)
      self.state = ReplayedInput([train_op, self.batch])
      self.train_op = self.state.counting(train_op)
      initializers = [tf.global_variables_initializer(), iterator.initializer]
      graph.finalize()
    self.session = tf.Session(graph=graph)
    self.session.run(initializers)
    self.step.load(step, self.session)
    self.state.restore(self.session, prefix)

  def steps(self, number):
    return [self.session.run([self.batch, self.train_op])[0].tolist() for _ in range(number)]

  def save(self, prefix):
    self.state.save(self.session, prefix)
    return self


@pytest.fixture
def prefix(tmp_path):
  return str(tmp_path / 'model.ckpt-4')


def test_it_goes_on_with_the_very_batches_and_says_so_once(prefix, log):
  first = Training(generated)
  first.steps(4)
  first.save(prefix)
  assert not [line for line in log if 'again' in line]
  assert Training(generated, prefix, 4).steps(6) == first.steps(6)
  (line,) = [line for line in log if 'again' in line]
  assert f'drawing 4 batches again, to be where the data were at {prefix}.' in line


def test_it_counts_batches_over_all_restarts_and_not_global_steps(prefix):
  first = Training(generated)
  first.steps(3)
  first.step.load(103, first.session)
  first.save(prefix)
  second = Training(generated, prefix, 103)
  assert second.steps(2) == first.steps(2)
  second.save(prefix)
  assert Training(generated, prefix, 105).steps(2) == second.steps(2)


def test_a_step_that_failed_is_not_counted(prefix):
  training = Training(lambda: count(4))
  for _ in range(3):
    with pytest.raises(tf.errors.OutOfRangeError):
      training.steps(5)
  training.save(prefix)
  with pytest.raises(tf.errors.OutOfRangeError):
    Training(lambda: count(4), prefix, 4).steps(1)


def test_nothing_but_the_input_runs_to_catch_up(prefix):
  first = Training(generated)
  first.steps(4)
  first.save(prefix)
  second = Training(generated, prefix, 4)
  assert second.session.run(second.step) == 4


def test_data_that_have_become_fewer_are_an_error(prefix, tmp_path):
  path = tmp_path / 'lines.txt'
  path.write_text('1\n' * 9)

  def lines():
    return tf.data.TextLineDataset(str(path)).map(tf.strings.to_number)

  first = Training(lines)
  first.steps(4)
  first.save(prefix)
  path.write_text('1\n' * 3)
  with pytest.raises(InputStateError, match='were there before: 4 batches; got 3'):
    Training(lines, prefix, 4)


def test_another_pipeline_is_an_error(prefix):
  Training(lambda: count(9)).save(prefix)
  with pytest.raises(InputStateError, match='fingerprints of the datasets must be'):
    Training(lambda: count(10), prefix)


def test_a_saved_position_is_no_count(prefix):
  with tf.Graph().as_default(), tf.Session() as session:
    step = tf.train.get_or_create_global_step()
    state = InputState(tf.data.make_one_shot_iterator(count(9)).get_next())
    session.run(step.initializer)
    state.save(session, prefix)
  with pytest.raises(InputStateError, match="exact_resume .* must be 'replay'; got True"):
    Training(lambda: count(9), prefix)


def test_a_batch_drawn_on_a_condition_is_refused(graph):
  step = tf.train.get_or_create_global_step()
  iterator = tf.data.make_one_shot_iterator(count(9))
  drawn = tf.cond(step > 3, iterator.get_next, lambda: tf.constant(0, tf.int64))
  with pytest.raises(InputStateError, match='drawn in every step alike; got an iterator used by'):
    ReplayedInput([drawn])
