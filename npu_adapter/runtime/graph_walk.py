"""Walks over a finished graph: what an operation depends on, and which data an iterator reads."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Iterable, Iterator

import tensorflow.compat.v1 as tf

_ITERATORS = frozenset(('Iterator', 'IteratorV2', 'OneShotIterator'))
# They change from process to process, or say nothing about what an operation computes.
_NAMES = frozenset(('container', 'metadata', 'serialized_options', 'shared_name', 'token'))
# Constants for how many threads work, which follow the machine: the elements are the same.
_THREADS = re.compile(r'(.*/)?(num_parallel_calls|num_threads|max_intra_op_parallelism)(_\d+)?')


class GraphWalk:
  """The nodes and functions of the default graph, as they are now."""

  def __init__(self) -> None:
    self._graph = tf.get_default_graph()
    graph_def = self._graph.as_graph_def()
    self.nodes = {node.name: node for node in graph_def.node}
    self._functions = {body.signature.name: body for body in graph_def.library.function}
    self._digests: dict[str, str] = {}

  def names(self, fetches: Any) -> list[str]:
    """The operations of tensors, variables and operations, in any nest."""
    elements = [self._graph.as_graph_element(fetch) for fetch in tf.nest.flatten(fetches)]
    return [getattr(element, 'op', element).name for element in elements]

  def ancestors(self, names: Iterable[str]) -> list[Any]:
    """The named nodes and all they depend on, in the order in which they were made."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
      name = waiting.pop()
      if name not in found:
        found.add(name)
        waiting.extend(producer(source) for source in self.nodes[name].input)
    return [node for name, node in self.nodes.items() if name in found]

  def iterators(self, names: Iterable[str]) -> list[Any]:
    """The nodes of the iterators that the named nodes draw from, in the order they were made."""
    return [node for node in self.ancestors(names) if node.op in _ITERATORS]

  def datasets(self, iterator: Any) -> list[str]:
    """The names of the datasets that an iterator is set to; none if it makes its own."""
    makers = [node for node in self.nodes.values() if node.op == 'MakeIterator']
    return [producer(node.input[0]) for node in makers if producer(node.input[1]) == iterator.name]

  def functions(self, node: Any) -> list[Any]:
    """The bodies of the functions that a node calls."""
    called = [name for _, value in sorted(node.attr.items()) for name in _function_names(value)]
    return [self._functions[name] for name in called if name in self._functions]

  def digest(self, iterator: Any) -> str:
    """A number for what an iterator reads: equal for equal pipelines, whatever their nodes' names.

    Not in it: the number of threads, what placeholders are fed, what files hold, and what Python
    functions do.
    """
    nodes = [iterator, *self.ancestors(self.datasets(iterator))]
    return _hexdigest(self._lines(nodes, {}))

  def _function_digest(self, name: str) -> str:
    if name not in self._functions:
      return name
    if name not in self._digests:
      # For a function that calls itself.
      self._digests[name] = 'recursion'
      body = self._functions[name]
      arguments = {arg.name: f'a{index}' for index, arg in enumerate(body.signature.input_arg)}
      results = [body.ret[arg.name] for arg in body.signature.output_arg]
      self._digests[name] = _hexdigest(self._lines(body.node_def, arguments, results))
    return self._digests[name]

  def _lines(
    self, nodes: Iterable[Any], arguments: dict[str, str], results: Iterable[str] = ()
  ) -> Iterator[bytes]:
    """A function body, or part of a graph, with numbers in place of names."""
    nodes = list(nodes)
    numbers = {**arguments, **{node.name: f'n{index}' for index, node in enumerate(nodes)}}
    for node in nodes:
      if _THREADS.fullmatch(node.name):
        continue
      yield repr((node.op, [_numbered(source, numbers) for source in node.input])).encode()
      for key, value in sorted(node.attr.items()):
        if key not in _NAMES and not key.startswith('_'):
          yield key.encode()
          yield self._attribute(value)
    yield repr([_numbered(result, numbers) for result in results]).encode()

  def _attribute(self, value: Any) -> bytes:
    names = list(_function_names(value))
    if names:
      return repr([self._function_digest(name) for name in names]).encode()
    return value.SerializeToString()


def producer(source: str) -> str:
  """'^name', 'name:1' or, in a function, 'name:output:0' -> 'name'."""
  return source.lstrip('^').split(':')[0]


def _function_names(value: Any) -> Iterator[str]:
  if value.HasField('func'):
    yield value.func.name
  for function in value.list.func:
    yield function.name


def _numbered(source: str, numbers: dict[str, str]) -> str:
  name = producer(source)
  return source.replace(name, numbers.get(name, name), 1)


def _hexdigest(lines: Iterable[bytes]) -> str:
  total = hashlib.sha256()
  for line in lines:
    # With the lengths no two lists of lines run together into the same bytes.
    total.update(b'%d ' % len(line))
    total.update(line)
  return total.hexdigest()
