"""Pictures and tables of a training: the learning curve and the confusion matrix. No TensorFlow."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from npu_adapter import errors, training_log, whole_file

# Of a label, in the head of a table.
_HEAD_LETTERS = 4


def require() -> None:
  """Raises an error when the drawing library is missing: before a training, not at its end."""
  try:
    _subplots(1, (1, 1))
  except ImportError as error:
    raise errors.AdapterError(
      f"drawing the learning curve needs matplotlib; {error}. Install it: pip install '.[models]'"
    ) from None


def learning_curve(
  events: Sequence[Mapping[str, Any]],
  path: str,
  metric: str = 'accuracy',
  title: str = '',
  log_scale: bool = False,
) -> None:
  """Draws the loss of every logged step, and a metric of every evaluation, into a PNG file.

  With `log_scale` a tenth is as far from a hundredth as that from a thousandth, in both.
  """
  figure, (above, below) = _subplots(2, (8, 7))
  trained = [event for event in events if event['event'] == 'train']
  above.plot(*_curve({event['step']: event['loss'] for event in trained}), linewidth=1)
  above.set_ylabel('training loss')
  above.set_title(_literal(title))
  splits = sorted({event['split'] for event in events if event['event'] == 'evaluate'})
  for split in splits:
    found = training_log.evaluations(events, split)
    # The final test is of the best checkpoint, which may be an earlier one.
    values = {e.get('of_step', step): e[metric] for step, e in found.items() if metric in e}
    below.plot(*_curve(values), marker='.', label=split)
  below.set_ylabel(metric)
  below.set_xlabel('training step')
  if splits:
    below.legend(loc='upper right' if log_scale else 'lower right')
  for axes in (above, below):
    if log_scale:
      axes.set_yscale('log')
    axes.grid(True, alpha=0.3)
  _save(figure, path)


def confusion_picture(
  matrix: Sequence[Sequence[int]], labels: Sequence[str], path: str, title: str = ''
) -> None:
  """Draws how often each class (row) was taken for each (column) into a PNG file."""
  size_inches = 2 + 0.55 * len(labels)
  figure, axes = _subplots(1, (size_inches + 1, size_inches))
  shares = [[count / max(1, sum(row)) for count in row] for row in matrix]
  axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
  places = range(len(labels))
  names = [_literal(label) for label in labels]
  axes.set_xticks(list(places))
  axes.set_xticklabels(names, rotation=60, ha='right')
  axes.set_yticks(list(places))
  axes.set_yticklabels(names)
  axes.set_xlabel('answered')
  axes.set_ylabel('was')
  axes.set_title(_literal(title))
  for row in places:
    for column in places:
      if matrix[row][column]:
        color = 'white' if shares[row][column] > 0.5 else 'black'
        axes.text(column, row, str(matrix[row][column]), ha='center', va='center', color=color)
  _save(figure, path)


def confusion_text(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> str:
  """The same as lines of text: a row for what was said, a column for what was answered."""
  rows = [
    ['', *(label[:_HEAD_LETTERS] for label in labels)],
    *([label, *map(str, counts)] for label, counts in zip(labels, matrix)),
  ]
  width = max(len(row[0]) for row in rows)
  cell = 1 + max(len(word) for row in rows for word in row[1:])
  return '\n'.join(
    row[0].ljust(width) + ''.join(word.rjust(cell) for word in row[1:]) for row in rows
  )


def _curve(values: Mapping[int, Any]) -> tuple[list[int], list[float]]:
  """Steps and values; the log's null, which was not finite, leaves a gap."""
  return list(values), [float('nan') if value is None else value for value in values.values()]


def _literal(text: str) -> str:
  """What matplotlib shows as `text`: it takes what stands between two $ for a formula."""
  return text.replace('$', r'\$')


def _subplots(rows: int, size_inches: tuple[float, float]) -> Any:
  """A figure without the global state of pyplot, which would look for a screen."""
  from matplotlib.backends import backend_agg
  from matplotlib.figure import Figure

  figure = Figure(figsize=size_inches)
  backend_agg.FigureCanvasAgg(figure)
  axes = [figure.add_subplot(rows, 1, row) for row in range(1, rows + 1)]
  return figure, axes if rows > 1 else axes[0]


def _save(figure: Any, path: str) -> None:
  with whole_file.replacing(path) as partial:
    figure.savefig(partial, format='png', dpi=100, bbox_inches='tight')
