"""The position in the data: what is saved, that it is brought back to the bit, what is refused."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from npu_adapter.runtime import input_file
from npu_adapter.runtime.input_state import InputState, InputStateError

IS_1_15 = tf.__version__.startswith('1.')
AUTOTUNE = tf.data.experimental.AUTOTUNE
count = tf.data.Dataset.range


def noisy(x):
  x = tf.cast(x, tf.int32)
  return tf.cast(x, tf.float32) + tf.random.stateless_uniform([], tf.stack([x, 1]))


def with_threads(data):
  options = tf.data.Options()
  threading = options.threading if hasattr(options, 'threading') else options.experimental_threading
  threading.private_threadpool_size = 2
  return data.with_options(options)


def tripled():
  keys = tf.range(100, dtype=tf.int64)
  table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, 3 * keys), -1)
  return count(100).map(table.lookup)


def training_data():
  return count(30).shuffle(20).repeat().map(noisy, num_parallel_calls=2).batch(4).prefetch(2)


def table():
  points = {'x': np.arange(192.0).reshape(64, 3)}
  return tf.data.Dataset.from_tensor_slices((points, np.arange(64))).shuffle(64).repeat().batch(8)


PIPELINES = {
  'shuffle with a seed': lambda: count(30).shuffle(20, seed=1),
  'shuffle without a seed': lambda: count(10).shuffle(5).repeat(),
  'shuffle once': lambda: count(10).shuffle(5, reshuffle_each_iteration=False).repeat(),
  'parallel map': lambda: count(100).map(noisy, num_parallel_calls=2),
  'autotuned map': lambda: count(100).map(noisy, num_parallel_calls=AUTOTUNE).prefetch(AUTOTUNE),
  'batch and prefetch': lambda: count(100).batch(3).prefetch(2),
  'everything': training_data,
  'a table in memory': table,
  'cache': lambda: count(10).cache().shuffle(5).repeat(),
  'interleave': lambda: count(10).interleave(lambda x: count(x, x + 5), 3),
  'parallel interleave': lambda: count(10).interleave(
    lambda x: count(x, x + 5), 3, num_parallel_calls=2
  ),
  'flat_map': lambda: count(10).flat_map(lambda x: count(x, x + 5)),
  'zip': lambda: tf.data.Dataset.zip((count(100), count(100).shuffle(10))),
  'unbatch': lambda: count(100).batch(7).apply(tf.data.experimental.unbatch()),
  'filter': lambda: count(100).filter(lambda x: tf.equal(x % 3, 0)).skip(1).take(20),
  'padded batch': lambda: count(100).map(lambda x: tf.fill([x % 5], x)).padded_batch(3, [None]),
  'random numbers': lambda: tf.data.Dataset.zip(
    (count(100), tf.data.experimental.RandomDataset(seed=4))
  ),
  'a lookup table': tripled,
}
LATER_ONLY = {
  'threads of its own': lambda: with_threads(training_data()),
  'cache, then repeat': lambda: count(10).cache().repeat().batch(3),
  'windows': lambda: count(100).window(5, shift=2).flat_map(lambda w: w.batch(5)),
}


class Training:
  """A graph whose step adds up batches, in a session that has made its first steps."""

  def __init__(self, data, one_shot=False):
    with tf.Graph().as_default() as self.graph:
      tf.set_random_seed(5)
      step = tf.train.get_or_create_global_step()
      kind = tf.data.make_one_shot_iterator if one_shot else tf.data.make_initializable_iterator
      iterator = kind(data())
      self.batch = tf.nest.flatten(iterator.get_next())
      with tf.control_dependencies(self.batch):
        train_op = tf.group(tf.assign_add(step, 1))
      self.state = InputState([train_op, self.batch])
      self.train_op = self.state.counting(train_op)
      inits = [tf.global_variables_initializer(), tf.tables_initializer()]
      self.graph.finalize()
    self.session = tf.Session(graph=self.graph)
    self.session.run(inits if one_shot else [*inits, iterator.initializer])
    self.step = step

  def steps(self, number):
    return [self.session.run([self.batch, self.train_op])[0] for _ in range(number)]

  def restore(self, prefix, step):
    # What restoring the checkpoint does to the variables.
    self.step.load(step, self.session)
    self.state.restore(self.session, prefix)
    return self


def equal(batches, others):
  return len(batches) == len(others) and all(
    np.array_equal(a, b) for one, other in zip(batches, others) for a, b in zip(one, other)
  )


def interrupted(data, prefix, steps=4, later=6, **options):
  """Returns (batches after the checkpoint, those of a second training that goes on from it)."""
  first = Training(data, **options)
  first.state.restore(first.session, None)
  first.steps(steps)
  first.state.save(first.session, prefix)
  expected = first.steps(later)
  return expected, Training(data, **options).restore(prefix, steps).steps(later)


@pytest.fixture
def prefix(tmp_path):
  return str(tmp_path / 'model.ckpt-4')


@pytest.mark.parametrize('name', PIPELINES)
def test_a_second_graph_goes_on_with_the_very_batches_of_the_first(name, prefix):
  assert equal(*interrupted(PIPELINES[name], prefix))


@pytest.mark.skipif(IS_1_15, reason='TF 1.15 cannot')
@pytest.mark.parametrize('name', LATER_ONLY)
def test_later_tensorflow_goes_on_with_these_too(name, prefix):
  assert equal(*interrupted(LATER_ONLY[name], prefix))


@pytest.mark.parametrize('name', ['everything', 'a table in memory'])
def test_a_one_shot_iterator_goes_on_too(name, prefix):
  assert equal(*interrupted(PIPELINES[name], prefix, one_shot=True))


def test_without_the_file_the_data_would_start_over(prefix):
  first = Training(training_data)
  first.steps(4)
  assert not equal(first.steps(6), Training(training_data).steps(6))


PROGRAM = """
import sys
sys.path[:0] = [{root!r}, {folder!r}]
from npu_adapter.runtime import tf1
tf1.enable()
import numpy as np
import test_input_state as here
training = here.Training(here.training_data)
prefix, part = sys.argv[1:]
if part == 'first':
  training.state.restore(training.session, None)
  training.steps(4)
  training.state.save(training.session, prefix)
else:
  training.restore(prefix, 4)
np.save(prefix + part, [batch for [batch] in training.steps(6)])
"""


def test_a_second_process_goes_on_with_the_very_batches_of_the_first(prefix):
  folder = os.path.dirname(os.path.abspath(__file__))
  root = os.path.dirname(os.path.dirname(folder))
  program = PROGRAM.format(root=root, folder=folder)
  for part in ('first', 'second'):
    done = subprocess.run(
      [sys.executable, '-c', program, prefix, part], stderr=subprocess.PIPE, text=True
    )
    assert done.returncode == 0, done.stderr
  first, second = np.load(prefix + 'first.npy'), np.load(prefix + 'second.npy')
  assert first.tobytes() == second.tobytes()


def test_data_that_have_ended_stay_so(prefix):
  expected, found = interrupted(lambda: count(4), prefix, later=0)
  assert expected == found == []
  with pytest.raises(tf.errors.OutOfRangeError):
    Training(lambda: count(4)).restore(prefix, 4).steps(1)


def test_several_iterators_go_on_each_where_it_was(prefix):
  def graph():
    step = tf.train.get_or_create_global_step()
    iterators = [tf.data.make_one_shot_iterator(count(20 + n).shuffle(9)) for n in range(2)]
    draws = [iterator.get_next() for iterator in iterators]
    return step, draws, InputState(draws)

  with tf.Graph().as_default(), tf.Session() as session:
    step, draws, state = graph()
    session.run(step.initializer)
    session.run(draws[0])
    session.run(draws)
    state.save(session, prefix)
    expected = [session.run(draws) for _ in range(5)]
  with tf.Graph().as_default(), tf.Session() as session:
    step, draws, state = graph()
    session.run(step.initializer)
    state.restore(session, prefix)
    assert [session.run(draws) for _ in range(5)] == expected


def test_a_graph_without_an_iterator_has_nothing_to_save(prefix, graph):
  step = tf.train.get_or_create_global_step()
  state = InputState([step])
  with tf.Session() as session:
    session.run(step.initializer)
    state.save(session, prefix)
    state.restore(session, prefix)


def saved(data, prefix, steps=4):
  training = Training(data)
  training.steps(steps)
  training.state.save(training.session, prefix)
  return prefix + '.input'


def test_the_file_is_replaced_in_one_go_and_nothing_else_is_left(prefix, tmp_path):
  saved(training_data, prefix)
  saved(training_data, prefix)
  assert os.listdir(str(tmp_path)) == ['model.ckpt-4.input']


def test_a_failed_write_leaves_the_file_as_it_was(prefix, monkeypatch):
  path = saved(training_data, prefix)
  with open(path, 'rb') as file:
    before = file.read()

  def full_disk(number):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(os, 'fsync', full_disk)
  with pytest.raises(OSError, match='No space left'):
    saved(training_data, prefix, steps=5)
  with open(path, 'rb') as file:
    assert file.read() == before


def test_a_missing_file_is_an_error_that_names_it(prefix):
  with pytest.raises(InputStateError, match=r'needs .*model.ckpt-4.input beside .* no such file'):
    Training(training_data).restore(prefix, 4)


@pytest.mark.parametrize('share', [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_an_error(prefix, share):
  path = saved(training_data, prefix)
  with open(path, 'rb+') as file:
    file.truncate(int(share * os.path.getsize(path)))
  with pytest.raises(InputStateError, match=r'model.ckpt-4.input as it was written; got .* bytes'):
    Training(training_data).restore(prefix, 4)


@pytest.mark.parametrize('position', [0, 20, 100, 200, 1000, -1])
def test_a_file_with_one_changed_bit_is_an_error(prefix, position):
  path = saved(training_data, prefix)
  with open(path, 'rb') as file:
    content = bytearray(file.read())
  content[position] ^= 1
  with open(path, 'wb') as file:
    file.write(content)
  with pytest.raises(InputStateError, match='as it was written'):
    Training(training_data).restore(prefix, 4)


OTHERS = {
  'another batch size': lambda: count(30).shuffle(20).map(noisy).batch(5),
  'another order': lambda: count(30).map(noisy).shuffle(20).batch(4),
  'another function': lambda: count(30).shuffle(20).map(lambda x: noisy(x) + 1).batch(4),
  'other data': lambda: count(31).shuffle(20).map(noisy).batch(4),
}


@pytest.mark.parametrize('name', OTHERS)
def test_the_file_of_another_pipeline_is_an_error(prefix, name):
  saved(lambda: count(30).shuffle(20).map(noisy).batch(4), prefix)
  with pytest.raises(InputStateError, match='fingerprints of the datasets must be .*; got'):
    Training(OTHERS[name]).restore(prefix, 4)


def test_the_number_of_threads_may_change(prefix):
  def data(threads):
    return lambda: count(100).shuffle(9).map(noisy, num_parallel_calls=threads).batch(4)

  first = Training(data(2))
  first.steps(4)
  first.state.save(first.session, prefix)
  assert equal(first.steps(6), Training(data(3)).restore(prefix, 4).steps(6))


def test_a_model_around_the_same_data_may_change():
  def among_others():
    tf.constant(1.0, name='start')
    tf.data.make_one_shot_iterator(count(3).map(lambda x: x + 1)).get_next()
    return count(9).shuffle(5, seed=1).map(noisy)

  alone = Training(lambda: count(9).shuffle(5, seed=1).map(noisy))
  assert Training(among_others).state._pipelines == alone.state._pipelines


def test_the_file_of_another_step_is_an_error(prefix):
  saved(training_data, prefix)
  with pytest.raises(InputStateError, match=r'global step must be 5; got 4'):
    Training(training_data).restore(prefix, 5)


@pytest.mark.parametrize(
  'key, value, message',
  [
    ('format', 2, 'number of the file format must be 1; got 2'),
    ('tensorflow', '0.12', "version of TensorFlow must be .*; got '0.12'"),
    ('exact_resume', 'replay', "exact_resume .* must be True; got 'replay'"),
  ],
)
def test_a_file_written_under_other_conditions_is_an_error(prefix, key, value, message):
  training = Training(training_data)
  header = {**training.state._header(4), key: value}
  input_file.write(prefix, header, [b''])
  with pytest.raises(InputStateError, match=message):
    training.restore(prefix, 4)


UNSAVABLE = {
  'a generator': lambda: tf.data.Dataset.from_generator(lambda: iter(range(9)), tf.int64),
  'Python': lambda: count(9).map(lambda x: tf.py_func(abs, [x], tf.int64)),
  'a random operation': lambda: count(9).map(lambda x: tf.random.uniform([])),
}


@pytest.mark.filterwarnings('ignore:Seed 5 from outer graph')
@pytest.mark.parametrize('name', UNSAVABLE)
def test_a_new_training_on_what_cannot_be_saved_is_refused_before_its_first_step(name):
  training = Training(UNSAVABLE[name])
  with pytest.raises(
    InputStateError, match=r'can save and restore; got, .*save it: \w+ is stateful'
  ):
    training.state.restore(training.session, None)


def test_a_graph_without_a_global_step_is_an_error(graph):
  with pytest.raises(InputStateError, match='global step; got one without'):
    InputState([tf.constant(1)])


def test_an_iterator_that_is_fed_is_an_error(graph):
  tf.train.get_or_create_global_step()
  handle = tf.placeholder(tf.string, [])
  iterator = tf.data.Iterator.from_string_handle(handle, tf.int64, [])
  with pytest.raises(InputStateError, match='iterators that belong to the graph; got Iterator'):
    InputState(iterator.get_next())


def test_files_go_with_their_checkpoints(tmp_path):
  for step in (1, 2):
    input_file.write(str(tmp_path / f'model.ckpt-{step}'), {'step': step})
  (tmp_path / 'model.ckpt-2.index').write_text('')
  (tmp_path / 'model.ckpt-3.input.partial').write_text('')
  (tmp_path / 'my-7.input').write_text('of somebody else')
  input_file.remove_orphans(str(tmp_path))
  left = sorted(os.listdir(str(tmp_path)))
  assert left == ['model.ckpt-2.index', 'model.ckpt-2.input', 'my-7.input']
