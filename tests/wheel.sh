#!/usr/bin/env bash
# Builds sdist and wheel, and tries the wheel where nothing else is installed: no torch, no tests.
# Usage: tests/wheel.sh [PYTHON]   (default: python3)
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${1:-python3}" -m venv "$scratch/build"
"$scratch/build/bin/pip" -q install build
"$scratch/build/bin/python" -m build -q -o "$scratch/dist" .
"${1:-python3}" -m venv "$scratch/bare"
"$scratch/bare/bin/pip" -q install "$scratch"/dist/*.whl

report=$PWD/tests/fixtures/report_0_1_0.json
sample=$PWD/samples/ids_float64_island.pt2
cd "$scratch"
bare=$scratch/bare/bin
"$bare/trtdbg" --version
"$bare/trtdbg" --help >/dev/null
"$bare/trtdbg" report "$report" --by line >/dev/null
"$bare/trtdbg" report "$report" --format html -o page.html
"$bare/trtdbg" diff "$report" "$report" --by cause
"$bare/trtdbg" "$report" --screenshot screen.svg
"$bare/python" -c 'import trtdbg, sys; print(trtdbg.open(sys.argv[1]))' "$report"
# Without torch a program is one clear line and exit code 3.
code=0
"$bare/trtdbg" report "$sample" || code=$?
[ "$code" -eq 3 ] || { echo "expected exit code 3 without torch, got $code"; exit 1; }
echo "the wheel works in a bare environment"
