#!/usr/bin/env python3
"""Looks an NPU option up, or checks values; the command npu-options without installing anything."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from npu_adapter import options_command  # noqa: E402 - needs the line above

if __name__ == '__main__':
  sys.exit(options_command.main())
