"""Runs a command and writes down the device options of its sessions.

usage: record_sessions.py OUT.json SCRIPT [flag ...]

The sessions are real ones; only their making is watched.
"""

import json
import os
import runpy
import sys

import tensorflow.compat.v1 as tf

_seen = []


def _options_of(config):
  """{key: value} of the one NpuOptimizer of a ConfigProto, None without one."""
  if config is None:
    return None
  optimizers = config.graph_options.rewrite_options.custom_optimizers
  found = [optimizer for optimizer in optimizers if optimizer.name == 'NpuOptimizer']
  if not found:
    return None
  read = {}
  for key, value in found[0].parameter_map.items():
    content = getattr(value, value.WhichOneof('value'))
    read[key] = content.decode() if isinstance(content, bytes) else content
  return read


def _watched(make_session):
  def init(self, target='', graph=None, config=None):
    _seen.append(_options_of(config))
    make_session(self, target=target, graph=graph, config=config)

  return init


def main():
  output, command = sys.argv[1], sys.argv[2:]
  tf.Session.__init__ = _watched(tf.Session.__init__)
  sys.argv = command
  sys.path.insert(0, os.path.dirname(command[0]))
  try:
    runpy.run_path(command[0], run_name='__main__')
  finally:
    with open(output, 'w', encoding='utf-8') as file:
      json.dump(_seen, file)


if __name__ == '__main__':
  main()
