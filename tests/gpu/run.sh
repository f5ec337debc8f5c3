#!/usr/bin/env bash
# Runs what only a machine with a GPU can show, and writes one file to send: gpu-report.txt.
# Nothing is sent by itself. Usage: tests/gpu/run.sh [PYTHON]   (default: .venv/bin/python)
set -uo pipefail
cd "$(dirname "$0")/../.."

python=${1:-.venv/bin/python}
report=$PWD/gpu-report.txt
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0

step() {
    local title=$1
    shift
    printf '\n== %s\n$ %s\n' "$title" "$*" >>"$report"
    "$@" >>"$report" 2>&1
    local code=$?
    printf '[exit code %s]\n' "$code" >>"$report"
    printf '%-42s %s\n' "$title" "$([ "$code" -eq 0 ] && echo ok || echo "exit code $code")"
    [ "$code" -eq 0 ] || failed=1
}

if ! "$python" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
    echo "run.sh: there is no CUDA device for $python, so nothing can be run" >&2
    exit 3
fi
: >"$report"

step "versions and GPU" "$python" -m trtdbg doctor
step "the driver" nvidia-smi
for sample in attention_float64 boundary_mixed ids_float64_island; do
    step "times: $sample" "$python" -m trtdbg build "samples/$sample.pt2" --no-cache
    step "saved: $sample" "$python" -m trtdbg build "samples/$sample.pt2" --save "$scratch/$sample"
    step "run.py --check: $sample" "$python" "$scratch/$sample/run.py" --check
    step "run.py: $sample" "$python" "$scratch/$sample/run.py" --output "$scratch/$sample.pt"
done
step "check --build" "$python" -m trtdbg check samples/attention_float64.pt2 --build --fail-on error
step "tests of the GPU" "$python" -m pytest -q -m gpu tests/gpu
step "tests without one" "$python" -m pytest -q tests/unit/stages tests/unit/session

echo "wrote $report"
exit $failed
