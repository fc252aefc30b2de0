#!/usr/bin/env python3
"""Runs a model's training as launch scripts do: `launch.py model ds_cnn full`; --help tells all."""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from npu_adapter.launch import command  # noqa: E402 - needs the line above

if __name__ == '__main__':
  sys.exit(command.main(estimators=os.path.join(ROOT, 'estimators')))
