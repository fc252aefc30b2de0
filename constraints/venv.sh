#!/usr/bin/env bash
# Prints the path of a virtual environment for one TensorFlow line; builds it when it is missing.
#
#   constraints/venv.sh newest|tf2.15|tf1.15
#
# PYTHON           the interpreter to use instead of the one found here
# TF1_ASCEND_VENVS the folder that keeps the environments (default: ~/.cache/tf1-ascend)
#
# All clones share the folder, so this project itself is never left installed in an environment.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly exit_usage=2
# Raise it when this script installs things in another way: every environment is built anew.
readonly recipe=1

say() { printf 'venv.sh: %s\n' "$*" >&2; }

fail() {
  say "$@"
  exit "$exit_usage"
}

supported_versions() { # line -> Python versions, the preferred one first
  case $1 in
    newest) echo 3.13 3.12 3.11 3.10 ;;
    tf2.15) echo 3.11 3.10 3.9 ;;
    tf1.15) echo 3.7 ;;
    *) fail "the line must be newest, tf2.15 or tf1.15; got '$1'" ;;
  esac
}

# A pyenv shim is found on PATH but fails unless its version is selected, and Debian's python3 may
# come without ensurepip: only an interpreter that runs and can make an environment counts.
real_python() { # candidate -> "3.11.7 /path/of/python", or a failure
  "$1" -c '
import ensurepip, sys, venv
print("%d.%d.%d %s" % (sys.version_info[:3] + (sys.executable,)))' 2>/dev/null
}

candidates() { # 3.11 -> one path a line
  local name
  for name in "python$1" python3 python; do
    type -aP "$name" || true
  done
  local pyenv_root
  for pyenv_root in "${PYENV_ROOT:-}" "$(pyenv root 2>/dev/null || true)" "${HOME:-}/.pyenv"; do
    if [ -n "$pyenv_root" ]; then
      printf '%s\n' "$pyenv_root/versions/$1".*/bin/"python$1"
    fi
  done
}

find_python() { # versions -> "3.11.7 /path/of/python", or a failure
  local wanted candidate found
  for wanted in "$@"; do
    while IFS= read -r candidate; do
      if found=$(real_python "$candidate") && [[ $found == "$wanted".* ]]; then
        printf '%s\n' "$found"
        return
      fi
    done < <(candidates "$wanted")
  done
  return 1
}

given_python() { # line, versions -> "3.11.7 /path/of/python" of the interpreter PYTHON names
  local found wanted
  found=$(real_python "$PYTHON") ||
    fail "PYTHON must be an interpreter that runs and has the modules venv and ensurepip;" \
      "got '$PYTHON'"
  for wanted in $2; do
    if [[ $found == "$wanted".* ]]; then
      printf '%s\n' "$found"
      return
    fi
  done
  fail "line $1 needs Python ${2// / or }; PYTHON='$PYTHON' is ${found%% *}"
}

chosen_python() { # line -> "3.11.7 /path/of/python"
  local versions
  versions=$(supported_versions "$1") || exit "$exit_usage"
  if [ -n "${PYTHON:-}" ]; then
    given_python "$1" "$versions"
    return
  fi
  # shellcheck disable=SC2086 # one word per version
  find_python $versions || fail "line $1 needs Python ${versions// / or } with the modules venv" \
    "and ensurepip; none was found on PATH or under pyenv. Install one (for example:" \
    "pyenv install ${versions%% *}) or set PYTHON=/path/of/python"
}

dependency_text() { # what decides the content of an environment, apart from the Python version
  local extras='/^\[project\.optional-dependencies\]/,/^\[project\.scripts\]/p'
  echo "recipe $recipe"
  cat "$here/$1.txt"
  sed -n '/^dependencies = \[/,/^\]/p; '"$extras" "$here/../pyproject.toml"
}

content_hash() { # interpreter; the text comes on stdin
  "$1" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest()[:12])'
}

usable() { "$1/bin/python" -c '' 2>/dev/null; }

# pip reads the extras from the metadata of a package. This copy of ours holds metadata only, so
# that nothing is written into the clone and nothing of it stays in the environment. What pip
# unpacks goes beside it: elsewhere it would survive a killed build.
install_dependencies() { # line, environment
  local scratch=$2/scratch package=$2/scratch/metadata-only
  mkdir -p "$package/npu_adapter"
  export TMPDIR=$scratch
  cp "$here/../pyproject.toml" "$package/"
  touch "$package/README.md" "$package/npu_adapter/__init__.py"
  "$2/bin/python" -m pip install --quiet --no-input --constraint "$here/$1.txt" \
    "${package}[cpu,models,speech,dev]" >&2
  "$2/bin/python" -m pip uninstall --quiet --yes tf1-ascend >&2
  "$2/bin/python" -m pip check >&2
  rm -rf "$scratch"
}

# An environment cannot be renamed, because its scripts carry its path. It is built under a name of
# its own; when complete it appears, in one step, as a symbolic link of the name others look for.
build() { # line, interpreter, environments folder, key
  local started=$SECONDS built
  mkdir -p "$3/builds"
  rm -f "$3/$4" # a link whose environment or interpreter was deleted
  built=$(mktemp -d "$3/builds/$4.XXXXXX")
  chmod 755 "$built" # mktemp hides it from the other users of a shared folder
  # shellcheck disable=SC2064 # the path of now
  trap "rm -rf $(printf %q "$built")" EXIT
  say "building $4 with $2 (takes about a minute)"
  "$2" -m venv "$built" >&2
  install_dependencies "$1" "$built"
  if ln -sn "builds/${built##*/}" "$3/$4" 2>/dev/null; then
    trap - EXIT
  elif ! usable "$3/$4"; then
    say "cannot make the link $3/$4"
    exit 1
  fi
  say "built $4 in $((SECONDS - started)) s"
}

# The lock lets a second build of the same environment wait for the first, and proves that whatever
# else is named after the key was left by a killed build. Without flock two builds run side by side
# and the later one is thrown away.
lock() { # environments folder, key
  exec 9>"$1/$2.lock"
  command -v flock >/dev/null || return 0
  flock -n 9 || {
    say "waiting for another build of $2"
    flock 9
  }
  usable "$1/$2" || rm -rf "$1/builds/$2".*
}

main() {
  [ $# -eq 1 ] || fail 'usage: constraints/venv.sh newest|tf2.15|tf1.15'
  unset PYTHONPATH PYTHONHOME PIP_USER PIP_TARGET PIP_PREFIX
  local line=$1 found version interpreter venvs key
  found=$(chosen_python "$line")
  version=${found%% *}
  interpreter=${found#* }
  venvs=${TF1_ASCEND_VENVS:-${XDG_CACHE_HOME:-$HOME/.cache}/tf1-ascend}
  mkdir -p "$venvs"
  venvs=$(cd "$venvs" && pwd)
  key=$line-py$version-$(dependency_text "$line" | content_hash "$interpreter")

  if ! usable "$venvs/$key"; then
    lock "$venvs" "$key"
    usable "$venvs/$key" || build "$line" "$interpreter" "$venvs" "$key"
  fi
  printf '%s\n' "$venvs/$key"
}

main "$@"
