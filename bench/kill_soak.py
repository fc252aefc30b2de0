#!/usr/bin/env python3
"""Kills a training of ds_cnn again and again; its end must be that of one that was left alone.

Each life of the training ends by SIGKILL: while a checkpoint is written, while the network is
evaluated, or at any moment. Every checkpoint that is then named must be readable, and the next life
must go on from it. One goes to the end: weights, optimizer, best checkpoint and accuracies must be
the same to the last bit. The exit status is 1 where anything differs.
"""

import argparse
import collections
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import wave

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from npu_adapter import training_log  # noqa: E402

_STEPS, _EVALUATE_EVERY, _SAVE_EVERY = 400, 20, 10
_FLAGS = (
  f'--how_many_training_steps={_STEPS // 2},{_STEPS - _STEPS // 2} --learning_rate=0.001,0.0002 '
  f'--eval_step_interval={_EVALUATE_EVERY} --save_step_interval={_SAVE_EVERY} '
  '--log_step_interval=1 --batch_size=50 --validation_percentage=30 --testing_percentage=30 --swa'
).split()
_WORDS = ('yes', 'no', 'up', 'down', 'left', 'right', 'on', 'off', 'stop', 'go', 'bed')
_LONGEST_LIFE_S = 1200
# What kills aim at in turn, and how long after its sign they may come, else 1: what it takes.
_AIMS = 2 * ('evaluation', 'checkpoint', 'any moment') + ('evaluation', 'best', 'any moment')
_LAST_AIMS = ('the last evaluation', 'the report')
_DELAYS_S = {'checkpoint': 0.0005, 'best': 0, 'evaluation': 0.35, 'the last evaluation': 0.35}
# Writing takes a few ms, so that a kill often comes too late; then there is another.
_TRIES = {'checkpoint': 4, 'best': 4}
_PHASES = ('training', 'evaluation', 'checkpoint')  # to be met; there are start-up and report too
# Names there are only while TensorFlow writes a checkpoint, and while the best one is copied.
_UNFINISHED = re.compile(r'model\.ckpt-\d+_temp.*|(checkpoint|model\.ckpt-.*)\.tmp[0-9a-f]+')

_FIELDS = 'number aim phase life_s reached newest unfinished unreadable'
Kill = collections.namedtuple('Kill', _FIELDS)


def main():
  """Trains once in peace, then with kills; compares; returns the exit status."""
  parser = argparse.ArgumentParser(description=__doc__)
  add = parser.add_argument
  add('--kills', type=int, default=20, help='how many, at least (default: 20)')
  add('--seed', type=int, default=1, help='of the moments (default: 1)')
  add('--dropout_rate', type=float, default=0.0, help='of the training (default: 0)')
  add('--folder', metavar='DIR', help='new folder to work in, kept (default: a temporary one)')
  add('--json', metavar='FILE', help='write what was found here too')
  asked = parser.parse_args()
  if asked.kills < 1:
    parser.error(f'--kills must be at least 1; got {asked.kills}.')
  if os.path.exists(asked.folder or ''):
    parser.error(f'--folder must be a new folder; {asked.folder!r} is there already.')
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
  with tempfile.TemporaryDirectory() as temporary:
    found = _soak(asked, os.path.abspath(asked.folder or temporary))
  if asked.json:
    with open(asked.json, 'w', encoding='utf-8') as file:
      json.dump(found, file, indent=2)
  return 1 if found['wrong'] else 0


def _soak(asked, folder):
  import tensorflow as tf

  begun_s = time.time()
  print(f'TensorFlow {tf.__version__}, dropout_rate {asked.dropout_rate:g}', flush=True)
  _make_clips(os.path.join(folder, 'speech'))
  whole = Training(folder, 'whole', asked.dropout_rate)
  whole.start().finish()
  print(f'left alone: {_STEPS} steps in {whole.seconds:.0f} s', flush=True)
  soak = Soak(asked, folder, whole)
  soak.kill_all(asked.kills)
  soak.finish()
  met = collections.Counter(kill.phase for kill in soak.kills)
  found = {
    'tensorflow': tf.__version__,
    'dropout_rate': asked.dropout_rate,
    'minutes': round((time.time() - begun_s) / 60, 1),
    'phases': dict(met),
    'kills': [dict(kill._asdict()) for kill in soak.kills],
    'trainings_compared': soak.rounds,
    'wrong': soak.wrong + [f'no kill fell into {phase}' for phase in soak.missed()],
  }
  print(f'{len(soak.kills)} kills in {found["minutes"]} minutes: {json.dumps(met)[1:-1]}')
  for line in found['wrong'] or ['verdict: the same bits as without a kill, every time readable']:
    print(line)
  return found


class Soak:
  """A training that is killed; when it has come to its end, another one from the start."""

  def __init__(self, asked, folder, whole):
    self.kills, self.wrong, self.rounds = [], [], 0
    self._chance = random.Random(asked.seed)
    self._folder, self._rate, self._whole = folder, asked.dropout_rate, whole
    self._renew()

  def _renew(self):
    self._expected_start = None
    # The clips are decoded anew too: that may be killed as well.
    self.training = Training(self._folder, f'killed_{self.rounds + 1}', self._rate)

  def kill_all(self, count):
    """Kills `count` times or more; at last behind the last checkpoint."""
    print('kill aimed at            fell into    after at step goes on from; half written')
    last = _LAST_AIMS[: max(0, count - len(_PHASES))]
    aims = [_AIMS[number % len(_AIMS)] for number in range(count - len(last))]
    self._chance.shuffle(aims)
    for aim in aims:
      for _ in range(_TRIES.get(aim, 1)):
        self._kill(aim)
        if self.kills[-1].phase == 'checkpoint':
          break
    while self.missed() and len(self.kills) < count + len(_AIMS):
      self._kill('any moment')
    for aim in last:
      self._kill(aim)

  def missed(self):
    """The phases that no kill fell into, of those that must be met."""
    return sorted(set(_PHASES) - {kill.phase for kill in self.kills})

  def _kill(self, aim):
    training = self.training.start()
    training.wait_for(self._sign(aim, training), self._chance.uniform(0, _DELAYS_S.get(aim, 1)))
    if not training.kill():
      # It came to its end before.
      self._close()
      self._renew()
      self._kill(aim)
      return
    self._check_start()
    kill = Kill(
      len(self.kills) + 1, aim, training.phase(), round(training.seconds, 2),
      training.reached_step(), training.newest_step(), training.unfinished(), training.unreadable(),
    )  # fmt: skip
    self.kills.append(kill)
    self.wrong.extend(f'kill {kill.number}: {line}' for line in kill.unreadable)
    self._expected_start = kill.newest
    _print_row(kill)

  def finish(self):
    """Lets the training go to its end."""
    self.training.start().finish()
    self._close()

  def _close(self):
    self.rounds += 1
    self._check_start()
    wrong = _differences(self._whole, self.training)
    wrong += [f'{name} is left behind' for name in self.training.unfinished(since_s=0)]
    self.wrong.extend(f'training {self.rounds}: {line}' for line in wrong)

  def _check_start(self):
    """Whether the life that has just ended went on from the checkpoint it had to."""
    began_at = self.training.began_at()
    expected = self._expected_start or 0
    if began_at not in (None, expected):
      self.wrong.append(f'kill {len(self.kills)}: after it step {began_at}, not step {expected}')

  def _sign(self, aim, training):
    """Returns a function that tells whether the kill may come."""
    step = training.newest_step() or 0
    end_s = training.begun_s + self._chance.uniform(0, 0.4 * self._whole.seconds)
    later = step + _SAVE_EVERY * self._chance.randint(0, 2)
    far = step + 4 * _EVALUATE_EVERY

    def is_saved(wanted):
      return (training.newest_step() or 0) >= wanted

    def has(part):
      return any(part in name for name in training.unfinished())

    return {
      'any moment': lambda: time.time() > end_s or is_saved(far),
      'checkpoint': lambda: is_saved(later) and has('_temp'),
      'best': lambda: has('best/') or is_saved(far),
      'evaluation': lambda: is_saved((step // _EVALUATE_EVERY + 1) * _EVALUATE_EVERY),
      'the last evaluation': lambda: is_saved(_STEPS),
      'the report': lambda: any('of_step' in event for event in training.events()[-1:]),
    }[aim]


def _print_row(kill):
  newest = 'the start' if kill.newest is None else f'step {kill.newest}'
  print(
    f'{kill.number:4d} {kill.aim:19} {kill.phase:10} {kill.life_s:5.1f} s '
    f'{kill.reached:7d} {newest:12} {" ".join(kill.unfinished + kill.unreadable)}'.rstrip(),
    flush=True,
  )


class Training:
  """A command in a folder: its processes one after the other, and what its files tell."""

  def __init__(self, folder, name, dropout_rate):
    self._path = os.path.join(folder, name)
    self._best = os.path.join(self._path, 'best')
    self._output = f'{self._path}.txt'
    self._command = [
      sys.executable,
      os.path.join(ROOT, 'estimators', 'ds_cnn', 'train.py'),
      f'--data_path={os.path.join(folder, "speech")}',
      f'--cache_path={self._path}_cache',
      f'--output_path={self._path}',
      f'--dropout_rate={dropout_rate}',
      *_FLAGS,
    ]

  def start(self):
    """Starts a process, in a group of its own; returns self."""
    self.begun_s, self.seconds = time.time(), 0.0
    with open(self._output, 'w', encoding='utf-8') as output:
      self._process = subprocess.Popen(
        # It yields to this process, so that a kill comes within a ms of its sign.
        ['nice', *self._command], stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        env={**os.environ, 'PYTHONUNBUFFERED': '1'},
      )  # fmt: skip
    return self

  def wait_for(self, sign, then_s=0.0):
    """Waits for the sign and `then_s` more, or for the end of the process."""
    try:
      while self._process.poll() is None and not sign():
        if time.time() - self.begun_s > _LONGEST_LIFE_S:
          raise SystemExit(f'a life took more than {_LONGEST_LIFE_S} s; it said: {self._said()}')
        time.sleep(0.0002)
      time.sleep(then_s)
    except BaseException:
      # It is in a group of its own: a signal to this process would leave it running.
      self.kill()
      raise

  def kill(self):
    """Returns False if the process had ended well before; SystemExit if it had failed."""
    if self._process.poll() is None:
      os.killpg(self._process.pid, signal.SIGKILL)
    status = self._process.wait()
    self.seconds = time.time() - self.begun_s
    if status not in (0, -signal.SIGKILL):
      raise SystemExit(f'the training failed with status {status}; it said: {self._said()}')
    return status != 0

  def finish(self):
    """Waits for the end of the process."""
    self.wait_for(lambda: False)
    if self.kill():
      raise SystemExit('somebody else has killed the training')

  def _said(self):
    with open(self._output, encoding='utf-8', errors='replace') as file:
      return file.read()

  def began_at(self):
    """The step this life went on from, None if it did not come that far."""
    said = self._said()
    found = re.search(r'^going on from step (\d+) of', said, re.MULTILINE)
    if found:
      return int(found.group(1))
    return 0 if '\ntraining ds_cnn' in said else None

  def newest_step(self):
    """The step of the checkpoint that is named as the newest, None if there is none."""
    named = self._named(self._path)
    return int(named[0].rpartition('-')[2]) if named else None

  def checkpoints(self):
    """The paths of the last checkpoint and of the best."""
    return [os.path.join(folder, self._named(folder)[0]) for folder in (self._path, self._best)]

  def _named(self, folder):
    try:
      with open(os.path.join(folder, 'checkpoint'), encoding='utf-8') as file:
        return re.findall(r'model_checkpoint_paths?: "([^"]+)"', file.read())
    except FileNotFoundError:
      return []

  def unreadable(self):
    """A line for each checkpoint that is named, the best too, and cannot be read in full."""
    lines = []
    for folder in (self._path, self._best):
      for name in sorted(set(self._named(folder))):
        try:
          _tensors(os.path.join(folder, name))
        except Exception as error:  # noqa: BLE001 (what a broken file raises differs by version)
          lines.append(f'{name} cannot be read: {str(error).strip().splitlines()[0]}')
    return lines

  def unfinished(self, since_s=None):
    """What there is of checkpoints half written, best/ the copies, in this life or since then."""
    since_s = self.begun_s if since_s is None else since_s
    names = _names(self._path, _UNFINISHED, since_s)
    names += [f'best/{name}' for name in _names(self._best, re.compile('.*[.]partial'), since_s)]
    return [re.sub('_?[0-9a-f]{32}$', '', name) for name in names]

  def events(self):
    """The training log."""
    path = os.path.join(self._path, training_log.FILE_NAME)
    return training_log.read(path) if os.path.exists(path) else []

  def reached_step(self):
    """The last step that was logged; every step is."""
    return max((event['step'] for event in self.events()), default=0)

  def phase(self):
    """What the process was in when it was killed, by the files it left."""
    newest = self.newest_step()
    if self.unfinished() or self._is_half_written(newest):
      return 'checkpoint'
    is_evaluated = newest in training_log.evaluations(self.events(), 'validation')
    if newest == _STEPS and is_evaluated:
      return 'report'
    if not _names(self._path, re.compile('graph.pbtxt'), self.begun_s):
      return 'start-up'
    is_due = newest is not None and newest % _EVALUATE_EVERY == 0
    return 'evaluation' if is_due and not is_evaluated else 'training'

  def _is_half_written(self, newest):
    """Whether a checkpoint has files and is not named yet, or is named and lacks its graph."""
    names = _names(self._path, re.compile(r'model\.ckpt-\d+\..*'), self.begun_s)
    steps = [int(re.findall(r'\d+', name)[0]) for name in names]
    if max(steps, default=-1) > (-1 if newest is None else newest):
      return True
    is_named_now = _names(self._path, re.compile('checkpoint'), self.begun_s)
    return is_named_now and not os.path.exists(f'{self._path}/model.ckpt-{newest}.meta')

  def scores(self):
    """What the report and the log say of how good the network is."""
    with open(os.path.join(self._path, 'result.json'), encoding='utf-8') as file:
      result = json.load(file)
    found = {key: result[key] for key in ('confusion_matrix', 'best_checkpoint')}
    found.update({f'accuracy, {key}': value for key, value in result['accuracy'].items()})
    for step, event in training_log.evaluations(self.events(), 'validation').items():
      found[f'validation of step {step}'] = event['accuracy'], event['cross_entropy']
    return found


def _names(folder, pattern, since_s):
  """The names in a folder that match and were written since; earlier lives leave something too."""
  names = []
  for name in filter(pattern.fullmatch, os.listdir(folder) if os.path.isdir(folder) else ()):
    with contextlib.suppress(FileNotFoundError):
      names += [name] if os.path.getmtime(os.path.join(folder, name)) >= since_s else []
  return names


def _differences(whole, killed):
  """A line for everything that is not the same to the last bit."""
  pairs = [('scores', whole.scores(), killed.scores())]
  for title, one, other in zip(('last', 'best'), whole.checkpoints(), killed.checkpoints()):
    pairs.append((f'{title} checkpoint', _tensors(one), _tensors(other)))
  return [
    f'{title}: {name} differs'
    for title, expected, found in pairs
    for name in sorted({**expected, **found})
    if expected.get(name) != found.get(name)
  ]


def _tensors(checkpoint):
  """{name: (type, shape, bytes)} of all that a checkpoint holds."""
  import tensorflow.compat.v1 as tf

  reader = tf.train.load_checkpoint(checkpoint)
  values = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
  return {name: (str(each.dtype), each.shape, each.tobytes()) for name, each in values.items()}


def _make_clips(folder):
  """Writes a tone for each word, in noise: learnt in some hundred steps, not at once."""
  import numpy as np

  chance = np.random.RandomState(0)
  time_s = np.arange(16000) / 16000
  for number, word in enumerate(_WORDS):
    os.makedirs(os.path.join(folder, word))
    for speaker in range(30):
      pitch_hz = 250 * 1.3**number * chance.uniform(0.95, 1.05)
      samples = 400 * np.sin(2 * np.pi * pitch_hz * time_s) + chance.normal(0, 3000, 16000)
      with wave.open(os.path.join(folder, word, f'speaker{speaker}_nohash_0.wav'), 'wb') as file:
        file.setparams((1, 2, 16000, 0, 'NONE', 'not compressed'))
        file.writeframes(samples.clip(-32768, 32767).astype('<i2').tobytes())


if __name__ == '__main__':
  sys.exit(main())
