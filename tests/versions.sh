#!/usr/bin/env bash
# Runs the tests that torch decides about on another version of torch and torch_tensorrt, in an
# environment of its own: 5.6 GB for 2.14, whose wheels come with CUDA.
# Usage: tests/versions.sh [VERSION [PYTEST ARGUMENTS]]   (default: 2.14, and PARTS below)
# Python is that of $PYTHON (default: python3), the environment $VENV (default: .venv-VERSION).
set -euo pipefail
cd "$(dirname "$0")/.."

version=${1:-2.14}
[ $# -eq 0 ] || shift
venv=${VENV:-.venv-$version}
# What is left out asks torch nothing: screens, pages, files of this repository.
PARTS=(tests/{unit,corpus,property,checker} tests/ui/test_real.py tests/ui/test_real_choices.py)

pins=$(mktemp)
trap 'rm -f "$pins"' EXIT
grep -vE '^(torch|torch-tensorrt-rtx|tensorrt_rtx\w*|filelock)==' constraints.txt >"$pins"
[ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/pip" -q install -c "$pins" -e ".[rtx,test-unit]" \
    "torch==$version.*" "torch-tensorrt-rtx==$version.*"
"$venv/bin/python" -m pytest -n "${JOBS:-2}" --dist loadgroup "${@:-${PARTS[@]}}"
