"""Checks every import of npu_adapter, tools and estimators against the arrows that BUILD allows."""

import ast
import collections
import pathlib
import re
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).parent.parent
ROOTS = ('npu_adapter', 'estimators', 'tools')
TARGET_KINDS = ('py_library', 'py_binary')
# `--help` and the options page must answer where TensorFlow is absent or slow to import.
WITHOUT_TENSORFLOW = (
  'npu_adapter',
  'npu_adapter.option',
  'npu_adapter.options',
  'npu_adapter.flags',
  'npu_adapter.options_page',
  'npu_adapter.options_command',
  'npu_adapter.tf_estimator',
)

Target = collections.namedtuple('Target', 'label line sources deps')
# `module` is the dotted name as far as it is a module; `at_import`: runs when the file is imported.
Import = collections.namedtuple('Import', 'file line module at_import')
Rule = collections.namedtuple('Rule', 'importers forbidden reason')

# Rules that hold whatever BUILD says; both patterns are matched from the start.
RULES = (
  Rule(
    r'(?!npu_adapter/backends/ascend\.py$)',
    r'npu_bridge(\.|$)',
    'only npu_adapter/backends/ascend.py imports the vendor package',
  ),
  Rule(
    r'npu_adapter/runtime/',
    r'(npu_adapter(?!\.runtime(\.|$))|estimators|tools|test)(\.|$)',
    'runtime/ imports nothing of this project but runtime/',
  ),
  Rule(
    r'npu_adapter/',
    r'(estimators|tools|test)(\.|$)',
    'npu_adapter is what a wheel holds: it imports no estimators, tools or test',
  ),
  Rule(r'(estimators|tools)/', r'test(\.|$)', 'nothing imports test'),
  Rule(
    r'npu_adapter/(migration|launch)/',
    r'(tensorflow|tf_keras|keras)(\.|$)',
    'migration/ and launch/ run where TensorFlow is absent',
  ),
)


def read_build(root):
  """Returns {label: Target} of the libraries and binaries in root's BUILD."""
  targets = {}
  for node in ast.parse((root / 'BUILD').read_text(encoding='utf-8')).body:
    call = getattr(node, 'value', None)
    if isinstance(call, ast.Call) and getattr(call.func, 'id', '') in TARGET_KINDS:
      fields = {keyword.arg: keyword.value for keyword in call.keywords}
      label = '//:' + ast.literal_eval(fields['name'])
      sources = _strings(fields.get('srcs'), root)
      deps = ['//' + dep if dep[0] == ':' else dep for dep in _strings(fields.get('deps'), root)]
      targets[label] = Target(label, call.lineno, sources, deps)
  return targets


def _strings(node, root):
  if node is None:
    return []
  if isinstance(node, ast.Call) and node.func.id == 'glob' and not node.keywords:
    found = [path for pattern in ast.literal_eval(node.args[0]) for path in root.glob(pattern)]
    return sorted(path.relative_to(root).as_posix() for path in found)
  try:
    return ast.literal_eval(node)
  except ValueError:
    raise ValueError(
      f'BUILD:{node.lineno}: srcs and deps must be lists of strings or glob([...]), so that this '
      'test can read them; got something else'
    ) from None


def source_files(root):
  """The .py files the arrows are about, relative to root."""
  return sorted(
    path.relative_to(root).as_posix() for name in ROOTS for path in (root / name).rglob('*.py')
  )


def module_name(file):
  """'npu_adapter/backends/__init__.py' -> 'npu_adapter.backends'."""
  parts = file[: -len('.py')].split('/')
  return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def _text(node):
  """The value of a string literal, else None; Python 3.7 calls it `s`."""
  value = getattr(node, 'value' if sys.version_info >= (3, 8) else 's', None)
  return value if isinstance(value, str) else None


class _ImportCollector(ast.NodeVisitor):
  """Collects (line, dotted names from the most to the least exact, at_import) of one file."""

  def __init__(self, package):
    self.package = package
    self.found = []
    self._depth = 0

  def _add(self, node, *names):
    self.found.append((node.lineno, names, self._depth == 0))

  def _visit_later(self, node):
    self._depth += 1
    self.generic_visit(node)
    self._depth -= 1

  visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _visit_later

  def visit_If(self, node):
    # What stands under TYPE_CHECKING never runs.
    (self._visit_later if 'TYPE_CHECKING' in ast.dump(node.test) else self.generic_visit)(node)

  def visit_Import(self, node):
    for alias in node.names:
      self._add(node, alias.name)

  def visit_ImportFrom(self, node):
    base = node.module or ''
    if node.level:
      kept = self.package.split('.')
      kept = kept[: len(kept) - node.level + 1]
      base = '.'.join(kept + [base] if base else kept)
    for alias in node.names:
      self._add(node, f'{base}.{alias.name}', base)

  def visit_Call(self, node):
    name = getattr(node.func, 'attr', getattr(node.func, 'id', ''))
    if name in ('import_module', '__import__') and node.args and _text(node.args[0]):
      self._add(node, _text(node.args[0]))
    self.generic_visit(node)


def _named_in_tables(tree, modules):
  """Modules that whole strings name in a file that uses importlib: a table of lazy imports."""
  imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
  if not any(alias.name.startswith('importlib') for node in imports for alias in node.names):
    return
  for node in ast.walk(tree):
    text = _text(node)
    if text and (text in modules and '.' in text or text.startswith('npu_bridge.')):
      yield node.lineno, (text,), False


def imports_of(root, file, modules):
  """Yields every import of one file; a first-party name is cut to the module it lives in."""
  tree = ast.parse((root / file).read_text(encoding='utf-8'), file)
  folder = file.rpartition('/')[0].replace('/', '.')
  collector = _ImportCollector(folder)
  collector.visit(tree)
  for line, names, at_import in collector.found + list(_named_in_tables(tree, modules)):
    # The folder of a script is on its path: `import model` beside model.py is first-party.
    siblings = [] if folder.startswith('npu_adapter') else [f'{folder}.{name}' for name in names]
    known = [name for name in (*names, *siblings) if name in modules]
    yield Import(file, line, known[0] if known else names[-1], at_import)


class Tree:
  """The files, modules and imports of one source tree."""

  def __init__(self, root):
    self.root = root
    self.files = source_files(root)
    self.file_of = {module_name(file): file for file in self.files}
    self.imports = [found for file in self.files for found in imports_of(root, file, self.file_of)]

  def problems(self):
    """One line per violation: file, line, module, rule."""
    targets = read_build(self.root)
    return (
      list(self._unknown_sources(targets))
      + list(self._outside_build(targets))
      + [
        f'{found.file}:{found.line}: imports {found.module}: {rule.reason}'
        for found in self.imports
        for rule in RULES
        if re.match(rule.importers, found.file) and re.match(rule.forbidden, found.module)
      ]
      + list(self._circles())
      + list(self._tensorflow_at_import())
    )

  def _unknown_sources(self, targets):
    for target in targets.values():
      for source in target.sources:
        if not (self.root / source).is_file():
          yield f'BUILD:{target.line}: {target.label} lists {source}, which does not exist'
      for dep in target.deps:
        if dep not in targets:
          yield f'BUILD:{target.line}: {target.label} depends on {dep}, which BUILD does not define'

  def _outside_build(self, targets):
    owner = {source: target for target in targets.values() for source in target.sources}
    for file in self.files:
      owners = sum(file in target.sources for target in targets.values())
      if owners != 1:
        yield f'{file}:1: must belong to one target of BUILD; it belongs to {owners}'
    for found in self.imports:
      if found.module.split('.')[0] not in ROOTS and found.module not in self.file_of:
        continue
      if found.module not in self.file_of:
        yield f'{found.file}:{found.line}: imports {found.module}, which names no module here'
        continue
      importer, imported = owner.get(found.file), owner.get(self.file_of[found.module])
      if importer and imported and imported.label not in (importer.label, *importer.deps):
        yield (
          f'{found.file}:{found.line}: imports {found.module}: BUILD allows {importer.label} no '
          f'arrow to {imported.label}'
        )

  def _circles(self):
    """Every file that reaches itself through imports, lazy ones too, reported once a circle."""
    arrows = collections.defaultdict(set)
    for found in self.imports:
      if found.module in self.file_of:
        arrows[module_name(found.file)].add(found.module)
    seen = set()
    for module in sorted(arrows):
      circle = _path(arrows, module, lambda name, goal=module: name == goal)
      if circle and not seen.intersection(circle):
        seen.update(circle)
        yield f'{self.file_of[module]}:1: imports in a circle: {" -> ".join(circle)}'

  def _tensorflow_at_import(self):
    arrows = collections.defaultdict(set)
    for found in self.imports:
      if found.at_import:
        arrows[module_name(found.file)].update(_with_packages(found.module))
    for module in self.file_of:
      arrows[module].update(set(_with_packages(module)) & set(self.file_of) - {module})
    for module in WITHOUT_TENSORFLOW:
      chain = _path(arrows, module, lambda name: re.match(r'(tensorflow|tf_keras|keras)$', name))
      if chain:
        yield (
          f'{self.file_of[module]}:1: must be importable without TensorFlow; imports it by '
          f'{" -> ".join(chain)}'
        )


def _with_packages(module):
  """'a.b.c' -> ['a', 'a.b', 'a.b.c']: importing a module runs its packages first."""
  parts = module.split('.')
  return ['.'.join(parts[:count]) for count in range(1, len(parts) + 1)]


def _path(arrows, start, is_goal):
  """The shortest way from start over at least one arrow to a goal, or None."""
  queue, seen = collections.deque([[start]]), set()
  while queue:
    way = queue.popleft()
    for name in sorted(arrows.get(way[-1], ())):
      if is_goal(name):
        return way + [name]
      if name not in seen:
        seen.add(name)
        queue.append(way + [name])
  return None


def test_the_source_tree_keeps_to_the_arrows_of_build():
  assert Tree(REPOSITORY).problems() == []


@pytest.mark.parametrize('module', WITHOUT_TENSORFLOW)
def test_a_module_promised_without_tensorflow_exists(module):
  assert module in Tree(REPOSITORY).file_of


GOOD_TREE = {
  'BUILD': """
package(default_visibility = ["//visibility:public"])
py_library(name = "options", srcs = ["npu_adapter/options.py"])
py_library(name = "runtime", srcs = glob(["npu_adapter/runtime/*.py"]))
py_library(
    name = "ascend",
    srcs = ["npu_adapter/backends/ascend.py"],
    deps = [":options", ":runtime"],
)
py_library(name = "adapter", srcs = ["npu_adapter/__init__.py"], deps = [":ascend"])
py_binary(name = "tool", srcs = ["tools/tool.py"], deps = [":options"])
""",
  'npu_adapter/__init__.py': 'import importlib\nLAZY = ["npu_adapter.backends.ascend"]\n',
  'npu_adapter/options.py': 'import json\n\ndef late():\n  import tensorflow\n',
  'npu_adapter/runtime/loop.py': 'import tensorflow as tf\nfrom . import hooks\n',
  'npu_adapter/runtime/hooks.py': 'import tensorflow as tf\n',
  'npu_adapter/backends/ascend.py': """
from npu_adapter import options
from npu_adapter.runtime.loop import run

def estimator():
  import npu_bridge.estimator
""",
  'tools/tool.py': 'from npu_adapter import options\n',
}

# What is planted -> what the one and only complaint must say.
VIOLATIONS = {
  'an arrow BUILD does not allow': (
    {'tools/tool.py': 'import json\nfrom npu_adapter.runtime import hooks\n'},
    r'tools/tool.py:2: imports npu_adapter.runtime.hooks: BUILD allows //:tool no arrow',
  ),
  'an arrow allowed only at second hand': (
    {'npu_adapter/__init__.py': 'def late():\n  from npu_adapter import options\n'},
    r'__init__.py:2: imports npu_adapter.options: BUILD allows //:adapter no arrow to //:options',
  ),
  'a lazy import by name': (
    {'tools/tool.py': 'import importlib\nMODULES = {"run": "npu_adapter.runtime.loop"}\n'},
    r'tools/tool.py:2: imports npu_adapter.runtime.loop: BUILD allows',
  ),
  'a file outside every target': (
    {'npu_adapter/extra.py': ''},
    r'npu_adapter/extra.py:1: must belong to one target of BUILD; it belongs to 0',
  ),
  'a target that lists a missing file': (
    {'BUILD': GOOD_TREE['BUILD'] + 'py_library(name = "x", srcs = ["npu_adapter/gone.py"])\n'},
    r'BUILD:12: //:x lists npu_adapter/gone.py, which does not exist',
  ),
  'a module that is not there': (
    {'tools/tool.py': 'from npu_adapter.option import Row\n'},
    r'tools/tool.py:1: imports npu_adapter.option, which names no module here',
  ),
  'a circle through a lazy import': (
    {'npu_adapter/runtime/hooks.py': 'def late():\n  from npu_adapter.runtime import loop\n'},
    r'in a circle: npu_adapter.runtime.hooks -> npu_adapter.runtime.loop -> npu_adapter.runtime.h',
  ),
  'the vendor package outside ascend.py': (
    {'tools/tool.py': 'def late():\n  from npu_bridge.npu_init import *\n'},
    r'tools/tool.py:2: imports npu_bridge.npu_init: only npu_adapter/backends/ascend.py',
  ),
  'the vendor package by name': (
    {'tools/tool.py': 'from importlib import import_module\nimport_module("npu_bridge.hccl")\n'},
    r'tools/tool.py:2: imports npu_bridge.hccl: only npu_adapter/backends/ascend.py',
  ),
  'tensorflow when the options are imported': (
    {'npu_adapter/options.py': 'import tensorflow.compat.v1 as tf\n'},
    r'options.py:1: must be importable without TensorFlow.* npu_adapter.options -> tensorflow$',
  ),
  'test in a tool': (
    {'tools/tool.py': 'from test import conftest\n'},
    r'tools/tool.py:1: imports test: nothing imports test',
  ),
}


def _plant(root, files):
  for name, text in files.items():
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding='utf-8')
  return Tree(root).problems()


def test_a_tree_that_keeps_to_its_arrows_has_no_problems(tmp_path):
  assert _plant(tmp_path, GOOD_TREE) == []


@pytest.mark.parametrize('planted', VIOLATIONS)
def test_a_planted_violation_is_reported_once_with_file_and_line(tmp_path, planted):
  files, complaint = VIOLATIONS[planted]
  problems = _plant(tmp_path, {**GOOD_TREE, **files})
  assert len(problems) == 1, problems
  assert re.search(complaint, problems[0]), problems[0]


def test_the_runtime_may_not_import_the_adapter_even_where_build_allows_it(tmp_path):
  build = GOOD_TREE['BUILD'].replace('/*.py"])', '/*.py"]), deps = [":options"]')
  loop = 'from npu_adapter import options\n'
  problems = _plant(tmp_path, {**GOOD_TREE, 'BUILD': build, 'npu_adapter/runtime/loop.py': loop})
  assert problems == [
    'npu_adapter/runtime/loop.py:1: imports npu_adapter.options: runtime/ imports nothing of this '
    'project but runtime/'
  ]


def test_the_library_may_not_import_a_tool(tmp_path):
  files = {'npu_adapter/options.py': 'from tools import tool\n', 'tools/tool.py': ''}
  problems = _plant(tmp_path, {**GOOD_TREE, **files})
  assert any('options.py:1: imports tools.tool: npu_adapter is what a wheel' in p for p in problems)


def test_a_build_file_the_checker_cannot_read_is_an_error(tmp_path):
  with pytest.raises(ValueError, match=r'BUILD:1: srcs and deps must be lists of strings or glob'):
    _plant(tmp_path, {'BUILD': 'py_library(name = "x", srcs = FILES)\n'})
