"""A small model without TensorFlow, and the launcher as a process on it."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAUNCHER = """
import sys
sys.path.insert(0, sys.argv[1])
from npu_adapter.launch import command
sys.exit(command.main(sys.argv[3:], estimators=sys.argv[2]))
"""
# What it was started with goes into seen.json, what it measured into training_log.jsonl; then it
# runs the Python text of --act.
TRAIN = """
import json, os, signal, subprocess, sys, time
sys.path.insert(0, {root!r})
from absl import flags as absl_flags
from npu_adapter import flags
for name in ('data_path', 'ckpt_path', 'output_path', 'train_steps', 'learning_rate', 'act'):
  absl_flags.DEFINE_string(name, '', name)
absl_flags.DEFINE_string('model_size_info', '', 'sizes')
absl_flags.DEFINE_integer('batch_size', 1, 'examples', lower_bound=1)
F = flags.FLAGS
def tell(**facts):
  with open(os.path.join(F.output_path, 'training_log.jsonl'), 'a') as log:
    log.write(json.dumps(facts) + '\\n')
def main(argv):
  seen = dict(words=sys.argv[1:], environment=dict(os.environ), folder=os.getcwd(),
              cores=sorted(os.sched_getaffinity(0)))
  with open(os.path.join(F.output_path, 'seen.json'), 'w') as file:
    json.dump(seen, file)
  print('step on stdout')
  print('warning on stderr', file=sys.stderr)
  tell(event='start', step=0, batch_size=F.batch_size, model='toy')
  for step, seconds in ((10, 9.0), (20, 0.25), (30, 0.75)):
    tell(event='train', step=step, loss=1 / step, seconds_per_step=seconds)
  tell(event='evaluate', split='validation', step=30, accuracy=0.8125)
  exec(F.act)
flags.run(main)
"""
FACTS = {
  'parameters': {
    'data_path': None,
    'ckpt_path': None,
    'batch_size': 100,
    'precision_mode': 'allow_mix_precision',
    'learning_rate': '0.01,0.001',
    'train_steps': None,
  },
  'cases': {
    'full': {'train_steps': '50,50'},
    'performance': {'train_steps': '5,5', 'model_size_info': '1 2'},
  },
}


class Toy:
  """The model `toy`, in a folder whose name has a space, and ways to launch it."""

  def __init__(self, folder):
    self.estimators = folder / 'my estimators'
    self.folder = self.estimators / 'toy'
    self.run_folder = self.folder / 'test' / 'output' / '0'
    self.elsewhere = folder / 'else where'
    self.elsewhere.mkdir()
    self.folder.mkdir(parents=True)
    (self.folder / 'train.py').write_text(TRAIN.format(root=str(ROOT)))
    self.write_facts(FACTS)

  def write_facts(self, facts):
    (self.folder / 'launch.json').write_text(json.dumps(facts))

  def start(self, *words, cwd=None, environment=None, **options):
    """Starts the launcher with these words and returns the process."""
    command = [sys.executable, '-c', LAUNCHER, str(ROOT), str(self.estimators)]
    return subprocess.Popen(
      [*command, *map(str, words)],
      cwd=str(cwd or self.elsewhere),
      env={**os.environ, **(environment or {})},
      stdout=options.pop('stdout', subprocess.PIPE),
      stderr=subprocess.PIPE,
      text=True,
      **options,
    )

  def launch(self, *words, case='full', **options):
    """Runs `model toy CASE words` to its end."""
    return self.run('model', 'toy', case, *words, **options)

  def run(self, *words, **options):
    process = self.start(*words, **options)
    output, complaint = process.communicate()
    return subprocess.CompletedProcess(words, process.returncode, output, complaint)

  def python(self, code):
    """Runs Python text that can import the project."""
    return subprocess.run(
      [sys.executable, '-c', f'import sys; sys.path.insert(0, {str(ROOT)!r}); {code}'],
      stdout=subprocess.PIPE,
      text=True,
    )

  def seen(self, folder=None):
    """What the training process was started with."""
    return json.loads(((folder or self.run_folder) / 'ckpt' / 'seen.json').read_text())

  def flags(self, folder=None):
    """The flags of the training process; the last of a name counts, as for absl."""
    words = self.seen(folder)['words']
    return dict(word[2:].split('=', 1) for word in words if '=' in word)

  def files(self):
    """Everything in and around the model, to show that a refused command changed nothing."""
    found = self.estimators.rglob('*')
    return sorted((str(path), path.stat().st_mtime_ns) for path in found if path.is_file())


@pytest.fixture
def toy(tmp_path):
  return Toy(tmp_path)
