"""Checks the shape of the sources: Python 3.7 syntax, sizes, nesting, names, no machine paths."""

import ast
import math
import pathlib
import re
import subprocess
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).parent.parent
SHIPPED = ('npu_adapter', 'estimators', 'tools')
FOLDERS = (*SHIPPED, 'bench', 'test')
FILE_LINES = 400
FUNCTION_LINES = 80
FUNCTION_LINES_P95 = 50
NESTING = 3
DUMPING_GROUNDS = ('util.py', 'utils.py', 'helper.py', 'helpers.py')
BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

# The vendor's own file names and signatures: a folder of this name cannot choose them.
VENDOR_NAMES = 'npu_bridge'

# Not behind a path or a placeholder: `logs/root` and `{folder}/work` are nobody's machine.
MACHINE_TEXT = re.compile(
  r'(?P<machine_path>(?<![\w.}\])>*~$/-])/(?:root|work|home/\w+)(?![\w.-]))|'
  r'(?P<registry_host>pypi\.org/simple|pythonhosted\.org|registry\.(?:npmjs|yarnpkg)|'
  r'deb\.debian\.org|proxy\.golang|[-]index[-]url|trusted[-]host)'
)
NOT_OURS = {'.git', '.pytest_cache', '.ruff_cache', '.mypy_cache', '__pycache__'}

needs_end_positions = pytest.mark.skipif(
  sys.version_info < (3, 8), reason='Python 3.7 does not know where a function ends'
)


def python_files(root, folders=FOLDERS):
  return sorted(path for folder in folders for path in (root / folder).rglob('*.py'))


def tracked_files(root):
  """What git tracks or would add; in a tree without git (an archive, Bazel) every file."""
  if (root / '.git').exists():
    # CI may run as another user than the one who made the clone: git refuses that by default.
    git = ['git', '-C', str(root), '-c', 'safe.directory=*']
    command = [*git, 'ls-files', '-z', '--cached', '--others', '--exclude-standard']
    names = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode().split('\0')
    return sorted(root / name for name in names if (root / name).is_file())
  found = (path for path in root.rglob('*') if not NOT_OURS.intersection(path.parts))
  return sorted(path for path in found if path.is_file())


def parse(path):
  """Parses as Python 3.7 would; on 3.7 itself parsing is the check."""
  source = path.read_text(encoding='utf-8')
  if sys.version_info < (3, 8):
    return ast.parse(source, str(path))
  return ast.parse(source, str(path), feature_version=(3, 7))


def functions(tree):
  return [node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]


def length(function):
  first = min([function.lineno] + [decorator.lineno for decorator in function.decorator_list])
  return function.end_lineno - first + 1


def nesting(node, is_elif=False):
  """The deepest pile of blocks below node; a function inside starts at nothing again."""
  own = isinstance(node, BLOCKS) and not is_elif
  deepest = 0
  for child in ast.iter_child_nodes(node):
    if not isinstance(child, FUNCTIONS):
      chained = isinstance(node, ast.If) and node.orelse == [child] and isinstance(child, ast.If)
      deepest = max(deepest, nesting(child, chained))
  return own + deepest


def syntax_problems(root):
  for path in python_files(root):
    try:
      tree = parse(path)
    except SyntaxError as error:
      yield f'{path.relative_to(root)}:{error.lineno}: is not Python 3.7: {error.msg}'
      continue
    if not ast.get_docstring(tree):
      yield f'{path.relative_to(root)}:1: must open with a docstring that says what the file holds'


def text_problems(root):
  for path in python_files(root):
    name = path.relative_to(root)
    lines = path.read_text(encoding='utf-8').split('\n')
    if len(lines) - 1 > FILE_LINES:
      yield f'{name}:1: has {len(lines) - 1} lines; at most {FILE_LINES}. Split it by what it holds'
    if path.name in DUMPING_GROUNDS and VENDOR_NAMES not in path.parts:
      yield f'{name}:1: must be named for what it holds, not {path.name}'
    for number, line in enumerate(lines, 1):
      if '\t' in line:
        yield f'{name}:{number}: holds a tab; indent with two spaces'


def function_problems(root):
  for path in python_files(root):
    if VENDOR_NAMES in path.parts:
      continue
    for function in functions(parse(path)):
      place = f'{path.relative_to(root)}:{function.lineno}: {function.name}'
      if nesting(function) > NESTING:
        yield f'{place} nests {nesting(function)} blocks; at most {NESTING}'
      if sys.version_info >= (3, 8) and length(function) > FUNCTION_LINES:
        yield f'{place} has {length(function)} lines; at most {FUNCTION_LINES}'


def machine_problems(root):
  for path in tracked_files(root):
    text = path.read_bytes().decode('utf-8', 'replace')
    for found in MACHINE_TEXT.finditer(text):
      line = text.count('\n', 0, found.start()) + 1
      what = found.lastgroup.replace('_', ' ')
      yield f'{path.relative_to(root)}:{line}: names a {what}: {found.group()}'


def p95_length(root):
  """The length that 95 of 100 functions do not exceed."""
  lengths = sorted(
    length(function) for path in python_files(root, SHIPPED) for function in functions(parse(path))
  )
  return lengths[math.ceil(0.95 * len(lengths)) - 1] if lengths else 0


CHECKS = (syntax_problems, text_problems, function_problems, machine_problems)


@pytest.mark.parametrize('check', CHECKS)
def test_the_sources_are_in_shape(check):
  assert list(check(REPOSITORY)) == []


@needs_end_positions
def test_19_of_20_functions_fit_on_a_screen():
  assert p95_length(REPOSITORY) <= FUNCTION_LINES_P95


def _problems(root, name, text):
  (root / name).parent.mkdir(parents=True, exist_ok=True)
  (root / name).write_text(text, encoding='utf-8')
  return [problem for check in CHECKS for problem in check(root)]


def _nested(count):
  lines = ['"""Doc."""', 'def deep(a):']
  lines += ['  ' * depth + 'if a:' for depth in range(1, count + 1)]
  return '\n'.join([*lines, '  ' * (count + 1) + 'pass', ''])


# What is planted -> file, text, what the one complaint must say.
VIOLATIONS = {
  'a missing docstring': ('tools/a.py', 'x = 1\n', r'a.py:1: must open with a docstring'),
  'a long file': ('bench/a.py', '"""Doc."""\n' + '\n' * 400, r'a.py:1: has 401 lines; at most 400'),
  'a tab': ('test/a.py', '"""Doc."""\nif 1:\n\tpass\n', r'a.py:3: holds a tab'),
  'deep nesting': ('tools/a.py', _nested(4), r'a.py:2: deep nests 4 blocks; at most 3'),
  'a dumping ground': ('tools/utils.py', '"""Doc."""\n', r'utils.py:1: must be named for what'),
  'a home folder': ('docs/a.md', 'see\n/' + 'home/jo/data\n', r'a.md:2: names a machine path'),
  'the root folder': ('Makefile', 'X := /' + 'root/.cache\n', r'Makefile:1: names a machine path'),
  'a registry': ('docs/a.md', 'pip --index-' + 'url x\n', r'a.md:1: names a registry host'),
}


@pytest.mark.parametrize('planted', VIOLATIONS)
def test_a_planted_violation_is_reported_with_file_and_line(tmp_path, planted):
  name, text, complaint = VIOLATIONS[planted]
  problems = _problems(tmp_path, name, text)
  assert len(problems) == 1, problems
  assert re.search(complaint, problems[0])


@pytest.mark.parametrize(
  'statement', ['if (n := 1): pass', 'def f(a, /): pass', 'match 1:\n  case 1: pass']
)
def test_syntax_newer_than_python_3_7_is_reported(tmp_path, statement):
  (tmp_path / 'tools').mkdir()
  (tmp_path / 'tools' / 'a.py').write_text(f'"""Doc."""\n{statement}\n', encoding='utf-8')
  (problem,) = syntax_problems(tmp_path)
  assert re.search(r'a.py:\d+: is not Python 3.7', problem)


@needs_end_positions
def test_a_long_function_is_reported_and_counts_into_the_95th_percentile(tmp_path):
  text = '"""Doc."""\ndef long():\n' + '  pass\n' * 80
  (problem,) = _problems(tmp_path, 'tools/a.py', text)
  assert 'a.py:2: long has 81 lines; at most 80' in problem
  assert p95_length(tmp_path) == 81


def test_an_elif_chain_and_an_inner_function_do_not_count_as_nesting(tmp_path):
  chain = '  if a:\n    pass\n' + '  elif a:\n    pass\n' * 5
  inner = '  with a:\n' + '\n'.join('    ' + line for line in _nested(3).split('\n')[1:-1]) + '\n'
  assert _problems(tmp_path, 'tools/a.py', f'"""Doc."""\ndef f(a):\n{chain}{inner}') == []


def test_paths_that_name_no_machine_are_allowed(tmp_path):
  text = (
    'logs/root {folder}/work //:root $HOME/work /usr/local/Ascend /workspace https://a.b/work\n'
  )
  assert _problems(tmp_path, 'docs/a.md', text) == []
