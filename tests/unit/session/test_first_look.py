"""A wrong file is named before torch is imported, with the line that reading it gives."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from trtdbg.archive.glance import glance
from trtdbg.errors import ModelError

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "samples" / "boundary_mixed.pt2"


def cut(path: Path) -> None:
    data = SAMPLE.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def rewritten(change: Callable[[str, bytes], bytes]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(SAMPLE) as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                new.writestr(name, change(name, old.read(name)))

    return write


def on_program(data: bytes) -> Callable[[str, bytes], bytes]:
    return lambda name, old: data if name.endswith("models/model.json") else old


WRONG: dict[str, Callable[[Path], None]] = {
    "cut off": cut,
    "no JSON": rewritten(on_program(b"{not json")),
    "another object": rewritten(on_program(b"[]")),
    "another byte order": rewritten(lambda n, old: b"big" if n.endswith("order") else old),
}


def refusal(path: Path) -> str | None:
    try:
        glance(str(path), trust=False, program=None)
    except ModelError as error:
        return str(error)
    return None


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_file_is_refused_as_reading_it_refuses_it(
    kind: str, tmp_path: Path, torch_tensorrt_ready: None
) -> None:
    from trtdbg.archive.load import load

    path = tmp_path / "wrong.pt2"
    WRONG[kind](path)
    with pytest.raises(ModelError) as raised:
        load(path)
    assert refusal(path) == str(raised.value)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "samples").glob("*.pt2")), ids=lambda p: p.stem
)
def test_a_good_file_is_let_through(path: Path) -> None:
    assert refusal(path) is None


def test_no_torch_is_imported_for_a_wrong_file(tmp_path: Path) -> None:
    blind = tmp_path / "blind"
    blind.mkdir()
    (blind / "sitecustomize.py").write_text(
        "import sys\nclass No:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        assert name != 'torch', 'torch is imported'\n"
        "sys.meta_path.insert(0, No())\n"
    )
    paths = os.pathsep.join([str(blind), str(ROOT), str(ROOT / "ui")])
    for kind in ("cut off", "no JSON"):
        path = tmp_path / f"{kind.replace(' ', '_')}.pt2"
        WRONG[kind](path)
        done = subprocess.run(
            [sys.executable, "-m", "trtdbg", "report", str(path)],
            env=os.environ | {"PYTHONPATH": paths},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith(f"trtdbg: error: {path} is "), done.stderr
        assert done.stderr.count("\n") == 1
