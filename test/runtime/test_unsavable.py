"""What keeps a training from going on exactly where it was: that it is found, and nothing else."""

import re

import pytest
import tensorflow.compat.v1 as tf
import tensorflow.compat.v2 as tf2

from npu_adapter.runtime import unsavable
from npu_adapter.runtime.unsavable import INPUT, MODEL

IS_1_15 = tf.__version__.startswith('1.')
count = tf.data.Dataset.range

pytestmark = pytest.mark.filterwarnings('ignore:Seed .* from outer graph')


def drawn(data, one_shot=False):
  make = tf.data.make_one_shot_iterator if one_shot else tf.data.make_initializable_iterator
  return make(data).get_next()


def found(fetches, replay=False):
  """{(operation type, where)} of what is found."""
  return {(one.op_type, one.where) for one in unsavable.find(fetches, replay)}


def counted(function):
  """A tf.while_loop around a function of a float."""
  return tf.while_loop(lambda n, x: n < 3, lambda n, x: (n + 1, function(x)), [0, 1.0])


MODELS = {
  'uniform': (lambda: tf.random.uniform([2]), 'RandomUniform'),
  'whole numbers': (lambda: tf.random.uniform([2], maxval=5, dtype=tf.int32), 'RandomUniformInt'),
  'normal': (lambda: tf.random.normal([2]), 'RandomStandardNormal'),
  'truncated normal': (lambda: tf.random.truncated_normal([2]), 'TruncatedNormal'),
  'shuffle': (lambda: tf.random.shuffle([1, 2]), 'RandomShuffle'),
  'multinomial': (lambda: tf.multinomial([[0.5, 0.5]], 1), 'Multinomial'),
  'gamma': (lambda: tf.random.gamma([2], 1.0), 'RandomGamma'),
  'dropout': (lambda: tf.nn.dropout(tf.ones([2]), rate=0.5), 'RandomUniform'),
  'negative samples': (
    lambda: tf.random.uniform_candidate_sampler([[1]], 1, 2, True, 9).sampled_candidates,
    'UniformCandidateSampler',
  ),
  'Python': (lambda: tf.py_func(abs, [1.0], tf.float32), 'PyFunc'),
  'a queue': (lambda: tf.train.batch([tf.constant(1)], 2), 'QueueDequeueManyV2'),
  'behind a control input': (lambda: tf.group(tf.random.uniform([2])), 'RandomUniform'),
  'in a condition': (
    lambda: tf.cond(tf.ones([]) > 0, lambda: tf.random.uniform([]), lambda: 1.0),
    'RandomUniform',
  ),
  'in a loop': (lambda: counted(lambda x: x + tf.random.uniform([])), 'RandomUniform'),
}


@pytest.mark.parametrize('replay', [False, True])
@pytest.mark.parametrize('name', MODELS)
def test_what_a_model_draws_anew_is_found_in_both_modes(name, replay, graph):
  build, op_type = MODELS[name]
  assert found(build(), replay) == {(op_type, MODEL)}


@pytest.mark.parametrize('replay', [False, True])
def test_a_random_operation_in_a_function_of_the_model_is_found(replay, graph):
  function = tf2.function(lambda x: x + tf.random.uniform([]))
  (one,) = unsavable.find(function(tf.ones([])), replay)
  assert (one.op_type, one.where) == ('RandomUniform', MODEL)
  assert re.search(r'Call\w* > random_uniform/RandomUniform$', one.node)


@pytest.mark.parametrize('replay', [False, True])
def test_a_model_without_random_steps_is_fine(make_model_fn, replay, graph):
  weights = tf.get_variable('weights', [3], initializer=tf.random_normal_initializer())
  other = tf.get_variable('other', [3], use_resource=True)
  noise = tf.random.stateless_uniform([3], [1, 2])
  features = tf.cast(drawn(count(9).shuffle(5, seed=1).repeat().batch(3)), tf.float32)
  loss = tf.reduce_sum(weights * other * features + noise)
  step = tf.train.get_or_create_global_step()
  train_op = tf.train.AdamOptimizer().minimize(loss, step)
  # Beside the training step: nobody asks for it.
  tf.random.uniform([], name='unused')
  assert unsavable.find([train_op, loss], replay) == []


def test_a_placeholder_is_listed_as_unknown_and_not_refused(graph):
  rate = tf.placeholder(tf.float32, [], name='rate')
  (one,) = unsavable.check([rate * 2.0])
  assert (one.node, one.op_type, one.is_known) == ('rate', 'Placeholder', False)


def from_generator():
  return tf.data.Dataset.from_generator(lambda: iter(range(9)), tf.int64).batch(2)


def with_python():
  return count(9).map(lambda x: tf.py_func(abs, [x], tf.int64))


def with_random(threads=None):
  return count(9).map(lambda x: tf.random.uniform([], seed=3), num_parallel_calls=threads)


def in_two_functions():
  return count(9).flat_map(lambda x: with_random())


def filtered():
  return count(9).filter(lambda x: tf.random.uniform([], seed=3) > 0.5)


INPUTS = {
  'a generator': (from_generator, 'GeneratorDataset', False),
  'Python': (with_python, 'PyFunc', False),
  'a random operation': (with_random, 'RandomUniform', False),
  'one in a filter': (filtered, 'RandomUniform', False),
  'one two functions deep': (in_two_functions, 'RandomUniform', False),
  'one in a parallel map': (lambda: with_random(2), 'RandomUniform', True),
}


@pytest.mark.parametrize('one_shot', [False, True])
@pytest.mark.parametrize('name', INPUTS)
def test_what_a_pipeline_cannot_save_is_found(name, one_shot, graph):
  build, op_type, stops_replay = INPUTS[name]
  batch = drawn(build(), one_shot)
  assert found(batch) == {(op_type, INPUT)}
  assert found(batch, replay=True) == ({(op_type, INPUT)} if stops_replay else set())


def test_an_unseeded_shuffle_can_be_saved_but_not_replayed(graph):
  batch = drawn(count(9).shuffle(5))
  assert found(batch) == set()
  (one,) = unsavable.find(batch, replay=True)
  assert one.op_type.startswith('Shuffle') and 'no seed' in one.why


def test_unseeded_random_numbers_cannot_be_replayed(graph):
  batch = drawn(count(9).map(lambda x: tf.random.uniform([])))
  assert found(batch, replay=True) == {('RandomUniform', INPUT)}


@pytest.mark.parametrize('give', ['operation', 'graph'])
def test_a_seeded_shuffle_can_be_replayed(give, graph):
  if give == 'graph':
    tf.set_random_seed(7)
  batch = drawn(count(9).shuffle(5, seed=3 if give == 'operation' else None).repeat())
  assert found(batch, replay=True) == set()


def sloppy_option():
  options = tf.data.Options()
  name = 'deterministic' if hasattr(options, 'deterministic') else 'experimental_deterministic'
  setattr(options, name, False)
  return count(9).interleave(count, 2, num_parallel_calls=2).with_options(options)


SLOPPY = {
  'an option': sloppy_option,
  'an argument': lambda: count(9).apply(
    tf.data.experimental.parallel_interleave(count, 2, sloppy=True)
  ),
}
if not IS_1_15:
  SLOPPY['a map'] = lambda: count(9).map(abs, num_parallel_calls=2, deterministic=False)


@pytest.mark.parametrize('replay', [False, True])
@pytest.mark.parametrize('one_shot', [False, True])
@pytest.mark.parametrize('name', SLOPPY)
def test_a_pipeline_that_may_change_the_order_is_found_in_both_modes(name, one_shot, replay, graph):
  (one,) = unsavable.find(drawn(SLOPPY[name](), one_shot), replay)
  assert one.where == INPUT and 'in another order' in one.why


def with_threads():
  options = tf.data.Options()
  threading = options.threading if hasattr(options, 'threading') else options.experimental_threading
  threading.private_threadpool_size = 2
  threading.max_intra_op_parallelism = 1
  return count(9).with_options(options)


# What TF 1.15 lacks -> operation types it is found by.
ONLY_LATER = {
  'threads': (with_threads, {'MaxIntraOpParallelismDataset', 'PrivateThreadPoolDataset'}),
  'windows': (lambda: count(9).window(2).flat_map(lambda x: x), {'WindowDataset'}),
  'a repeated cache': (lambda: count(9).cache().batch(2).repeat(), {'CacheDataset'}),
}


@pytest.mark.parametrize('name', ONLY_LATER)
def test_what_tf_1_15_alone_cannot_save_is_found_there_alone(name, graph):
  build, op_types = ONLY_LATER[name]
  batch = drawn(build())
  types = {op_type.replace('Experimental', '') for op_type, _ in found(batch)}
  assert types == (op_types if IS_1_15 else set())
  assert found(batch, replay=True) == set()


@pytest.mark.parametrize(
  'build',
  [
    lambda: count(9).cache().shuffle(5, seed=1).repeat(),
    lambda: count(9).cache('file').repeat(),
    lambda: count(9).cache(),
    lambda: count(9).interleave(count, 2, num_parallel_calls=2).map(abs, 2).batch(2).prefetch(1),
  ],
)
def test_a_pipeline_that_every_tensorflow_can_save_is_fine(build, graph):
  assert found(drawn(build())) == set()


def test_a_python_function_without_state_is_fine_in_a_model(graph):
  assert found(tf.py_func(abs, [1.0], tf.float32, stateful=False)) == set()


def test_the_error_names_each_with_its_place_and_remedy(graph):
  noise = tf.random.uniform([], name='noise')
  with pytest.raises(ValueError) as caught:
    unsavable.check([drawn(from_generator()), noise])
  first, *lines = str(caught.value).split('\n')
  assert re.match(r'exact_resume=True needs .*; got 2 that do not:$', first)
  in_model, in_input = lines
  assert re.match(r'- noise/RandomUniform \(RandomUniform, in the model\): .* npu_ad', in_model)
  assert re.match(
    r'- FlatMapDataset > GeneratorDataset \(GeneratorDataset, in the input\): .* files or tensors, '
    "or use exact_resume='replay'",
    in_input,
  )


def test_the_error_says_which_mode_was_asked_for(graph):
  with pytest.raises(ValueError, match=r"exact_resume='replay' needs .*got 1 that do not"):
    unsavable.check(tf.random.uniform([]), replay=True)
