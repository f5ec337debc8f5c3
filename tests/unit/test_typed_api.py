"""What `import trtdbg` offers: names, types, data frames, scripts without a guard."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

import trtdbg
from tests import canned
from trtdbg.api import Rows
from trtdbg.outputs import sections

ROOT = Path(__file__).parents[2]


def test_every_exported_name_is_there() -> None:
    for name in trtdbg.__all__:
        assert getattr(trtdbg, name) is not None
    assert trtdbg.Model.__module__ == "trtdbg.api"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        trtdbg.nothing  # noqa: B018


def test_importing_it_imports_neither_torch_nor_rich() -> None:
    code = (
        "import sys, trtdbg; print(sorted({'torch', 'rich', 'trtdbg.api'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


class FakeFrame:
    def __init__(self, rows: list[dict[str, Any]], columns: list[str]) -> None:
        self.rows, self.columns = rows, columns


def test_rows_are_a_data_frame_where_pandas_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = types.ModuleType("pandas")
    fake.DataFrame = FakeFrame  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pandas", fake)
    nodes = canned.UPSTREAM.nodes
    frame = Rows.of(nodes, sections.node_table(nodes)).to_frame()
    assert frame.columns[:3] == ["name", "op", "target"]
    assert frame.rows[2]["verdict"] == "reject"
    assert frame.rows[2]["source"]["line"] == 41


def test_without_pandas_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(trtdbg.UnavailableError, match="pip install pandas"):
        Rows.of(canned.UPSTREAM.nodes, sections.node_table(())).to_frame()


@pytest.mark.usefixtures("torch_tensorrt_ready")
def test_a_script_without_a_guard_works_and_runs_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    sample = ROOT / "samples" / "ids_float64_island.pt2"
    script.write_text(
        "import trtdbg\n"
        "print('begins')\n"
        f"model = trtdbg.open({str(sample)!r}, cache=False)\n"
        "print(len(model.engines))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=False,
        env={**__import__("os").environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'ui'}"},
    )
    assert (done.returncode, done.stdout.split()) == (0, ["begins", "2"]), done.stderr
