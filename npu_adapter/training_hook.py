"""The hook that fills a training log, and says in a line how far training is."""

from __future__ import annotations

from typing import Any, Callable, Mapping

import tensorflow.compat.v1 as tf

from npu_adapter.runtime import progress_line
from npu_adapter.training_log import TrainingLog


class TrainingHook(tf.train.SessionRunHook):
  """Logs scalars at the multiples of `every_steps` and at `last_step`.

  `tensors` is {name in the log: name in the graph}, `loss` among them. With `summaries_dir` they
  become TensorBoard summaries too. `steps_per_run` is iterations_per_loop of the config: hooks see
  the ends of such loops only, so a line stands for the first loop end from its step on.
  """

  def __init__(
    self,
    log: TrainingLog,
    tensors: Mapping[str, str],
    every_steps: int,
    last_step: int,
    summaries_dir: str | None = None,
    show: Callable[[str], None] = print,
    steps_per_run: int = 1,
  ):
    if 'loss' not in tensors:
      raise ValueError(f'the tensors that are logged must have `loss`; got {sorted(tensors)}.')
    self._log, self._names, self._every = log, dict(tensors), every_steps
    self._last_step, self._show = last_step, show
    self._summaries_dir = summaries_dir
    self._steps_per_run = steps_per_run
    self._step = self._logged_step = 0
    # Where the interval began that the next line measures: (step, seconds); None before the first
    # run has ended, which builds and optimises the graph.
    self._since: tuple[int, float] | None = None

  def begin(self) -> None:
    graph = tf.get_default_graph()
    self._global_step = tf.train.get_global_step()
    try:
      self._tensors = {key: graph.get_tensor_by_name(name) for key, name in self._names.items()}
    except (KeyError, ValueError) as error:
      raise ValueError(
        'the model_fn must give every tensor that is logged its name, by tf.identity(..., name), '
        f'which is then "name:0" here; {error}'
      ) from None

  def after_create_session(self, session: Any, coord: Any) -> None:
    self._step = self._logged_step = int(session.run(self._global_step))
    self._since = None
    self._log.stop_clock()

  def before_run(self, run_context: Any) -> Any:
    # Only for a line: each further tensor costs a copy from the device. The steps are counted for
    # the same reason; a step that a loss scale skips is none, so the count may be ahead.
    if not self._is_due(self._step + self._steps_per_run):
      return None
    return tf.train.SessionRunArgs(self._tensors)

  def after_run(self, run_context: Any, run_values: Any) -> None:
    values = run_values.results
    if values is None and self._since is not None:
      self._step += self._steps_per_run
      return
    # A read of its own: one beside the training op may give the step before it.
    step = int(run_context.session.run(self._global_step))
    if self._since is None:
      self._check_steps_per_run(step - self._step)
    self._step = step
    if values is not None and self._is_due(step):
      self._write(values)
    if self._since is None:
      self._since = step, self._log.seconds
      self._log.start_clock()

  def end(self, session: Any) -> None:
    self._log.stop_clock()
    self._log.write('end', session.run(self._global_step), seconds=self._log.seconds)

  def _is_due(self, step: int) -> bool:
    """Whether a line is to be written between the last one, or the first step, and `step`."""
    before = self._logged_step
    return step // self._every > before // self._every or before < self._last_step <= step

  def _check_steps_per_run(self, steps: int) -> None:
    if steps > self._steps_per_run:
      raise ValueError(
        'steps_per_run must be iterations_per_loop of the NPURunConfig; got '
        f'{self._steps_per_run}, and a run made {steps} steps.'
      )

  def _write(self, values: Mapping[str, Any]) -> None:
    timing = self._timing()
    self._log.write('train', self._step, **values, **timing)
    if self._summaries_dir:
      _summarise(self._summaries_dir, self._step, {**values, **timing})
    self._logged_step = self._step
    self._show(self._sentence(values, timing))

  def _timing(self) -> dict[str, float]:
    """What the interval up to now took; begins the next one."""
    seconds = self._log.seconds
    if self._since is None:
      return {'seconds': seconds}
    steps, interval_s = self._step - self._since[0], seconds - self._since[1]
    self._since = self._step, seconds
    if steps <= 0 or interval_s <= 0:
      return {'seconds': seconds}
    return {
      'seconds': seconds,
      'seconds_per_step': interval_s / steps,
      'samples_per_s': self._log.batch_size * steps / interval_s,
    }

  def _sentence(self, values: Mapping[str, Any], timing: Mapping[str, float]) -> str:
    parts = [f'{name.replace("_", " ")} {float(value):.4g}' for name, value in values.items()]
    if 'samples_per_s' in timing:
      left_s = (self._last_step - self._step) * timing['seconds_per_step']
      parts += [
        f'{progress_line.rate_text(timing["samples_per_s"])} samples/s',
        f'{progress_line.duration_text(left_s)} left',
      ]
    return f'step {self._step} of {self._last_step}: {", ".join(parts)}'


def _summarise(folder: str, step: int, values: Mapping[str, Any]) -> None:
  summary = tf.Summary()
  for name, value in values.items():
    summary.value.add(tag=name, simple_value=float(value))
  writer = tf.summary.FileWriterCache.get(folder)
  writer.add_summary(summary, step)
  writer.flush()
