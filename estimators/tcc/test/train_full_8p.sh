#!/usr/bin/env bash
# Trains tcc to its accuracy on 8 devices; --help lists the parameters.
set -eu
here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
exec "${PYTHON:-python3}" "$here/../../../tools/launch.py" model tcc full_8p "$@"
