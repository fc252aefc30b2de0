"""How well a plain classifier of frames finds the phases, from few labels to all of them."""

from __future__ import annotations

from typing import Sequence

from estimators.tcc.evaluation import clips as clip_lists
from estimators.tcc.evaluation import phase_classifier
from estimators.tcc.evaluation.clips import Clip
from estimators.tcc.evaluation.options import EvaluationOptions


def labelled_share(clips: Sequence[Clip], fraction: float) -> list[Clip]:
  """The clips whose labels may be seen: at least one, spread evenly over the list from its first.

  So a list that is sorted, by kind or camera, is represented by a tenth of it. No chance is in it:
  the same list gives the same clips.
  """
  count = max(1, int(round(fraction * len(clips))))
  return [clips[number * len(clips) // count] for number in range(count)]


def evaluate(
  training: Sequence[Clip], validation: Sequence[Clip], options: EvaluationOptions
) -> dict[str, float]:
  """Accuracy on the frames fitted to and on those for validation; `val_accuracy`: the last of them.

  Frames without a label count in neither.
  """
  clip_lists.check_splits(training, validation)
  asked = clip_lists.labelled_frames(validation, 'validation')
  found: dict[str, float] = {}
  for fraction in options.classification_fractions:
    known = clip_lists.labelled_frames(labelled_share(training, fraction), 'training')
    classifier = phase_classifier.fitted(options.classifier, *known)
    found[f'train_accuracy_{fraction:g}'] = classifier.accuracy(*known)
    found[f'val_accuracy_{fraction:g}'] = classifier.accuracy(*asked)
  last = options.classification_fractions[-1]
  found['val_accuracy'] = found[f'val_accuracy_{last:g}']
  return found
