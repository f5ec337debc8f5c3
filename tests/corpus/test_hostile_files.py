"""The makers of hostile files that were found in use: each gives its right answer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOSTILE = ROOT.parent / "shared" / "hostile"
LINE = 400

pytestmark = pytest.mark.skipif(
    not HOSTILE.is_dir(), reason="the makers of hostile files are not next to this checkout"
)


def python(*arguments, **options):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "ui")])}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        **options,
    )


def make(number, *arguments):
    maker = next(HOSTILE.glob(f"{number}_*.py"))
    done = python(maker, *arguments)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    path = tmp_path_factory.mktemp("hostile") / "base.pt2"
    done = python(HOSTILE / "base.py", path)
    assert done.returncode == 0, done.stderr
    return path


def refused(path, *more):
    done = python("-m", "trtdbg", "report", path, *more)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if "error" in line]
    assert len(lines) == 1
    assert len(lines[0]) - len(str(path)) < LINE
    return lines[0]


@pytest.mark.parametrize("number", ["01", "02"])
def test_a_program_under_another_name_is_refused(base, tmp_path, number):
    out, marker = tmp_path / "out.pt2", tmp_path / "marker"
    make(number, base, out, marker)
    assert "which torch.export.save does not write" in refused(out)
    assert not marker.exists()


@pytest.mark.parametrize("where", ["in", "out"])
def test_an_escaped_enum_is_refused(base, tmp_path, where):
    out = tmp_path / "out.pt2"
    make("03", base, out, "/nowhere/evil.so", where)
    assert f"{where}_spec holds" in refused(out)


def test_expensive_expressions_are_refused(base, tmp_path):
    make("04", base, tmp_path)
    for path in sorted(tmp_path.glob("*.pt2")):
        assert "expr_str holds" in refused(path)


def test_damaged_inputs_are_the_users_mistake(tmp_path):
    make("05", tmp_path)
    sample = ROOT / "samples" / "ids_float64_island.pt2"
    for path in sorted(tmp_path.iterdir()):
        done = python("-m", "trtdbg", "report", sample, "--numerics", "--inputs", path)
        assert done.returncode == 2, (path.name, done.stderr)
        assert "holds" in done.stderr


@pytest.mark.parametrize("offset", [1 << 40, 5000])
def test_an_operator_that_reads_beyond_a_weight_is_refused(base, tmp_path, offset):
    out = tmp_path / "out.pt2"
    make("10", base, out, offset)
    assert "torch.ops.inductor._reinterpret_tensor.default" in refused(out)
