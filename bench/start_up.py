"""How long the commands take to answer --help, beside what importing TensorFlow would add.

Prints the fastest of several runs of each in one go, and the ratios; nothing here is asserted.
"""

import argparse
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
COMMANDS = {
  'python alone': ['-c', 'pass'],
  'import npu_adapter': ['-c', 'import npu_adapter'],
  'npu_options.py --help': [str(ROOT / 'tools' / 'npu_options.py'), '--help'],
  'a training command --help': [
    '-c',
    'from npu_adapter import flags; flags.run(print, ["train.py", "--help"])',
  ],
  'import tensorflow': ['-c', 'import tensorflow'],
}


def fastest_s(arguments: list, runs: int) -> float:
  """The shortest wall time of `runs` processes, in seconds."""
  times_s = []
  for _ in range(runs):
    start_s = time.perf_counter()
    subprocess.run(
      [sys.executable, *arguments],
      cwd=str(ROOT),
      check=True,
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
    )
    times_s.append(time.perf_counter() - start_s)
  return min(times_s)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--runs', type=int, default=5, help='processes per command (default: 5)')
  runs = parser.parse_args().runs
  found = {name: fastest_s(arguments, runs) for name, arguments in COMMANDS.items()}
  for name, seconds in found.items():
    print(
      f'{name:<26} {seconds:6.3f} s   {seconds / found["import tensorflow"]:5.2f} of tensorflow'
    )


if __name__ == '__main__':
  main()
