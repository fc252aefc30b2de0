"""The published text format, byte for byte, and what is told about a file that is not so."""

import numpy as np
import pytest

from estimators.lstm_har.dataset import uci_text
from npu_adapter import errors

ROWS = np.array([[1.808515e-4, -1.013857e-2, 9.0], [0.0, 1.5e12, -2.25e-30]])
# 16 places a number, three digits of the power of ten, rows that end as Windows ends them.
TEXT = (
  b'  1.8085150e-004 -1.0138570e-002  9.0000000e+000\r\n'
  b'  0.0000000e+000  1.5000000e+012 -2.2500000e-030\r\n'
)


def written(tmp_path, content):
  path = tmp_path / 'rows.txt'
  path.write_bytes(content)
  return str(path)


def test_a_row_is_written_as_published():
  assert uci_text.windows_text(ROWS) == TEXT


def test_what_was_written_is_read(tmp_path):
  found = uci_text.read_windows(written(tmp_path, TEXT), 3)
  assert found.dtype == np.float32
  np.testing.assert_array_equal(found, ROWS.astype(np.float32))


def test_what_was_read_once_is_written_to_the_same_bytes_and_read_to_the_same_bits(tmp_path):
  numbers = np.random.RandomState(0).standard_cauchy([50, 128]).astype(np.float32)
  first = uci_text.windows_text(numbers)
  read = uci_text.read_windows(written(tmp_path, first), 128)
  np.testing.assert_allclose(read, numbers, rtol=1e-7)
  assert uci_text.windows_text(read) == first
  again = uci_text.read_windows(written(tmp_path, uci_text.windows_text(read)), 128)
  assert again.tobytes() == read.tobytes()


@pytest.mark.parametrize('ending', [b'\n', b' \n', b'\r\n\r\n'])
def test_other_ends_of_rows_are_read_too(tmp_path, ending):
  found = uci_text.read_windows(written(tmp_path, TEXT.replace(b'\r\n', ending)), 3)
  np.testing.assert_array_equal(found, ROWS.astype(np.float32))


@pytest.mark.parametrize(
  'content, message',
  [
    (TEXT + b' 1.0 2.0\r\n', r'rows.txt. must hold 3 numbers a row; row 3 has 2'),
    (TEXT.replace(b'9.0000000e+000', b'nan'), r'must hold finite numbers; row 1 has nan as its n'),
    (TEXT.replace(b'0.0000000e+000', b'inf'), r'row 2 has inf as its number 1'),
    (TEXT.replace(b'1.5', b'1,5'), r'must hold numbers; row 2 is .  0.0000000e\+000  1,5'),
    (b'\r\n', r'must hold a window a row; it is empty'),
  ],
)
def test_a_row_that_is_none_is_told_with_its_file_and_number(tmp_path, content, message):
  with pytest.raises(errors.InputError, match=message):
    uci_text.read_windows(written(tmp_path, content), 3)


def test_labels_are_a_number_a_line(tmp_path):
  assert uci_text.numbers_text(np.array([5, 6, 1])) == b'5\n6\n1\n'
  assert uci_text.read_numbers(written(tmp_path, b'5\n6\n1\n'), 'a label', 1, 6).tolist() == [
    5,
    6,
    1,
  ]


@pytest.mark.parametrize('line', [b'7', b'0', b'-1', b'1.5', b'WALKING'])
def test_a_label_that_is_none_is_told_with_its_file_and_row(tmp_path, line):
  path = written(tmp_path, b'1\n' + line + b'\n')
  message = (
    rf'rows.txt. must hold a label a line, a whole number from 1 to 6; row 2 is .{line.decode()}'
  )
  with pytest.raises(errors.InputError, match=message):
    uci_text.read_numbers(path, 'a label', 1, 6)


def test_a_file_that_is_not_there_is_told(tmp_path):
  with pytest.raises(
    errors.InputError, match='must be a file of UCI HAR that can be read; No such'
  ):
    uci_text.read_windows(str(tmp_path / 'none.txt'), 3)
