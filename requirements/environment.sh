#!/bin/sh
# Makes one virtual environment from one pinned, hashed requirement file, with nothing but Python >= 3.11.
#
#   requirements/environment.sh DIRECTORY REQUIREMENTS WHAT HOW_LONG
#
# Prefers python3.13, the deployed runtime: on PATH, then among pyenv's versions; then 3.12, 3.11, python3.
# PYTHON=... overrides the choice.
set -eu

directory=$1 requirements=$2 what=$3 how_long=$4

is_usable() {
    "$1" -c 'import sys, venv, ensurepip; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        is_usable "$PYTHON" || { echo "PYTHON=$PYTHON is not a Python >= 3.11 with venv" >&2; return 1; }
        echo "$PYTHON"
        return
    fi
    # No 3.14 or later: the pinned packages have not been tried there.
    for version in 3.13 3.12 3.11; do
        for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python3; do
            if is_usable "$candidate"; then
                echo "$candidate"
                return
            fi
        done
    done
    if is_usable python3; then
        echo python3
        return
    fi
    echo "no Python >= 3.11 with the venv module found; install one, or name it: make PYTHON=/path/to/python3" >&2
    return 1
}

python=$(find_python)
echo "setting up $what with $("$python" --version) ($how_long the first time)" >&2
"$python" -m venv --clear "$directory"
# The pinned file is complete, so nothing is left to resolve: --no-deps; `pip check` proves it.
"$directory/bin/python" -m pip --disable-pip-version-check install -qq --require-hashes --no-deps \
    --only-binary :all: -r "$requirements"
"$directory/bin/python" -m pip --disable-pip-version-check check >/dev/null
