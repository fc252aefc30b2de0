"""Builds the wheel, looks inside, installs it elsewhere and imports it there."""

import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

REPOSITORY = pathlib.Path(__file__).parent.parent
PROJECT = (REPOSITORY / 'pyproject.toml').read_text(encoding='utf-8')
RELEASE = 'tf1_ascend-' + re.search(r"^version = '(.+)'$", PROJECT, re.MULTILINE).group(1)
# What the wheel is made of; the copy keeps build products out of the source tree.
INGREDIENTS = ('pyproject.toml', 'LICENSE', 'README.md')
# Folders that a wheel must leave out although they stand beside the library.
LEFT_OUT = ('test', 'tools', 'estimators', 'bench', 'docs')


def _run(*command, **options):
  done = subprocess.run(
    [str(word) for word in command],
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
    **options,
  )
  assert done.returncode == 0, done.stdout
  return done.stdout


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
  """The wheel of this tree, built by the setuptools of the environment: nothing is fetched."""
  pytest.importorskip('wheel', reason='the environment has no wheel: install the extra dev')
  setuptools = pytest.importorskip('setuptools', minversion='61')
  assert setuptools
  source = tmp_path_factory.mktemp('source')
  for name in INGREDIENTS:
    if (REPOSITORY / name).exists():
      shutil.copy(str(REPOSITORY / name), str(source))
  shutil.copytree(str(REPOSITORY / 'npu_adapter'), str(source / 'npu_adapter'))
  for name in LEFT_OUT:
    (source / name).mkdir()
    (source / name / 'stray.py').write_text('"""Must not be packed."""\n', encoding='utf-8')
  built = tmp_path_factory.mktemp('wheels')
  pip = (sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-build-isolation')
  _run(*pip, '--wheel-dir', built, source, cwd=str(source))
  (found,) = built.glob('*.whl')
  return found


def _read(wheel, ending):
  with zipfile.ZipFile(str(wheel)) as archive:
    (name,) = [name for name in archive.namelist() if name.endswith(ending)]
    return archive.read(name).decode()


def test_the_wheel_is_for_every_platform_and_names_the_version(wheel):
  assert wheel.name == f'{RELEASE}-py3-none-any.whl'


def test_the_wheel_holds_the_library_its_metadata_and_nothing_else(wheel):
  with zipfile.ZipFile(str(wheel)) as archive:
    names = archive.namelist()
  assert {name.split('/')[0] for name in names} == {'npu_adapter', f'{RELEASE}.dist-info'}
  packed = {name for name in names if name.startswith('npu_adapter/')}
  library = {
    path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / 'npu_adapter').rglob('*.py')
  }
  assert packed == library


def test_the_wheel_carries_the_licence_and_the_console_script(wheel):
  assert 'Apache License' in _read(wheel, 'LICENSE')
  assert 'npu-options = npu_adapter.options_command:main' in _read(wheel, 'entry_points.txt')


def test_the_wheel_requires_no_tensorflow_unless_an_extra_is_asked_for(wheel):
  lines = _read(wheel, 'METADATA').splitlines()
  required = [line for line in lines if line.startswith('Requires-Dist:') and 'extra' not in line]
  assert required == ['Requires-Dist: absl-py']


def test_the_installed_library_imports_without_tensorflow_from_a_path_with_a_space(wheel, tmp_path):
  folder = tmp_path / 'site packages'
  pip = (sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', '--no-index')
  _run(*pip, '--target', folder, wheel)
  code = 'import sys, npu_adapter; print(npu_adapter.__file__); print("tensorflow" in sys.modules)'
  printed = _run(sys.executable, '-c', code, cwd=str(tmp_path), env={'PYTHONPATH': str(folder)})
  place, has_tensorflow = printed.splitlines()
  assert pathlib.Path(place) == folder / 'npu_adapter' / '__init__.py'
  assert has_tensorflow == 'False'
