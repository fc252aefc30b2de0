#!/usr/bin/env bash
# A short training of tcc on 8 devices; --help lists the parameters.
set -eu
here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
exec "${PYTHON:-python3}" "$here/../../../tools/launch.py" model tcc performance_8p "$@"
