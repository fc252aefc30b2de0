"""Finds what keeps a training graph from going on exactly where it was stopped."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

import tensorflow.compat.v1 as tf

from npu_adapter.runtime.graph_walk import GraphWalk, producer

MODEL = 'model'
INPUT = 'input'

# Their generator lives in the session. Those with a state variable (StatefulUniform and the like)
# are not here, nor those that shuffle a Dataset: their state is saved.
_RANDOM = frozenset((
  'AllCandidateSampler', 'FixedUnigramCandidateSampler', 'FractionalAvgPool', 'FractionalMaxPool',
  'LearnedUnigramCandidateSampler', 'LogUniformCandidateSampler', 'Multinomial',
  'ParameterizedTruncatedNormal', 'RandomCrop', 'RandomGamma', 'RandomPoisson', 'RandomPoissonV2',
  'RandomShuffle', 'RandomStandardNormal', 'RandomUniform', 'RandomUniformInt',
  'SampleDistortedBoundingBox', 'SampleDistortedBoundingBoxV2',
  'ThreadUnsafeUnigramCandidateSampler', 'TruncatedNormal', 'UniformCandidateSampler',
))  # fmt: skip
_PYTHON = frozenset(('EagerPyFunc', 'PyFunc'))
_QUEUES = frozenset((
  'MapUnstage', 'MapUnstageNoKey', 'OrderedMapUnstage', 'OrderedMapUnstageNoKey', 'QueueDequeue',
  'QueueDequeueMany', 'QueueDequeueManyV2', 'QueueDequeueUpTo', 'QueueDequeueUpToV2',
  'QueueDequeueV2', 'ReaderRead', 'ReaderReadUpTo', 'ReaderReadUpToV2', 'ReaderReadV2', 'Unstage',
))  # fmt: skip
_PLACEHOLDERS = frozenset(('Placeholder', 'PlaceholderV2'))
# Dataset operation -> where its two seeds are among the inputs; both zero stand for no seed.
_SEEDS = {
  'RandomDataset': (0, 1),
  'RandomDatasetV2': (0, 1),
  'ShuffleAndRepeatDataset': (2, 3),
  'ShuffleAndRepeatDatasetV2': (2, 3),
  'ShuffleDataset': (2, 3),
  'ShuffleDatasetV3': (2, 3),
}
# What TF 1.15 cannot save, and what it saves but then dies of (a segmentation fault).
_LACKING_IN_1_15 = frozenset((
  'MaxIntraOpParallelismDataset', 'PrivateThreadPoolDataset', 'ThreadPoolDataset',
))  # fmt: skip
_DEADLY_IN_1_15 = frozenset(('WindowDataset',))
# Dataset operation of TF 1.15 -> where the switch is among its inputs that lets it take what is
# ready first; later ones have an attribute.
_SLOPPY_INPUT = {'ParallelInterleaveDataset': 3}
# What the options of a whole pipeline begin with if `deterministic`, their first field, is False.
_SLOPPY_OPTIONS = b'\x08\x00'

_REPLAY = "or use exact_resume='replay', which draws the batches again"
_STATELESS = (
  'use npu_adapter.dropout, or tf.random.stateless_uniform and its like with a seed made of the '
  'global step'
)
_STATELESS_MAP = (
  'use tf.random.stateless_uniform and its like, with a seed made of the number of the element '
  '(Dataset.zip with Dataset.range)'
)


class Finding(NamedTuple):
  """One node. `node` is 'map > inner' for a node inside a function that map calls.

  where: MODEL, or INPUT for the datasets.
  is_known: False if it may do no harm, which only its author can tell.
  """

  node: str
  op_type: str
  where: str
  why: str
  remedy: str
  is_known: bool = True


def find(fetches: Any, replay: bool = False) -> list[Finding]:
  """Returns what stands in the way of exact_resume=True, or of exact_resume='replay'.

  `fetches` are what a training step runs. Initializers are no part of it: they run once, and a
  checkpoint holds what they made.
  """
  search = _Search(GraphWalk(), _replay_finding if replay else _save_finding)
  search.run(fetches)
  return search.found


def check(fetches: Any, replay: bool = False) -> list[Finding]:
  """Raises ValueError that names all of `find`; returns those of which it is not known."""
  found = find(fetches, replay)
  known = [finding for finding in found if finding.is_known]
  if known:
    mode = "'replay'" if replay else 'True'
    lines = [
      f'\n- {finding.node} ({finding.op_type}, in the {finding.where}): {finding.why}. Instead: '
      f'{finding.remedy}.'
      for finding in known
    ]
    raise ValueError(
      f'exact_resume={mode} needs a training step that depends on nothing but the checkpoint and '
      f'the position in the data; got {len(known)} that do not:{"".join(lines)}'
    )
  return found


class _Search:
  """Asks `judge` about each node that a training step depends on."""

  def __init__(self, walk: GraphWalk, judge: Any):
    self.found: list[Finding] = []
    self._walk = walk
    self._judge = judge
    self._seen: set[tuple[str, str]] = set()

  def run(self, fetches: Any) -> None:
    names = self._walk.names(fetches)
    self._visit(self._walk.ancestors(names), _Place(MODEL, self._walk.nodes))
    for iterator in self._walk.iterators(names):
      place = _Place(INPUT, self._walk.nodes)
      self._visit(self._walk.ancestors(self._walk.datasets(iterator)), place)

  def _visit(self, nodes: Any, place: _Place) -> None:
    for node in nodes:
      finding = self._judge(node, place)
      if finding is not None:
        self.found.append(finding)
      if _base(node.op) != 'GeneratorDataset':
        self._enter(node, place)

  def _enter(self, node: Any, place: _Place) -> None:
    """Goes on in the functions that the node calls; what they hold has been told once, then."""
    # The function of a one-shot iterator makes the dataset it reads.
    where = INPUT if node.op == 'OneShotIterator' else place.where
    for body in self._walk.functions(node):
      key = (where, body.signature.name)
      if key not in self._seen:
        self._seen.add(key)
        nodes = {inner.name: inner for inner in body.node_def}
        parallel = place.is_parallel or _is_parallel(node)
        inside = _Place(where, nodes, f'{place.path}{node.name} > ', parallel)
        self._visit(body.node_def, inside)


class _Place(NamedTuple):
  """Where a node stands: its neighbours by name, and the calls on the way to them."""

  where: str
  nodes: Mapping[str, Any]
  path: str = ''
  is_parallel: bool = False


def _save_finding(node: Any, place: _Place) -> Finding | None:
  """What exact_resume=True cannot save."""
  kind = _base(node.op)
  if place.where == INPUT:
    if _is_sloppy(node, place):
      return _sloppy_finding(node, place)
    if node.op in _RANDOM:
      why = 'its random state is not part of what TensorFlow saves of an iterator'
      return _finding(node, place, why, f'{_STATELESS_MAP}, {_REPLAY}')
    if node.op in _PYTHON or kind == 'GeneratorDataset':
      why = 'Python cannot be asked where it is'
      return _finding(node, place, why, f'read from files or tensors, {_REPLAY}')
    return _lacking_in_1_15(node, place)
  return _common_finding(node, place)


def _replay_finding(node: Any, place: _Place) -> Finding | None:
  """What is not the same when a replay draws it a second time."""
  if place.where == MODEL:
    return _common_finding(node, place)
  if _is_sloppy(node, place):
    return _sloppy_finding(node, place)
  if node.op in _RANDOM:
    return _random_replay(node, place)
  if _base(node.op) in _SEEDS and not _has_seed(node, place):
    why = 'it has no seed, so that a second run draws in another order'
    return _finding(node, place, why, 'give it a seed, or set tf_random_seed in the config')
  return _common_finding(node, place, python_is_fine=True)


def _sloppy_finding(node: Any, place: _Place) -> Finding:
  why = 'it hands on what is ready first, in another order each time'
  return _finding(node, place, why, 'leave out deterministic=False or sloppy=True')


def _random_replay(node: Any, place: _Place) -> Finding | None:
  if place.is_parallel:
    why = 'which element gets which number is a matter of chance in a parallel map'
    return _finding(node, place, why, f'{_STATELESS_MAP}, or do without num_parallel_calls')
  if not (node.attr['seed'].i or node.attr['seed2'].i):
    why = 'it has no seed, so that a second run draws other numbers'
    return _finding(node, place, why, 'give it a seed, or set tf_random_seed in the config')
  return None


def _common_finding(node: Any, place: _Place, python_is_fine: bool = False) -> Finding | None:
  """What neither of the two can do."""
  if node.op in _RANDOM:
    return _finding(node, place, 'its random state dies with the session', _STATELESS)
  if node.op in _PYTHON and not python_is_fine:
    why = 'what Python remembers between two steps is not in a checkpoint'
    return _finding(node, place, why, 'say stateful=False where it remembers nothing')
  if node.op in _QUEUES:
    why = 'what a queue holds is not saved, and its threads fill it in any order'
    return _finding(node, place, why, 'return a Dataset from input_fn')
  if node.op in _PLACEHOLDERS:
    why = 'only the hook that feeds it knows what comes next'
    return _finding(node, place, why, 'feed what follows from the global step')._replace(
      is_known=False
    )
  return None


def _lacking_in_1_15(node: Any, place: _Place) -> Finding | None:
  if not tf.__version__.startswith('1.'):
    return _common_finding(node, place)
  kind = _base(node.op)
  if kind in _LACKING_IN_1_15:
    why = f'TensorFlow {tf.__version__} cannot save a pipeline with thread options'
    return _finding(node, place, why, f'leave out options.experimental_threading, {_REPLAY}')
  if kind == 'CacheDataset' and _is_repeated_cache(node, place):
    why = f'TensorFlow {tf.__version__} loses a cache in memory when it restores a repeat()'
    remedy = 'put a shuffle between them, data.cache().shuffle(n).repeat(), or cache into a file'
    return _finding(node, place, why, f'{remedy}, {_REPLAY}')
  if kind in _DEADLY_IN_1_15:
    why = f'TensorFlow {tf.__version__} dies when it restores a window'
    return _finding(node, place, why, f'use batch instead of window, {_REPLAY}')
  if node.op == 'PyFuncStateless':
    # The saved pipeline of this version names the function by a number of the process.
    why = f'TensorFlow {tf.__version__} would call another function after a restart'
    return _finding(node, place, why, f'use TensorFlow operations, {_REPLAY}')
  return _common_finding(node, place)


def _is_repeated_cache(cache: Any, place: _Place) -> bool:
  """Whether there is a repeat() beside a cache in memory, other than right behind a shuffle.

  When restored it makes its input twice, and the second finds the cache taken. With a shuffle
  TensorFlow merges it into one dataset.
  """
  if _constant(cache, 1, place) != b'':
    return False
  repeats = [node for node in place.nodes.values() if node.op == 'RepeatDataset']
  sources = [place.nodes.get(producer(node.input[0])) for node in repeats]
  return any(source is None or source.op != 'ShuffleDataset' for source in sources)


def _finding(node: Any, place: _Place, why: str, remedy: str) -> Finding:
  return Finding(f'{place.path}{node.name}', node.op, place.where, why, remedy)


def _base(op_type: str) -> str:
  """The name without the prefix it has while it is experimental."""
  return op_type[len('Experimental') :] if op_type.startswith('Experimental') else op_type


def _is_parallel(node: Any) -> bool:
  return 'Parallel' in node.op or 'MapAndBatch' in node.op


def _is_sloppy(node: Any, place: _Place) -> bool:
  """Whether a dataset may change the order of its elements to go faster."""
  kind = _base(node.op)
  if kind == 'OptimizeDataset':
    return b'make_sloppy' in (_constant(node, 1, place) or ())
  if kind in _SLOPPY_INPUT:
    return bool(_constant(node, _SLOPPY_INPUT[kind], place))
  attributes = node.attr
  return (
    attributes['sloppy'].b
    or attributes['deterministic'].s == b'false'
    or attributes['serialized_options'].s.startswith(_SLOPPY_OPTIONS)
  )


def _has_seed(node: Any, place: _Place) -> bool:
  """Whether one of a dataset's two seeds is other than zero; one that is computed counts."""
  return any(_constant(node, position, place) != 0 for position in _SEEDS[_base(node.op)])


def _constant(node: Any, position: int, place: _Place) -> Any:
  """The value of an input of a node, as a number or a list; None where it is computed."""
  source = place.nodes.get(producer(node.input[position]))
  if source is None or source.op != 'Const':
    return None
  return tf.make_ndarray(source.attr['value'].tensor).tolist()
