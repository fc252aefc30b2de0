"""The settings beside a run's checkpoints: who reads them, and who may go on with the run."""

import pytest

from npu_adapter import errors, run_settings


def test_a_checkpoint_finds_the_settings_in_its_folder_or_the_one_above(tmp_path):
  run_settings.write({'rates': (0.1, 0.2)}, str(tmp_path))
  (tmp_path / 'best').mkdir()
  for checkpoint in (tmp_path / 'model.ckpt-1', tmp_path / 'best' / 'x.ckpt-1'):
    assert run_settings.read(str(checkpoint)) == {'rates': [0.1, 0.2]}


def test_a_checkpoint_without_settings_says_who_writes_them(tmp_path):
  with pytest.raises(errors.InputError, match='which train.py writes beside its checkpoints'):
    run_settings.read(str(tmp_path / 'deep' / 'er' / 'model.ckpt-1'))


@pytest.mark.parametrize('text', ['{"a": ', '[1]', '\xff'])
def test_a_file_that_holds_no_settings_is_named(tmp_path, text):
  (tmp_path / 'settings.json').write_text(text, encoding='latin-1')
  with pytest.raises(errors.InputError, match=r'settings\.json.* is not what train.py writes'):
    run_settings.read(str(tmp_path / 'model.ckpt-1'))


def test_another_run_is_refused_with_what_differs():
  with pytest.raises(errors.InputError, match='units was 28 and is 14.*Name another --output_path'):
    run_settings.check_same('out', {'units': 28, 'steps': 1}, {'units': 14, 'steps': 2}, ['steps'])


def test_the_same_run_goes_on_with_what_may_change_and_with_what_is_new():
  run_settings.check_same(
    'out', {'units': 28, 'steps': 1}, {'units': 28, 'steps': 2, 'b': 1}, ['steps']
  )
