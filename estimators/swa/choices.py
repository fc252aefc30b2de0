"""From what the user chose to the settings of a run: presets, data, and averaging in steps."""

from __future__ import annotations

from typing import Any, Mapping

from estimators.swa import data_source, input_pipeline, presets
from estimators.swa import settings as model_settings
from estimators.swa.dataset import examples
from npu_adapter import averaging_epochs, averaging_plan, errors


def settings_of(
  task: str | None, network: str | None, data_path: str | None, given: Mapping[str, Any],
  seed: int = 1, swa: bool = True, steps: int | None = None, swa_decay: float | None = None,
) -> tuple[model_settings.Settings, examples.Examples]:  # fmt: skip
  """The settings, checked, and the data they are of; `given`: what differs from the preset."""
  task = task or (data_source.task_of(data_path) if data_path else presets.TASKS[0])
  network = network or presets.NETWORKS[task][0]
  if network not in presets.NETWORKS[task]:
    raise errors.InputError(
      f'network must be {" or ".join(presets.NETWORKS[task])} for the task {task}; got {network!r}.'
      f'{errors.nearest(network, presets.NETWORKS[task])}'
    )
  values = {**presets.of_network(network), **given}
  data = data_source.open_data(task, data_path)
  steps_per_epoch = input_pipeline.steps_per_epoch(data, values['batch_size'])
  steps = steps or values['epochs'] * steps_per_epoch
  made = model_settings.Settings(
    task=task,
    network=network,
    classes=data.classes,
    shape=data.shape,
    mean=data.mean,
    deviation=data.deviation,
    steps_per_epoch=steps_per_epoch,
    steps=steps,
    seed=seed,
    data_path=data_path,
    averaging=_averaging(values, steps, steps_per_epoch, swa_decay) if swa else None,
    **{name: values[name] for name in presets.OF_TRAINING},
  )
  return model_settings.check(made), data


def _averaging(
  values: Mapping[str, Any], steps: int, steps_per_epoch: int, decay: float | None
) -> averaging_plan.Averaging:
  schedule, start, every = values['lr_schedule'], values['start_epoch'], values['swa_freq']
  averaging_epochs.check(start, every, schedule, -(-steps // steps_per_epoch))
  # The preset's second rate is one of its schedule.
  high = values['swa_lr2'] if schedule == 'cyclic' else 'auto'
  rates = averaging_epochs.rates(values['learning_rate'], schedule, values['swa_lr'], high)
  return averaging_epochs.plan(start, every, schedule, rates, steps_per_epoch, decay)
