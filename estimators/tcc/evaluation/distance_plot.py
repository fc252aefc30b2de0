"""A picture of the distances between all frames of two clips, with the match drawn into it."""

from __future__ import annotations

from estimators.tcc.evaluation.frame_matches import Matches
from npu_adapter import whole_file

_SIZE_INCHES = (6.5, 5.5)


def draw(matches: Matches, path: str, reference: str, candidate: str, title: str = '') -> None:
  """Writes a PNG; `reference` and `candidate` are what stands at the axes of the frames."""
  # Without the global state of pyplot, which would look for a screen.
  from matplotlib.backends import backend_agg
  from matplotlib.figure import Figure

  figure = Figure(figsize=_SIZE_INCHES)
  backend_agg.FigureCanvasAgg(figure)
  axes = figure.add_subplot(1, 1, 1)
  shown = axes.imshow(matches.distances, cmap='viridis', origin='lower', aspect='auto')
  figure.colorbar(shown, ax=axes, label='distance')
  axes.plot(matches.columns, matches.rows, color='red', linewidth=1, marker='.', markersize=3)
  axes.set_ylabel(_literal(f'frame of {reference}'))
  axes.set_xlabel(_literal(f'frame of {candidate}'))
  axes.set_title(_literal(title))
  with whole_file.replacing(path) as partial:
    figure.savefig(partial, format='png', dpi=100, bbox_inches='tight')


def _literal(text: str) -> str:
  """What matplotlib shows as `text`: it takes what stands between two $ for a formula."""
  return text.replace('$', r'\$')
