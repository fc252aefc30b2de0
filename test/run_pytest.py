"""The main of every Bazel py_test: runs pytest on the files it is given, in the runfiles tree."""

import os
import sys


class _SkippedFiles:
  """Notes whether a whole file was skipped, which pytest reports like a file without tests."""

  any = False

  def pytest_collectreport(self, report):
    self.any = self.any or report.skipped


def main():
  # The folder of a script is the first on its path: the files of test/ would be modules for all.
  sys.path = [path for path in sys.path if os.path.basename(path.rstrip(os.sep)) != 'test']
  import pytest

  # Bazel names the folder a test may write to; the runfiles tree is read-only; no home.
  scratch = os.environ['TEST_TMPDIR']
  os.environ.setdefault('HOME', scratch)
  folder = os.path.join(scratch, 'pytest')
  skipped = _SkippedFiles()
  arguments = ['-p', 'no:cacheprovider', '--basetemp', folder, *sys.argv[1:]]
  status = pytest.main(arguments, plugins=[skipped])
  return 0 if status == pytest.ExitCode.NO_TESTS_COLLECTED and skipped.any else status


if __name__ == '__main__':
  sys.exit(main())
