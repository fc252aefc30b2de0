"""The flags of the tools that need clips. No TensorFlow."""

from typing import Any

from npu_adapter import tool_command


def add_data_flags(parser: Any) -> None:
  """Where the clips are from and what is made of them; the default is what training had."""
  add = parser.add_argument
  add(
    '--data_path', metavar='PATH',
    help='speech_commands v0.01 or v0.02: its folder or .tar.gz (default: the data the network was '
    'trained on)',
  )  # fmt: skip
  add(
    '--cache_path', metavar='DIR',
    help='folder for decoded clips and synthesised speech (default: $TF1_ASCEND_CACHE, else '
    '~/.cache/tf1-ascend)',
  )  # fmt: skip
  add(
    '--on_bad_clip', type=tool_command.one_of('error', 'skip'), default='error',
    metavar='error|skip', help='what to do with sound files that cannot be read (default: error)',
  )  # fmt: skip
