#!/usr/bin/env bash
# Builds sdist and, from it, the wheel, and tries the wheel where nothing else is installed: no
# torch, no tests. Usage: tests/wheel.sh [PYTHON]   (default: python3)
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${1:-python3}" -m venv "$scratch/build"
if ! "$scratch/build/bin/pip" -q install build "setuptools>=77"; then
    echo "the wheel is not tried: its build tools cannot be installed here"
    exit 0
fi
"$scratch/build/bin/python" -m build -q --no-isolation -o "$scratch/dist" . >/dev/null
"${1:-python3}" -m venv "$scratch/bare"
"$scratch/bare/bin/pip" -q install -c constraints.txt "$scratch"/dist/*.whl

report=$PWD/tests/fixtures/report_0_1_0.json
repository=$PWD
cd "$scratch"
bare=$scratch/bare/bin
"$bare/trtdbg" --version
"$bare/trtdbg" --help >/dev/null
"$bare/trtdbg" report "$report" --by line >/dev/null
"$bare/trtdbg" report "$report" --format html -o page.html
"$bare/trtdbg" check "$report" --format sarif -o found.sarif --fail-on error >/dev/null || [ $? -eq 1 ]
"$bare/trtdbg" diff "$report" "$report" --by cause
"$bare/trtdbg" "$report" --screenshot screen.svg
"$bare/python" -c 'import trtdbg, sys; print(trtdbg.open(sys.argv[1]))' "$report"
# All samples that the documentation names come with the wheel.
"$bare/trtdbg" demo --copy samples >/dev/null
for sample in "$repository"/samples/*.pt2; do cmp "$sample" "samples/${sample##*/}"; done
# Without torch a program is one clear line and exit code 3.
for words in "report samples/ids_float64_island.pt2" "demo --text"; do
    code=0
    # shellcheck disable=SC2086
    "$bare/trtdbg" $words || code=$?
    [ "$code" -eq 3 ] || { echo "expected exit code 3 without torch, got $code"; exit 1; }
done
echo "the wheel works in a bare environment"
