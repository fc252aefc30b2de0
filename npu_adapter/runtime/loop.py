"""The training loop: everything that happens between two steps happens in here or in a hook."""

from __future__ import annotations

from typing import Any


def run(session: Any, train_op: Any, loss: Any, steps_per_loop: int = 1) -> Any:
  """Trains until a hook or the end of the data stops `session`, and closes it.

  Returns the last loss, or None if there was no step. With `steps_per_loop` above 1 the hooks take
  part in the last step of each such number of steps only, as on a device that makes them in one go.
  """
  fetches = [train_op, loss]
  last_loss = None

  # TensorFlow asks for this very name of the argument.
  def without_hooks(step_context: Any) -> Any:
    return step_context.session.run(fetches)

  # Leaving the block is also what ends the loop where the data end.
  with session:
    while not session.should_stop():
      for _ in range(steps_per_loop - 1):
        _, last_loss = session.run_step_fn(without_hooks)
      _, last_loss = session.run(fetches)
  return last_loss
